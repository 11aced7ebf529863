//! A plain HTTP server with the layout `/ac/HASH` and `/cas/HASH`: caches that speak it, WebDAV servers, any server that
//! answers GET, HEAD and PUT. Redirects are not followed, so a token never leaves its server.

use super::digest::RemoteDigest;
use super::error::{ErrorKind, RemoteError};
use super::grpc::{chain, late};
use super::life::Life;
use super::settings::{Login, RemoteSettings};
use super::sink::BlobSink;
use super::source::{BlobSource, Piece};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame, Incoming as Answer, SizeHint};
use hyper::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, RANGE, USER_AGENT};
use hyper::{Method, Request, Response, StatusCode};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::mpsc;

/// Largest result that we take, bytes.
const MAX_RESULT_MESSAGE: u64 = 16 << 20;

/// A client of one server.
pub(crate) struct HttpClient {
    client: Client<HttpsConnector<HttpConnector>, Payload>,
    base: String,
    authorization: Option<HeaderValue>,
    limit: Duration,
    stall: Duration,
    life: Arc<Life>,
}

/// What a request carries.
enum Payload {
    Whole(Option<Bytes>),
    Pieces { from: mpsc::Receiver<Result<Piece, RemoteError>>, left: u64, handed: Arc<AtomicU64>, life: Arc<Life> },
}

impl Body for Payload {
    type Data = Bytes;
    type Error = RemoteError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, RemoteError>>> {
        match &mut *self {
            Payload::Whole(bytes) => Poll::Ready(bytes.take().map(|b| Ok(Frame::data(b)))),
            Payload::Pieces { from, left, handed, life } => match from.poll_recv(cx) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(None) => Poll::Ready(None),
                Poll::Ready(Some(Err(e))) => Poll::Ready(Some(Err(e))),
                Poll::Ready(Some(Ok((_, _, bytes)))) => {
                    *left = left.saturating_sub(bytes.len() as u64);
                    handed.fetch_add(1, Ordering::Relaxed);
                    life.gave(bytes.len());
                    Poll::Ready(Some(Ok(Frame::data(bytes))))
                }
            },
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Payload::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |b| b.len() as u64)),
            Payload::Pieces { left, .. } => SizeHint::with_exact(*left),
        }
    }
}

impl HttpClient {
    /// A client of the server that `http://` or `https://` names.
    ///
    /// # Errors
    /// When the URL, a certificate or a token cannot work.
    pub(crate) fn new(settings: &RemoteSettings, life: Arc<Life>) -> Result<HttpClient, RemoteError> {
        let wrong = |what: String| RemoteError::new(ErrorKind::Setting, what);
        let base = settings.url.trim_end_matches('/').to_owned();
        let uri: hyper::Uri = base.parse().map_err(|e| wrong(format!("the URL {base:?}: {e}")))?;
        if uri.host().is_none_or(str::is_empty) || uri.query().is_some() {
            return Err(wrong(format!("the URL {base:?} must be http://HOST[:PORT][/PATH]")));
        }
        if uri.authority().is_some_and(|a| a.as_str().contains('@')) {
            return Err(wrong("a URL with a password would be shown in messages; use token_env or token_file".into()));
        }
        let authorization = match &settings.login {
            Login::None => None,
            login => {
                let text = super::login::header(login);
                let mut value =
                    HeaderValue::from_str(&text).map_err(|_| wrong("the token holds odd characters".into()))?;
                value.set_sensitive(true);
                Some(value)
            }
        };
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(settings.patience.connect));
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(super::tls::config(settings)?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(64).build(connector);
        let (limit, stall) = (settings.patience.lookup, settings.patience.stall);
        Ok(HttpClient { client, base, authorization, limit, stall, life })
    }

    fn request(&self, method: Method, path: &str, body: Payload) -> Result<Request<Payload>, RemoteError> {
        let mut builder = Request::builder()
            .method(method)
            .uri(format!("{}/{path}", self.base))
            .header(USER_AGENT, concat!("ptq/", env!("CARGO_PKG_VERSION")));
        if let Some(value) = &self.authorization {
            builder = builder.header(AUTHORIZATION, value.clone());
        }
        builder.body(body).map_err(|e| RemoteError::new(ErrorKind::Setting, e.to_string()))
    }

    async fn send(&self, request: Request<Payload>, limit: Duration) -> Result<Response<Answer>, RemoteError> {
        let what = format!("{} {}", request.method(), request.uri().path().rsplit('/').nth(1).unwrap_or(""));
        let answer = tokio::time::timeout(limit, self.client.request(request)).await;
        let answer = answer.map_err(|_| late(&what, limit))?;
        let answer = answer.map_err(|e| RemoteError::new(ErrorKind::Unreachable, chain(&e)))?;
        self.life.seen();
        Ok(answer)
    }

    /// The bytes of a remembered result; `None` is a miss.
    pub(crate) async fn get_result(&self, action: &RemoteDigest) -> Result<Option<Bytes>, RemoteError> {
        let request = self.request(Method::GET, &format!("ac/{}", action.hex()), Payload::Whole(None))?;
        let answer = self.send(request, self.limit).await?;
        match answer.status() {
            StatusCode::NOT_FOUND | StatusCode::GONE => Ok(None),
            status if status.is_success() => {
                let mut out = Vec::new();
                let take = |piece: &[u8]| {
                    if (out.len() + piece.len()) as u64 > MAX_RESULT_MESSAGE {
                        return Err(RemoteError::new(ErrorKind::Poisoned, "a result of more than 16 MiB"));
                    }
                    out.extend_from_slice(piece);
                    Ok(())
                };
                self.pieces(answer, take).await?;
                Ok(Some(out.into()))
            }
            status => Err(refused(status)),
        }
    }

