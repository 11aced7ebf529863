//! What a server can do.

use prost::Message;

/// Asks for a server's capabilities.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct GetCapabilitiesRequest {
    /// Instance.
    #[prost(string, tag = "1")]
    pub instance_name: String,
}

/// What a server can do.
#[derive(Clone, PartialEq, Message)]
pub struct ServerCapabilities {
    /// As a cache.
    #[prost(message, optional, tag = "1")]
    pub cache_capabilities: Option<CacheCapabilities>,
    /// As an executor.
    #[prost(message, optional, tag = "2")]
    pub execution_capabilities: Option<ExecutionCapabilities>,
    /// Oldest version of the API.
    #[prost(message, optional, tag = "4")]
    pub low_api_version: Option<SemVer>,
    /// Newest version of the API.
    #[prost(message, optional, tag = "5")]
    pub high_api_version: Option<SemVer>,
}

/// What a cache can do.
#[derive(Clone, PartialEq, Message)]
pub struct CacheCapabilities {
    /// How digests may be made.
    #[prost(int32, repeated, tag = "1")]
    pub digest_functions: Vec<i32>,
    /// Whether clients may remember results.
    #[prost(message, optional, tag = "2")]
    pub action_cache_update_capabilities: Option<ActionCacheUpdateCapabilities>,
    /// Most bytes of the blobs of one batch; 0 is no limit of its own.
    #[prost(int64, tag = "4")]
    pub max_batch_total_size_bytes: i64,
    /// Compressions of streams.
    #[prost(int32, repeated, tag = "6")]
    pub supported_compressors: Vec<i32>,
    /// Compressions of batches.
    #[prost(int32, repeated, tag = "7")]
    pub supported_batch_update_compressors: Vec<i32>,
    /// Largest blob; 0 is no limit.
    #[prost(int64, tag = "8")]
    pub max_cas_blob_size_bytes: i64,
}

/// Whether clients may remember results.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct ActionCacheUpdateCapabilities {
    /// Whether they may.
    #[prost(bool, tag = "1")]
    pub update_enabled: bool,
}

/// What an executor can do.
#[derive(Clone, PartialEq, Message)]
pub struct ExecutionCapabilities {
    /// How digests are made.
    #[prost(int32, tag = "1")]
    pub digest_function: i32,
    /// Whether it executes.
    #[prost(bool, tag = "2")]
    pub exec_enabled: bool,
    /// How digests may be made.
    #[prost(int32, repeated, tag = "5")]
    pub digest_functions: Vec<i32>,
}

/// A version.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct SemVer {
    /// Major.
    #[prost(int32, tag = "1")]
    pub major: i32,
    /// Minor.
    #[prost(int32, tag = "2")]
    pub minor: i32,
    /// Patch.
    #[prost(int32, tag = "3")]
    pub patch: i32,
}
