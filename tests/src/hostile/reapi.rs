//! A Remote Execution API cache in memory: HTTP/2 and gRPC framing by hand, so that it can break every rule.

use super::reapi_calls::{self, Answer};
use super::{Fault, Faults};
use bytes::{Buf as _, Bytes};
use h2::server::SendResponse;
use http::{HeaderMap, HeaderValue, Request, Response};
use ptq_cache::remote::proto;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

/// Largest message that the server takes, as gRPC servers do unless told otherwise.
const MAX_MESSAGE: usize = 4 << 20;

/// What the server holds and how it behaves.
#[derive(Default)]
pub struct State {
    /// Blobs by SHA-256.
    pub blobs: HashMap<String, Bytes>,
    /// Results by the SHA-256 of their action.
    pub results: HashMap<String, proto::ActionResult>,
    /// Bytes of uploads that are not complete, by resource name.
    pub uploads: HashMap<String, Vec<u8>>,
    /// Methods in the order of their calls.
    pub log: Vec<String>,
    /// Offsets at which uploads began.
    pub write_offsets: Vec<i64>,
    /// How it misbehaves.
    pub faults: Faults,
    /// Whether it offers zstd.
    pub zstd: bool,
    /// Token that it asks for.
    pub token: Option<String>,
    /// What it says its largest batch is.
    pub batch: i64,
}

/// A running server.
pub struct ReapiServer {
    /// `grpc://127.0.0.1:PORT`.
    pub url: String,
    state: Arc<Mutex<State>>,
    _runtime: Runtime,
}

impl ReapiServer {
    /// Starts a server on a free port.
    ///
    /// # Panics
    /// When there is no port or thread.
    pub fn start() -> ReapiServer {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.expect("threads for the test server");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a free port");
        let url = format!("grpc://{}", listener.local_addr().expect("an address"));
        let state = Arc::new(Mutex::new(State::default()));
        let shared = state.clone();
        runtime.spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(connection(socket, shared.clone()));
            }
        });
        ReapiServer { url, state, _runtime: runtime }
    }

    /// What it holds; do not keep the guard while the server shall answer.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the next calls of a method fail.
    pub fn fail(&self, method: &str, fault: Fault, calls: usize) {
        self.state().faults.add(method, fault, calls);
    }

    /// Calls so far, by method.
    pub fn calls(&self) -> BTreeMap<String, usize> {
        let mut out = BTreeMap::new();
        for method in &self.state().log {
            *out.entry(method.clone()).or_insert(0) += 1;
        }
        out
    }

    /// Calls so far that could change a server.
    pub fn writes(&self) -> usize {
        let writing = ["BatchUpdateBlobs", "Write", "UpdateActionResult"];
        self.state().log.iter().filter(|m| writing.contains(&m.as_str())).count()
    }
}

async fn connection(socket: TcpStream, state: Arc<Mutex<State>>) {
    let _ = socket.set_nodelay(true);
    let builder =
        h2::server::Builder::new().initial_window_size(8 << 20).initial_connection_window_size(16 << 20).clone();
    let Ok(mut connection) = builder.handshake::<_, Bytes>(socket).await else { return };
    while let Some(Ok((request, respond))) = connection.accept().await {
        tokio::spawn(call(request, respond, state.clone()));
    }
}

async fn call(request: Request<h2::RecvStream>, mut respond: SendResponse<Bytes>, state: Arc<Mutex<State>>) {
    let method = request.uri().path().rsplit('/').next().unwrap_or("").to_owned();
    let lock = || state.lock().unwrap_or_else(PoisonError::into_inner);
    let (fault, wanted) = {
        let mut state = lock();
        state.log.push(method.clone());
        (state.faults.next(&method), state.token.clone())
    };
    let shown = request.headers().get("authorization").and_then(|v| v.to_str().ok().map(str::to_owned));
    let mut body = request.into_body();
    let mut bytes = Vec::new();
    let stop = if let Some(Fault::ResetAfter(n)) = fault { n } else { usize::MAX };
    while let Some(Ok(piece)) = body.data().await {
        let _ = body.flow_control().release_capacity(piece.len());
        bytes.extend_from_slice(&piece);
        if bytes.len() >= stop {
            break;
        }
    }
    if wanted.is_some_and(|token| shown != Some(format!("Bearer {token}"))) {
        return status(&mut respond, 16, "a token, please");
    }
    match fault {
        Some(Fault::Hang) => std::future::pending().await,
        Some(Fault::Status(code)) => return status(&mut respond, code, "as the test wants it"),
        Some(Fault::Reset) => return respond.send_reset(h2::Reason::INTERNAL_ERROR),
        Some(Fault::ResetAfter(_)) => {
            let (messages, _) = frames(&bytes);
            reapi_calls::partial(&mut lock(), &messages);
            return respond.send_reset(h2::Reason::INTERNAL_ERROR);
        }
        _ => {}
    }
    let (messages, largest) = frames(&bytes);
    if largest > MAX_MESSAGE {
        return status(&mut respond, 8, "the message is larger than 4 MiB");
    }
    let answer = reapi_calls::answer(&mut lock(), &method, &messages, fault);
    match answer {
        Answer::Status(code, text) => status(&mut respond, code, text),
        Answer::Messages(messages) => send(&mut respond, messages),
    }
}

/// The messages of a gRPC body, and the length of the longest; an incomplete one at the end is left out.
fn frames(mut bytes: &[u8]) -> (Vec<Bytes>, usize) {
    let (mut out, mut largest) = (Vec::new(), 0);
    while bytes.len() >= 5 {
        let length = (&bytes[1..5]).get_u32() as usize;
        largest = largest.max(length);
        let Some(message) = bytes.get(5..5 + length) else { break };
        out.push(Bytes::copy_from_slice(message));
        bytes = &bytes[5 + length..];
    }
    (out, largest)
}

fn status(respond: &mut SendResponse<Bytes>, code: u16, text: &str) {
    let response = Response::builder()
        .header("content-type", "application/grpc")
        .header("grpc-status", code.to_string())
        .header("grpc-message", text);
    if let Ok(response) = response.body(()) {
        let _ = respond.send_response(response, true);
    }
}

fn send(respond: &mut SendResponse<Bytes>, messages: Vec<Bytes>) {
    let Ok(response) = Response::builder().header("content-type", "application/grpc").body(()) else { return };
    let Ok(mut stream) = respond.send_response(response, false) else { return };
    for message in messages {
        let mut framed = vec![0];
        framed.extend((message.len() as u32).to_be_bytes());
        framed.extend_from_slice(&message);
        if stream.send_data(framed.into(), false).is_err() {
            return;
        }
    }
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let _ = stream.send_trailers(trailers);
}
