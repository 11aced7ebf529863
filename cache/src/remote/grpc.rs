//! A Remote Execution API server over gRPC: capabilities, content-addressable storage, action cache.
//!
//! One channel for everything; every call has a time limit. Large blobs go through [`stream`]. Remote execution builds
//! its own calls on [`GrpcClient::call`] and [`GrpcClient::server_stream`].

pub(crate) mod stream;

use super::digest::RemoteDigest;
use super::error::{ErrorKind, RemoteError};
use super::proto::{self, *};
use super::settings::{Login, RemoteSettings};
use bytes::Bytes;
use prost::Message;
use std::collections::{HashMap, HashSet};
use std::time::Duration;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::metadata::{AsciiMetadataValue, BinaryMetadataValue};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Code, Request};

/// Most bytes of one batch, below gRPC's usual limit of 4 MiB a message.
pub(crate) const MAX_BATCH: u64 = 3_500_000;
/// Digests of one existence check: about 80 bytes each.
const MAX_DIGESTS: usize = 10_000;
/// Largest message that we take. A server may send more than it takes.
const MAX_MESSAGE: usize = 16 << 20;
/// Header with the name of the tool and the build.
const METADATA: &str = "build.bazel.remote.execution.v2.requestmetadata-bin";

/// What a server offers, as far as it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offer {
    /// Whether clients may store results.
    pub updates: bool,
    /// Whether it executes.
    pub executes: bool,
    /// Whether streams may be compressed with zstd.
    pub zstd: bool,
    /// Whether batches may be compressed with zstd.
    pub zstd_batches: bool,
    /// Most bytes of the blobs of one batch.
    pub batch: u64,
    /// Largest blob that it takes.
    pub largest: u64,
}

/// A connection to one server.
#[derive(Clone)]
pub struct GrpcClient {
    channel: Channel,
    instance: String,
    authorization: Option<AsciiMetadataValue>,
    metadata: BinaryMetadataValue,
    limit: Duration,
    stall: Duration,
}

#[derive(Clone, PartialEq, Message)]
struct ToolDetails {
    #[prost(string, tag = "1")]
    tool_name: String,
    #[prost(string, tag = "2")]
    tool_version: String,
}

#[derive(Clone, PartialEq, Message)]
struct RequestMetadata {
    #[prost(message, optional, tag = "1")]
    tool_details: Option<ToolDetails>,
}

impl GrpcClient {
    /// A client of the server that `grpc://` or `grpcs://` names. Connects with the first call, inside a runtime.
    ///
    /// # Errors
    /// When the URL, a certificate or a token cannot work.
    pub fn new(settings: &RemoteSettings) -> Result<GrpcClient, RemoteError> {
        let wrong = |what: String| RemoteError::new(ErrorKind::Setting, what);
        let (scheme, rest) = settings.url.split_once("://").unwrap_or(("", &settings.url));
        let secure = scheme == "grpcs";
        let url = format!("{}://{}", if secure { "https" } else { "http" }, rest.trim_end_matches('/'));
        let shown = || format!("the URL {:?}", settings.url);
        let mut endpoint = Endpoint::from_shared(url)
            .map_err(|e| wrong(format!("{}: {e}", shown())))?
            .connect_timeout(settings.patience.connect)
            .tcp_nodelay(true)
            .initial_stream_window_size(4 << 20)
            .initial_connection_window_size(16 << 20)
            .http2_keep_alive_interval(Duration::from_secs(20))
            .keep_alive_timeout(Duration::from_secs(10));
        if secure {
            super::tls::install();
            let mut tls = ClientTlsConfig::new().with_native_roots();
            if let Some(pem) = &settings.authorities {
                tls = tls.ca_certificate(Certificate::from_pem(pem));
            }
            if let Some(own) = &settings.certificate {
                tls = tls.identity(Identity::from_pem(&own.chain, own.key.reveal()));
            }
            endpoint = endpoint.tls_config(tls).map_err(|e| wrong(format!("{}: {}", shown(), chain(&e))))?;
        }
        let authorization = match &settings.login {
            Login::None => None,
            login => {
                Some(super::login::header(login).parse().map_err(|_| wrong("the token holds odd characters".into()))?)
            }
        };
        let tool = ToolDetails { tool_name: "ptq".into(), tool_version: env!("CARGO_PKG_VERSION").into() };
        let metadata = RequestMetadata { tool_details: Some(tool) }.encode_to_vec();
        Ok(GrpcClient {
            channel: endpoint.connect_lazy(),
            instance: settings.instance.clone(),
            authorization,
            metadata: BinaryMetadataValue::from_bytes(&metadata),
            limit: settings.patience.lookup,
            stall: settings.patience.stall,
        })
    }

    /// The instance name, for requests that are made elsewhere.
    pub fn instance(&self) -> &str {
        &self.instance
    }

