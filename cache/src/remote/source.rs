//! A blob to send: bytes, or a file that is read piece by piece so that memory stays bounded.

use super::error::{ErrorKind, RemoteError};
use crate::{Digest, Store};
use bytes::Bytes;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::PathBuf;
use tokio::sync::mpsc;

/// Size of a piece: below every server's limit of a message.
pub(crate) const PIECE: usize = 1 << 20;
/// Pieces that wait while the network is slow.
const WAITING: usize = 2;

/// Where the bytes of a blob come from.
#[derive(Clone, Debug)]
pub enum BlobSource {
    /// They are here.
    Bytes(Bytes),
    /// They are in a file.
    File(PathBuf),
    /// They are in the store, and few.
    Stored(Digest),
}

/// A piece: where it begins in what is sent, whether it is the last, its bytes.
pub(crate) type Piece = (u64, bool, Bytes);

impl BlobSource {
    /// The blob's pieces from an offset on, read on a thread of the runtime. The last piece is marked, and empty for an
    /// empty rest.
    pub(crate) fn pieces(&self, offset: u64, zstd: bool) -> mpsc::Receiver<Result<Piece, RemoteError>> {
        let (send, receive) = mpsc::channel(WAITING);
        let source = self.clone();
        tokio::task::spawn_blocking(move || {
            if let Err(error) = source.send(offset, zstd, &send) {
                let error = RemoteError::new(ErrorKind::Local, error.to_string());
                let _ = send.blocking_send(Err(error));
            }
        });
        receive
    }

    fn send(&self, offset: u64, zstd: bool, to: &mpsc::Sender<Result<Piece, RemoteError>>) -> std::io::Result<()> {
        let mut reader: Box<dyn std::io::Read> = match self {
            BlobSource::Bytes(bytes) => {
                let rest = bytes.slice(bytes.len().min(usize::try_from(offset).unwrap_or(usize::MAX))..);
                Box::new(std::io::Cursor::new(rest))
            }
            BlobSource::File(path) => {
                let mut file = File::open(path)?;
                file.seek(SeekFrom::Start(offset))?;
                Box::new(file)
            }
            BlobSource::Stored(digest) => {
                return Err(std::io::Error::other(format!("blob {} was to be read from the store", digest.short())));
            }
        };
        if zstd {
            reader = Box::new(zstd::stream::read::Encoder::new(reader, super::compress::LEVEL)?);
        }
        let (mut at, mut piece) = (offset, next(&mut *reader)?);
        loop {
            let following = next(&mut *reader)?;
            let last = following.is_empty();
            let length = piece.len() as u64;
            if to.blocking_send(Ok((at, last, piece))).is_err() || last {
                return Ok(());
            }
            at += length;
            piece = following;
        }
    }

    /// All bytes.
    ///
    /// # Errors
    /// When they are not there any more.
    pub(crate) fn read(&self, store: &Store) -> Result<Bytes, RemoteError> {
        match self {
            BlobSource::Bytes(bytes) => Ok(bytes.clone()),
            BlobSource::File(path) => std::fs::read(path)
                .map(Bytes::from)
                .map_err(|e| RemoteError::new(ErrorKind::Local, format!("{}: {e}", path.display()))),
            BlobSource::Stored(digest) => store
                .get(digest)
                .ok_or_else(|| RemoteError::new(ErrorKind::Local, "a result is no longer in the store")),
        }
    }
}

/// The next full piece, or what is left.
fn next(reader: &mut dyn std::io::Read) -> std::io::Result<Bytes> {
    let mut piece = Vec::with_capacity(PIECE);
    reader.take(PIECE as u64).read_to_end(&mut piece)?;
    Ok(piece.into())
}
