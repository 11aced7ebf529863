//! Variants beside each other: settings that differ, accuracy, size, nodes, and which of them nothing beats.

mod page;

use crate::artifacts;
use crate::build::{BuildOptions, Finished};
use crate::error::EngineError;
use crate::evaluate::Evaluator;
use crate::events::EventSink;
use crate::finish::stages_of;
use crate::manifest::{SampleSource, VariantConfig};
use crate::project::Project;
use crate::session::Session;
use crate::sources::scan;
use ptq_ir::Device;
use ptq_report::Measure;
use ptq_report::verify::Stage;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// One variant of a comparison.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Compared {
    /// Name.
    pub name: String,
    /// Model.
    pub model: String,
    /// Settings that are not the same in all compared variants of the model.
    pub settings: BTreeMap<String, String>,
    /// Cosine similarity of each output to the float model's, in order.
    pub outputs: Vec<(String, f64)>,
    /// Least of them; `None` when it is not a number.
    pub min_cosine: Option<f64>,
    /// The metric of its evaluation data and the figure of `model.bin`, where the manifest names such data.
    pub task: Option<(String, f64)>,
    /// Size of `model.bin`, bytes.
    pub bin_bytes: u64,
    /// Time on the accelerator by the timed simulator, microseconds, when the march has one.
    pub latency_us: Option<f64>,
    /// Nodes on the BPU.
    pub nodes_bpu: usize,
    /// Nodes on the CPU.
    pub nodes_cpu: usize,
    /// Whether no other variant of the same model is at least as good in accuracy, size and latency and better in one.
    pub pareto: bool,
    /// Cosine similarity by node, where it has a counterpart.
    pub nodes: BTreeMap<String, f64>,
}

/// Variants beside each other.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Comparison {
    /// In the order of their names.
    pub variants: Vec<Compared>,
    /// Nodes whose similarity differs most between variants of one model, the largest difference first.
    pub nodes_apart: Vec<(String, f64)>,
}

impl Project {
    /// Compares the selected variants, building what is missing.
    ///
    /// # Errors
    /// As [`Project::build`]; the errors of variants that cannot be built.
    pub fn compare(&self, selectors: &[String], events: &dyn EventSink) -> Result<Comparison, EngineError> {
        let options = BuildOptions { selectors: selectors.to_vec(), ..BuildOptions::default() };
        let names = self.select(selectors)?;
        self.built(&options, &names, events)?;
        let scan = scan(&self.root, &self.manifest, &self.store)?;
        let session = Arc::new(Session::new(self.store.clone(), BTreeSet::new()));
        let driver = self.driver(&session, &scan, &options, &names, events);
        let mut variants = Vec::new();
        for name in &names {
            let Some(variant) = self.manifest.variants.get(name) else { continue };
            let config = VariantConfig::of(variant).map_err(EngineError::Manifest)?;
            let finished: Vec<Finished> =
                driver.stages(name).into_iter().map(|(name, state)| Finished { name, state, ran: false }).collect();
            let stages = stages_of(variant, &config, &finished);
            let lost = |f: ptq_rule::Failure| EngineError::Manifest(f.diagnostics);
            let measured = artifacts::tree(&session, &stages, "measure").and_then(|b| artifacts::measure(&b));
            let compiled = stages.trees.get("compile").and_then(|tree| session.store.tree(tree)).unwrap_or_default();
            let bin = compiled.iter().find(|e| e.name == "model.bin");
            let bin_bytes = bin.map_or(0, |e| e.size);
            let latency_us = bin.and_then(|e| self.latency_us(&scan, &config.march, &e.digest));
            let settings = variant.settings.0.iter().map(|(path, s)| (path.join("."), s.value.to_string()));
            let root = &self.root;
            let evaluator =
                Evaluator { driver: &driver, scan: &scan, root, variant: name, config: &config, trees: &stages.trees };
            let task = match config.eval.data {
                SampleSource::None => None,
                _ => Some(evaluator.evaluation(Stage::Bin).map(|e| (e.metric, e.value.0)).map_err(lost)?),
            };
            let found = compared(name, &variant.model, settings.collect(), &measured.map_err(lost)?, bin_bytes);
            variants.push(Compared { latency_us, task, ..found });
        }
        Ok(Comparison::of(variants))
    }
}

