//! The index: action results, small blobs, file stamps and notes in one embedded database.
//!
//! The database is open only during a transaction, because it locks out other processes; a snapshot in memory serves reads. What is
//! put between transactions stands in a journal beside it; the snapshot takes over what other processes have put when something is
//! missing.

use crate::journal::{Journal, Key};
use crate::{Digest, FileStamp, StoreError};
use redb::{Database, DatabaseError, ReadOnlyDatabase, ReadableDatabase, ReadableTable, StorageError, TableDefinition};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Entries by kind and key.
const ENTRIES: TableDefinition<'_, (u8, &[u8]), &[u8]> = TableDefinition::new("entries-v1");
/// How long to wait for another process.
const PATIENCE: Duration = Duration::from_secs(30);

/// Name of the journal.
pub(crate) const JOURNAL: &str = "journal-v1";
/// Least time between two transactions of a burst of actions.
const MOMENT: Duration = Duration::from_millis(100);

/// Kinds of entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub(crate) enum Kind {
    Action = 1,
    SmallBlob = 2,
    Stamp = 3,
    Note = 4,
    /// SHA-256 and size of a blob, by its digest.
    #[cfg(feature = "remote")]
    Remote = 5,
}

/// Least time between two looks at what other processes have put.
const LOOK: Duration = Duration::from_millis(100);

pub(crate) struct Index {
    path: PathBuf,
    journal: Journal,
    entries: HashMap<Key, Vec<u8>>,
    pending: Vec<(Key, Option<Vec<u8>>)>,
    /// How many of `pending` are in the journal.
    journaled: usize,
    flushed: Instant,
    /// The files as they were when they were last read, when that was, and how long it took.
    looked: ([Option<FileStamp>; 2], Instant, Duration),
    /// What is known can be read, and nothing written.
    is_read_only: bool,
}

impl Index {
    /// The index in this file. One that is damaged is put aside under the name `<file>.damaged`: what it knew is made again.
    pub(crate) fn open(path: PathBuf) -> Result<Index, StoreError> {
        let journal = Journal::new(path.with_file_name(JOURNAL));
        let now = Instant::now();
        let mut index = Index {
            path,
            journal,
            entries: HashMap::new(),
            pending: Vec::new(),
            journaled: 0,
            flushed: now,
            looked: ([None, None], now, Duration::ZERO),
            is_read_only: false,
        };
        index.looked.0 = index.stamps();
        if index.path.exists() {
            index.entries = index.read()?;
        }
        index.entries.extend(index.journal.read());
        Ok(index)
    }

    fn read(&mut self) -> Result<HashMap<Key, Vec<u8>>, StoreError> {
        let found = match self.locked(|| Database::create(&self.path)) {
            Ok(db) => read_all(&db),
            Err(e) if is_forbidden(&e) => {
                self.is_read_only = true;
                let db = self.locked(|| ReadOnlyDatabase::open(&self.path)).map_err(|e| self.error(&e))?;
                read_all(&db)
            }
            Err(e) => Err(e.into()),
        };
        match found {
            Err(e) if is_damage(&e) && !self.is_read_only => {
                let aside = self.path.with_extension("damaged");
                std::fs::rename(&self.path, &aside).map_err(StoreError::io(&aside))?;
                Ok(HashMap::new())
            }
            found => found.map_err(|e| self.error(&e)),
        }
    }

    fn stamps(&self) -> [Option<FileStamp>; 2] {
        [self.path.as_path(), self.journal.path()].map(|p| std::fs::metadata(p).ok().map(|m| FileStamp::of(&m)))
    }

