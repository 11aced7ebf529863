//! Messages of the Remote Execution API v2, ByteStream and long-running operations, written by hand for prost.
//!
//! Field numbers are those of the published `remote_execution.proto`, `bytestream.proto`, `operations.proto` and
//! `status.proto`. Fields that nothing here reads or writes are left out; servers and prost skip them. Enumerations are
//! plain numbers with constants. Used by the client, by remote execution and by the tests' own server.

mod action;
mod capabilities;
mod cas;
mod execution;
mod result;
mod stream;

pub use action::{
    Action, Command, Directory, DirectoryNode, EnvironmentVariable, FileNode, NodeProperties, NodeProperty, Platform,
    Property, SymlinkNode,
};
pub use capabilities::{
    ActionCacheUpdateCapabilities, CacheCapabilities, ExecutionCapabilities, GetCapabilitiesRequest, SemVer,
    ServerCapabilities,
};
pub use cas::{
    BatchReadBlobsRequest, BatchReadBlobsResponse, BatchReadResponse, BatchUpdateBlobsRequest,
    BatchUpdateBlobsResponse, BatchUpdateRequest, BatchUpdateResponse, FindMissingBlobsRequest,
    FindMissingBlobsResponse,
};
pub use execution::{
    CancelOperationRequest, ExecuteOperationMetadata, ExecuteRequest, ExecuteResponse, ExecutionPolicy, LogFile,
    Operation, WaitExecutionRequest,
};
pub use result::{
    ActionResult, ExecutedActionMetadata, GetActionResultRequest, OutputDirectory, OutputFile, OutputSymlink, Tree,
    UpdateActionResultRequest,
};
pub use stream::{
    QueryWriteStatusRequest, QueryWriteStatusResponse, ReadRequest, ReadResponse, WriteRequest, WriteResponse,
};

use prost::Message;

/// `DigestFunction.SHA256`.
pub const SHA256: i32 = 1;
/// `Compressor.IDENTITY`.
pub const IDENTITY: i32 = 0;
/// `Compressor.ZSTD`.
pub const ZSTD: i32 = 1;

/// Digest of a blob: lower-case hexadecimal hash, and size in bytes.
#[derive(Clone, PartialEq, Eq, Hash, Message)]
pub struct Digest {
    /// Hash.
    #[prost(string, tag = "1")]
    pub hash: String,
    /// Size in bytes.
    #[prost(int64, tag = "2")]
    pub size_bytes: i64,
}

/// Any message with its type.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Any {
    /// Its type.
    #[prost(string, tag = "1")]
    pub type_url: String,
    /// Its bytes.
    #[prost(bytes = "vec", tag = "2")]
    pub value: Vec<u8>,
}

/// An error or success of one of several requests.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Status {
    /// gRPC code; 0 is success.
    #[prost(int32, tag = "1")]
    pub code: i32,
    /// For people.
    #[prost(string, tag = "2")]
    pub message: String,
    /// Details, such as which inputs are missing.
    #[prost(message, repeated, tag = "3")]
    pub details: Vec<Any>,
}

/// A point in time, UTC.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct Timestamp {
    /// Seconds since 1970.
    #[prost(int64, tag = "1")]
    pub seconds: i64,
    /// Nanoseconds of the second.
    #[prost(int32, tag = "2")]
    pub nanos: i32,
}

/// A span of time.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct Duration {
    /// Seconds.
    #[prost(int64, tag = "1")]
    pub seconds: i64,
    /// Nanoseconds.
    #[prost(int32, tag = "2")]
    pub nanos: i32,
}

impl From<std::time::Duration> for Duration {
    fn from(span: std::time::Duration) -> Duration {
        let seconds = i64::try_from(span.as_secs()).unwrap_or(i64::MAX);
        Duration { seconds, nanos: span.subsec_nanos() as i32 }
    }
}

impl Duration {
    /// As a span of the standard library; negative ones are none.
    pub fn span(&self) -> std::time::Duration {
        let seconds = u64::try_from(self.seconds).unwrap_or(0);
        std::time::Duration::new(
            seconds.min(u64::from(u32::MAX)),
            u32::try_from(self.nanos).unwrap_or(0).min(999_999_999),
        )
    }
}
