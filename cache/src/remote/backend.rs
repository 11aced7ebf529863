//! One server, whatever it speaks. The one place that sends anything that could change a server, and that refuses to
//! where the settings say `read`.

use super::digest::RemoteDigest;
use super::error::{ErrorKind, RemoteError};
use super::grpc::stream::{Upload, receive};
use super::grpc::{GrpcClient, MAX_BATCH, Offer};
use super::http::HttpClient;
use super::life::Life;
use super::proto;
#[cfg(feature = "s3")]
use super::s3::S3Client;
use super::settings::{Mode, RemoteSettings};
use super::sink::BlobSink;
use super::source::BlobSource;
use bytes::Bytes;
use prost::Message as _;
use std::sync::Arc;
use tokio::sync::OnceCell;
use tokio::task::JoinSet;

/// Requests about single blobs at a time, where a server knows no batches.
const AT_ONCE: usize = 32;

/// What a server speaks.
enum Protocol {
    Grpc(GrpcClient),
    Http(HttpClient),
    #[cfg(feature = "s3")]
    S3(S3Client),
}

/// One server.
pub(crate) struct Backend {
    protocol: Protocol,
    mode: Mode,
    offer: OnceCell<Offer>,
    life: Arc<Life>,
}

/// Outcome of reading several blobs.
pub(crate) type Read = Vec<(RemoteDigest, Result<Bytes, RemoteError>)>;

impl Backend {
    /// The server that the URL names. Must be called inside a runtime; connects with the first request.
    ///
    /// # Errors
    /// When the settings cannot work.
    pub(crate) fn new(settings: &RemoteSettings, life: Arc<Life>) -> Result<Backend, RemoteError> {
        let scheme = settings.url.split_once("://").map_or("", |(s, _)| s);
        let protocol = match scheme {
            "grpc" | "grpcs" => Protocol::Grpc(GrpcClient::new(settings)?),
            "http" | "https" => Protocol::Http(HttpClient::new(settings, life.clone())?),
            #[cfg(feature = "s3")]
            "s3" => Protocol::S3(S3Client::new(settings, life.clone())?),
            #[cfg(not(feature = "s3"))]
            "s3" => {
                let what = "this ptq was built without S3: cargo build --release --features s3";
                return Err(RemoteError::new(ErrorKind::Setting, what));
            }
            _ => {
                let what = format!("{:?} is no URL of a cache: grpc, grpcs, http, https or s3", settings.url);
                return Err(RemoteError::new(ErrorKind::Setting, what));
            }
        };
        Ok(Backend { protocol, mode: settings.mode, offer: OnceCell::new(), life })
    }

    /// The gRPC client, for remote execution.
    pub(crate) fn grpc(&self) -> Option<&GrpcClient> {
        match &self.protocol {
            Protocol::Grpc(client) => Some(client),
            _ => None,
        }
    }

    /// What the server offers; asked once.
    pub(crate) async fn offer(&self) -> Result<Offer, RemoteError> {
        let ask = async || match &self.protocol {
            Protocol::Grpc(client) => client.capabilities().await,
            _ => Ok(Offer {
                updates: true,
                executes: false,
                zstd: false,
                zstd_batches: false,
                batch: MAX_BATCH,
                largest: u64::MAX,
            }),
        };
        let offer = self.offer.get_or_try_init(ask).await.copied();
        // Other servers were not asked anything.
        if self.grpc().is_some() {
            self.heard(&offer);
        }
        offer
    }

    /// A server that answers, whatever it is, is alive.
    fn heard<T>(&self, answer: &Result<T, RemoteError>) {
        let silent = |e: &RemoteError| matches!(e.kind, ErrorKind::Unreachable | ErrorKind::Late | ErrorKind::Busy);
        if !answer.as_ref().is_err_and(silent) {
            self.life.seen();
        }
    }

    /// The remembered result of an action; `None` is a miss.
    pub(crate) async fn result(&self, action: &RemoteDigest) -> Result<Option<proto::ActionResult>, RemoteError> {
        let answer = match &self.protocol {
            Protocol::Grpc(client) => client.get_result(action).await,
            Protocol::Http(client) => client.get_result(action).await.and_then(decoded),
            #[cfg(feature = "s3")]
            Protocol::S3(client) => client.get_result(action).await.and_then(decoded),
        };
        self.heard(&answer);
        answer
    }

    /// Reads small blobs; what came is not yet verified.
    pub(crate) async fn read_small(&self, digests: &[RemoteDigest]) -> Result<Read, RemoteError> {
        match &self.protocol {
            Protocol::Grpc(client) => {
                let zstd = self.offer().await?.zstd_batches;
                let answer = client.read_batch(digests, zstd).await;
                self.heard(&answer);
                let bytes = answer.iter().flatten().filter_map(|(_, b)| b.as_ref().ok()).map(Bytes::len).sum();
                self.life.took(bytes);
                answer
            }
            _ => {
                let mut out = Vec::with_capacity(digests.len());
                for digest in digests {
                    let mut sink = super::sink::Memory::new(*digest);
                    let read = self.read(&mut sink).await;
                    out.push((*digest, read.map(|()| sink.into_bytes())));
                }
                Ok(out)
            }
        }
    }