    /// Receives the blob that the sink waits for, from where the sink is.
    pub(crate) async fn receive(&self, sink: &mut dyn BlobSink) -> Result<(), RemoteError> {
        let digest = sink.expected();
        let mut request = self.request(Method::GET, &format!("cas/{}", digest.hex()), Payload::Whole(None))?;
        let from = sink.received();
        if from > 0
            && let Ok(range) = HeaderValue::from_str(&format!("bytes={from}-"))
        {
            request.headers_mut().insert(RANGE, range);
        }
        let answer = self.send(request, self.limit.max(self.stall)).await?;
        if !answer.status().is_success() {
            return Err(refused(answer.status()));
        }
        // A server that knows no ranges sends everything again.
        let mut skip = if answer.status() == StatusCode::PARTIAL_CONTENT { 0 } else { from };
        let take = |piece: &[u8]| {
            self.life.took(piece.len());
            let passed = usize::try_from(skip).unwrap_or(usize::MAX).min(piece.len());
            skip -= passed as u64;
            sink.take(&piece[passed..])
        };
        self.pieces(answer, take).await?;
        if sink.received() < digest.size {
            let what = format!("blob {} ended after {} of {} bytes", digest.short(), sink.received(), digest.size);
            return Err(RemoteError::new(ErrorKind::Unreachable, what));
        }
        Ok(())
    }

    async fn pieces(
        &self,
        answer: Response<Answer>,
        mut take: impl FnMut(&[u8]) -> Result<(), RemoteError>,
    ) -> Result<(), RemoteError> {
        let mut body = answer.into_body();
        loop {
            let next = tokio::time::timeout(self.stall, body.frame()).await;
            let Some(frame) = next.map_err(|_| late("GET", self.stall))? else { return Ok(()) };
            let frame = frame.map_err(|e| RemoteError::new(ErrorKind::Unreachable, chain(&e)))?;
            if let Some(data) = frame.data_ref() {
                self.life.seen();
                take(data)?;
            }
        }
    }

    /// Whether the server has a blob of this size.
    pub(crate) async fn has(&self, digest: &RemoteDigest) -> Result<bool, RemoteError> {
        let request = self.request(Method::HEAD, &format!("cas/{}", digest.hex()), Payload::Whole(None))?;
        let answer = self.send(request, self.limit).await?;
        match answer.status() {
            StatusCode::NOT_FOUND | StatusCode::GONE => Ok(false),
            status if status.is_success() => {
                let length = answer.headers().get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
                // A blob that a broken upload left is stored again.
                Ok(length.is_none_or(|n| n == digest.size))
            }
            status => Err(refused(status)),
        }
    }

    /// Stores a blob.
    pub(crate) async fn put_blob(&self, digest: &RemoteDigest, source: &BlobSource) -> Result<(), RemoteError> {
        let handed = Arc::new(AtomicU64::new(0));
        let payload = match source {
            BlobSource::Bytes(bytes) => {
                self.life.gave(bytes.len());
                Payload::Whole(Some(bytes.clone()))
            }
            file => Payload::Pieces {
                from: file.pieces(0, false),
                left: digest.size,
                handed: handed.clone(),
                life: self.life.clone(),
            },
        };
        self.put(&format!("cas/{}", digest.hex()), payload, &handed).await
    }

    /// Stores a result.
    pub(crate) async fn put_result(&self, action: &RemoteDigest, bytes: Bytes) -> Result<(), RemoteError> {
        let path = format!("ac/{}", action.hex());
        self.put(&path, Payload::Whole(Some(bytes)), &AtomicU64::new(0)).await
    }

    async fn put(&self, path: &str, payload: Payload, handed: &AtomicU64) -> Result<(), RemoteError> {
        let mut request = self.request(Method::PUT, path, payload)?;
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        // The time limit counts from the last piece that the server took.
        let sending = self.send(request, Duration::from_secs(24 * 3600));
        tokio::pin!(sending);
        let answer = loop {
            let before = handed.load(Ordering::Relaxed);
            match tokio::time::timeout(self.stall, &mut sending).await {
                Ok(answer) => break answer?,
                Err(_) if handed.load(Ordering::Relaxed) == before => return Err(late("PUT", self.stall)),
                Err(_) => {}
            }
        };
        if answer.status().is_success() { Ok(()) } else { Err(refused(answer.status())) }
    }
}

fn refused(status: StatusCode) -> RemoteError {
    let kind = match status.as_u16() {
        401 | 403 | 405 | 407 => ErrorKind::Denied,
        404 | 410 => ErrorKind::Absent,
        408 | 425 | 429 | 500..=599 => ErrorKind::Busy,
        _ => ErrorKind::Protocol,
    };
    let hint = match status.as_u16() {
        301..=308 => " (redirects are not followed)",
        409 => " (does the server make folders for a PUT?)",
        413 => " (the server takes no blobs of this size)",
        _ => "",
    };
    RemoteError::new(kind, format!("the server answers {status}{hint}"))
}
