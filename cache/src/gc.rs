//! Keeps a store small and sound: forgets results that nobody needs, and blobs that no result names.
//!
//! Safe beside running builds: results go before their blobs, young files stay, and small blobs go only while nobody else
//! can write, after a look at what every result names by then.

use crate::action_result::{ActionResult, Output, tree_entries};
use crate::index::{Index, Kind};
use crate::{Digest, Store, StoreError, parts};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, SystemTime};

/// Blobs and temporary files younger than this stay.
const YOUNG: Duration = Duration::from_secs(600);

/// What a collection kept and removed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Collected {
    /// Results that were forgotten.
    pub actions: u64,
    /// Blobs that were removed.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Bytes of the blobs that stay, young ones that nothing needs included.
    pub kept_bytes: u64,
}

/// What a check of everything found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// Blobs that were read.
    pub blobs: u64,
    /// Blobs whose bytes were not what their name says; they are removed.
    pub corrupt: u64,
    /// Results that named a missing blob; they are forgotten.
    pub incomplete: u64,
}

struct Action {
    key: Digest,
    blobs: Vec<(Digest, u64)>,
    /// When its youngest large blob was written; `None` where all are small.
    at: Option<SystemTime>,
}

impl Store {
    /// Reads every blob, removes corrupt ones, and forgets results that are not complete.
    ///
    /// # Errors
    /// When the index cannot be written.
    pub fn verify(&self) -> Result<Verified, StoreError> {
        let blobs = self.stats().blobs;
        let corrupt = self.sweep();
        let keys = self.index().digests(Kind::Action);
        let incomplete: Vec<Digest> = keys.into_iter().filter(|k| self.action(k).is_none()).collect();
        for key in &incomplete {
            self.forget(key);
        }
        self.flush()?;
        Ok(Verified { blobs, corrupt, incomplete: incomplete.len() as u64 })
    }

    /// Forgets results, the oldest first, until the rest has at most `max_bytes`; then removes blobs that no result
    /// names. Results whose keys are in `keep` stay in any case, as do the blobs in `pinned`.
    ///
    /// # Errors
    /// When the index cannot be written.
    pub fn collect(
        &self,
        keep: &BTreeSet<Digest>,
        pinned: &BTreeSet<Digest>,
        max_bytes: u64,
    ) -> Result<Collected, StoreError> {
        let mut out = Collected::default();
        let mut actions = self.actions();
        let mut users: BTreeMap<Digest, (u64, u64)> = BTreeMap::new();
        for (digest, size) in actions.iter().flat_map(|a| &a.blobs) {
            users.entry(*digest).or_insert((0, *size)).0 += 1;
        }
        out.kept_bytes = users.values().map(|(_, size)| size).sum();
        actions.retain(|a| !keep.contains(&a.key));
        actions.sort_by_key(|a| (a.at.is_none(), a.at, a.key));
        for action in &actions {
            if out.kept_bytes <= max_bytes {
                break;
            }
            for (digest, _) in &action.blobs {
                if let Some((count, size)) = users.get_mut(digest) {
                    *count -= 1;
                    out.kept_bytes -= if *count == 0 { *size } else { 0 };
                }
            }
            self.forget(&action.key);
            out.actions += 1;
        }
        self.forget_lost_files();
        let mut named = pinned.clone();
        let mut small_bytes = 0;
        out.blobs = self.index().prune(|index| {
            let keys: Vec<Digest> = index.digests(Kind::Action);
            named.extend(keys.iter().flat_map(|key| self.named(index, key)));
            let unneeded = |d: &Digest| users.contains_key(d) && !named.contains(d);
            let small: Vec<Digest> = index.digests(Kind::SmallBlob).into_iter().filter(unneeded).collect();
            let size = |d: &Digest| index.get(Kind::SmallBlob, &d.0).map_or(0, |b| b.len() as u64);
            small_bytes = small.iter().map(size).sum();
            small.into_iter().map(|d| (Kind::SmallBlob, d.0.to_vec())).collect()
        })?;
        out.bytes = small_bytes;
        // Lists need the files that they list.
        let listed: Vec<Digest> = named.iter().flat_map(|d| parts::needs(&self.blobs, d)).collect();
        named.extend(listed);
        #[cfg(feature = "remote")]
        self.forget_remote_digests(&named);
        let now = SystemTime::now();
        let old = |path: &Path| age(path, now).is_some_and(|a| a > YOUNG);
        for digest in self.blobs.digests().into_iter().filter(|d| !named.contains(d)) {
            let path = self.blobs.path(&digest);
            if old(&path) {
                out.bytes += std::fs::metadata(&path).map_or(0, |m| m.len());
                out.blobs += 1;
                self.blobs.remove(&digest);
            }
        }
        for entry in std::fs::read_dir(self.root().join("tmp")).into_iter().flatten().flatten() {
            if old(&entry.path()) {
                // A folder is what a command that was ended left.
                let _ = std::fs::remove_file(entry.path()).or_else(|_| std::fs::remove_dir_all(entry.path()));
            }
        }
        out.kept_bytes = self.stats().bytes;
        Ok(out)
    }

    fn actions(&self) -> Vec<Action> {
        let keys = self.index().digests(Kind::Action);
        keys.into_iter()
            .map(|key| {
                let result = self.index().get(Kind::Action, &key.0).and_then(ActionResult::from_bytes);
                let bytes = result.as_ref().and_then(|r| self.get(&r.tree));
                let mut blobs: Vec<(Digest, u64)> = bytes
                    .as_ref()
                    .and_then(|b| tree_entries(b))
                    .unwrap_or_default()
                    .iter()
                    .flat_map(|o| self.takes(o))
                    .collect();
                let written = |d: &Digest| std::fs::metadata(self.blobs.path(d)).and_then(|m| m.modified()).ok();
                let at = blobs.iter().filter_map(|(d, _)| written(d)).max();
                blobs.extend(result.zip(bytes).map(|(r, b)| (r.tree, b.len() as u64)));
                Action { key, blobs, at }
            })
            .collect()
    }

