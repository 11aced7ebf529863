//! The index: action results, small blobs, file stamps and notes in one embedded database.
//!
//! The database is open only for a moment, because it locks out other processes; a snapshot in memory serves reads. Entries are read
//! when they are asked for: one by one, and after some, all of those kinds. What is put stands in a journal beside the database until
//! that has grown; the snapshot takes over what other processes have put when something is missing.

use crate::journal::{Entry, Journal, Key, Locked};
use crate::{Digest, FileStamp, StoreError};
use redb::{
    Database, DatabaseError, ReadOnlyDatabase, ReadOnlyTable, ReadTransaction, ReadableDatabase, TableDefinition,
};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Entries by kind and key.
const ENTRIES: TableDefinition<'_, (u8, &[u8]), &[u8]> = TableDefinition::new("entries-v1");
/// How long to wait for another process.
const PATIENCE: Duration = Duration::from_secs(30);

/// Name of the journal.
pub(crate) const JOURNAL: &str = "journal-v2";
/// Bytes of a journal that the database takes over: a transaction waits for the disk five times, an append once.
const FULL: u64 = 1 << 20;
/// Bytes of a journal that the database takes over at the end of a build: the next one reads all of it.
const LONG: u64 = 1 << 18;
/// Entries that are read one by one before all the others of their group are read, too.
const SINGLE: u32 = 64;
/// Kinds that are read together: what a build asks of every action and file, and what it asks of those that have changed. The last also
/// holds the kind that a program without remotes does not know.
const GROUPS: [&[u8]; 2] = [&[Kind::Action as u8, Kind::Stamp as u8], &[Kind::SmallBlob as u8, Kind::Note as u8, 5]];

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

/// Number of the group of a kind.
fn group(kind: u8) -> usize {
    usize::from(!GROUPS[0].contains(&kind))
}

/// Least time between two looks at what other processes have put.
const LOOK: Duration = Duration::from_millis(100);

