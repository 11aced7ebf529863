//! Large blobs over ByteStream, in pieces, resumed where a connection broke.

use super::{GrpcClient, late};
use crate::remote::digest::RemoteDigest;
use crate::remote::error::{ErrorKind, RemoteError};
use crate::remote::life::Life;
use crate::remote::proto::{
    QueryWriteStatusRequest, QueryWriteStatusResponse, ReadRequest, ReadResponse, WriteRequest, WriteResponse,
};
use crate::remote::sink::BlobSink;
use crate::remote::source::BlobSource;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::mpsc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::codegen::tokio_stream::wrappers::ReceiverStream;

/// One upload that may be resumed: its name stays the same for all tries.
pub(crate) struct Upload<'a> {
    pub(crate) client: &'a GrpcClient,
    pub(crate) digest: RemoteDigest,
    pub(crate) source: &'a BlobSource,
    pub(crate) zstd: bool,
    pub(crate) life: Arc<Life>,
}

impl Upload<'_> {
    fn name(&self, attempt: u128) -> String {
        let hex = format!("{attempt:032x}");
        let uuid = format!("{}-{}-4{}-8{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..]);
        let kind = if self.zstd { "compressed-blobs/zstd" } else { "blobs" };
        let prefix = prefix(self.client.instance());
        format!("{prefix}uploads/{uuid}/{kind}/{}/{}", self.digest.hex(), self.digest.size)
    }

    /// Sends the blob; `id` names this upload, `again` says that an earlier try of it broke.
    ///
    /// # Errors
    /// When the server does not take it, or stops taking it.
    pub(crate) async fn send(&self, id: u128, again: bool) -> Result<(), RemoteError> {
        const PATH: &str = "/google.bytestream.ByteStream/Write";
        let name = self.name(id);
        let mut offset = 0;
        if again && !self.zstd {
            match self.progress(&name).await {
                Ok((_, true)) => return Ok(()),
                Ok((committed, false)) => offset = committed.min(self.digest.size),
                // Not known there, or not offered: from the start.
                Err(_) => {}
            }
        }
        let handed = Arc::new(AtomicU64::new(0));
        let (send, receive) = mpsc::channel::<WriteRequest>(1);
        let feeding = feed(self.source.pieces(offset, self.zstd), name, send, handed.clone(), self.life.clone());
        let feeder = tokio::spawn(feeding);
        let ask = async {
            let mut grpc = self.client.ready().await?;
            let codec = tonic_prost::ProstCodec::<WriteRequest, WriteResponse>::default();
            let request = self.client.request(ReceiverStream::new(receive));
            Ok::<_, RemoteError>(
                grpc.client_streaming(request, PathAndQuery::from_static(PATH), codec).await?.into_inner(),
            )
        };
        tokio::pin!(ask);
        let stall = self.client.stall;
        let answer: WriteResponse = loop {
            let before = handed.load(Ordering::Relaxed);
            match tokio::time::timeout(stall, &mut ask).await {
                Ok(answer) => break answer,
                Err(_) if handed.load(Ordering::Relaxed) == before => break Err(late(PATH, stall)),
                Err(_) => {}
            }
        }
        .inspect_err(|_| feeder.abort())?;
        self.life.seen();
        // A server that has the blob already may answer early, with its full size; -1 says so for compressed ones.
        let committed = u64::try_from(answer.committed_size).ok();
        if self.zstd || committed == Some(self.digest.size) {
            return Ok(());
        }
        if let Ok(Err(error)) = feeder.await {
            return Err(error);
        }
        let what = format!("{} of {} bytes of blob {}", answer.committed_size, self.digest.size, self.digest.short());
        Err(RemoteError::new(ErrorKind::Busy, format!("the server took {what}")))
    }

    async fn progress(&self, name: &str) -> Result<(u64, bool), RemoteError> {
        const PATH: &str = "/google.bytestream.ByteStream/QueryWriteStatus";
        let request = QueryWriteStatusRequest { resource_name: name.to_owned() };
        let answer: QueryWriteStatusResponse = self.client.call(PATH, request, self.client.limit).await?;
        Ok((u64::try_from(answer.committed_size).unwrap_or(0), answer.complete))
    }
}

