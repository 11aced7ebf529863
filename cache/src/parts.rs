//! Large blobs that are mostly the same: what one shares with earlier ones is kept once.
//!
//! Variants of one model compile to files that hold the same weights and other scales. A large blob is cut where its content says
//! (so that the cuts of shared stretches fall together wherever they lie), each piece is looked up by its hash, and if most of them
//! are known the blob's file is a list: pieces of files that are there already, and of one new file with the rest. That file, and every
//! blob whose pieces are new, is an ordinary blob of its own digest. The table of pieces is a hint: what it says is compared with the
//! bytes before it is used. Called by `blobs.rs`; what a list needs is told to the collector.

use crate::blobs::Blobs;
use crate::{Digest, StoreError};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::FileExt as _;
use std::sync::{Mutex, PoisonError};

/// First bytes of a list.
const MAGIC: &[u8; 16] = b"ptq parts v1\0\0\0\0";
/// Blobs below this size are kept whole.
const LEAST: usize = 64 << 10;
/// Least and largest piece; on average 2 KiB: what changes from variant to variant lies between weights in runs of a few KiB.
const PIECE: (usize, usize) = (512, 8 << 10);
/// Bits of the rolling hash that are zero at a cut.
const MASK: u64 = ((1 << 11) - 1) << 40;
/// A list is written where at most this share of the bytes is new.
const NEW: f64 = 0.6;
/// Table of pieces in the store's folder.
pub(crate) const PIECES: &str = "pieces-v1";
/// Bytes of an entry: hash, file, place, length.
const ENTRY: usize = 16 + 32 + 8 + 8;

/// A stretch of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Piece {
    file: Digest,
    at: u64,
    length: u64,
}

/// File of a piece (`None` for the new one), place, length.
type Place = (Option<Digest>, u64, u64);

/// Where pieces of known hashes are; read when the first large blob is written.
#[derive(Default)]
pub(crate) struct Parts {
    known: Mutex<Option<HashMap<[u8; 16], Piece>>>,
}

/// Bytes that the rolling hash depends on: each moves the earlier ones one bit up, out of its 64.
const WINDOW: usize = 64;

/// Ends of the pieces of some bytes.
fn cuts(bytes: &[u8]) -> Vec<usize> {
    let mut out = Vec::new();
    let mut start = 0;
    while start < bytes.len() {
        let piece = &bytes[start..bytes.len().min(start + PIECE.1)];
        let mut hash = 0u64;
        let mut end = piece.len();
        // Where no cut may be, only what the first hash depends on is looked at.
        for (i, &byte) in piece.iter().enumerate().skip(PIECE.0 - WINDOW) {
            hash = (hash << 1).wrapping_add(MIXED[usize::from(byte)]);
            if i + 1 >= PIECE.0 && hash & MASK == 0 {
                end = i + 1;
                break;
            }
        }
        start += end;
        out.push(start);
    }
    out
}

/// [`mix`] of every byte.
static MIXED: [u64; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = mix(byte as u64);
        byte += 1;
    }
    table
};

