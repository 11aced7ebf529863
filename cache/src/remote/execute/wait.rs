//! Asking for an execution and waiting for its end: a stream that may break and be taken up again.

use super::{ExecutionFailure, Shared, Stop, TRIES};
use crate::remote::digest::RemoteDigest;
use crate::remote::error::{ErrorKind, RemoteError};
use crate::remote::proto::{
    CancelOperationRequest, ExecuteRequest, ExecuteResponse, Operation, SHA256, Status, WaitExecutionRequest,
};
use crate::remote::retry;
use prost::Message as _;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How often a waiter looks whether to stop.
const LOOK: Duration = Duration::from_millis(50);
/// Longest wait for the head of a stream. Some servers send it with the first news of the action, which may wait for a
/// worker for long; that the server is gone shows in its silence to the connection's pings.
const HEAD: Duration = Duration::from_secs(24 * 3600);
/// Longest wait for the answer to a cancellation.
const GOODBYE: Duration = Duration::from_secs(2);

/// How a stream ended.
enum Ended {
    /// The operation is done.
    Done(Box<Result<ExecuteResponse, ExecutionFailure>>),
    /// Nobody wants the result any more.
    Stopped,
    /// The stream broke; the operation may go on.
    Broken(RemoteError),
}

impl Shared {
    /// Asks for an execution and waits for its end.
    pub(crate) async fn execute(
        &self,
        action: &RemoteDigest,
        fresh: bool,
        stop: &Stop,
    ) -> Result<ExecuteResponse, ExecutionFailure> {
        const EXECUTE: &str = "/build.bazel.remote.execution.v2.Execution/Execute";
        const WAIT: &str = "/build.bazel.remote.execution.v2.Execution/WaitExecution";
        let request = ExecuteRequest {
            instance_name: self.client.instance().to_owned(),
            skip_cache_lookup: fresh,
            action_digest: Some(action.to_proto()),
            digest_function: SHA256,
            inline_stdout: true,
            inline_stderr: true,
            ..ExecuteRequest::default()
        };
        let mut name = String::new();
        let mut opening = Box::pin(self.client.server_stream::<_, Operation>(EXECUTE, request, HEAD));
        let mut stream = loop {
            match tokio::time::timeout(LOOK, &mut opening).await {
                Ok(opened) => break opened?,
                Err(_) if stop() => return Err(ExecutionFailure::Cancelled),
                Err(_) => {}
            }
        };
        let mut tries = 0;
        loop {
            let error = match self.listen(&mut stream, &mut name, stop).await {
                Ended::Done(answer) => return *answer,
                Ended::Stopped => {
                    self.cancel(&name).await;
                    return Err(ExecutionFailure::Cancelled);
                }
                Ended::Broken(error) => error,
            };
            // Without a name nothing is known of the operation; asking again joins it where it still runs.
            if name.is_empty() || !error.is_transient() || tries >= TRIES {
                return Err(error.into());
            }
            tries += 1;
            self.counters.retries.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(retry::jitter(super::PAUSE * 2u32.pow(tries - 1))).await;
            let request = WaitExecutionRequest { name: name.clone() };
            stream = match self.client.server_stream::<_, Operation>(WAIT, request, HEAD).await {
                Ok(stream) => stream,
                Err(e) if e.is_transient() => return Err(e.into()),
                // A server that started anew, or does not offer this, knows nothing of it.
                Err(e) => return Err(RemoteError::new(ErrorKind::Busy, format!("the execution is lost: {e}")).into()),
            };
        }
    }

    async fn listen(&self, stream: &mut tonic::Streaming<Operation>, name: &mut String, stop: &Stop) -> Ended {
        loop {
            // Nothing of the stream is lost when its next message is waited for in several goes.
            let Ok(next) = tokio::time::timeout(LOOK, stream.message()).await else {
                if stop() {
                    return Ended::Stopped;
                }
                continue;
            };
            match next {
                Ok(Some(operation)) => {
                    self.life.seen();
                    if !operation.name.is_empty() {
                        name.clone_from(&operation.name);
                    }
                    if operation.done {
                        return Ended::Done(Box::new(response(operation)));
                    }
                }
                Ok(None) => {
                    let what = "the server ended the stream of an execution that is not done";
                    return Ended::Broken(RemoteError::new(ErrorKind::Busy, what));
                }
                Err(status) => return Ended::Broken(status.into()),
            }
        }
    }

    /// Tells the server that nobody wants the result. What it answers changes nothing.
    async fn cancel(&self, name: &str) {
        const CANCEL: &str = "/google.longrunning.Operations/CancelOperation";
        if name.is_empty() {
            return;
        }
        self.counters.cancelled.fetch_add(1, Ordering::Relaxed);
        let request = CancelOperationRequest { name: name.to_owned() };
        let _ = self.client.call::<_, Nothing>(CANCEL, request, GOODBYE).await;
    }
}

/// The empty message.
#[derive(Clone, PartialEq, prost::Message)]
struct Nothing {}

/// What a finished operation holds.
fn response(operation: Operation) -> Result<ExecuteResponse, ExecutionFailure> {
    if let Some(Status { code, message, .. }) = operation.error {
        return Ok(ExecuteResponse {
            status: Some(Status { code, message, ..Status::default() }),
            ..ExecuteResponse::default()
        });
    }
    let Some(any) = operation.response else {
        return Err(RemoteError::new(ErrorKind::Protocol, "an operation is done without an answer").into());
    };
    let decoded = ExecuteResponse::decode(&any.value[..]);
    decoded.map_err(|e| RemoteError::new(ErrorKind::Protocol, format!("an answer that is none: {e}")).into())
}