    /// Files that an output takes, with their sizes: its own, and those that it lists.
    fn takes(&self, output: &Output) -> Vec<(Digest, u64)> {
        let listed = parts::needs(&self.blobs, &output.digest);
        if listed.is_empty() {
            return vec![(output.digest, output.size)];
        }
        std::iter::once(output.digest).chain(listed).map(|d| (d, self.blobs.size(&d))).collect()
    }

    /// Blobs that a result needs: its tree and what the tree names.
    fn named(&self, index: &mut Index, key: &Digest) -> Vec<Digest> {
        let Some(result) = index.get(Kind::Action, &key.0).and_then(ActionResult::from_bytes) else {
            return Vec::new();
        };
        let small = index.get(Kind::SmallBlob, &result.tree.0).map(<[u8]>::to_vec);
        let bytes = small.or_else(|| self.blobs.read(&result.tree).map(|b| b.to_vec()));
        let entries = bytes.and_then(|b| tree_entries(&b)).unwrap_or_default();
        entries.iter().map(|o| o.digest).chain([result.tree]).collect()
    }

    /// Forgets the digests of files that are gone.
    fn forget_lost_files(&self) {
        let paths: Vec<Vec<u8>> = self.index().keys(Kind::Stamp).map(<[u8]>::to_vec).collect();
        let gone = |path: &[u8]| std::str::from_utf8(path).is_ok_and(|p| !Path::new(p).exists());
        for path in paths.into_iter().filter(|p| gone(p)) {
            self.index().remove(Kind::Stamp, &path);
        }
    }
}

fn age(path: &Path, now: SystemTime) -> Option<Duration> {
    now.duration_since(std::fs::metadata(path).ok()?.modified().ok()?).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use bytes::Bytes;

    fn blob(fill: u8) -> Vec<(String, Bytes)> {
        vec![("large".into(), Bytes::from(vec![fill; 10_000])), ("small".into(), Bytes::from(vec![fill; 10]))]
    }

    /// Makes every large blob look old enough to go, in the order of `keys`.
    fn age_all(store: &Store) {
        for (i, digest) in store.blobs.digests().into_iter().enumerate() {
            let path = store.blobs.path(&digest);
            let old = SystemTime::now() - Duration::from_secs(7200 - i as u64);
            let mut permissions = std::fs::metadata(&path).unwrap().permissions();
            #[allow(clippy::permissions_set_readonly_false)]
            permissions.set_readonly(false);
            std::fs::set_permissions(&path, permissions).unwrap();
            std::fs::File::options().write(true).open(&path).unwrap().set_modified(old).unwrap();
        }
    }

    #[test]
    fn a_blob_that_another_process_names_meanwhile_stays() {
        let dir = tempfile::tempdir().unwrap();
        let first = Store::open(dir.path()).unwrap();
        first.record(&Digest::of(b"1"), &blob(1)).unwrap();
        first.flush().unwrap();
        let (collector, builder) = (Store::open(dir.path()).unwrap(), Store::open(dir.path()).unwrap());
        // The builder knows the small blob already; its new result must hold before and after a collection.
        for key in [Digest::of(b"before"), Digest::of(b"after")] {
            builder.record(&key, &blob(1)).unwrap();
            if key == Digest::of(b"before") {
                builder.flush().unwrap();
            }
            collector.collect(&BTreeSet::new(), &BTreeSet::new(), 0).unwrap();
            builder.flush().unwrap();
            let incomplete = Store::open(dir.path()).unwrap().verify().unwrap().incomplete;
            assert_eq!(incomplete, 0, "{}", key.hex());
        }
    }

    #[test]
    fn what_is_kept_stays_and_the_rest_goes_when_it_is_old() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let keys = [Digest::of(b"1"), Digest::of(b"2"), Digest::of(b"3")];
        for (i, key) in keys.iter().enumerate() {
            store.record(key, &blob(i as u8)).unwrap();
        }
        let keep: BTreeSet<Digest> = [keys[1]].into();
        let young = store.collect(&keep, &BTreeSet::new(), u64::MAX).unwrap();
        assert_eq!((young.actions, young.blobs), (0, 0), "there is room");
        age_all(&store);
        let out = store.collect(&keep, &BTreeSet::new(), 0).unwrap();
        assert_eq!((out.actions, out.bytes), (2, 2 * out.kept_bytes), "two of three equal ones: {out:?}");
        assert!(store.action(&keys[1]).is_some() && store.action(&keys[0]).is_none());
        drop(store);
        let again = Store::open(dir.path()).unwrap();
        assert_eq!(again.verify().unwrap(), Verified { blobs: 3, corrupt: 0, incomplete: 0 });
    }

    #[test]
    fn a_check_forgets_results_that_lack_a_blob() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let (a, b) = (Digest::of(b"a"), Digest::of(b"b"));
        store.record(&a, &blob(1)).unwrap();
        store.record(&b, &blob(2)).unwrap();
        let lost = store.blobs.path(&Digest::of(&[1; 10_000]));
        std::fs::remove_file(lost).unwrap();
        let found = store.verify().unwrap();
        assert_eq!((found.corrupt, found.incomplete), (0, 1));
        assert!(store.action(&a).is_none() && store.action(&b).is_some());
    }
}
