//! Custom operators: their programs as the scan plans them, given to the executors of rules, and run node by node. Planned with
//! the sources, provided by [`crate::project`] before anything runs.

use crate::isolated::{Isolated, Limits, Recipe};
use crate::manifest::{CUSTOM_PREFIX, CustomOpConfig, Manifest, VariantConfig, staged};
use crate::project::Project;
use crate::sources::{Scan, scan};
use crate::stage::Plan;
use bytes::Bytes;
use ptq_cache::{Digest, Store};
use ptq_exec::{CustomCall, CustomProgram, provide};
use ptq_ir::Tensor;
use ptq_ir::ops::CustomOp;
use ptq_rule::{Blobs, Failure};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Whether nobody wants results any more.
pub(crate) type Cancelled = Arc<dyn Fn() -> bool + Send + Sync>;

/// File of a program's folder that describes the node.
const NODE: &str = "node.json";

/// The program's digest: what computes the operator, with all that it depends on.
fn program(plan: &Plan) -> String {
    plan.digest().hex()
}

/// Operators of other domains that a model file uses; all that are declared where it cannot be read.
fn used(scan: &Scan, path: &str, store: &Store) -> Option<BTreeSet<String>> {
    if staged(path).is_some() {
        return None;
    }
    let digest = (*scan.files.get(path)?)?;
    used_by(&digest, store, || scan.read(&digest))
}

/// The same of a model's bytes; remembered by their digest.
pub(crate) fn used_by(digest: &Digest, store: &Store, bytes: impl Fn() -> Option<Bytes>) -> Option<BTreeSet<String>> {
    let note = format!("foreign/{}", digest.hex());
    if let Some(names) = store.note(&note).and_then(|n| serde_json::from_slice(&n).ok()) {
        return Some(names);
    }
    let names = ptq_onnx::foreign_ops(&bytes()?, &ptq_onnx::Limits::default()).ok()?;
    if let Ok(bytes) = serde_json::to_vec(&names) {
        store.set_note(&note, bytes);
    }
    Some(names)
}

/// Domain and operator, as declarations go by in parse.
fn name_of(config: &CustomOpConfig) -> String {
    format!("{}.{}", config.domain, config.op)
}

impl Scan {
    /// Plans the programs of the custom operators that a variant's model uses; what prevents one is a problem of `custom_op:NAME`.
    pub(crate) fn customs(&mut self, root: &Path, config: &VariantConfig, store: &Store) {
        if config.customs.is_empty() {
            return;
        }
        let used = used(self, &config.path, store);
        for custom in config.customs.values() {
            if used.as_ref().is_some_and(|u| !u.contains(&name_of(custom))) {
                continue;
            }
            let key = format!("{CUSTOM_PREFIX}{}", custom.name);
            self.looked.push(key.clone());
            if self.customs.contains_key(&custom.name) || self.problems.contains_key(&key) {
                continue;
            }
            match self.plan(root, &custom.command, store) {
                Ok(plan) => drop(self.customs.insert(custom.name.clone(), (custom.clone(), plan))),
                Err((at, mut d)) => {
                    d.message = format!("custom_op {}: {}", custom.name, d.message);
                    d.place.line = Some(custom.command.lines.get(at).copied().unwrap_or(custom.command.line));
                    self.problems.insert(key, d);
                }
            }
        }
    }

    /// The declarations with their programs, by name.
    pub(crate) fn programs(&self) -> BTreeMap<String, CustomOp> {
        self.customs.iter().map(|(name, (config, plan))| (name.clone(), config.declared(program(plan)))).collect()
    }

    /// What parse is told of the custom operators of a model; `None` while one that it uses has no plan.
    pub(crate) fn custom_ops(
        &self,
        config: &VariantConfig,
        used: Option<&BTreeSet<String>>,
    ) -> Option<BTreeMap<String, CustomOp>> {
        let wanted = config.customs.values().filter(|c| used.is_none_or(|u| u.contains(&name_of(c))));
        wanted
            .map(|c| {
                let (config, plan) = self.customs.get(&c.name)?;
                Some((name_of(config), config.declared(program(plan))))
            })
            .collect()
    }

    /// Gives the programs of this scan to the executors of rules.
    pub(crate) fn provide(&self, store: &Arc<Store>, cancelled: &Cancelled) {
        for (config, plan) in self.customs.values() {
            let Ok(recipe) = plan.recipe() else { continue };
            let file = |(name, digest): (&String, Digest)| {
                Some((name.clone(), store.get(&digest).or_else(|| self.read(&digest))?))
            };
            let Some(files) = plan.files().map(file).collect::<Option<Blobs>>() else { continue };
            let (name, limits) = (config.name.clone(), plan.limits.clone());
            let (store, cancelled) = (store.clone(), cancelled.clone());
            provide(&program(plan), Arc::new(Command { name, recipe, limits, files, store, cancelled }));
        }
    }
}

