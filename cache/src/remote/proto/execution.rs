//! Requests of remote execution, and long-running operations.

use super::{ActionResult, Any, Digest, ExecutedActionMetadata, Status};
use prost::Message;
use std::collections::BTreeMap;

/// Runs an action.
#[derive(Clone, PartialEq, Message)]
pub struct ExecuteRequest {
    /// Instance.
    #[prost(string, tag = "1")]
    pub instance_name: String,
    /// Whether to run it even if its result is remembered.
    #[prost(bool, tag = "3")]
    pub skip_cache_lookup: bool,
    /// The action.
    #[prost(message, optional, tag = "6")]
    pub action_digest: Option<Digest>,
    /// How soon.
    #[prost(message, optional, tag = "7")]
    pub execution_policy: Option<ExecutionPolicy>,
    /// How digests are made.
    #[prost(int32, tag = "9")]
    pub digest_function: i32,
    /// Whether to send along what it said.
    #[prost(bool, tag = "10")]
    pub inline_stdout: bool,
    /// Whether to send along what it complained of.
    #[prost(bool, tag = "11")]
    pub inline_stderr: bool,
    /// Files whose bytes should come along.
    #[prost(string, repeated, tag = "12")]
    pub inline_output_files: Vec<String>,
}

/// How soon an action runs.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct ExecutionPolicy {
    /// Smaller is sooner.
    #[prost(int32, tag = "1")]
    pub priority: i32,
}

/// What became of an execution.
#[derive(Clone, PartialEq, Message)]
pub struct ExecuteResponse {
    /// The result.
    #[prost(message, optional, tag = "1")]
    pub result: Option<ActionResult>,
    /// Whether it was remembered.
    #[prost(bool, tag = "2")]
    pub cached_result: bool,
    /// Why it did not run; look here before the result.
    #[prost(message, optional, tag = "3")]
    pub status: Option<Status>,
    /// Logs by name.
    #[prost(btree_map = "string, message", tag = "4")]
    pub server_logs: BTreeMap<String, LogFile>,
    /// For people.
    #[prost(string, tag = "5")]
    pub message: String,
}

/// A log of a server.
#[derive(Clone, PartialEq, Message)]
pub struct LogFile {
    /// Its bytes.
    #[prost(message, optional, tag = "1")]
    pub digest: Option<Digest>,
    /// Whether people can read it.
    #[prost(bool, tag = "2")]
    pub human_readable: bool,
}

/// How far an execution is.
#[derive(Clone, PartialEq, Message)]
pub struct ExecuteOperationMetadata {
    /// 1 looks for a remembered result, 2 queued, 3 runs, 4 done.
    #[prost(int32, tag = "1")]
    pub stage: i32,
    /// The action.
    #[prost(message, optional, tag = "2")]
    pub action_digest: Option<Digest>,
    /// What is known of it so far.
    #[prost(message, optional, tag = "5")]
    pub partial_execution_metadata: Option<ExecutedActionMetadata>,
}

/// Listens to a running execution again.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct WaitExecutionRequest {
    /// Name of the operation.
    #[prost(string, tag = "1")]
    pub name: String,
}

/// Ends a running execution.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct CancelOperationRequest {
    /// Name of the operation.
    #[prost(string, tag = "1")]
    pub name: String,
}

/// A running or finished execution; `error` and `response` exclude each other.
#[derive(Clone, PartialEq, Message)]
pub struct Operation {
    /// Name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// An [`ExecuteOperationMetadata`].
    #[prost(message, optional, tag = "2")]
    pub metadata: Option<Any>,
    /// Whether it is finished.
    #[prost(bool, tag = "3")]
    pub done: bool,
    /// Why it failed.
    #[prost(message, optional, tag = "4")]
    pub error: Option<Status>,
    /// An [`ExecuteResponse`].
    #[prost(message, optional, tag = "5")]
    pub response: Option<Any>,
}
