//! The index: action results, small blobs, file stamps and notes in one embedded database.
//!
//! The database is open only during a transaction, because it locks out other processes; a snapshot in memory serves reads.

use crate::{Digest, StoreError};
use redb::{Database, DatabaseError, ReadableDatabase, ReadableTable, TableDefinition};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Entries by kind and key.
const ENTRIES: TableDefinition<'_, (u8, &[u8]), &[u8]> = TableDefinition::new("entries-v1");
/// How long to wait for another process.
const PATIENCE: Duration = Duration::from_secs(30);

/// Most work that a sudden end of the process may cost.
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

type Key = (u8, Vec<u8>);

pub(crate) struct Index {
    path: PathBuf,
    entries: HashMap<Key, Vec<u8>>,
    pending: Vec<(Key, Option<Vec<u8>>)>,
    flushed: Instant,
}

impl Index {
    pub(crate) fn open(path: PathBuf) -> Result<Index, StoreError> {
        let mut index = Index { path, entries: HashMap::new(), pending: Vec::new(), flushed: Instant::now() };
        if index.path.exists() {
            let db = index.database()?;
            index.entries = read_all(&db).map_err(|e| index.error(&e))?;
        }
        Ok(index)
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
        write_all(db, &self.pending)?;
        self.pending.clear();
        self.entries = read_all(db)?;
        let chosen = choose(self);
        for (kind, key) in &chosen {
            self.remove(*kind, key);
        }
        write_all(db, &self.pending)?;
        self.pending.clear();
        Ok(chosen.len() as u64)
    }

    /// Number and total size of the entries of a kind.
    pub(crate) fn tally(&self, kind: Kind) -> (u64, u64) {
        self.entries
            .iter()
            .filter(|(k, _)| k.0 == kind as u8)
            .fold((0, 0), |(n, bytes), (_, v)| (n + 1, bytes + v.len() as u64))
    }

    /// Writes what is pending, unless the last time was a moment ago: a burst of short actions shares transactions, a
    /// long one is safe as soon as it ends.
    pub(crate) fn flush_soon(&mut self) -> Result<(), StoreError> {
        if self.flushed.elapsed() < MOMENT { Ok(()) } else { self.flush() }
    }

    /// Writes what is pending in one transaction.
    pub(crate) fn flush(&mut self) -> Result<(), StoreError> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let db = self.database()?;
        write_all(&db, &self.pending).map_err(|e| self.error(&e))?;
        self.pending.clear();
        self.flushed = Instant::now();
        Ok(())
    }

    fn database(&self) -> Result<Database, StoreError> {
        let start = Instant::now();
        loop {
            match Database::create(&self.path) {
                Ok(db) => return Ok(db),
                Err(DatabaseError::DatabaseAlreadyOpen) if start.elapsed() < PATIENCE => {
                    std::thread::sleep(Duration::from_millis(5));
                }
                Err(e) => return Err(self.error(&e)),
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

fn read_all(db: &Database) -> Result<HashMap<Key, Vec<u8>>, redb::Error> {
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