    /// Receives the blob that the sink waits for, from where the sink is.
    pub(crate) async fn read(&self, sink: &mut dyn BlobSink) -> Result<(), RemoteError> {
        match &self.protocol {
            Protocol::Grpc(client) => {
                let zstd = self.offer().await?.zstd;
                receive(client, zstd, sink, &self.life).await
            }
            Protocol::Http(client) => client.receive(sink).await,
            #[cfg(feature = "s3")]
            Protocol::S3(client) => client.receive(sink).await,
        }
    }

    /// Those of these blobs that the server lacks.
    pub(crate) async fn missing(
        self: &Arc<Self>,
        digests: Vec<RemoteDigest>,
    ) -> Result<Vec<RemoteDigest>, RemoteError> {
        if let Protocol::Grpc(client) = &self.protocol {
            let answer = client.find_missing(&digests).await;
            self.heard(&answer);
            return answer;
        }
        let mut missing = Vec::new();
        let mut asking = JoinSet::new();
        let mut digests = digests.into_iter();
        loop {
            while asking.len() < AT_ONCE
                && let Some(digest) = digests.next()
            {
                let own = self.clone();
                asking.spawn(async move { own.has(&digest).await.map(|has| (digest, has)) });
            }
            let Some(answer) = asking.join_next().await else { return Ok(missing) };
            let answer = answer.map_err(|e| RemoteError::new(ErrorKind::Local, e.to_string()))?;
            if let (digest, false) = answer? {
                missing.push(digest);
            }
        }
    }

    async fn has(&self, digest: &RemoteDigest) -> Result<bool, RemoteError> {
        match &self.protocol {
            Protocol::Grpc(client) => Ok(client.find_missing(&[*digest]).await?.is_empty()),
            Protocol::Http(client) => client.has(digest).await,
            #[cfg(feature = "s3")]
            Protocol::S3(client) => client.has(digest).await,
        }
    }

    fn may_write(&self) -> Result<(), RemoteError> {
        match self.mode {
            Mode::ReadWrite => Ok(()),
            Mode::Read => Err(RemoteError::new(ErrorKind::Denied, "this remote is for reading: mode = \"read\"")),
        }
    }

    /// Stores small blobs together.
    pub(crate) async fn write_small(&self, blobs: &[(RemoteDigest, Bytes)]) -> Result<(), RemoteError> {
        self.may_write()?;
        if let Protocol::Grpc(client) = &self.protocol {
            let zstd = self.offer().await?.zstd_batches;
            let answer = client.write_batch(blobs, zstd).await;
            self.heard(&answer);
            if answer.is_ok() {
                self.life.gave(blobs.iter().map(|(_, b)| b.len()).sum());
            }
            return answer;
        }
        for (digest, bytes) in blobs {
            self.write(digest, &BlobSource::Bytes(bytes.clone()), 0, false).await?;
        }
        Ok(())
    }

    /// Stores a blob; `id` names this upload, `again` says that an earlier try of it broke.
    pub(crate) async fn write(
        &self,
        digest: &RemoteDigest,
        source: &BlobSource,
        id: u128,
        again: bool,
    ) -> Result<(), RemoteError> {
        self.may_write()?;
        match &self.protocol {
            Protocol::Grpc(client) => {
                let offer = self.offer().await?;
                if digest.size > offer.largest {
                    let what = format!("the server takes blobs of at most {} bytes", offer.largest);
                    return Err(RemoteError::new(ErrorKind::Protocol, what));
                }
                let life = self.life.clone();
                Upload { client, digest: *digest, source, zstd: offer.zstd, life }.send(id, again).await
            }
            Protocol::Http(client) => client.put_blob(digest, source).await,
            #[cfg(feature = "s3")]
            Protocol::S3(client) => client.put_blob(digest, source).await,
        }
    }

    /// Remembers the result of an action.
    pub(crate) async fn store_result(
        &self,
        action: &RemoteDigest,
        result: &proto::ActionResult,
    ) -> Result<(), RemoteError> {
        self.may_write()?;
        let answer = match &self.protocol {
            Protocol::Grpc(client) if !self.offer().await?.updates => {
                let _ = client;
                Err(RemoteError::new(ErrorKind::Denied, "the server takes no results from clients"))
            }
            Protocol::Grpc(client) => client.update_result(action, result.clone()).await,
            Protocol::Http(client) => client.put_result(action, result.encode_to_vec().into()).await,
            #[cfg(feature = "s3")]
            Protocol::S3(client) => client.put_result(action, result.encode_to_vec().into()).await,
        };
        self.heard(&answer);
        answer
    }
}

/// A result from its bytes.
fn decoded(bytes: Option<Bytes>) -> Result<Option<proto::ActionResult>, RemoteError> {
    let Some(bytes) = bytes else { return Ok(None) };
    let result = proto::ActionResult::decode(bytes);
    result.map(Some).map_err(|e| RemoteError::new(ErrorKind::Poisoned, format!("a result that is none: {e}")))
}
