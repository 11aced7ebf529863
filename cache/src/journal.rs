//! The journal beside the index: what was put and removed since the index was last written, so that a sudden end of the process loses
//! nothing that was finished, and other processes see it at once.
//!
//! Entries are appended under a lock of the file, and read up to the first that is cut off or damaged; what stands behind that is cut
//! away before something is appended. Who writes the index takes them over and empties the file. Called by `index.rs`.

use crate::Digest;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

/// Kind and name of an entry of the index.
pub(crate) type Key = (u8, Vec<u8>);
/// An entry: its name, and its value; none once it was removed.
pub(crate) type Entry = (Key, Option<Vec<u8>>);

/// Bytes of a check in front of each entry.
const CHECK: usize = 8;
/// Bytes of an entry's length.
const LENGTH: usize = 4;
/// Largest entry; small blobs are below 4 KiB, results not much larger.
const MAX_ENTRY: usize = 16 << 20;

/// One file.
pub(crate) struct Journal {
    path: PathBuf,
    /// Its length after the last change from here: up to there it is whole.
    whole: u64,
}

/// A journal that nobody else reads or writes until this is dropped.
pub(crate) struct Locked<'j> {
    file: File,
    whole: &'j mut u64,
}

impl Journal {
    pub(crate) fn new(path: PathBuf) -> Journal {
        Journal { path, whole: 0 }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Takes the file for oneself, making it where it does not exist.
    pub(crate) fn lock(&mut self) -> std::io::Result<Locked<'_>> {
        let file = File::options().read(true).append(true).create(true).open(&self.path)?;
        file.lock()?;
        Ok(Locked { file, whole: &mut self.whole })
    }

    /// What is written, without taking the file; the end of an entry that is being written is left out.
    pub(crate) fn read(&self) -> Vec<Entry> {
        entries(&std::fs::read(&self.path).unwrap_or_default()).0
    }
}

impl Locked<'_> {
    /// Appends entries in one write; returns the length of the file.
    pub(crate) fn append(&mut self, list: &[Entry]) -> std::io::Result<u64> {
        let length = self.file.metadata()?.len();
        // Another process wrote here, or ended while it did.
        if length != *self.whole {
            let (_, whole) = entries(&self.bytes()?);
            if (whole as u64) < length {
                self.file.set_len(whole as u64)?;
            }
            *self.whole = whole as u64;
        }
        let mut bytes = Vec::new();
        for ((kind, name), value) in list {
            let body = postcard::to_stdvec(&(kind, name, value)).map_err(std::io::Error::other)?;
            bytes.extend((body.len() as u32).to_le_bytes());
            bytes.extend(&Digest::of(&body).0[..CHECK]);
            bytes.extend(body);
        }
        self.file.write_all(&bytes)?;
        *self.whole += bytes.len() as u64;
        Ok(*self.whole)
    }

    /// Waits until what was appended would outlive a loss of power.
    pub(crate) fn sync(&self) -> std::io::Result<()> {
        self.file.sync_data()
    }

    pub(crate) fn read(&mut self) -> std::io::Result<Vec<Entry>> {
        Ok(entries(&self.bytes()?).0)
    }

    fn bytes(&mut self) -> std::io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.file.seek(SeekFrom::Start(0))?;
        self.file.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    pub(crate) fn clear(&mut self) -> std::io::Result<()> {
        *self.whole = 0;
        self.file.set_len(0)
    }
}

/// The entries up to the first that is not whole, and the bytes that they take.
fn entries(bytes: &[u8]) -> (Vec<Entry>, usize) {
    let (mut out, mut rest) = (Vec::new(), bytes);
    while let Some((entry, behind)) = entry(rest) {
        out.push(entry);
        rest = behind;
    }
    (out, bytes.len() - rest.len())
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
        let mut journal = Journal::new(dir.path().join("j"));
        let value = |i: u8| (i != 2).then(|| vec![i; 300 * usize::from(i)]);
        let list: Vec<Entry> = (0..5u8).map(|i| ((1, vec![i]), value(i))).collect();
        for part in list.chunks(2) {
            journal.lock().unwrap().append(part).unwrap();
        }
        assert_eq!(journal.read(), list);
        let bytes = std::fs::read(journal.path()).unwrap();
        for cut in 0..bytes.len() {
            let (found, whole) = entries(&bytes[..cut]);
            assert!(found.len() < list.len() && list.starts_with(&found) && whole <= cut, "{cut}");
        }
        let mut damaged = bytes.clone();
        damaged[13] ^= 1;
        assert!(entries(&damaged).0.is_empty());
        let mut locked = journal.lock().unwrap();
        locked.clear().unwrap();
        assert!(locked.read().unwrap().is_empty());
    }

    #[test]
    fn what_is_appended_behind_a_torn_end_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let entry = |i: u8| ((1, vec![i]), Some(vec![i; 10]));
        let mut a = Journal::new(dir.path().join("j"));
        a.lock().unwrap().append(&[entry(1), entry(2)]).unwrap();
        let bytes = std::fs::read(a.path()).unwrap();
        // Another process ends in the middle of its second entry.
        std::fs::write(a.path(), &bytes[..bytes.len() - 3]).unwrap();
        let mut b = Journal::new(dir.path().join("j"));
        b.lock().unwrap().append(&[entry(3)]).unwrap();
        assert_eq!(b.read(), [entry(1), entry(3)]);
        a.lock().unwrap().append(&[entry(4)]).unwrap();
        assert_eq!(b.read(), [entry(1), entry(3), entry(4)]);
    }
}
