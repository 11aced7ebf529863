//! Results of actions and the requests of the action cache.

use super::{Any, Digest, Directory, Duration, NodeProperties, Timestamp};
use prost::Message;

/// What an action made.
#[derive(Clone, PartialEq, Message)]
pub struct ActionResult {
    /// Files.
    #[prost(message, repeated, tag = "2")]
    pub output_files: Vec<OutputFile>,
    /// Folders.
    #[prost(message, repeated, tag = "3")]
    pub output_directories: Vec<OutputDirectory>,
    /// How the command ended.
    #[prost(int32, tag = "4")]
    pub exit_code: i32,
    /// What it said, where short.
    #[prost(bytes = "vec", tag = "5")]
    pub stdout_raw: Vec<u8>,
    /// What it said, as a blob.
    #[prost(message, optional, tag = "6")]
    pub stdout_digest: Option<Digest>,
    /// What it complained of, where short.
    #[prost(bytes = "vec", tag = "7")]
    pub stderr_raw: Vec<u8>,
    /// What it complained of, as a blob.
    #[prost(message, optional, tag = "8")]
    pub stderr_digest: Option<Digest>,
    /// Who ran it, and when.
    #[prost(message, optional, tag = "9")]
    pub execution_metadata: Option<ExecutedActionMetadata>,
    /// Links to files, for servers older than API 2.1.
    #[prost(message, repeated, tag = "10")]
    pub output_file_symlinks: Vec<OutputSymlink>,
    /// Links to folders, for servers older than API 2.1.
    #[prost(message, repeated, tag = "11")]
    pub output_directory_symlinks: Vec<OutputSymlink>,
    /// Links.
    #[prost(message, repeated, tag = "12")]
    pub output_symlinks: Vec<OutputSymlink>,
}

/// One file of a result.
#[derive(Clone, PartialEq, Message)]
pub struct OutputFile {
    /// Path below the working directory.
    #[prost(string, tag = "1")]
    pub path: String,
    /// Its bytes.
    #[prost(message, optional, tag = "2")]
    pub digest: Option<Digest>,
    /// Whether it is a program.
    #[prost(bool, tag = "4")]
    pub is_executable: bool,
    /// Its bytes, where a server sends them along.
    #[prost(bytes = "vec", tag = "5")]
    pub contents: Vec<u8>,
    /// Properties.
    #[prost(message, optional, tag = "7")]
    pub node_properties: Option<NodeProperties>,
}

/// One folder of a result.
#[derive(Clone, PartialEq, Message)]
pub struct OutputDirectory {
    /// Path below the working directory.
    #[prost(string, tag = "1")]
    pub path: String,
    /// Its [`Tree`], itself a blob.
    #[prost(message, optional, tag = "3")]
    pub tree_digest: Option<Digest>,
    /// Its [`Directory`], itself a blob, where a server offers that.
    #[prost(message, optional, tag = "5")]
    pub root_directory_digest: Option<Digest>,
}

/// One link of a result.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct OutputSymlink {
    /// Path below the working directory.
    #[prost(string, tag = "1")]
    pub path: String,
    /// What it points at.
    #[prost(string, tag = "2")]
    pub target: String,
}

/// A folder with everything below it.
#[derive(Clone, PartialEq, Message)]
pub struct Tree {
    /// The folder.
    #[prost(message, optional, tag = "1")]
    pub root: Option<Directory>,
    /// All folders below it.
    #[prost(message, repeated, tag = "2")]
    pub children: Vec<Directory>,
}

/// Who ran an action, and when.
#[derive(Clone, PartialEq, Message)]
pub struct ExecutedActionMetadata {
    /// Who.
    #[prost(string, tag = "1")]
    pub worker: String,
    /// When a scheduler got it.
    #[prost(message, optional, tag = "2")]
    pub queued_timestamp: Option<Timestamp>,
    /// When a worker took it.
    #[prost(message, optional, tag = "3")]
    pub worker_start_timestamp: Option<Timestamp>,
    /// When the worker was done.
    #[prost(message, optional, tag = "4")]
    pub worker_completed_timestamp: Option<Timestamp>,
    /// When inputs began to arrive.
    #[prost(message, optional, tag = "5")]
    pub input_fetch_start_timestamp: Option<Timestamp>,
    /// When all inputs were there.
    #[prost(message, optional, tag = "6")]
    pub input_fetch_completed_timestamp: Option<Timestamp>,
    /// When the command began.
    #[prost(message, optional, tag = "7")]
    pub execution_start_timestamp: Option<Timestamp>,
    /// When the command ended.
    #[prost(message, optional, tag = "8")]
    pub execution_completed_timestamp: Option<Timestamp>,
    /// When outputs began to leave.
    #[prost(message, optional, tag = "9")]
    pub output_upload_start_timestamp: Option<Timestamp>,
    /// When all outputs had left.
    #[prost(message, optional, tag = "10")]
    pub output_upload_completed_timestamp: Option<Timestamp>,
    /// What clients and workers add.
    #[prost(message, repeated, tag = "11")]
    pub auxiliary_metadata: Vec<Any>,
    /// Time of the command alone.
    #[prost(message, optional, tag = "12")]
    pub virtual_execution_duration: Option<Duration>,
}

/// Asks for a remembered result.
#[derive(Clone, PartialEq, Message)]
pub struct GetActionResultRequest {
    /// Instance.
    #[prost(string, tag = "1")]
    pub instance_name: String,
    /// The action.
    #[prost(message, optional, tag = "2")]
    pub action_digest: Option<Digest>,
    /// Files whose bytes should come along.
    #[prost(string, repeated, tag = "5")]
    pub inline_output_files: Vec<String>,
    /// How digests are made.
    #[prost(int32, tag = "6")]
    pub digest_function: i32,
}

/// Remembers a result.
#[derive(Clone, PartialEq, Message)]
pub struct UpdateActionResultRequest {
    /// Instance.
    #[prost(string, tag = "1")]
    pub instance_name: String,
    /// The action.
    #[prost(message, optional, tag = "2")]
    pub action_digest: Option<Digest>,
    /// Its result.
    #[prost(message, optional, tag = "3")]
    pub action_result: Option<ActionResult>,
    /// How digests are made.
    #[prost(int32, tag = "5")]
    pub digest_function: i32,
}