    /// A request with what the server asks for.
    pub(crate) fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if let Some(value) = &self.authorization {
            let mut value = value.clone();
            value.set_sensitive(true);
            request.metadata_mut().insert("authorization", value);
        }
        request.metadata_mut().insert_bin(METADATA, self.metadata.clone());
        request
    }

    pub(crate) async fn ready(&self) -> Result<Grpc<Channel>, RemoteError> {
        let mut grpc = Grpc::new(self.channel.clone()).max_decoding_message_size(MAX_MESSAGE);
        grpc.ready().await.map_err(|e| RemoteError::new(ErrorKind::Unreachable, chain(&e)))?;
        Ok(grpc)
    }

    /// One question, one answer, within `limit`. `path` is `/package.Service/Method`.
    ///
    /// # Errors
    /// What the server answers, or that it does not.
    pub async fn call<Q, R>(&self, path: &'static str, message: Q, limit: Duration) -> Result<R, RemoteError>
    where
        Q: Message + Send + Sync + 'static,
        R: Message + Default + Send + Sync + 'static,
    {
        let ask = async {
            let mut grpc = self.ready().await?;
            let codec = tonic_prost::ProstCodec::<Q, R>::default();
            let answer = grpc.unary(self.request(message), PathAndQuery::from_static(path), codec).await?;
            Ok(answer.into_inner())
        };
        tokio::time::timeout(limit, ask).await.unwrap_or_else(|_| Err(late(path, limit)))
    }

    /// One question, a stream of answers, whose first headers come within `limit`.
    ///
    /// # Errors
    /// What the server answers, or that it does not.
    pub async fn server_stream<Q, R>(
        &self,
        path: &'static str,
        message: Q,
        limit: Duration,
    ) -> Result<tonic::Streaming<R>, RemoteError>
    where
        Q: Message + Send + Sync + 'static,
        R: Message + Default + Send + Sync + 'static,
    {
        let ask = async {
            let mut grpc = self.ready().await?;
            let codec = tonic_prost::ProstCodec::<Q, R>::default();
            let request = self.request(message);
            Ok(grpc.server_streaming(request, PathAndQuery::from_static(path), codec).await?.into_inner())
        };
        tokio::time::timeout(limit, ask).await.unwrap_or_else(|_| Err(late(path, limit)))
    }

    /// What the server offers.
    ///
    /// # Errors
    /// When it does not answer, or does not take SHA-256 digests.
    pub async fn capabilities(&self) -> Result<Offer, RemoteError> {
        const PATH: &str = "/build.bazel.remote.execution.v2.Capabilities/GetCapabilities";
        let request = GetCapabilitiesRequest { instance_name: self.instance.clone() };
        let all: ServerCapabilities = self.call(PATH, request, self.limit).await?;
        let executes = all.execution_capabilities.is_some_and(|e| e.exec_enabled);
        let cache = all.cache_capabilities.unwrap_or_default();
        if !cache.digest_functions.is_empty() && !cache.digest_functions.contains(&SHA256) {
            return Err(RemoteError::new(ErrorKind::Protocol, "the server does not take SHA-256 digests"));
        }
        let positive = |n: i64| u64::try_from(n).ok().filter(|n| *n > 0);
        Ok(Offer {
            updates: cache.action_cache_update_capabilities.is_some_and(|u| u.update_enabled),
            executes,
            zstd: cache.supported_compressors.contains(&ZSTD),
            zstd_batches: cache.supported_batch_update_compressors.contains(&ZSTD),
            batch: positive(cache.max_batch_total_size_bytes).unwrap_or(MAX_BATCH).min(MAX_BATCH),
            largest: positive(cache.max_cas_blob_size_bytes).unwrap_or(u64::MAX),
        })
    }

    /// Those of these blobs that the server lacks.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn find_missing(&self, digests: &[RemoteDigest]) -> Result<Vec<RemoteDigest>, RemoteError> {
        const PATH: &str = "/build.bazel.remote.execution.v2.ContentAddressableStorage/FindMissingBlobs";
        let mut missing = Vec::new();
        for some in digests.chunks(MAX_DIGESTS) {
            let request = FindMissingBlobsRequest {
                instance_name: self.instance.clone(),
                blob_digests: some.iter().map(RemoteDigest::to_proto).collect(),
                digest_function: SHA256,
            };
            let answer: FindMissingBlobsResponse = self.call(PATH, request, self.limit * 2).await?;
            missing.extend(answer.missing_blob_digests.iter().filter_map(RemoteDigest::from_proto));
        }
        Ok(missing)
    }

    /// Reads blobs that fit into one batch together; each as the server has it, not yet verified.
    ///
    /// # Errors
    /// When the server does not answer; what happened to single blobs is beside them.
    pub async fn read_batch(
        &self,
        digests: &[RemoteDigest],
        zstd: bool,
    ) -> Result<Vec<(RemoteDigest, Result<Bytes, RemoteError>)>, RemoteError> {
        const PATH: &str = "/build.bazel.remote.execution.v2.ContentAddressableStorage/BatchReadBlobs";
        let request = BatchReadBlobsRequest {
            instance_name: self.instance.clone(),
            digests: digests.iter().map(RemoteDigest::to_proto).collect(),
            acceptable_compressors: if zstd { vec![ZSTD] } else { Vec::new() },
            digest_function: SHA256,
        };
        let limit = self.limit.max(self.stall);
        let answer: BatchReadBlobsResponse = self.call(PATH, request, limit).await?;
        let mut found: HashMap<RemoteDigest, Result<Bytes, RemoteError>> = HashMap::new();
        for one in answer.responses {
            let Some(digest) = one.digest.as_ref().and_then(RemoteDigest::from_proto) else { continue };
            found.insert(digest, content(&digest, one.status, one.data, one.compressor));
        }
        let lost =
            |d: &RemoteDigest| RemoteError::new(ErrorKind::Absent, format!("no answer about blob {}", d.short()));
        Ok(digests.iter().map(|d| (*d, found.remove(d).unwrap_or_else(|| Err(lost(d))))).collect())
    }

    /// Stores blobs that fit into one batch together.
    ///
    /// # Errors
    /// When one of them was not stored.
    pub async fn write_batch(&self, blobs: &[(RemoteDigest, Bytes)], zstd: bool) -> Result<(), RemoteError> {
        const PATH: &str = "/build.bazel.remote.execution.v2.ContentAddressableStorage/BatchUpdateBlobs";
        let pack = |(digest, bytes): &(RemoteDigest, Bytes)| {
            let packed = if zstd { super::compress::small(bytes) } else { None };
            let (data, compressor) = packed.map_or((bytes.clone(), IDENTITY), |p| (p, ZSTD));
            BatchUpdateRequest { digest: Some(digest.to_proto()), data, compressor }
        };
        let request = BatchUpdateBlobsRequest {
            instance_name: self.instance.clone(),
            requests: blobs.iter().map(pack).collect(),
            digest_function: SHA256,
        };
        let answer: BatchUpdateBlobsResponse = self.call(PATH, request, self.limit.max(self.stall)).await?;
        let mut stored: HashSet<RemoteDigest> = HashSet::new();
        for one in &answer.responses {
            refused(one.status.as_ref())?;
            stored.extend(one.digest.as_ref().and_then(RemoteDigest::from_proto));
        }
        match blobs.iter().find(|(d, _)| !stored.contains(d)) {
            None => Ok(()),
            Some((d, _)) => Err(RemoteError::new(ErrorKind::Protocol, format!("no answer about blob {}", d.short()))),
        }
    }

    /// The remembered result of an action.
    ///
    /// # Errors
    /// When the server does not answer; a miss is none.
    pub async fn get_result(&self, action: &RemoteDigest) -> Result<Option<proto::ActionResult>, RemoteError> {
        const PATH: &str = "/build.bazel.remote.execution.v2.ActionCache/GetActionResult";
        let request = GetActionResultRequest {
            instance_name: self.instance.clone(),
            action_digest: Some(action.to_proto()),
            digest_function: SHA256,
            ..GetActionResultRequest::default()
        };
        match self.call(PATH, request, self.limit).await {
            Ok(result) => Ok(Some(result)),
            Err(e) if e.kind == ErrorKind::Absent => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Remembers the result of an action.
    ///
    /// # Errors
    /// When the server does not take it.
    pub async fn update_result(&self, action: &RemoteDigest, result: proto::ActionResult) -> Result<(), RemoteError> {
        const PATH: &str = "/build.bazel.remote.execution.v2.ActionCache/UpdateActionResult";
        let request = UpdateActionResultRequest {
            instance_name: self.instance.clone(),
            action_digest: Some(action.to_proto()),
            action_result: Some(result),
            digest_function: SHA256,
        };
        let _: proto::ActionResult = self.call(PATH, request, self.limit * 2).await?;
        Ok(())
    }
}

/// The uncompressed bytes of one answer of a batch.
fn content(digest: &RemoteDigest, status: Option<Status>, data: Bytes, packed: i32) -> Result<Bytes, RemoteError> {
    refused(status.as_ref())?;
    match packed {
        IDENTITY => Ok(data),
        ZSTD => super::compress::unpack(&data, digest.size),
        other => Err(RemoteError::new(ErrorKind::Protocol, format!("a blob is compressed by method {other}"))),
    }
}

fn refused(status: Option<&Status>) -> Result<(), RemoteError> {
    match status {
        Some(s) if s.code != 0 => Err(tonic::Status::new(Code::from(s.code), s.message.clone()).into()),
        _ => Ok(()),
    }
}

pub(crate) fn late(what: &str, limit: Duration) -> RemoteError {
    let method = what.rsplit('/').next().unwrap_or(what);
    RemoteError::new(ErrorKind::Late, format!("no answer to {method} within {:.1} s", limit.as_secs_f64()))
}

/// An error with all its causes.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.ends_with(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}
