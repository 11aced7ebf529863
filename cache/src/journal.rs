//! The journal beside the index: what was put since the index was last written, so that a sudden end of the process loses nothing that
//! was finished, and other processes see it at once.
//!
//! Entries are appended under a lock of the file, and read up to the first that is cut off or damaged. Who writes the index takes them
//! over and empties the file. Called by `index.rs`.

use crate::Digest;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

/// Kind and name of an entry of the index.
pub(crate) type Key = (u8, Vec<u8>);
/// An entry: its name and value.
pub(crate) type Entry = (Key, Vec<u8>);

/// Bytes of a check in front of each entry.
const CHECK: usize = 8;
/// Bytes of an entry's length.
const LENGTH: usize = 4;
/// Largest entry; small blobs are below 4 KiB, results not much larger.
const MAX_ENTRY: usize = 16 << 20;

/// One file.
pub(crate) struct Journal {
    path: PathBuf,
}

/// A journal that nobody else reads or writes until this is dropped.
pub(crate) struct Locked(File);

impl Journal {
    pub(crate) fn new(path: PathBuf) -> Journal {
        Journal { path }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Takes the file for oneself, making it where it does not exist.
    pub(crate) fn lock(&self) -> std::io::Result<Locked> {
        let file = File::options().read(true).append(true).create(true).open(&self.path)?;
        file.lock()?;
        Ok(Locked(file))
    }

    /// What is written, without taking the file; the end of an entry that is being written is left out.
    pub(crate) fn read(&self) -> Vec<Entry> {
        entries(&std::fs::read(&self.path).unwrap_or_default())
    }
}

impl Locked {
    /// Appends entries in one write.
    pub(crate) fn append<'e>(&mut self, list: impl Iterator<Item = (&'e Key, &'e Vec<u8>)>) -> std::io::Result<()> {
        let mut bytes = Vec::new();
        for ((kind, name), value) in list {
            let body = postcard::to_stdvec(&(kind, name, value)).map_err(std::io::Error::other)?;
            bytes.extend((body.len() as u32).to_le_bytes());
            bytes.extend(&Digest::of(&body).0[..CHECK]);
            bytes.extend(body);
        }
        self.0.write_all(&bytes)
    }

    pub(crate) fn read(&mut self) -> std::io::Result<Vec<Entry>> {
        let mut bytes = Vec::new();
        self.0.seek(SeekFrom::Start(0))?;
        self.0.read_to_end(&mut bytes)?;
        Ok(entries(&bytes))
    }

    pub(crate) fn clear(&mut self) -> std::io::Result<()> {
        self.0.set_len(0)
    }
}

fn entries(mut bytes: &[u8]) -> Vec<Entry> {
    let mut out = Vec::new();
    while let Some((entry, rest)) = entry(bytes) {
        out.push(entry);
        bytes = rest;
    }
    out
}

/// The first entry, if it is whole, and what stands behind it.
fn entry(bytes: &[u8]) -> Option<(Entry, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<LENGTH>()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok().filter(|&n| n <= MAX_ENTRY)?;
    let (check, rest) = rest.split_first_chunk::<CHECK>()?;
    let (body, rest) = rest.split_at_checked(length)?;
    let ok = Digest::of(body).0[..CHECK] == check[..];
    let (kind, name, value) = postcard::from_bytes(body).ok().filter(|_| ok)?;
    Some((((kind, name), value), rest))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn whole_entries_are_read_and_a_torn_end_is_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::new(dir.path().join("j"));
        let list: Vec<Entry> = (0..5u8).map(|i| ((1, vec![i]), vec![i; 300 * usize::from(i)])).collect();
        for part in list.chunks(2) {
            journal.lock().unwrap().append(part.iter().map(|(k, v)| (k, v))).unwrap();
        }
        assert_eq!(journal.read(), list);
        let bytes = std::fs::read(journal.path()).unwrap();
        for cut in 0..bytes.len() {
            let found = entries(&bytes[..cut]);
            assert!(found.len() < list.len() && list.starts_with(&found), "{cut}");
        }
        let mut damaged = bytes.clone();
        damaged[13] ^= 1;
        assert!(entries(&damaged).is_empty());
        let mut locked = journal.lock().unwrap();
        locked.clear().unwrap();
        assert!(locked.read().unwrap().is_empty());
    }
}