    /// Takes over results that other processes have put since the last look, unless that was a moment ago.
    pub(crate) fn look(&mut self) {
        let (known, at, took) = &self.looked;
        if at.elapsed() < LOOK.max(10 * *took) {
            return;
        }
        let (start, stamps) = (Instant::now(), self.stamps());
        if stamps != *known {
            // Another process may hold the file; the next look sees more.
            let db = if stamps[0] == known[0] { None } else { Database::create(&self.path).ok() };
            let found = db.and_then(|db| read_all(&db).ok()).unwrap_or_default();
            let gone: Vec<&Key> = self.pending.iter().filter(|(_, v)| v.is_none()).map(|(k, _)| k).collect();
            for (key, value) in found.into_iter().chain(self.journal.read()) {
                if key.0 <= Kind::SmallBlob as u8 && !gone.contains(&&key) {
                    self.entries.entry(key).or_insert(value);
                }
            }
        }
        self.looked = (stamps, start, start.elapsed());
    }

    pub(crate) fn get(&self, kind: Kind, key: &[u8]) -> Option<&[u8]> {
        self.entries.get(&(kind as u8, key.to_vec())).map(Vec::as_slice)
    }

    pub(crate) fn put(&mut self, kind: Kind, key: &[u8], value: Vec<u8>) {
        let key = (kind as u8, key.to_vec());
        if self.entries.get(&key) != Some(&value) {
            self.entries.insert(key.clone(), value.clone());
            self.pending.push((key, Some(value)));
        }
    }

    pub(crate) fn remove(&mut self, kind: Kind, key: &[u8]) {
        let key = (kind as u8, key.to_vec());
        self.entries.remove(&key);
        self.pending.push((key, None));
    }

    /// Keys of the entries of a kind.
    pub(crate) fn keys(&self, kind: Kind) -> impl Iterator<Item = &[u8]> {
        self.entries.keys().filter(move |k| k.0 == kind as u8).map(|k| k.1.as_slice())
    }

    /// Keys of the entries of a kind that are digests.
    pub(crate) fn digests(&self, kind: Kind) -> Vec<Digest> {
        self.keys(kind).filter_map(|k| Some(Digest(k.try_into().ok()?))).collect()
    }

    /// Writes an entry with the next transaction even where it is known: another process may have removed it since.
    pub(crate) fn renew(&mut self, kind: Kind, key: &[u8]) {
        let key = (kind as u8, key.to_vec());
        if let Some(value) = self.entries.get(&key).cloned() {
            self.pending.push((key, Some(value)));
        }
    }

    /// Writes what is pending, then removes what `choose` picks from all that is here now, other processes' entries
    /// included: the database stays open, so nobody writes in between. Returns how many entries went.
    pub(crate) fn prune(&mut self, choose: impl FnOnce(&Index) -> Vec<(Kind, Vec<u8>)>) -> Result<u64, StoreError> {
        let db = self.database()?;
        let removed = self.prune_in(&db, choose).map_err(|e| self.error(&e))?;
        self.flushed = Instant::now();
        Ok(removed)
    }

    fn prune_in(
        &mut self,
        db: &Database,
        choose: impl FnOnce(&Index) -> Vec<(Kind, Vec<u8>)>,
    ) -> Result<u64, redb::Error> {
        self.write(db)?;
        self.entries = read_all(db)?;
        let chosen = choose(self);
        for (kind, key) in &chosen {
            self.remove(*kind, key);
        }
        self.write(db)?;
        Ok(chosen.len() as u64)
    }

    /// Number and total size of the entries of a kind.
    pub(crate) fn tally(&self, kind: Kind) -> (u64, u64) {
        self.entries
            .iter()
            .filter(|(k, _)| k.0 == kind as u8)
            .fold((0, 0), |(n, bytes), (_, v)| (n + 1, bytes + v.len() as u64))
    }

    /// Makes what is pending safe from a sudden end: in the journal, or with everything else where the last time was not a moment ago,
    /// so that a burst of short actions shares transactions.
    pub(crate) fn keep(&mut self) -> Result<(), StoreError> {
        if self.flushed.elapsed() >= MOMENT {
            return self.flush();
        }
        if self.is_read_only {
            return Ok(());
        }
        let new = self.pending[self.journaled..].iter().filter(|((kind, _), _)| *kind <= Kind::SmallBlob as u8);
        let put = new.filter_map(|(key, value)| Some((key, value.as_ref()?)));
        let kept = self.journal.lock().and_then(|mut journal| journal.append(put));
        kept.map_err(StoreError::io(self.journal.path()))?;
        self.journaled = self.pending.len();
        Ok(())
    }