async fn feed(
    mut pieces: mpsc::Receiver<Result<(u64, bool, bytes::Bytes), RemoteError>>,
    name: String,
    to: mpsc::Sender<WriteRequest>,
    handed: Arc<AtomicU64>,
    life: Arc<Life>,
) -> Result<(), RemoteError> {
    let mut name = Some(name);
    while let Some(piece) = pieces.recv().await {
        let (at, last, data) = piece?;
        let length = data.len();
        let request = WriteRequest {
            resource_name: name.take().unwrap_or_default(),
            write_offset: i64::try_from(at).unwrap_or(i64::MAX),
            finish_write: last,
            data,
        };
        if to.send(request).await.is_err() {
            return Ok(());
        }
        handed.fetch_add(1, Ordering::Relaxed);
        life.gave(length);
    }
    Ok(())
}

fn prefix(instance: &str) -> String {
    if instance.is_empty() { String::new() } else { format!("{instance}/") }
}

/// Receives the blob that the sink waits for, from where the sink is.
///
/// # Errors
/// When the server does not send it, or sends other bytes than the sink waits for.
pub(crate) async fn receive(
    client: &GrpcClient,
    zstd: bool,
    sink: &mut dyn BlobSink,
    life: &Life,
) -> Result<(), RemoteError> {
    const PATH: &str = "/google.bytestream.ByteStream/Read";
    let digest = sink.expected();
    let kind = if zstd { "compressed-blobs/zstd" } else { "blobs" };
    let request = ReadRequest {
        resource_name: format!("{}{kind}/{}/{}", prefix(client.instance()), digest.hex(), digest.size),
        read_offset: i64::try_from(sink.received()).unwrap_or(i64::MAX),
        read_limit: 0,
    };
    let mut stream = client.server_stream::<_, ReadResponse>(PATH, request, client.limit.max(client.stall)).await?;
    life.seen();
    let mut unpacker = if zstd { Some(Unpacker::new()?) } else { None };
    loop {
        let next = tokio::time::timeout(client.stall, stream.message()).await;
        let Some(piece) = next.map_err(|_| late(PATH, client.stall))?? else { break };
        life.took(piece.data.len());
        match &mut unpacker {
            Some(unpacker) => unpacker.take(&piece.data, sink)?,
            None => sink.take(&piece.data)?,
        }
    }
    if sink.received() < digest.size {
        let what = format!("blob {} ended after {} of {} bytes", digest.short(), sink.received(), digest.size);
        return Err(RemoteError::new(ErrorKind::Unreachable, what));
    }
    Ok(())
}

/// Undoes zstd piece by piece; never holds more than what one piece holds, in steps that the sink can refuse.
struct Unpacker {
    decoder: zstd::stream::write::Decoder<'static, Vec<u8>>,
}

impl Unpacker {
    fn new() -> Result<Unpacker, RemoteError> {
        let decoder = zstd::stream::write::Decoder::new(Vec::new());
        Ok(Unpacker { decoder: decoder.map_err(|e| RemoteError::new(ErrorKind::Local, e.to_string()))? })
    }

    fn take(&mut self, mut packed: &[u8], sink: &mut dyn BlobSink) -> Result<(), RemoteError> {
        let damaged = |e: std::io::Error| RemoteError::new(ErrorKind::Corrupt, format!("a damaged frame: {e}"));
        while !packed.is_empty() {
            // `write` takes as much as one buffer of output needs, so a small piece cannot fill our memory.
            let used = self.decoder.write(packed).map_err(damaged)?;
            packed = packed.get(used..).unwrap_or(&[]);
            self.drain(sink)?;
        }
        self.decoder.flush().map_err(damaged)?;
        self.drain(sink)
    }

    fn drain(&mut self, sink: &mut dyn BlobSink) -> Result<(), RemoteError> {
        let out = self.decoder.get_mut();
        let taken = sink.take(out);
        out.clear();
        taken
    }
}
