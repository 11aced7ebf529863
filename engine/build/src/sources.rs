//! The files that a manifest mentions: models, march files, calibration samples, by digest.

use crate::manifest::{CustomOpConfig, Manifest, STAGE_PREFIX, SampleSource, StageConfig, VariantConfig, staged};
use crate::stage::Plan;
use crate::tools::Answer;
use bytes::Bytes;
use ptq_cache::{Digest, Output, Store, StoreError, tree_bytes};
use ptq_ir::Diagnostic;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What a scan found.
#[derive(Default)]
pub(crate) struct Scan {
    /// Files by the path that the manifest gives.
    pub(crate) files: BTreeMap<String, Option<Digest>>,
    /// Sample sets by [`sample_key`]: all samples, the first sample.
    pub(crate) samples: BTreeMap<String, Option<(Digest, Digest)>>,
    /// Where the bytes of a digest are.
    pub(crate) origins: BTreeMap<Digest, PathBuf>,
    /// Files with external data by the model's path: path that the model states, path from the manifest.
    pub(crate) external: BTreeMap<String, Vec<(String, String)>>,
    /// External stages by name, as far as nothing prevents them.
    pub(crate) stages: BTreeMap<String, Plan>,
    /// Custom operators by the names of their declarations, as far as nothing prevents them.
    pub(crate) customs: BTreeMap<String, (Arc<CustomOpConfig>, Plan)>,
    /// What tools said, by command.
    pub(crate) answers: BTreeMap<Vec<String>, Answer>,
    /// Problems by the path or key that has them.
    pub(crate) problems: BTreeMap<String, Diagnostic>,
    /// Keys of `files` and `samples` that each variant reads, besides external data.
    pub(crate) of_variant: BTreeMap<String, Vec<String>>,
    /// Those of the variant that is being looked at.
    pub(crate) looked: Vec<String>,
    /// Everything that was looked at, for the stamp.
    pub(crate) seen: Vec<PathBuf>,
}

/// Name of a march among the files: its path, or `march:<name>` for a built-in one.
pub(crate) fn march_key(march: &str) -> String {
    if march.ends_with(".toml") { march.to_owned() } else { format!("march:{march}") }
}

/// Name among the files of the part of a march that results depend on.
pub(crate) fn placing_key(march: &str) -> String {
    format!("{} (placing)", march_key(march))
}

/// Name of the calibration samples; `None` where there is no data.
pub(crate) fn sample_key(config: &VariantConfig) -> Option<String> {
    set_key(config, &config.data)
}

/// Name of a sample set.
pub(crate) fn set_key(config: &VariantConfig, data: &SampleSource) -> Option<String> {
    let kinds = |input: &str| if config.takes_any_file(input) { " (any file)" } else { "" };
    match data {
        SampleSource::None => None,
        SampleSource::Single(path) => Some(path.clone() + kinds(ptq_sample::ONLY_INPUT)),
        SampleSource::ByInput(map) => {
            Some(map.iter().map(|(k, v)| format!("{k}={v}{}", kinds(k))).collect::<Vec<_>>().join("\n"))
        }
    }
}

/// Looks at every file that the manifest mentions; hashes only what changed since the store last saw it.
pub(crate) fn scan(root: &Path, manifest: &Manifest, store: &Store) -> Result<Scan, StoreError> {
    let mut scan = Scan::default();
    for variant in manifest.variants.values() {
        let Some(config) = variant.config.as_deref() else { continue };
        let stages = &manifest.stages;
        scan.file(root, &config.path, stages, store);
        scan.external(root, &config.path, store);
        scan.customs(root, config, store);
        scan.march(root, &config.march, store)?;
        if let Some(path) = &config.thresholds {
            scan.file(root, path, stages, store);
        }
        if let Some(path) = &config.compile.replay_plan {
            scan.file(root, path, stages, store);
        }
        scan.sample_set(root, config, &config.data, store)?;
        scan.sample_set(root, config, &config.eval.data, store)?;
        for path in config.eval.files(root) {
            scan.file(root, &path, stages, store);
        }
        let looked = std::mem::take(&mut scan.looked);
        scan.of_variant.insert(variant.name.clone(), looked);
    }
    store.flush()?;
    Ok(scan)
}

impl Scan {
    fn file(&mut self, root: &Path, path: &str, stages: &BTreeMap<String, StageConfig>, store: &Store) {
        if let Some((name, _)) = staged(path) {
            return self.stage(root, stages, name, store);
        }
        self.looked.push(path.to_owned());
        if !self.files.contains_key(path) {
            let digest = self.digest(&root.join(path), path, store);
            self.files.insert(path.to_owned(), digest);
        }
    }

