//! Recipe records: what a variant's last build was made from, and how the next one differs, in the user's words.

mod rewrites;

use crate::action::{ActionSpec, InputKind};
use crate::build::STAGES;
use crate::manifest::{Manifest, STAGE_PREFIX, Variant};
use ptq_cache::{Digest, Store};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Entries of a changed sample set that are named; the rest is counted.
const NAMED: usize = 3;

/// In front of the digest of a tree.
const TREE: &str = "tree ";

/// One stage of a recipe.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StageRecord {
    /// Key of the action.
    pub key: String,
    /// Version of the rule.
    pub version: u32,
    /// Parameters, flattened to dotted names.
    pub params: BTreeMap<String, String>,
    /// Input digests by name: the first digits for a blob, all after `tree:` for a tree. Large tensors of a graph are
    /// left out.
    pub inputs: BTreeMap<String, String>,
    /// `ran`, `hit` or `remote` in the last build that changed it.
    pub outcome: String,
    /// Who made it, where the team's cache gave it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub made_by: String,
    /// Why it ran.
    pub why: Vec<String>,
    /// When and where it ran, when not here.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub place: String,
}

/// What a variant's last success was made from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Recipe {
    /// Stages by name.
    pub stages: BTreeMap<String, StageRecord>,
    /// Manifest lines of the variant's settings now, by dotted key; not part of the comparison.
    #[serde(skip)]
    pub lines: BTreeMap<String, (String, u32)>,
}

/// Name of a variant's record in the store.
pub(crate) fn note_name(variant: &str) -> String {
    format!("recipe/{variant}")
}

impl Recipe {
    /// The record of a variant, with the lines of its settings now.
    pub(crate) fn load(store: &Store, manifest: &Manifest, variant: &Variant, file: &str) -> Recipe {
        let mut recipe: Recipe =
            store.note(&note_name(&variant.name)).and_then(|n| serde_json::from_slice(&n).ok()).unwrap_or_default();
        for stage in manifest.stages.values() {
            let lines = stage.lines.iter().map(|(key, line)| (format!("stage.{}.{key}", stage.name), *line));
            recipe.lines.extend(lines.map(|(key, line)| (key, (file.to_owned(), line))));
        }
        for config in manifest.rewrites.values() {
            let at = |path: &str, line: u32| (format!("rewrite.{}{path}", config.name), (config.file.clone(), line));
            recipe.lines.extend([at("", config.line)]);
            recipe.lines.extend(config.lines.iter().map(|(path, line)| at(&format!(".{path}"), *line)));
        }
        for (path, setting) in &variant.settings.0 {
            if let Some(line) = setting.line {
                recipe.lines.insert(path.join("."), (file.to_owned(), line));
            }
        }
        recipe
    }

    /// What the record of an action would be.
    pub(crate) fn record(spec: &ActionSpec) -> StageRecord {
        let mut params = BTreeMap::new();
        if let Ok(value) = serde_json::from_str(&spec.params) {
            flatten("", &value, &mut params);
        }
        let named = spec.inputs.iter().filter(|i| !i.name.starts_with(ptq_rule::TENSOR_PREFIX));
        let inputs = named
            .map(|input| match input.kind {
                InputKind::Blob => (input.name.clone(), input.digest.short()),
                InputKind::Tree => (input.name.clone(), format!("{TREE}{}", input.digest.hex())),
            })
            .collect();
        StageRecord { key: spec.key().hex(), version: spec.version, params, inputs, ..StageRecord::default() }
    }

    /// How an action differs from the recorded one, as lines for people.
    pub(crate) fn differences(&self, stage: &str, spec: &ActionSpec, store: &Store) -> Vec<String> {
        let Some(old) = self.stages.get(stage) else { return vec!["first build".into()] };
        if old.key == spec.key().hex() {
            return vec!["its result is no longer in the store, or it was forced".into()];
        }
        self.between(stage, old, &Recipe::record(spec), store)
    }

    /// How two records of one stage differ.
    fn between(&self, stage: &str, old: &StageRecord, new: &StageRecord, store: &Store) -> Vec<String> {
        let mut out = Vec::new();
        if old.version != new.version {
            out.push(format!("rule version {} → {}", old.version, new.version));
        }
        out.extend(self.param_differences(stage, &old.params, &new.params));
        out.extend(self.input_differences(&entries(&old.inputs, store), &entries(&new.inputs, store)));
        if out.is_empty() && old.key != new.key {
            out.push("weights changed".into());
        }
        out
    }