    /// Writes what is pending in one transaction. Where nothing can be written, what only saves work is left out.
    pub(crate) fn flush(&mut self) -> Result<(), StoreError> {
        if self.is_read_only {
            self.pending.retain(|((kind, _), value)| value.is_some() && *kind <= Kind::SmallBlob as u8);
            self.journaled = 0;
        }
        if self.pending.is_empty() {
            return Ok(());
        }
        let db = self.database()?;
        self.write(&db).map_err(|e| self.error(&e))?;
        self.flushed = Instant::now();
        Ok(())
    }

    /// Writes the journal and what is pending, and empties both.
    fn write(&mut self, db: &Database) -> Result<(), redb::Error> {
        let io = |e: std::io::Error| redb::Error::Io(e);
        let mut journal = self.journal.lock().map_err(io)?;
        let mut all: Vec<(Key, Option<Vec<u8>>)> =
            journal.read().map_err(io)?.into_iter().map(|(key, value)| (key, Some(value))).collect();
        all.extend(self.pending.iter().cloned());
        write_all(db, &all)?;
        journal.clear().map_err(io)?;
        self.pending.clear();
        self.journaled = 0;
        Ok(())
    }

    fn database(&self) -> Result<Database, StoreError> {
        self.locked(|| Database::create(&self.path)).map_err(|e| self.error(&e))
    }

    /// What `open` gives as soon as no other process holds the file.
    fn locked<D>(&self, open: impl Fn() -> Result<D, DatabaseError>) -> Result<D, DatabaseError> {
        let start = Instant::now();
        loop {
            match open() {
                Err(DatabaseError::DatabaseAlreadyOpen) if start.elapsed() < PATIENCE => {
                    std::thread::sleep(Duration::from_millis(5));
                }
                done => return done,
            }
        }
    }

    fn error(&self, why: &dyn std::fmt::Display) -> StoreError {
        StoreError::Index { path: path_of(&self.path), why: why.to_string() }
    }
}

fn path_of(path: &Path) -> PathBuf {
    path.to_owned()
}

/// Whether a file cannot be written for want of the right to.
fn is_forbidden(error: &DatabaseError) -> bool {
    use std::io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem};
    matches!(error, DatabaseError::Storage(StorageError::Io(e)) if matches!(e.kind(), PermissionDenied | ReadOnlyFilesystem))
}

/// Whether a file holds no index, or not all of it.
fn is_damage(error: &redb::Error) -> bool {
    use std::io::ErrorKind::{InvalidData, UnexpectedEof};
    match error {
        redb::Error::Corrupted(_) | redb::Error::UpgradeRequired(_) | redb::Error::RepairAborted => true,
        redb::Error::Io(e) => matches!(e.kind(), InvalidData | UnexpectedEof),
        _ => false,
    }
}

fn read_all(db: &impl ReadableDatabase) -> Result<HashMap<Key, Vec<u8>>, redb::Error> {
    let read = db.begin_read()?;
    let table = match read.open_table(ENTRIES) {
        Ok(table) => table,
        Err(redb::TableError::TableDoesNotExist(_)) => return Ok(HashMap::new()),
        Err(e) => return Err(e.into()),
    };
    let mut out = HashMap::new();
    for entry in table.iter()? {
        let (key, value) = entry?;
        let (kind, name) = key.value();
        out.insert((kind, name.to_vec()), value.value().to_vec());
    }
    Ok(out)
}

fn write_all(db: &Database, pending: &[(Key, Option<Vec<u8>>)]) -> Result<(), redb::Error> {
    let write = db.begin_write()?;
    {
        let mut table = write.open_table(ENTRIES)?;
        for ((kind, key), value) in pending {
            match value {
                Some(value) => drop(table.insert((*kind, key.as_slice()), value.as_slice())?),
                None => drop(table.remove((*kind, key.as_slice()))?),
            }
        }
    }
    write.commit()?;
    Ok(())
}
