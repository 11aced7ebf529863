//! What past builds of a variant did, for people: `ptq log` and `ptq why-differs`. Times live here and in the store
//! only, never in outputs.

use crate::build::VariantReport;
use crate::recipe::Recipe;
use ptq_cache::{Digest, Store};
use serde::{Deserialize, Serialize};
use std::time::{SystemTime, UNIX_EPOCH};

/// Builds that are kept of a variant.
const KEPT: usize = 50;

/// One build that changed a variant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LogEntry {
    /// Number, from 1; higher is later.
    pub number: u64,
    /// Seconds since 1970, UTC.
    pub at: u64,
    /// Stages whose result changed, whether it ran or was remembered, and why.
    pub stages: Vec<(String, String, Vec<String>)>,
    /// Least cosine similarity of the outputs.
    pub min_cosine: Option<f64>,
    /// Size of `model.bin`, bytes.
    pub bin_bytes: Option<u64>,
    /// The recipe, as a blob of the store.
    recipe: Digest,
}

fn note_name(variant: &str) -> String {
    format!("log/{variant}")
}

/// Past builds of a variant, the oldest first.
pub(crate) fn read(store: &Store, variant: &str) -> Vec<LogEntry> {
    store.note(&note_name(variant)).and_then(|n| serde_json::from_slice(&n).ok()).unwrap_or_default()
}

/// Blobs that past builds of a variant name.
pub(crate) fn pinned(store: &Store, variant: &str) -> Vec<Digest> {
    read(store, variant).into_iter().map(|e| e.recipe).collect()
}

/// The recipe that a build left behind.
pub(crate) fn recipe(store: &Store, entry: &LogEntry) -> Option<Recipe> {
    serde_json::from_slice(&store.get(&entry.recipe)?).ok()
}

/// Adds a build that changed the variant's recipe.
pub(crate) fn add(store: &Store, report: &VariantReport, old: &Recipe, new: &Recipe, bytes: &[u8]) {
    let mut log = read(store, &report.name);
    let Ok(recipe) = store.put(bytes) else { return };
    let changed = new.stages.iter().filter(|(name, stage)| old.stages.get(*name) != Some(stage));
    log.push(LogEntry {
        number: log.last().map_or(1, |e| e.number + 1),
        at: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs()),
        stages: changed.map(|(name, s)| (name.clone(), s.outcome.clone(), s.why.clone())).collect(),
        min_cosine: report.min_cosine,
        bin_bytes: report.bin_bytes,
        recipe,
    });
    let first = log.len().saturating_sub(KEPT);
    if let Ok(bytes) = serde_json::to_vec(&log[first..]) {
        store.set_note(&note_name(&report.name), bytes);
    }
}
