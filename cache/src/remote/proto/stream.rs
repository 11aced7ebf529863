//! ByteStream: large blobs in pieces.

use bytes::Bytes;
use prost::Message;

/// Asks for a blob from an offset on.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct ReadRequest {
    /// `[INSTANCE/]blobs/HASH/SIZE` or `[INSTANCE/]compressed-blobs/zstd/HASH/SIZE`.
    #[prost(string, tag = "1")]
    pub resource_name: String,
    /// First byte, of the uncompressed ones.
    #[prost(int64, tag = "2")]
    pub read_offset: i64,
    /// Most bytes; 0 is all.
    #[prost(int64, tag = "3")]
    pub read_limit: i64,
}

/// A piece of a blob.
#[derive(Clone, PartialEq, Message)]
pub struct ReadResponse {
    /// The bytes.
    #[prost(bytes = "bytes", tag = "10")]
    pub data: Bytes,
}

/// A piece of a blob to store.
#[derive(Clone, PartialEq, Message)]
pub struct WriteRequest {
    /// `[INSTANCE/]uploads/UUID/blobs/HASH/SIZE`, in the first piece.
    #[prost(string, tag = "1")]
    pub resource_name: String,
    /// Where the piece begins.
    #[prost(int64, tag = "2")]
    pub write_offset: i64,
    /// Whether it is the last one.
    #[prost(bool, tag = "3")]
    pub finish_write: bool,
    /// The bytes.
    #[prost(bytes = "bytes", tag = "10")]
    pub data: Bytes,
}

/// How much of a blob was stored.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct WriteResponse {
    /// Bytes; -1 where a compressed blob was there already.
    #[prost(int64, tag = "1")]
    pub committed_size: i64,
}

/// Asks how far an upload came.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct QueryWriteStatusRequest {
    /// As in [`WriteRequest`].
    #[prost(string, tag = "1")]
    pub resource_name: String,
}

/// How far an upload came.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct QueryWriteStatusResponse {
    /// Bytes that are safe.
    #[prost(int64, tag = "1")]
    pub committed_size: i64,
    /// Whether all are.
    #[prost(bool, tag = "2")]
    pub complete: bool,
}
