//! Short cuts of a null build: what the last builds saw and left in the output folder, by file stamp.
//!
//! Two of them. A *request* (manifest text, selection, program) whose sources and outputs all have their stamps and whose
//! tools say what they said needs nothing at all, not even the store. A *variant* whose fingerprint (settings, digests of its sources, program) and
//! outputs are the same needs no query and no look into the store.

use crate::manifest::Overlay;
use crate::tools::Answer;
use ptq_cache::{Digest, FileStamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

/// Name of the record in the store's folder.
const FILE: &str = "built-v4";
/// Requests that are remembered; the oldest goes first.
const REQUESTS: usize = 8;

/// Fewest items that several threads look at.
const MANY: usize = 64;
/// The record that this process read or wrote last: its file, the file's stamp. A new record is always a new file.
static KNOWN: Mutex<Option<(PathBuf, FileStamp, Arc<Stamps>)>> = Mutex::new(None);

/// What the last builds saw and left.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(crate) struct Stamps {
    requests: Vec<Request>,
    variants: BTreeMap<String, VariantStamp>,
}

#[derive(Clone, Serialize, Deserialize)]
struct Request {
    digest: Digest,
    out: PathBuf,
    sources: Vec<(PathBuf, Option<FileStamp>)>,
    /// What tools said.
    answers: Vec<Answer>,
    /// Variants with their fingerprints.
    variants: Vec<(String, Digest)>,
}

/// What a variant was built from and what lies in its output folder.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct VariantStamp {
    /// Digest of everything that it was made from.
    pub(crate) fingerprint: Digest,
    /// Least cosine similarity of the outputs.
    pub(crate) min_cosine: Option<f64>,
    /// Size of `model.bin`, bytes.
    pub(crate) bin_bytes: Option<u64>,
    /// Time on the accelerator, microseconds.
    pub(crate) latency_us: Option<f64>,
    /// What stages warned of, as (stage, message).
    pub(crate) warnings: Vec<(String, String)>,
    files: Vec<(String, FileStamp)>,
}

/// What names a request: the manifest's text, what lies over it, the selection, the program.
pub(crate) fn request(text: &str, overlay: &Overlay, selectors: &[String], program: &str) -> Digest {
    Digest::of(format!("{:?}", (text, overlay, selectors, program)).as_bytes())
}

impl VariantStamp {
    /// The stamp of a variant that was just finished; `None` where a file could still change without showing it.
    pub(crate) fn of(
        fingerprint: Digest,
        figures: (Option<f64>, Option<u64>, Option<f64>),
        warnings: &[(String, String)],
        files: &[PathBuf],
    ) -> Option<VariantStamp> {
        let now = SystemTime::now();
        let stamped = |path: &PathBuf| {
            let stamp = FileStamp::of(&std::fs::metadata(path).ok()?);
            let name = path.file_name()?.to_str()?.to_owned();
            stamp.is_settled_finely(now).then_some((name, stamp))
        };
        let files = files.iter().map(stamped).collect::<Option<Vec<_>>>()?;
        let (min_cosine, bin_bytes, latency_us) = figures;
        let warnings = warnings.to_vec();
        Some(VariantStamp { fingerprint, min_cosine, bin_bytes, latency_us, warnings, files })
    }

    /// Whether the files in this folder are the ones that were left there.
    pub(crate) fn holds(&self, folder: &Path) -> bool {
        let mut path = folder.join("");
        self.files.iter().all(|(name, stamp)| {
            path.push(name);
            let now = stamp_of(&path);
            path.pop();
            now.as_ref() == Some(stamp)
        })
    }
}

impl Stamps {
    /// The record of a store's folder; empty where there is none.
    pub(crate) fn load(store: &Path) -> Arc<Stamps> {
        let path = store.join(FILE);
        let Some(stamp) = stamp_of(&path) else { return Arc::default() };
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        match &*known {
            Some((file, of, stamps)) if *file == path && *of == stamp => stamps.clone(),
            _ => {
                let read: Option<Stamps> = std::fs::read(&path).ok().and_then(|b| postcard::from_bytes(&b).ok());
                let stamps = Arc::new(read.unwrap_or_default());
                *known = Some((path, stamp, stamps.clone()));
                stamps
            }
        }
    }

    /// Whether the last build of this request left everything as it is.
    pub(crate) fn hold(&self, request: Digest) -> bool {
        let Some(known) = self.requests.iter().find(|r| r.digest == request) else { return false };
        let now = SystemTime::now();
        let source = |(path, stamp): &(PathBuf, Option<FileStamp>)| {
            stamp.as_ref().is_some_and(|s| s.is_settled_finely(now)) && stamp_of(path) == *stamp
        };
        let variant = |(name, fingerprint): &(String, Digest)| {
            let stamp = self.variants.get(name).filter(|v| v.fingerprint == *fingerprint);
            stamp.is_some_and(|v| v.holds(&known.out.join(name)))
        };
        known.sources.iter().all(source)
            && each(&known.variants, variant).iter().all(|&holds| holds)
            && known.answers.iter().all(Answer::holds)
    }