    /// How this recipe differs from another one, stage by stage: values of the other, then of this one.
    pub fn against(&self, other: &Recipe, store: &Store) -> Vec<(String, Vec<String>)> {
        let empty = StageRecord::default();
        let mut out = Vec::new();
        for (stage, new) in self.in_order() {
            let old = other.stages.get(stage).unwrap_or(&empty);
            out.push((stage.to_owned(), self.between(stage, old, new, store)));
        }
        out
    }

    /// Stages in the order in which data flows: those of the manifest by name, then ours.
    pub fn in_order(&self) -> impl Iterator<Item = (&str, &StageRecord)> {
        let own = self.stages.iter().filter(|(name, _)| name.starts_with(STAGE_PREFIX));
        let ours = STAGES.iter().filter_map(|s| self.stages.get_key_value(*s));
        own.chain(ours).map(|(name, record)| (name.as_str(), record))
    }

    fn param_differences(
        &self,
        stage: &str,
        old: &BTreeMap<String, String>,
        new: &BTreeMap<String, String>,
    ) -> Vec<String> {
        let names: std::collections::BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        let shown = |v: Option<&String>| v.map_or("(unset)", String::as_str).to_owned();
        let (rewrites, names): (Vec<&String>, Vec<&String>) =
            names.into_iter().filter(|n| old.get(*n) != new.get(*n)).partition(|n| n.starts_with(rewrites::PARAMS));
        let rewrites = rewrites::differences(&self.lines, old, new, &rewrites);
        names
            .into_iter()
            .map(|n| {
                let key = match stage.strip_prefix(STAGE_PREFIX) {
                    Some(own) => format!("stage.{own}.{}", n.split('[').next().unwrap_or(n)),
                    None => manifest_key(n),
                };
                let line = self.lines.get(&key).map(|(file, line)| format!(" ({file}:{line})")).unwrap_or_default();
                format!("{key} {} → {}{line}", shown(old.get(n)), shown(new.get(n)))
            })
            .chain(rewrites)
            .collect()
    }

    fn input_differences(&self, old: &BTreeMap<String, String>, new: &BTreeMap<String, String>) -> Vec<String> {
        let line = |key: &str| self.lines.get(key).map(|(file, line)| format!(" ({file}:{line})")).unwrap_or_default();
        let shown = |name: &str| match name {
            "march" => format!("march{}", line("march")),
            "model" => format!("model{}", line("path")),
            _ => name.strip_prefix(ptq_sample::SAMPLE_PREFIX).map_or(name.to_owned(), |s| format!("sample {s}")),
        };
        let mut out = Vec::new();
        let mut list = |word: &str, names: Vec<&String>| {
            if names.is_empty() {
                return;
            }
            let named: Vec<String> = names.iter().take(NAMED).map(|n| shown(n)).collect();
            let rest = names.len().saturating_sub(NAMED);
            let more = if rest > 0 { format!(" and {rest} more") } else { String::new() };
            out.push(format!("{word}: {}{more}", named.join(", ")));
        };
        list("changed", new.keys().filter(|n| old.get(*n).is_some_and(|d| new.get(*n) != Some(d))).collect());
        list("added", new.keys().filter(|n| !old.contains_key(*n)).collect());
        list("removed", old.keys().filter(|n| !new.contains_key(*n)).collect());
        out
    }
}

/// Inputs with what is inside their trees, as far as the store still has them.
fn entries(inputs: &BTreeMap<String, String>, store: &Store) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    for (name, digest) in inputs {
        let tree = digest.strip_prefix(TREE).and_then(Digest::from_hex).and_then(|d| store.tree(&d));
        match tree {
            Some(list) => out.extend(list.into_iter().map(|e| (e.name, e.digest.short()))),
            None => drop(out.insert(name.clone(), digest.clone())),
        }
    }
    out
}

/// Name of a rule's parameter in the manifest.
fn manifest_key(param: &str) -> String {
    let param = param.strip_prefix("requests.").unwrap_or(param);
    match (param.strip_prefix("inputs."), param.strip_prefix("on.")) {
        (Some(rest), _) => format!("input.{}", rest.split('[').next().unwrap_or(rest)),
        (_, Some(node)) => format!("nodes.{node}.on"),
        _ => param.split('[').next().unwrap_or(param).to_owned(),
    }
}

fn flatten(prefix: &str, value: &serde_json::Value, out: &mut BTreeMap<String, String>) {
    use serde_json::Value;
    let join = |name: &str| if prefix.is_empty() { name.to_owned() } else { format!("{prefix}.{name}") };
    match value {
        Value::Object(map) => map.iter().for_each(|(k, v)| flatten(&join(k), v, out)),
        Value::Array(list) => {
            list.iter().enumerate().for_each(|(i, v)| flatten(&format!("{prefix}[{i}]"), v, out));
        }
        Value::Null => {}
        other => drop(out.insert(prefix.to_owned(), other.to_string())),
    }
}