pub(crate) struct Index {
    path: PathBuf,
    journal: Journal,
    /// What is known; of what was looked for in vain or removed, that it is not there.
    entries: HashMap<Key, Option<Vec<u8>>>,
    /// Entries of each group that were read one by one; `None` once all are here.
    singles: [Option<u32>; 2],
    /// What was put and removed here and is not in the journal yet.
    pending: Vec<Entry>,
    /// Whether something is in the journal that a loss of power could take.
    is_volatile: bool,
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
            singles: [None; 2],
            pending: Vec::new(),
            is_volatile: false,
            looked: ([None, None], now, Duration::ZERO),
            is_read_only: false,
        };
        index.looked.0 = index.stamps();
        if index.path.exists() {
            // A damaged database shows now.
            index.read(|db| db.begin().map(drop))?;
            index.singles = [Some(0); 2];
        }
        index.entries = index.journal.read().into_iter().collect();
        Ok(index)
    }

    /// What `of` reads from the database; nothing where that is damaged.
    fn read<T: Default>(&mut self, of: impl Fn(&dyn Readable) -> Result<T, redb::Error>) -> Result<T, StoreError> {
        let writable = std::fs::File::options().append(true).open(&self.path);
        self.is_read_only = writable.is_err_and(|e| is_forbidden(&e));
        // A reader waits for no disk. What a sudden end left open only a writer can put in order.
        let found = match self.locked(|| ReadOnlyDatabase::open(&self.path)) {
            Ok(db) => of(&db),
            Err(e) if self.is_read_only => Err(e.into()),
            Err(_) => match self.locked(|| Database::create(&self.path)) {
                Ok(db) => of(&db),
                Err(e) => Err(e.into()),
            },
        };
        match found {
            Err(e) if is_damage(&e) && !self.is_read_only => {
                let aside = self.path.with_extension("damaged");
                std::fs::rename(&self.path, &aside).map_err(StoreError::io(&aside))?;
                Ok(T::default())
            }
            found => found.map_err(|e| self.error(&e)),
        }
    }

    /// Reads what has not been read yet of a kind and those of its group. What cannot be read is missing.
    fn load(&mut self, kind: u8) {
        let group = group(kind);
        if self.singles[group].take().is_some() && self.path.exists() {
            for (key, value) in self.read(|db| read(db, GROUPS[group])).unwrap_or_default() {
                self.entries.entry(key).or_insert(Some(value));
            }
        }
    }

    /// Looks for an entry that is not known.
    fn fetch(&mut self, key: &Key) {
        match &mut self.singles[group(key.0)] {
            Some(n) if *n < SINGLE && self.path.exists() => {
                *n += 1;
                if let Ok(found) = self.read(|db| read_one(db, key)) {
                    self.entries.insert(key.clone(), found);
                }
            }
            _ => self.load(key.0),
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
            let db = if stamps[0] == known[0] { None } else { ReadOnlyDatabase::open(&self.path).ok() };
            let mut found =
                db.and_then(|db| read(&db, &[Kind::Action as u8, Kind::SmallBlob as u8]).ok()).unwrap_or_default();
            for (key, value) in self.journal.read() {
                match value {
                    Some(value) => drop(found.insert(key, value)),
                    None => drop(found.remove(&key)),
                }
            }
            let gone: Vec<&Key> = self.pending.iter().filter(|(_, v)| v.is_none()).map(|(k, _)| k).collect();
            for (key, value) in found {
                if key.0 <= Kind::SmallBlob as u8 && !gone.contains(&&key) {
                    self.entries.entry(key).or_default().get_or_insert(value);
                }
            }
        }
        self.looked = (stamps, start, start.elapsed());
    }

    /// An entry that has been read, or put.
    pub(crate) fn known(&self, kind: Kind, key: &[u8]) -> Option<&[u8]> {
        self.entries.get(&(kind as u8, key.to_vec()))?.as_deref()
    }

    pub(crate) fn get(&mut self, kind: Kind, key: &[u8]) -> Option<&[u8]> {
        let key = (kind as u8, key.to_vec());
        if self.singles[group(key.0)].is_some() && !self.entries.contains_key(&key) {
            self.fetch(&key);
        }
        self.entries.get(&key)?.as_deref()
    }

    pub(crate) fn put(&mut self, kind: Kind, key: &[u8], value: Vec<u8>) {
        if self.get(kind, key) != Some(&value) {
            let key = (kind as u8, key.to_vec());
            self.entries.insert(key.clone(), Some(value.clone()));
            self.pending.push((key, Some(value)));
        }
    }

    pub(crate) fn remove(&mut self, kind: Kind, key: &[u8]) {
        let key = (kind as u8, key.to_vec());
        self.entries.insert(key.clone(), None);
        self.pending.push((key, None));
    }

    /// Keys of the entries of a kind.
    pub(crate) fn keys(&mut self, kind: Kind) -> impl Iterator<Item = &[u8]> {
        self.load(kind as u8);
        let of_kind = move |((k, _), value): &(&Key, &Option<Vec<u8>>)| *k == kind as u8 && value.is_some();
        self.entries.iter().filter(of_kind).map(|((_, name), _)| name.as_slice())
    }

    /// Keys of the entries of a kind that are digests.
    pub(crate) fn digests(&mut self, kind: Kind) -> Vec<Digest> {
        self.keys(kind).filter_map(|k| Some(Digest(k.try_into().ok()?))).collect()
    }

    /// Writes an entry to the journal even where it is known: another process may have removed it since.
    pub(crate) fn renew(&mut self, kind: Kind, key: &[u8]) {
        let key = (kind as u8, key.to_vec());
        if let Some(Some(value)) = self.entries.get(&key).cloned() {
            self.pending.push((key, Some(value)));
        }
    }

    /// Writes what is pending, then removes what `choose` picks from all that is here now, other processes' entries
    /// included: the journal stays locked, so nobody writes in between. Returns how many entries went.
    pub(crate) fn prune(&mut self, choose: impl FnOnce(&mut Index) -> Vec<(Kind, Vec<u8>)>) -> Result<u64, StoreError> {
        let db = self.database()?;
        self.prune_in(&db, choose).map_err(|e| self.error(&e))
    }

    fn prune_in(
        &mut self,
        db: &Database,
        choose: impl FnOnce(&mut Index) -> Vec<(Kind, Vec<u8>)>,
    ) -> Result<u64, redb::Error> {
        let mut journal = Journal::new(self.journal.path().to_owned());
        let mut journal = journal.lock().map_err(redb::Error::Io)?;
        self.take_over(db, &mut journal)?;
        self.entries = read(db, &GROUPS.concat())?.into_iter().map(|(key, value)| (key, Some(value))).collect();
        self.singles = [None; 2];
        let chosen = choose(self);
        for (kind, key) in &chosen {
            self.remove(*kind, key);
        }
        self.take_over(db, &mut journal)?;
        Ok(chosen.len() as u64)
    }

    /// Number and total size of the entries of a kind.
    pub(crate) fn tally(&mut self, kind: Kind) -> (u64, u64) {
        self.load(kind as u8);
        let sizes = self.entries.iter().filter(|(k, _)| k.0 == kind as u8).filter_map(|(_, v)| Some(v.as_ref()?.len()));
        sizes.fold((0, 0), |(n, bytes), size| (n + 1, bytes + size as u64))
    }

    /// Makes what is pending safe from a sudden end of this process.
    pub(crate) fn keep(&mut self) -> Result<(), StoreError> {
        if self.is_read_only || self.pending.is_empty() {
            return Ok(());
        }
        let is_known = self.stamps() == self.looked.0;
        let appended = self.journal.lock().and_then(|mut journal| journal.append(&self.pending));
        let length = appended.map_err(StoreError::io(self.journal.path()))?;
        self.pending.clear();
        self.is_volatile = true;
        if is_known {
            self.looked.0 = self.stamps();
        }
        if length < FULL { Ok(()) } else { self.fold() }
    }

    /// Lets the database take the journal over.
    fn fold(&mut self) -> Result<(), StoreError> {
        let db = self.database()?;
        let mut journal = Journal::new(self.journal.path().to_owned());
        let taken = journal.lock().map_err(redb::Error::Io).and_then(|mut j| self.take_over(&db, &mut j));
        taken.map_err(|e| self.error(&e))
    }

    /// Makes what is pending safe from a loss of power. Where nothing can be written, what only saves work is left out.
    pub(crate) fn flush(&mut self) -> Result<(), StoreError> {
        if self.is_read_only {
            self.pending.retain(|((kind, _), value)| value.is_some() && *kind <= Kind::SmallBlob as u8);
            let asked = if self.pending.is_empty() { Ok(()) } else { self.journal.lock().map(drop) };
            return asked.map_err(StoreError::io(self.journal.path()));
        }
        self.keep()?;
        if !self.is_volatile {
            return Ok(());
        }
        if std::fs::metadata(self.journal.path()).is_ok_and(|m| m.len() > LONG) {
            return self.fold();
        }
        let synced = self.journal.lock().and_then(|journal| journal.sync());
        synced.map_err(StoreError::io(self.journal.path()))?;
        self.is_volatile = false;
        Ok(())
    }

    /// Writes the journal and what is pending to the database, and empties both.
    fn take_over(&mut self, db: &Database, journal: &mut Locked<'_>) -> Result<(), redb::Error> {
        // A journal that is taken over twice, because of a sudden end in between, must end with the newest.
        journal.append(&self.pending).map_err(redb::Error::Io)?;
        let all = journal.read().map_err(redb::Error::Io)?;
        if !all.is_empty() {
            write_all(db, &all)?;
            journal.clear().map_err(redb::Error::Io)?;
        }
        self.pending.clear();
        self.is_volatile = false;
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
fn is_forbidden(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem};
    matches!(error.kind(), PermissionDenied | ReadOnlyFilesystem)
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

/// A database, open for reading and writing or for reading alone.
trait Readable {
    fn begin(&self) -> Result<ReadTransaction, redb::Error>;
}

impl<D: ReadableDatabase> Readable for D {
    fn begin(&self) -> Result<ReadTransaction, redb::Error> {
        Ok(self.begin_read()?)
    }
}

type Table = ReadOnlyTable<(u8, &'static [u8]), &'static [u8]>;

/// The table; none in a database that has never been written.
fn table(db: &dyn Readable) -> Result<Option<Table>, redb::Error> {
    match db.begin()?.open_table(ENTRIES) {
        Ok(table) => Ok(Some(table)),
        Err(redb::TableError::TableDoesNotExist(_)) => Ok(None),
        Err(e) => Err(e.into()),
    }
}

fn read_one(db: &dyn Readable, (kind, name): &Key) -> Result<Option<Vec<u8>>, redb::Error> {
    let Some(table) = table(db)? else { return Ok(None) };
    Ok(table.get((*kind, name.as_slice()))?.map(|value| value.value().to_vec()))
}

/// The entries of these kinds.
fn read(db: &dyn Readable, kinds: &[u8]) -> Result<HashMap<Key, Vec<u8>>, redb::Error> {
    let mut out = HashMap::new();
    let Some(table) = table(db)? else { return Ok(out) };
    for &kind in kinds {
        for entry in table.range((kind, &[][..])..(kind + 1, &[][..]))? {
            let (key, value) = entry?;
            out.insert((kind, key.value().1.to_vec()), value.value().to_vec());
        }
    }
    Ok(out)
}

fn write_all(db: &Database, pending: &[Entry]) -> Result<(), redb::Error> {
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
