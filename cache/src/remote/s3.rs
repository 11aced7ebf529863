//! An S3 bucket with the same layout, `PREFIX/ac/HASH` and `PREFIX/cas/HASH`, through `object_store` on our own connections.
//!
//! Credentials come from the login (`KEY:SECRET`) or, as every S3 tool takes them, from the environment
//! (`AWS_ACCESS_KEY_ID`, …), a web identity or the instance. S3 verifies nothing, so whatever is read is verified here.

use super::digest::RemoteDigest;
use super::error::{ErrorKind, RemoteError};
use super::grpc::{chain, late};
use super::life::Life;
use super::settings::{Login, RemoteSettings};
use super::sink::BlobSink;
use super::source::BlobSource;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::client::{
    HttpClient, HttpConnector as StoreConnector, HttpError, HttpErrorKind, HttpRequest, HttpRequestBody, HttpResponse,
    HttpResponseBody, HttpService,
};
use object_store::path::Path;
use object_store::{
    ClientOptions, Error, GetOptions, GetRange, GetResultPayload, MultipartUpload as _, ObjectStore as _,
    ObjectStoreExt as _, PutPayload, RetryConfig,
};
use std::sync::Arc;
use std::time::Duration;
use tonic::codegen::tokio_stream::StreamExt as _;

/// Largest result that we take, bytes.
const MAX_RESULT_MESSAGE: u64 = 16 << 20;
/// Size of a part of a large object; S3 wants at least 5 MiB and at most 10,000 of them.
const PART: usize = 8 << 20;

/// A client of one bucket.
pub(crate) struct S3Client {
    store: AmazonS3,
    prefix: String,
    limit: Duration,
    stall: Duration,
    life: Arc<Life>,
}

impl S3Client {
    /// A client of the bucket that `s3://BUCKET[/PREFIX]` names.
    ///
    /// # Errors
    /// When the settings cannot work.
    pub(crate) fn new(settings: &RemoteSettings, life: Arc<Life>) -> Result<S3Client, RemoteError> {
        let wrong = |what: String| RemoteError::new(ErrorKind::Setting, what);
        let rest = settings.url.strip_prefix("s3://").unwrap_or(&settings.url).trim_end_matches('/');
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() {
            return Err(wrong(format!("the URL {:?} must be s3://BUCKET[/PREFIX]", settings.url)));
        }
        let endpoint = settings.endpoint.as_deref();
        // Retries, their pauses and the breaker are ours, so that they are counted.
        let retry = RetryConfig { max_retries: 0, ..RetryConfig::default() };
        let mut builder = AmazonS3Builder::from_env()
            .with_bucket_name(bucket)
            .with_retry(retry)
            .with_http_connector(Connections::new(settings)?);
        if let Some(url) = endpoint {
            builder = builder.with_endpoint(url).with_allow_http(url.starts_with("http://"));
        }
        if let Login::Basic(pair) = &settings.login {
            let wanted = || wrong("the login of an S3 server is KEY:SECRET".into());
            let (key, secret) = pair.reveal().split_once(':').ok_or_else(wanted)?;
            builder = builder.with_access_key_id(key).with_secret_access_key(secret);
        }
        if let Some(region) = &settings.region {
            builder = builder.with_region(region);
        }
        let store = builder.build().map_err(|e| wrong(format!("S3: {}", chain(&e))))?;
        let (limit, stall) = (settings.patience.lookup, settings.patience.stall);
        Ok(S3Client { store, prefix: prefix.to_owned(), limit, stall, life })
    }

    fn path(&self, kind: &str, digest: &RemoteDigest) -> Path {
        let slash = if self.prefix.is_empty() { "" } else { "/" };
        Path::from(format!("{}{slash}{kind}/{}", self.prefix, digest.hex()))
    }

    /// What an answer means, within a limit; a missing object is `None`.
    async fn answer<T>(
        &self,
        what: &str,
        limit: Duration,
        ask: impl Future<Output = object_store::Result<T>>,
    ) -> Result<Option<T>, RemoteError> {
        match tokio::time::timeout(limit, ask).await {
            Err(_) => Err(late(what, limit)),
            Ok(Ok(value)) => {
                self.life.seen();
                Ok(Some(value))
            }
            Ok(Err(Error::NotFound { .. })) => {
                self.life.seen();
                Ok(None)
            }
            Ok(Err(error)) => Err(failure(&error)),
        }
    }

    /// The bytes of a remembered result; `None` is a miss.
    pub(crate) async fn get_result(&self, action: &RemoteDigest) -> Result<Option<Bytes>, RemoteError> {
        let path = self.path("ac", action);
        let Some(found) = self.answer("GET", self.limit, self.store.get(&path)).await? else { return Ok(None) };
        if found.meta.size > MAX_RESULT_MESSAGE {
            return Err(RemoteError::new(ErrorKind::Poisoned, "a result of more than 16 MiB"));
        }
        self.answer("GET", self.stall, found.bytes()).await
    }

