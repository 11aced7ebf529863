//! Results shared by a team: the Remote Execution API over gRPC, its values over plain HTTP and S3.
//!
//! Every blob has two digests: the store's BLAKE3 and the servers' SHA-256. A result is stored under its [`CacheAction`],
//! which names rule, version, parameters and input bytes and nothing of this machine or program. Nothing that a server
//! says is trusted: names, sizes and bytes are checked before anything of it reaches the store. Used by the engine,
//! through [`Remote`].

mod action;
mod backend;
mod breaker;
mod client;
mod compress;
mod core;
mod counters;
mod digest;
mod error;
mod execute;
mod fetch;
mod grpc;
mod http;
mod life;
mod local;
mod login;
mod name;
pub mod proto;
mod result;
mod retry;
#[cfg(feature = "s3")]
mod s3;
mod settings;
mod sign;
mod sink;
mod source;
mod tls;
mod upload;

pub use action::{CacheAction, RuleCall, input_root};
pub use client::{Lookup, PATIENCE, Remote};
pub use counters::RemoteStats;
pub use digest::{BothHashes, RemoteDigest};
pub use error::{ErrorKind, RemoteError};
pub use execute::{Executed, Execution, ExecutionCounters, ExecutionFailure, Executions, Folder, Stop, Timing};
pub use grpc::{GrpcClient, Offer};
pub use life::Life;
pub use name::{file_name, name_of_file};
pub use result::{MAX_BLOB, MAX_RESULT, Provenance, RemoteOutput, outputs, provenance, to_message};
pub use settings::{ClientCertificate, Login, Mode, Patience, RemoteSettings, Secret};
pub use sign::public_key;
pub use sink::{BlobSink, Incoming};
pub use source::BlobSource;
pub use upload::UploadProgress;