    /// What stages of a request's variants warned of, as (variant, stage, message).
    pub(crate) fn told(&self, request: Digest) -> Vec<(String, String, String)> {
        let known = self.requests.iter().find(|r| r.digest == request);
        let stamps =
            known.iter().flat_map(|r| &r.variants).filter_map(|(name, _)| Some((name, self.variants.get(name)?)));
        let told = |(name, stamp): (&String, &VariantStamp)| {
            stamp.warnings.iter().map(|(stage, what)| (name.clone(), stage.clone(), what.clone())).collect::<Vec<_>>()
        };
        stamps.flat_map(told).collect()
    }

    /// The stamps of those of these variants, with their fingerprints, that were built from exactly this and whose files are untouched.
    pub(crate) fn untouched(&self, of: &BTreeMap<String, Digest>, out: &Path) -> BTreeMap<String, &VariantStamp> {
        let of: Vec<(&String, &Digest)> = of.iter().collect();
        let known = |(name, print): &(&String, &Digest)| {
            self.variants.get(*name).filter(|v| v.fingerprint == **print && v.holds(&out.join(name)))
        };
        let found = each(&of, known);
        of.iter().zip(found).filter_map(|((name, _), stamp)| Some(((*name).clone(), stamp?))).collect()
    }

    /// A record of one's own, for changing: the one that this process knows is given up for it, not copied.
    pub(crate) fn own(stamps: Arc<Stamps>) -> Stamps {
        KNOWN.lock().unwrap_or_else(PoisonError::into_inner).take_if(|(_, _, known)| Arc::ptr_eq(known, &stamps));
        Arc::unwrap_or_clone(stamps)
    }

    /// Adds variants that a build finished.
    pub(crate) fn add(&mut self, variants: BTreeMap<String, VariantStamp>) {
        self.variants.extend(variants);
    }

    /// Adds a complete build that began at `start`: its sources as they are now, where none of them has changed since, or shortly before.
    pub(crate) fn complete(
        &mut self,
        digest: Digest,
        out: PathBuf,
        sources: &[PathBuf],
        answers: Vec<Answer>,
        names: &[String],
        start: SystemTime,
    ) {
        // Of others, those that the variants of today still answer: a request whose variants have become others never holds again.
        let variants = &self.variants;
        let is_made = |(name, print): &(String, Digest)| variants.get(name).is_some_and(|v| v.fingerprint == *print);
        self.requests.retain(|r| r.digest != digest && r.variants.iter().all(is_made));
        let sources: Vec<(PathBuf, Option<FileStamp>)> = sources.iter().map(|p| (p.clone(), stamp_of(p))).collect();
        let settled = sources.iter().all(|(_, s)| s.as_ref().is_some_and(|s| s.is_settled_finely(start)));
        let known = |n: &String| Some((n.clone(), self.variants.get(n)?.fingerprint));
        if let (true, Some(variants)) = (settled, names.iter().map(known).collect::<Option<Vec<_>>>()) {
            self.requests.push(Request { digest, out, sources, answers, variants });
        }
        let first = self.requests.len().saturating_sub(REQUESTS);
        self.requests.drain(..first);
    }

    /// Writes the record; a folder that cannot be written costs the short cut, nothing else.
    pub(crate) fn save(self, store: &Path) {
        let (tmp, path) = (store.join(format!("{FILE}.{}", std::process::id())), store.join(FILE));
        let written = postcard::to_stdvec(&self).ok().is_some_and(|bytes| std::fs::write(&tmp, bytes).is_ok());
        // The stamp of the file itself, whatever another build puts in its place.
        let stamp = std::fs::File::open(&tmp).ok();
        if !written || std::fs::rename(&tmp, &path).is_err() {
            let _ = std::fs::remove_file(&tmp);
            return;
        }
        let stamp = stamp.and_then(|file| file.metadata().ok()).map(|m| FileStamp::of(&m));
        *KNOWN.lock().unwrap_or_else(PoisonError::into_inner) = stamp.map(|stamp| (path, stamp, Arc::new(self)));
    }
}

/// What `look` finds at each item, in their order. The system is asked from several threads.
fn each<T: Sync, R: Send>(items: &[T], look: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get().min(4));
    if threads == 1 || items.len() < MANY {
        return items.iter().map(look).collect();
    }
    let look = &look;
    std::thread::scope(|scope| {
        let (own, others) = items.split_at(items.len().div_ceil(threads));
        let parts = others.chunks(own.len());
        let asked: Vec<_> = parts.map(|part| scope.spawn(move || part.iter().map(look).collect::<Vec<R>>())).collect();
        let mut found: Vec<R> = own.iter().map(look).collect();
        found.extend(asked.into_iter().flat_map(|part| part.join().unwrap_or_else(|e| std::panic::resume_unwind(e))));
        found
    })
}

fn stamp_of(path: &Path) -> Option<FileStamp> {
    std::fs::metadata(path).ok().map(|m| FileStamp::of(&m))
}