    /// The files beside a model that hold its external data. What a model names is remembered by its content.
    fn external(&mut self, root: &Path, model: &str, store: &Store) {
        if self.external.contains_key(model) {
            return;
        }
        let Some(Some(digest)) = self.files.get(model).copied() else { return };
        let mut found = Vec::new();
        let folder = Path::new(model).parent().unwrap_or(Path::new(""));
        for stated in external_names(&digest, store, || self.read(&digest)) {
            let path = folder.join(&stated).to_string_lossy().into_owned();
            if !self.files.contains_key(&path) {
                let full = root.join(&path);
                let digest = match inside(&root.join(folder), &full) {
                    Ok(()) => self.digest(&full, &path, store),
                    Err(why) => {
                        self.seen.push(full);
                        let message = format!("external data {path} of {model} {why}");
                        self.problems.insert(path.clone(), Diagnostic::error("SOURCE04", message));
                        None
                    }
                };
                self.files.insert(path.clone(), digest);
            }
            found.push((stated, path));
        }
        self.external.insert(model.to_owned(), found);
    }

    fn march(&mut self, root: &Path, march: &str, store: &Store) -> Result<(), StoreError> {
        let key = march_key(march);
        self.looked.push(key.clone());
        if self.files.contains_key(&key) {
            return Ok(());
        }
        let digest = if march.ends_with(".toml") {
            self.digest(&root.join(march), march, store)
        } else if let Some(text) = ptq_march::source(march) {
            Some(store.put(text.as_bytes())?)
        } else {
            let known: Vec<&str> = ptq_march::names().collect();
            self.problems.insert(
                key.clone(),
                Diagnostic::error("SOURCE01", format!("there is no march {march:?}"))
                    .hint(format!("built in: {}; or give a path that ends in .toml", known.join(", "))),
            );
            None
        };
        // What is no march file is handed on whole, for the rules to say what is wrong with it.
        let text = digest.and_then(|d| self.read(&d).or_else(|| store.get(&d)));
        let part = text.and_then(|t| ptq_march::placing(std::str::from_utf8(&t).ok()?));
        let part = part.map(|part| store.put(part.as_bytes())).transpose()?.or(digest);
        self.files.insert(placing_key(march), part);
        self.files.insert(key, digest);
        Ok(())
    }

    pub(crate) fn digest(&mut self, path: &Path, shown: &str, store: &Store) -> Option<Digest> {
        self.seen.push(path.to_owned());
        match store.digest_file(path) {
            Ok(digest) => {
                self.origins.insert(digest, path.to_owned());
                Some(digest)
            }
            Err(e) => {
                self.problems
                    .insert(shown.to_owned(), Diagnostic::error("SOURCE02", format!("cannot read {shown}: {e}")));
                None
            }
        }
    }

    fn sample_set(
        &mut self,
        root: &Path,
        config: &VariantConfig,
        data: &SampleSource,
        store: &Store,
    ) -> Result<(), StoreError> {
        let Some(key) = set_key(config, data) else { return Ok(()) };
        self.looked.push(key.clone());
        if self.samples.contains_key(&key) {
            return Ok(());
        }
        let parts: Vec<(&str, &str)> = match data {
            SampleSource::None => Vec::new(),
            SampleSource::Single(path) => vec![(ptq_sample::ONLY_INPUT, path.as_str())],
            SampleSource::ByInput(map) => map.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect(),
        };
        let mut all = Vec::new();
        let mut first = Vec::new();
        for (input, pattern) in parts {
            let any = config.takes_any_file(input);
            let files = self.sample_files(root, pattern, any);
            if files.is_empty() {
                let problem =
                    Diagnostic::error("SOURCE03", format!("there are no samples at {pattern}")).hint(if any {
                        "samples are files of any kind".to_owned()
                    } else {
                        format!("samples are files ending in {}", ptq_sample::ENDINGS.join(", "))
                    });
                self.problems.insert(key.clone(), problem);
                self.samples.insert(key, None);
                return Ok(());
            }
            for (i, (relative, path)) in files.iter().enumerate() {
                let Some(digest) = self.digest(path, relative, store) else { continue };
                let size = std::fs::metadata(path).map_or(0, |m| m.len());
                let entry = Output { name: ptq_sample::sample_name(input, relative), digest, size };
                if i == 0 {
                    first.push(entry.clone());
                }
                all.push(entry);
            }
        }
        let trees = (store.put(&tree_bytes(&all))?, store.put(&tree_bytes(&first))?);
        self.samples.insert(key, Some(trees));
        Ok(())
    }