/// A fixed number without pattern for each byte (the last steps of splitmix64).
const fn mix(byte: u64) -> u64 {
    let mut z = (byte + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

fn name(piece: &[u8]) -> [u8; 16] {
    let mut out = [0; 16];
    out.copy_from_slice(&blake3::hash(piece).as_bytes()[..16]);
    out
}

impl Parts {
    /// Writes a large blob that is not there yet; false where it is to be kept whole by the caller.
    pub(crate) fn write(&self, blobs: &Blobs, digest: &Digest, bytes: &[u8]) -> Result<bool, StoreError> {
        if bytes.len() < LEAST {
            return Ok(false);
        }
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        // Another thread may have written it while we waited; a list of pieces of its own file would be none.
        if blobs.path(digest).is_file() {
            return Ok(true);
        }
        let known = known.get_or_insert_with(|| load(blobs));
        let mut files: BTreeMap<Digest, Option<File>> = BTreeMap::new();
        let mut open = |file: Digest| files.entry(file).or_insert_with(|| blobs.open_whole(&file)).as_ref().map(clone);
        let mut fresh: Vec<u8> = Vec::new();
        let mut list: Vec<Place> = Vec::new();
        let mut start = 0;
        let mut names = Vec::new();
        for end in cuts(bytes) {
            let piece = &bytes[start..end];
            let hash = name(piece);
            let found = known.get(&hash).filter(|p| p.length == piece.len() as u64 && p.file != *digest).copied();
            let found = found.filter(|p| open(p.file).flatten().is_some_and(|f| same(&f, p.at, piece)));
            match found {
                Some(p) => list.push((Some(p.file), p.at, p.length)),
                None => {
                    list.push((None, fresh.len() as u64, piece.len() as u64));
                    fresh.extend(piece);
                }
            }
            names.push((hash, start as u64, piece.len() as u64, found.is_some()));
            start = end;
        }
        let whole = fresh.len() as f64 > NEW * bytes.len() as f64;
        let home = if whole { *digest } else { Digest::of(&fresh) };
        if whole {
            blobs.write_file(digest, bytes)?;
        } else {
            if !fresh.is_empty() {
                blobs.write_file(&home, &fresh)?;
            }
            for file in list.iter().filter_map(|(file, ..)| *file).collect::<BTreeSet<_>>() {
                // Young again, so that a collection beside us leaves it to the new list.
                blobs.touch(&file);
            }
            let pieces = joined(list.iter().map(|(file, at, length)| Piece {
                file: file.unwrap_or(home),
                at: *at,
                length: *length,
            }));
            let body = postcard::to_stdvec(&(bytes.len() as u64, pieces)).unwrap_or_default();
            blobs.write_list(digest, &[MAGIC.as_slice(), &body].concat())?;
        }
        let places = list.iter().zip(&names).filter(|(_, n)| whole || !n.3);
        let learned: Vec<([u8; 16], Piece)> = places
            .map(|((_, at, length), n)| (n.0, Piece { file: home, at: if whole { n.1 } else { *at }, length: *length }))
            .collect();
        append(blobs, &learned);
        known.extend(learned);
        Ok(true)
    }
}

fn clone(file: &File) -> Option<File> {
    file.try_clone().ok()
}

/// Whether a file holds these bytes there.
fn same(file: &File, at: u64, piece: &[u8]) -> bool {
    let mut found = vec![0; piece.len()];
    file.read_exact_at(&mut found, at).is_ok() && found == piece
}

/// Pieces with those that follow each other in one file made one.
fn joined(pieces: impl Iterator<Item = Piece>) -> Vec<Piece> {
    let mut out: Vec<Piece> = Vec::new();
    for piece in pieces {
        match out.last_mut().filter(|last| last.file == piece.file && last.at + last.length == piece.at) {
            Some(last) => last.length += piece.length,
            None => out.push(piece),
        }
    }
    out
}

fn load(blobs: &Blobs) -> HashMap<[u8; 16], Piece> {
    let bytes = std::fs::read(blobs.root().join(PIECES)).unwrap_or_default();
    let number = |b: &[u8]| b.iter().rev().fold(0u64, |n, byte| n << 8 | u64::from(*byte));
    let entry = |e: &[u8]| {
        let (mut hash, mut file) = ([0; 16], [0; 32]);
        hash.copy_from_slice(&e[..16]);
        file.copy_from_slice(&e[16..48]);
        (hash, Piece { file: Digest(file), at: number(&e[48..56]), length: number(&e[56..64]) })
    };
    bytes.chunks_exact(ENTRY).map(entry).collect()
}

/// Adds to the table; what cannot be written is not shared later.
fn append(blobs: &Blobs, learned: &[([u8; 16], Piece)]) {
    let mut bytes = Vec::with_capacity(learned.len() * ENTRY);
    for (hash, piece) in learned {
        bytes.extend(hash);
        bytes.extend(piece.file.0);
        bytes.extend(piece.at.to_le_bytes());
        bytes.extend(piece.length.to_le_bytes());
    }
    let table = File::options().create(true).append(true).open(blobs.root().join(PIECES));
    let _ = table.and_then(|mut file| file.write_all(&bytes));
}

/// The pieces of a blob's file if it is a list, with the blob's length.
fn list(bytes: &[u8]) -> Option<(u64, Vec<Piece>)> {
    postcard::from_bytes(bytes.strip_prefix(MAGIC.as_slice())?).ok()
}

/// The bytes behind a blob's file: its own, or those that it lists. `None` where a piece is not there.
pub(crate) fn read(blobs: &Blobs, digest: &Digest, bytes: Vec<u8>) -> Option<Bytes> {
    let Some((length, pieces)) = list(&bytes).filter(|_| Digest::of(&bytes) != *digest) else {
        return Some(bytes.into());
    };
    let total = pieces.iter().try_fold(0u64, |n, p| n.checked_add(p.length))?;
    // A damaged list must not make us allocate what no file holds.
    let held: u64 = pieces.iter().map(|p| p.file).collect::<BTreeSet<_>>().iter().map(|f| blobs.size(f)).sum();
    if total != length || pieces.iter().any(|p| p.length > held) || length > held.checked_mul(pieces.len() as u64)? {
        return None;
    }
    let mut out = vec![0; usize::try_from(length).ok()?];
    let mut files: BTreeMap<Digest, File> = BTreeMap::new();
    let mut start = 0;
    for p in pieces {
        if let std::collections::btree_map::Entry::Vacant(slot) = files.entry(p.file) {
            slot.insert(blobs.open_whole(&p.file)?);
        }
        let end = start + usize::try_from(p.length).ok()?;
        files.get(&p.file)?.read_exact_at(out.get_mut(start..end)?, p.at).ok()?;
        start = end;
    }
    Some(out.into())
}

/// Files that a blob's file lists; none where it is no list.
pub(crate) fn needs(blobs: &Blobs, digest: &Digest) -> BTreeSet<Digest> {
    let mut head = [0; MAGIC.len()];
    let Ok(mut file) = File::open(blobs.path(digest)) else { return BTreeSet::new() };
    if file.read_exact(&mut head).is_err() || head != *MAGIC {
        return BTreeSet::new();
    }
    let bytes = std::fs::read(blobs.path(digest)).unwrap_or_default();
    list(&bytes).map(|(_, pieces)| pieces.into_iter().map(|p| p.file).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::Store;

    /// Bytes without pattern.
    fn noise(seed: u64, length: usize) -> Vec<u8> {
        (0..length as u64).map(|i| (mix(seed.wrapping_mul(0x1_0000_0001).wrapping_add(i)) >> 13) as u8).collect()
    }

    /// Byte by byte, as the definition says.
    fn slow(bytes: &[u8]) -> Vec<usize> {
        let mut out = Vec::new();
        let (mut start, mut hash) = (0, 0u64);
        for (i, byte) in bytes.iter().enumerate() {
            hash = (hash << 1).wrapping_add(mix(u64::from(*byte)));
            let length = i + 1 - start;
            if (length >= PIECE.0 && hash & MASK == 0) || length >= PIECE.1 || i + 1 == bytes.len() {
                out.push(i + 1);
                (start, hash) = (i + 1, 0);
            }
        }
        out
    }

    #[test]
    fn cuts_are_where_the_definition_says() {
        for length in [0, 1, 511, 512, 513, 100_000] {
            for bytes in [noise(7, length), vec![3; length], [noise(8, length), vec![0; 20_000]].concat()] {
                assert_eq!(cuts(&bytes), slow(&bytes));
            }
        }
    }

    fn used(dir: &std::path::Path) -> u64 {
        Blobs::new(dir).tally().1
    }

    #[test]
    fn blobs_that_differ_in_few_places_share_the_rest() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let base = noise(1, 2 << 20);
        let mut variants = vec![base.clone()];
        for i in 0..20usize {
            let mut other = base.clone();
            other.splice(i * 1000..i * 1000, noise(50 + i as u64, 37));
            other[700_000 + i] ^= 1;
            variants.push(other);
        }
        let digests: Vec<Digest> = variants.iter().map(|v| store.put(v).unwrap()).collect();
        let (held, whole) = (used(dir.path()), 21 * (2u64 << 20));
        assert!(held < 4 << 20, "{held} of {whole} bytes");
        store.flush().unwrap();
        drop(store);
        let again = Store::open(dir.path()).unwrap();
        for (digest, bytes) in digests.iter().zip(&variants) {
            assert!(again.get(digest).as_deref() == Some(bytes.as_slice()));
        }
        assert_eq!(again.corrupt(), 0);
        let more = [base.as_slice(), b"more"].concat();
        again.put(&more).unwrap();
        assert!(used(dir.path()) < held + 100_000, "another process shares too");
    }

    #[test]
    fn a_lost_or_damaged_piece_makes_the_blob_missing_and_then_new() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let base = noise(1, 1 << 20);
        let other = [base.as_slice(), &noise(2, 5000)].concat();
        let (first, second) = (store.put(&base).unwrap(), store.put(&other).unwrap());
        let key = Digest::of(b"key");
        let tree = store.record(&key, &[("blob".into(), Bytes::from(other.clone()))]).unwrap();
        assert_eq!(store.action(&key), Some(tree));
        std::fs::remove_file(store.blobs.path(&first)).unwrap();
        assert_eq!(store.action(&key), None, "found before anybody reads it");
        assert!(store.get(&second).is_none() && !store.has(&second), "a list without its file is no blob");
        assert_eq!(store.put(&other).unwrap(), second);
        assert!(store.get(&second).as_deref() == Some(other.as_slice()));
    }

    #[test]
    fn who_comes_second_with_the_same_blob_leaves_it_readable() {
        let dir = tempfile::tempdir().unwrap();
        let bytes = noise(3, 1 << 20);
        let digest = Digest::of(&bytes);
        // Both have seen that it is not there, in one process and in two.
        let (blobs, other) = (Blobs::new(dir.path()), Blobs::new(dir.path()));
        let (parts, theirs) = (Parts::default(), Parts::default());
        assert!(parts.write(&blobs, &digest, &bytes).unwrap());
        assert!(parts.write(&blobs, &digest, &bytes).unwrap());
        assert!(theirs.write(&other, &digest, &bytes).unwrap());
        assert!(blobs.read(&digest).as_deref() == Some(bytes.as_slice()));
        // A list never takes the place of a file whose bytes others may list.
        blobs.write_list(&digest, b"a list that came late").unwrap();
        assert!(blobs.read(&digest).as_deref() == Some(bytes.as_slice()));
        // Its pieces are known, its file is gone.
        std::fs::remove_file(blobs.path(&digest)).unwrap();
        assert!(parts.write(&blobs, &digest, &bytes).unwrap());
        assert!(blobs.read(&digest).as_deref() == Some(bytes.as_slice()));
    }

    #[test]
    fn bytes_that_look_like_a_list_are_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let mut bytes = MAGIC.to_vec();
        bytes.extend(postcard::to_stdvec(&(5u64, vec![Piece { file: Digest::of(b""), at: 0, length: 5 }])).unwrap());
        bytes.extend(noise(9, 6000));
        let digest = store.put(&bytes).unwrap();
        assert!(store.get(&digest).as_deref() == Some(bytes.as_slice()));
    }
}
