//! What the test server answers to each method.

use super::Fault;
use super::reapi::State;
use bytes::Bytes;
use prost::Message;
use ptq_cache::remote::proto::{self, *};
use sha2::{Digest as _, Sha256};

/// Size of a piece of a stream.
const PIECE: usize = 256 << 10;

/// An answer.
pub(super) enum Answer {
    Status(u16, &'static str),
    Messages(Vec<Bytes>),
}

fn one(message: &impl Message) -> Answer {
    Answer::Messages(vec![message.encode_to_vec().into()])
}

fn read<M: Message + Default>(messages: &[Bytes]) -> M {
    messages.first().and_then(|m| M::decode(m.clone()).ok()).unwrap_or_default()
}

fn sha(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

/// Bytes as the fault makes them.
fn spoilt(bytes: &Bytes, fault: Option<Fault>) -> Bytes {
    match fault {
        Some(Fault::WrongBytes) => bytes.iter().map(|b| b ^ 0x55).collect::<Vec<u8>>().into(),
        Some(Fault::Truncated) => bytes.slice(..bytes.len() / 2),
        _ => bytes.clone(),
    }
}

pub(super) fn answer(state: &mut State, method: &str, messages: &[Bytes], fault: Option<Fault>) -> Answer {
    match method {
        "GetCapabilities" => one(&capabilities(state)),
        "FindMissingBlobs" => {
            let request: FindMissingBlobsRequest = read(messages);
            let lacks = |d: &proto::Digest| !state.blobs.contains_key(&d.hash);
            one(&FindMissingBlobsResponse {
                missing_blob_digests: request.blob_digests.into_iter().filter(lacks).collect(),
            })
        }
        "BatchUpdateBlobs" => {
            let request: BatchUpdateBlobsRequest = read(messages);
            one(&BatchUpdateBlobsResponse {
                responses: request.requests.into_iter().map(|r| store(state, r)).collect(),
            })
        }
        "BatchReadBlobs" => {
            let request: BatchReadBlobsRequest = read(messages);
            let zstd = request.acceptable_compressors.contains(&ZSTD);
            one(&BatchReadBlobsResponse {
                responses: request.digests.into_iter().map(|d| load(state, d, zstd, fault)).collect(),
            })
        }
        "GetActionResult" => {
            let request: GetActionResultRequest = read(messages);
            let hash = request.action_digest.unwrap_or_default().hash;
            state.results.get(&hash).map_or(Answer::Status(5, "not there"), one)
        }
        "UpdateActionResult" => {
            let request: UpdateActionResultRequest = read(messages);
            let result = request.action_result.unwrap_or_default();
            let files = result.output_files.iter().filter_map(|f| f.digest.as_ref());
            // The rule of careful servers: what a result names is there first.
            if files.clone().any(|d| !state.blobs.contains_key(&d.hash)) {
                return Answer::Status(9, "an output is not in the storage");
            }
            let hash = request.action_digest.unwrap_or_default().hash;
            if !state.blobs.contains_key(&hash) {
                return Answer::Status(9, "the action is not in the storage");
            }
            state.results.insert(hash, result.clone());
            one(&result)
        }
        "Read" => stream(state, &read(messages), fault),
        "Write" => write(state, messages),
        "QueryWriteStatus" => {
            let request: QueryWriteStatusRequest = read(messages);
            match state.uploads.get(&request.resource_name) {
                Some(part) => one(&QueryWriteStatusResponse { committed_size: part.len() as i64, complete: false }),
                None => Answer::Status(5, "no such upload"),
            }
        }
        _ => Answer::Status(12, "not offered"),
    }
}

fn capabilities(state: &State) -> ServerCapabilities {
    let compressors = if state.zstd { vec![ZSTD] } else { Vec::new() };
    ServerCapabilities {
        cache_capabilities: Some(CacheCapabilities {
            digest_functions: vec![SHA256],
            action_cache_update_capabilities: Some(ActionCacheUpdateCapabilities { update_enabled: true }),
            max_batch_total_size_bytes: state.batch,
            supported_compressors: compressors.clone(),
            supported_batch_update_compressors: compressors,
            ..CacheCapabilities::default()
        }),
        ..ServerCapabilities::default()
    }
}

fn store(state: &mut State, request: BatchUpdateRequest) -> BatchUpdateResponse {
    let digest = request.digest.unwrap_or_default();
    let size = usize::try_from(digest.size_bytes).unwrap_or(0);
    let bytes = match request.compressor {
        ZSTD => zstd::bulk::decompress(&request.data, size).unwrap_or_default().into(),
        _ => request.data,
    };
    let code = if sha(&bytes) == digest.hash { 0 } else { 3 };
    if code == 0 {
        state.blobs.insert(digest.hash.clone(), bytes);
    }
    BatchUpdateResponse { digest: Some(digest), status: Some(Status { code, ..Status::default() }) }
}

fn load(state: &State, digest: proto::Digest, zstd: bool, fault: Option<Fault>) -> BatchReadResponse {
    let found = state.blobs.get(&digest.hash);
    let code = if found.is_some() { 0 } else { 5 };
    let plain = found.map(|b| spoilt(b, fault)).unwrap_or_default();
    let packed = if zstd { zstd::bulk::compress(&plain, 3).ok() } else { None };
    let (data, compressor) = packed.map_or((plain, IDENTITY), |p| (p.into(), ZSTD));
    BatchReadResponse { digest: Some(digest), data, status: Some(Status { code, ..Status::default() }), compressor }
}

fn stream(state: &State, request: &ReadRequest, fault: Option<Fault>) -> Answer {
    let parts: Vec<&str> = request.resource_name.split('/').collect();
    let hash = parts.iter().rev().nth(1).copied().unwrap_or("");
    let Some(bytes) = state.blobs.get(hash) else { return Answer::Status(5, "not there") };
    let from = usize::try_from(request.read_offset).unwrap_or(0).min(bytes.len());
    let mut rest = spoilt(&bytes.slice(from..), fault);
    if parts.contains(&"compressed-blobs") {
        rest = zstd::bulk::compress(&rest, 3).unwrap_or_default().into();
    }
    let pieces = rest.chunks(PIECE).map(|p| ReadResponse { data: Bytes::copy_from_slice(p) }.encode_to_vec().into());
    Answer::Messages(pieces.collect())
}

/// Takes what arrived of an upload that is about to break.
pub(super) fn partial(state: &mut State, messages: &[Bytes]) {
    let mut name = String::new();
    for message in messages {
        let Ok(piece) = WriteRequest::decode(message.clone()) else { return };
        if !piece.resource_name.is_empty() {
            name = piece.resource_name.clone();
        }
        state.uploads.entry(name.clone()).or_default().extend_from_slice(&piece.data);
    }
}

fn write(state: &mut State, messages: &[Bytes]) -> Answer {
    let pieces: Vec<WriteRequest> = messages.iter().filter_map(|m| WriteRequest::decode(m.clone()).ok()).collect();
    let name = pieces.first().map(|p| p.resource_name.clone()).unwrap_or_default();
    let begin = pieces.first().map_or(0, |p| p.write_offset);
    state.write_offsets.push(begin);
    let mut bytes = state.uploads.remove(&name).unwrap_or_default();
    bytes.truncate(usize::try_from(begin).unwrap_or(0));
    for piece in &pieces {
        if piece.write_offset != bytes.len() as i64 {
            return Answer::Status(3, "a gap");
        }
        bytes.extend_from_slice(&piece.data);
    }
    let committed = bytes.len() as i64;
    let parts: Vec<&str> = name.split('/').collect();
    let hash = parts.iter().rev().nth(1).copied().unwrap_or("").to_owned();
    let size = parts.last().and_then(|s| s.parse().ok()).unwrap_or(0);
    if parts.contains(&"compressed-blobs") {
        bytes = zstd::bulk::decompress(&bytes, size).unwrap_or_default();
    }
    if sha(&bytes) != hash || !pieces.last().is_some_and(|p| p.finish_write) {
        return Answer::Status(3, "other bytes than the name says");
    }
    state.blobs.insert(hash, bytes.into());
    one(&WriteResponse { committed_size: committed })
}