impl Project {
    /// Makes the programs of the manifest's custom operators available to this process: what runs models of `out/` needs.
    ///
    /// # Errors
    /// When the sources cannot be looked at.
    pub fn provide_custom_ops(&self) -> Result<(), crate::EngineError> {
        if !self.manifest.customs.is_empty() {
            all(&self.root, &self.manifest, &self.store)?.provide(&self.store, &(Arc::new(|| false) as Cancelled));
        }
        Ok(())
    }

    /// What parse is told of a variant's custom operators.
    ///
    /// # Errors
    /// When the sources cannot be looked at.
    pub fn custom_ops(&self, variant: &str) -> Result<BTreeMap<String, CustomOp>, crate::EngineError> {
        let found = self.manifest.variants.get(variant).map(VariantConfig::of);
        let Some(Ok(config)) = found.filter(|_| !self.manifest.customs.is_empty()) else { return Ok(BTreeMap::new()) };
        let scan = scan(&self.root, &self.manifest, &self.store)?;
        let used = used(&scan, &config.path, &self.store);
        Ok(scan.custom_ops(&config, used.as_ref()).unwrap_or_default())
    }
}

/// A scan that also plans declared operators which no model of the manifest uses.
fn all(root: &Path, manifest: &Manifest, store: &Store) -> Result<Scan, crate::EngineError> {
    let mut scan = scan(root, manifest, store)?;
    for custom in manifest.customs.values() {
        if !scan.customs.contains_key(&custom.name)
            && let Ok(plan) = scan.plan(root, &custom.command, store)
        {
            scan.customs.insert(custom.name.clone(), (custom.clone(), plan));
        }
    }
    Ok(scan)
}

/// The command of a custom operator.
struct Command {
    name: String,
    recipe: Recipe,
    limits: Limits,
    files: Blobs,
    store: Arc<Store>,
    cancelled: Cancelled,
}

impl CustomProgram for Command {
    fn compute(&self, call: &CustomCall<'_>) -> Result<Vec<Tensor>, String> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let aside = format!("custom-{}-{number}", std::process::id());
        let base = self.store.temporary(&aside).map_err(|e| e.to_string())?;
        let result = self.in_folder(call, &base);
        let _ = std::fs::remove_dir_all(&base);
        result
    }
}

impl Command {
    fn in_folder(&self, call: &CustomCall<'_>, base: &Path) -> Result<Vec<Tensor>, String> {
        let mut inputs = self.files.clone();
        let mut named = Vec::new();
        for (i, tensor) in call.inputs.iter().enumerate() {
            let Some(tensor) = tensor else {
                named.push(json!(null));
                continue;
            };
            let file = format!("input{i}.npy");
            named.push(json!({ "file": file, "type": tensor.dtype().name(), "shape": tensor.shape() }));
            inputs.insert(file, ptq_sample::write_npy(tensor)?.into());
        }
        let outputs = call.outputs.iter().enumerate().map(
            |(i, (dtype, shape))| json!({ "file": format!("output{i}.npy"), "type": dtype.name(), "shape": shape }),
        );
        let node = json!({
            "op": call.op, "domain": call.domain, "inputs": named, "outputs": outputs.collect::<Vec<_>>(),
            "attributes": call.attrs.0.iter().map(|(k, v)| (k.clone(), attribute(v))).collect::<serde_json::Map<_, _>>(),
        });
        inputs.insert(NODE.to_owned(), Bytes::from(node.to_string()));
        let isolated = Isolated {
            title: format!("custom_op {}", self.name),
            recipe: &self.recipe,
            limits: &self.limits,
            base,
            cancelled: self.cancelled.as_ref(),
        };
        let said = |f: Failure| f.diagnostics.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        let made = isolated.run(&inputs).map_err(said)?;
        (0..call.outputs.len())
            .map(|i| {
                let file = format!("output{i}.npy");
                let bytes = made.get(&file).ok_or_else(|| format!("its command made no {file}"))?;
                ptq_sample::read_npy(bytes).map_err(|why| format!("{file}: {why}"))
            })
            .collect()
    }
}

fn attribute(attr: &ptq_ir::Attr) -> serde_json::Value {
    use ptq_ir::Attr;
    match attr {
        Attr::Float(v) => json!(v),
        Attr::Int(v) => json!(v),
        Attr::Str(v) => json!(v),
        Attr::Floats(v) => json!(v),
        Attr::Ints(v) => json!(v),
        Attr::Strs(v) => json!(v),
        Attr::Tensor(t) => json!({ "type": t.dtype().name(), "shape": t.shape(), "elements": t.to_f64s() }),
    }
}