fn compared(name: &str, model: &str, settings: BTreeMap<String, String>, m: &Measure, bin_bytes: u64) -> Compared {
    let on = |device: Device| m.nodes.iter().filter(|n| n.on == device).count();
    Compared {
        name: name.to_owned(),
        model: model.to_owned(),
        settings,
        outputs: m.outputs.iter().map(|o| (o.output.clone(), o.cosine.0)).collect(),
        min_cosine: m.outputs.iter().map(|o| o.cosine.0).reduce(f64::min).filter(|c| c.is_finite()),
        task: None,
        bin_bytes,
        latency_us: None,
        nodes_bpu: on(Device::Bpu),
        nodes_cpu: on(Device::Cpu),
        pareto: false,
        nodes: m.nodes.iter().filter_map(|n| Some((n.node.clone(), n.cosine?.0))).collect(),
    }
}

/// Model, accuracy, size and latency of a variant.
type Point = (String, f64, u64, Option<f64>);

impl Comparison {
    /// Finds what differs and what nothing beats.
    fn of(mut variants: Vec<Compared>) -> Comparison {
        let values = |v: &Compared| -> Vec<(String, String)> { v.settings.clone().into_iter().collect() };
        let mut settings: BTreeMap<String, Vec<Vec<(String, String)>>> = BTreeMap::new();
        for v in &variants {
            settings.entry(v.model.clone()).or_default().push(values(v));
        }
        let common: BTreeMap<String, BTreeSet<(String, String)>> = settings
            .into_iter()
            .map(|(model, all)| {
                let in_all = |s: &(String, String)| all.iter().all(|other| other.contains(s));
                (model, all[0].iter().filter(|s| all.len() > 1 && in_all(s)).cloned().collect())
            })
            .collect();
        // Where one has no latency, as on march cpu, it is neither better nor worse in it.
        let points: Vec<Point> = variants
            .iter()
            .map(|v| (v.model.clone(), v.min_cosine.unwrap_or(f64::NEG_INFINITY), v.bin_bytes, v.latency_us))
            .collect();
        for (v, (model, cosine, size, latency)) in variants.iter_mut().zip(&points) {
            v.settings.retain(|k, s| !common.get(model).is_some_and(|c| c.contains(&(k.clone(), s.clone()))));
            let beats = |(m, c, s, l): &Point| {
                let (l, latency) = if let (Some(l), Some(own)) = (l, latency) { (*l, *own) } else { (0.0, 0.0) };
                let as_good = m == model && c >= cosine && *s <= *size && l <= latency;
                as_good && (c > cosine || s < size || l < latency)
            };
            v.pareto = v.min_cosine.is_some() && !points.iter().any(beats);
        }
        let mut ranges: BTreeMap<(String, String), (f64, f64)> = BTreeMap::new();
        for v in &variants {
            for (node, cosine) in v.nodes.iter().filter(|(_, c)| c.is_finite()) {
                let range = ranges.entry((v.model.clone(), node.clone())).or_insert((*cosine, *cosine));
                *range = (range.0.min(*cosine), range.1.max(*cosine));
            }
        }
        let mut nodes_apart: Vec<(String, f64)> =
            ranges.into_iter().map(|((_, node), (low, high))| (node, high - low)).filter(|(_, d)| *d > 0.0).collect();
        nodes_apart.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        Comparison { variants, nodes_apart }
    }

    /// As one page that needs nothing else: charts of accuracy against latency and size, what settings do, similarity by node.
    pub fn html(&self) -> String {
        page::page(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variant(name: &str, model: &str, cosine: f64, bin_bytes: u64) -> Compared {
        let settings = [("march".to_owned(), "\"cpu\"".to_owned()), ("path".to_owned(), name.to_owned())].into();
        let m = Measure::default();
        Compared { min_cosine: Some(cosine), ..compared(name, model, settings, &m, bin_bytes) }
    }

    #[test]
    fn what_nothing_beats_is_marked_within_its_model() {
        let c = Comparison::of(vec![
            variant("small", "m", 0.98, 100),
            variant("good", "m", 0.99, 200),
            variant("worse", "m", 0.98, 150),
            variant("other", "n", 0.5, 900),
        ]);
        let pareto: Vec<&str> = c.variants.iter().filter(|v| v.pareto).map(|v| v.name.as_str()).collect();
        assert_eq!(pareto, ["small", "good", "other"]);
        assert_eq!(c.variants[0].settings.keys().collect::<Vec<_>>(), ["path"], "equal settings are left out");
        assert!(c.html().contains("<svg") && c.html().contains("worse"));
    }
}
