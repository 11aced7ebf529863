//! Requests of the content-addressable storage.

use super::{Digest, Status};
use bytes::Bytes;
use prost::Message;

/// Asks which blobs are not there.
#[derive(Clone, PartialEq, Message)]
pub struct FindMissingBlobsRequest {
    /// Instance.
    #[prost(string, tag = "1")]
    pub instance_name: String,
    /// The blobs.
    #[prost(message, repeated, tag = "2")]
    pub blob_digests: Vec<Digest>,
    /// How digests are made.
    #[prost(int32, tag = "3")]
    pub digest_function: i32,
}

/// Blobs that are not there.
#[derive(Clone, PartialEq, Message)]
pub struct FindMissingBlobsResponse {
    /// The blobs.
    #[prost(message, repeated, tag = "2")]
    pub missing_blob_digests: Vec<Digest>,
}

/// Stores several small blobs.
#[derive(Clone, PartialEq, Message)]
pub struct BatchUpdateBlobsRequest {
    /// Instance.
    #[prost(string, tag = "1")]
    pub instance_name: String,
    /// The blobs.
    #[prost(message, repeated, tag = "2")]
    pub requests: Vec<BatchUpdateRequest>,
    /// How digests are made.
    #[prost(int32, tag = "5")]
    pub digest_function: i32,
}

/// One blob to store.
#[derive(Clone, PartialEq, Message)]
pub struct BatchUpdateRequest {
    /// Digest of the bytes before compression.
    #[prost(message, optional, tag = "1")]
    pub digest: Option<Digest>,
    /// The bytes.
    #[prost(bytes = "bytes", tag = "2")]
    pub data: Bytes,
    /// How they are compressed.
    #[prost(int32, tag = "3")]
    pub compressor: i32,
}

/// What became of several blobs.
#[derive(Clone, PartialEq, Message)]
pub struct BatchUpdateBlobsResponse {
    /// One a blob, in any order.
    #[prost(message, repeated, tag = "1")]
    pub responses: Vec<BatchUpdateResponse>,
}

/// What became of one blob.
#[derive(Clone, PartialEq, Message)]
pub struct BatchUpdateResponse {
    /// The blob.
    #[prost(message, optional, tag = "1")]
    pub digest: Option<Digest>,
    /// Success or not.
    #[prost(message, optional, tag = "2")]
    pub status: Option<Status>,
}

/// Reads several small blobs.
#[derive(Clone, PartialEq, Message)]
pub struct BatchReadBlobsRequest {
    /// Instance.
    #[prost(string, tag = "1")]
    pub instance_name: String,
    /// The blobs.
    #[prost(message, repeated, tag = "2")]
    pub digests: Vec<Digest>,
    /// Compressions that we can undo, beside none.
    #[prost(int32, repeated, tag = "3")]
    pub acceptable_compressors: Vec<i32>,
    /// How digests are made.
    #[prost(int32, tag = "4")]
    pub digest_function: i32,
}

/// Several blobs.
#[derive(Clone, PartialEq, Message)]
pub struct BatchReadBlobsResponse {
    /// One a blob, in any order.
    #[prost(message, repeated, tag = "1")]
    pub responses: Vec<BatchReadResponse>,
}

/// One blob.
#[derive(Clone, PartialEq, Message)]
pub struct BatchReadResponse {
    /// The blob.
    #[prost(message, optional, tag = "1")]
    pub digest: Option<Digest>,
    /// Its bytes.
    #[prost(bytes = "bytes", tag = "2")]
    pub data: Bytes,
    /// Success or not.
    #[prost(message, optional, tag = "3")]
    pub status: Option<Status>,
    /// How the bytes are compressed.
    #[prost(int32, tag = "4")]
    pub compressor: i32,
}