    /// Receives the blob that the sink waits for, from where the sink is.
    pub(crate) async fn receive(&self, sink: &mut dyn BlobSink) -> Result<(), RemoteError> {
        let digest = sink.expected();
        let absent = || RemoteError::new(ErrorKind::Absent, format!("blob {} is not there", digest.short()));
        let from = sink.received();
        let range = (from > 0).then_some(GetRange::Offset(from));
        let path = self.path("cas", &digest);
        let ask = self.store.get_opts(&path, GetOptions { range, ..GetOptions::default() });
        let found = self.answer("GET", self.limit.max(self.stall), ask).await?.ok_or_else(absent)?;
        if found.meta.size != digest.size {
            let what = format!("blob {} holds other bytes than its name says", digest.short());
            return Err(RemoteError::new(ErrorKind::Corrupt, what));
        }
        let GetResultPayload::Stream(mut pieces) = found.payload;
        loop {
            let next = tokio::time::timeout(self.stall, pieces.next()).await;
            let Some(piece) = next.map_err(|_| late("GET", self.stall))? else { break };
            let piece = piece.map_err(|e| failure(&e))?;
            self.life.took(piece.len());
            sink.take(&piece)?;
        }
        if sink.received() < digest.size {
            let what = format!("blob {} ended after {} of {} bytes", digest.short(), sink.received(), digest.size);
            return Err(RemoteError::new(ErrorKind::Unreachable, what));
        }
        Ok(())
    }

    /// Whether the bucket has a blob of this size.
    pub(crate) async fn has(&self, digest: &RemoteDigest) -> Result<bool, RemoteError> {
        let found = self.answer("HEAD", self.limit, self.store.head(&self.path("cas", digest))).await?;
        Ok(found.is_some_and(|meta| meta.size == digest.size))
    }

    /// Stores a blob; a large one in parts, so that memory stays bounded.
    pub(crate) async fn put_blob(&self, digest: &RemoteDigest, source: &BlobSource) -> Result<(), RemoteError> {
        let path = self.path("cas", digest);
        let mut pieces = source.pieces(0, false);
        let mut part = Vec::new();
        let mut upload = None;
        while let Some(piece) = pieces.recv().await {
            let (_, last, bytes) = piece?;
            part.extend_from_slice(&bytes);
            if last && upload.is_none() {
                return self.put(&path, std::mem::take(&mut part).into()).await;
            }
            if last || part.len() >= PART {
                if upload.is_none() {
                    upload = self.answer("POST", self.limit, self.store.put_multipart(&path)).await?;
                }
                let Some(upload) = &mut upload else { break };
                let payload = PutPayload::from(std::mem::take(&mut part));
                let length = payload.content_length();
                self.answer("PUT", self.stall * 3, upload.put_part(payload)).await?;
                self.life.gave(length);
            }
        }
        match upload {
            Some(mut upload) => self.answer("POST", self.stall * 3, upload.complete()).await.map(drop),
            None => Err(RemoteError::new(ErrorKind::Local, "a blob ended before it began")),
        }
    }

    /// Stores a result.
    pub(crate) async fn put_result(&self, action: &RemoteDigest, bytes: Bytes) -> Result<(), RemoteError> {
        self.put(&self.path("ac", action), bytes).await
    }

    async fn put(&self, path: &Path, bytes: Bytes) -> Result<(), RemoteError> {
        let length = bytes.len();
        let ask = self.store.put(path, PutPayload::from_bytes(bytes));
        self.answer("PUT", self.stall * 3, ask).await?;
        self.life.gave(length);
        Ok(())
    }
}

fn failure(error: &Error) -> RemoteError {
    let what = chain(error);
    let kind = match error {
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => ErrorKind::Denied,
        Error::NotFound { .. } => ErrorKind::Absent,
        _ if ["403", "401"].iter().any(|code| what.contains(&format!("status {code}"))) => ErrorKind::Denied,
        Error::Generic { .. } => ErrorKind::Busy,
        _ => ErrorKind::Protocol,
    };
    RemoteError::new(kind, format!("S3: {what}"))
}

/// Makes the connections of `object_store`: the same stack as for plain HTTP.
#[derive(Clone)]
struct Connections(Client<HttpsConnector<HttpConnector>, HttpRequestBody>);

impl std::fmt::Debug for Connections {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Connections")
    }
}

impl Connections {
    fn new(settings: &RemoteSettings) -> Result<Connections, RemoteError> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(settings.patience.connect));
        let secure = RemoteSettings { url: "https://".into(), ..settings.clone() };
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(super::tls::config(&secure)?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        Ok(Connections(Client::builder(TokioExecutor::new()).pool_max_idle_per_host(64).build(connector)))
    }
}

impl StoreConnector for Connections {
    fn connect(&self, _options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

#[tonic::async_trait]
impl HttpService for Connections {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let answer = self.0.request(request).await.map_err(|e| {
            let kind = if e.is_connect() { HttpErrorKind::Connect } else { HttpErrorKind::Interrupted };
            HttpError::new(kind, e)
        })?;
        let (parts, body) = answer.into_parts();
        let body = HttpResponseBody::new(body.map_err(|e| HttpError::new(HttpErrorKind::Interrupted, e)));
        Ok(HttpResponse::from_parts(parts, body))
    }
}