    /// Sample files of a folder (with its sub-folders) or of a pattern with `*` in its last part, by relative name;
    /// `any` takes files of every ending.
    fn sample_files(&mut self, root: &Path, pattern: &str, any: bool) -> Vec<(String, PathBuf)> {
        let sample = |n: &str| {
            let ending = n.rsplit_once('.').map_or("", |(_, e)| e).to_ascii_lowercase();
            any || ptq_sample::ENDINGS.contains(&ending.as_str())
        };
        let path = root.join(pattern);
        let mut out = Vec::new();
        if path.is_dir() {
            self.walk(&path, "", &sample, &mut out);
        } else if let (Some(parent), Some(name)) = (path.parent(), path.file_name().and_then(|n| n.to_str())) {
            let wanted = name.to_owned();
            self.walk(parent, "", &move |n| sample(n) && !n.contains('/') && wildcard(&wanted, n), &mut out);
        }
        out.sort();
        out
    }

    pub(crate) fn walk(
        &mut self,
        dir: &Path,
        prefix: &str,
        wanted: &dyn Fn(&str) -> bool,
        out: &mut Vec<(String, PathBuf)>,
    ) {
        self.seen.push(dir.to_owned());
        let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
        for entry in entries {
            let name = entry.file_name().to_string_lossy().into_owned();
            let relative = if prefix.is_empty() { name.clone() } else { format!("{prefix}/{name}") };
            if name.starts_with('.') {
                continue;
            } else if entry.path().is_dir() {
                self.walk(&entry.path(), &relative, wanted, out);
            } else if wanted(&relative) {
                out.push((relative, entry.path()));
            }
        }
    }

    /// External stages that a variant needs, those that others read first.
    pub(crate) fn stages_of(&self, variant: &str) -> impl Iterator<Item = &str> {
        self.of_variant.get(variant).into_iter().flatten().filter_map(|key| key.strip_prefix(STAGE_PREFIX))
    }

    /// The bytes of a file of this scan, if they still are what was scanned.
    pub(crate) fn read(&self, digest: &Digest) -> Option<Bytes> {
        let bytes = std::fs::read(self.origins.get(digest)?).ok()?;
        (Digest::of(&bytes) == *digest).then(|| Bytes::from(bytes))
    }
}

/// Files with external data that a model names.
pub(crate) fn external_names(digest: &Digest, store: &Store, bytes: impl Fn() -> Option<Bytes>) -> Vec<String> {
    let note = format!("external/{}", digest.hex());
    if let Some(names) = store.note(&note).and_then(|n| serde_json::from_slice(&n).ok()) {
        return names;
    }
    // A file that cannot be read as a model names nothing; parse says what is wrong with it.
    let Some(bytes) = bytes() else { return Vec::new() };
    let names = ptq_onnx::external_files(&bytes, &ptq_onnx::Limits::default()).unwrap_or_default();
    if let Ok(note_bytes) = serde_json::to_vec(&names) {
        store.set_note(&note, note_bytes);
    }
    names
}

/// Whether a file, links followed, lies inside a folder; the error reads after the file's name.
pub(crate) fn inside(folder: &Path, file: &Path) -> Result<(), String> {
    let folder = folder.canonicalize().map_err(|e| format!("is beside no readable folder: {e}"))?;
    match file.canonicalize() {
        Ok(real) if real.starts_with(&folder) => Ok(()),
        Ok(_) => Err("leads out of the model's folder".to_owned()),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Err("is missing".to_owned()),
        Err(e) => Err(format!("cannot be read: {e}")),
    }
}

/// Whether a name matches a pattern in which `*` stands for any characters.
pub(crate) fn wildcard(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((head, rest)) => {
            let Some(tail) = name.strip_prefix(head) else { return false };
            (0..=tail.len()).any(|i| tail.is_char_boundary(i) && wildcard(rest, &tail[i..]))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::wildcard;

    #[test]
    fn a_star_stands_for_any_characters() {
        assert!(wildcard("*.png", "a.png") && wildcard("a*b*c", "a--b-c") && wildcard("x", "x"));
        assert!(!wildcard("*.png", "a.npy") && !wildcard("a*b", "ab.c") && !wildcard("x", "xy"));
    }
}
