//! Counts of what happened with a server in this run.

use super::error::{ErrorKind, RemoteError};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

/// One count.
#[derive(Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Counts while they grow.
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) lookups: Count,
    pub(crate) hits: Count,
    pub(crate) misses: Count,
    pub(crate) skipped: Count,
    pub(crate) errors: Count,
    pub(crate) denied: Count,
    pub(crate) evicted: Count,
    pub(crate) corrupt: Count,
    pub(crate) poisoned: Count,
    pub(crate) unsigned: Count,
    pub(crate) retries: Count,
    pub(crate) stored: Count,
    pub(crate) not_stored: Count,
}

impl Counters {
    /// Counts a look-up that failed by what it failed of.
    pub(crate) fn failed(&self, error: &RemoteError) {
        let count = match error.kind {
            ErrorKind::Absent => &self.evicted,
            ErrorKind::Corrupt => &self.corrupt,
            ErrorKind::Poisoned => &self.poisoned,
            ErrorKind::Unsigned => &self.unsigned,
            ErrorKind::Denied => &self.denied,
            _ => &self.errors,
        };
        count.add(1);
    }
}

/// What happened with a server in this run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RemoteStats {
    /// Results that were asked for.
    pub lookups: u64,
    /// Results that came from there.
    pub hits: u64,
    /// Results that the server does not have.
    pub misses: u64,
    /// Results that were not asked for, because the server was left alone.
    pub skipped: u64,
    /// Look-ups that the server did not answer.
    pub errors: u64,
    /// Look-ups that the server did not allow.
    pub denied: u64,
    /// Results whose blobs were not there any more.
    pub evicted: u64,
    /// Results with blobs of other bytes than their names say.
    pub corrupt: u64,
    /// Results that no honest client stores.
    pub poisoned: u64,
    /// Results without a signature that counts.
    pub unsigned: u64,
    /// Second tries.
    pub retries: u64,
    /// Results that were stored there.
    pub stored: u64,
    /// Results that could not be stored there.
    pub not_stored: u64,
    /// Bytes of blobs received.
    pub received_bytes: u64,
    /// Bytes of blobs sent.
    pub sent_bytes: u64,
}

impl RemoteStats {
    /// Entries of the server that were there and could not be used.
    pub fn unusable(&self) -> u64 {
        self.evicted + self.corrupt + self.poisoned + self.unsigned
    }

    /// All counts by name.
    pub fn counts(&self) -> BTreeMap<&'static str, u64> {
        BTreeMap::from([
            ("lookups", self.lookups),
            ("hits", self.hits),
            ("misses", self.misses),
            ("skipped", self.skipped),
            ("errors", self.errors),
            ("denied", self.denied),
            ("evicted", self.evicted),
            ("corrupt", self.corrupt),
            ("poisoned", self.poisoned),
            ("unsigned", self.unsigned),
            ("retries", self.retries),
            ("stored", self.stored),
            ("not_stored", self.not_stored),
            ("received_bytes", self.received_bytes),
            ("sent_bytes", self.sent_bytes),
        ])
    }
}

impl Counters {
    pub(crate) fn stats(&self, life: &super::life::Life) -> RemoteStats {
        RemoteStats {
            lookups: self.lookups.get(),
            hits: self.hits.get(),
            misses: self.misses.get(),
            skipped: self.skipped.get(),
            errors: self.errors.get(),
            denied: self.denied.get(),
            evicted: self.evicted.get(),
            corrupt: self.corrupt.get(),
            poisoned: self.poisoned.get(),
            unsigned: self.unsigned.get(),
            retries: self.retries.get(),
            stored: self.stored.get(),
            not_stored: self.not_stored.get(),
            received_bytes: life.received(),
            sent_bytes: life.sent(),
        }
    }
}
