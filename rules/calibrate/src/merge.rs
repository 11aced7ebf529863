//! One table of histograms for all samples: what every choice of thresholds reads, merged once for all of them.

use crate::Histogram;
use crate::answers::{Answers, Stop, request};
use crate::observe::{HISTOGRAMS, ObserveParams};
use crate::samples::{Sample, samples};
use crate::shards::shards;
use ptq_ir::Diagnostic;
use ptq_rule::{ActionRequest, Blobs, BuildRule, Context, Failure, Step};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Most results that one action merges: they are in memory together. More are merged in groups first.
const MOST: usize = 32;

/// What merge reads of the configuration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MergeParams {
    /// What is observed in each shard.
    pub observe: ObserveParams,
    /// Samples of one observe action, about.
    pub shard: usize,
}

/// Inputs: `graph` and its tensors, `sample/<input>/<file>` (handed on). Output: `histograms`, by value name, of all samples.
pub struct MergeRule;

impl BuildRule for MergeRule {
    fn name(&self) -> &'static str {
        "merge"
    }

    fn version(&self) -> u32 {
        1
    }

    fn step(&self, ctx: &Context<'_>, results: &[Blobs]) -> Result<Step, Failure> {
        let params: MergeParams = ctx.params()?;
        let graph = ctx.graph()?;
        let files = samples(&graph, &ctx.inputs.names())?;
        match Answers::new(results).ask(parts(&params, &files)?) {
            Ok(parts) => Ok(Step::Done(Blobs::from([(HISTOGRAMS.to_owned(), bytes(&merged(parts)?)?)]))),
            Err(Stop::Need(requests)) => Ok(Step::Need(requests)),
            Err(Stop::Failed(failure)) => Err(failure),
        }
    }
}

/// The action that observes all of these samples: on one shard itself, on more the merge of all.
pub(crate) fn observed(params: MergeParams, files: &[Sample]) -> Result<ActionRequest, Failure> {
    match shards(files, params.shard).as_slice() {
        [_] => request("observe", &params.observe, names(files), Vec::new()),
        _ => request("merge", &params, names(files), Vec::new()),
    }
}

/// What a merge is made of: its shards, or where they are too many, merges of runs of them.
fn parts(params: &MergeParams, files: &[Sample]) -> Result<Vec<ActionRequest>, Failure> {
    let shards = shards(files, params.shard);
    if shards.len() <= MOST {
        return shards.iter().map(|s| request("observe", &params.observe, names(s), Vec::new())).collect();
    }
    // A run begins where a shard does, so its own shards are these.
    let runs = shards.chunks(shards.len().div_ceil(MOST).max(MOST));
    runs.map(|run| observed(params.clone(), &run.concat())).collect()
}

fn names(files: &[Sample]) -> impl Iterator<Item = &String> {
    files.iter().flatten().map(|(blob, _)| blob)
}

/// Histograms over all of these results: exact, in any order.
pub(crate) fn merged(results: &[Blobs]) -> Result<BTreeMap<String, Histogram>, Failure> {
    let mut all: BTreeMap<String, Histogram> = BTreeMap::new();
    for result in results {
        let bytes = result.get(HISTOGRAMS).ok_or_else(|| internal(&"an action's result has no histograms"))?;
        let part: BTreeMap<String, Histogram> = ptq_ir::from_bytes(bytes).map_err(|e| internal(&e))?;
        if all.is_empty() {
            all = part;
            continue;
        }
        for (name, histogram) in part {
            all.entry(name).or_default().merge(&histogram);
        }
    }
    Ok(all)
}

/// Histograms as the blob that holds them.
pub(crate) fn bytes<K: Serialize + Ord, H: Serialize>(table: &BTreeMap<K, H>) -> Result<bytes::Bytes, Failure> {
    ptq_ir::to_bytes(table).map_err(|e| internal(&e))
}

fn internal(e: &dyn std::fmt::Display) -> Failure {
    Diagnostic::error("CALIB03", e.to_string()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(count: usize) -> Vec<Sample> {
        (0..count).map(|i| vec![(format!("sample/x/{i:05}.png"), "x".to_owned())]).collect()
    }

    fn asked(requests: &[ActionRequest]) -> Vec<(&'static str, Vec<String>)> {
        let samples =
            |r: &ActionRequest| r.inputs.iter().map(|(n, _)| n.clone()).filter(|n| n.starts_with("sample/")).collect();
        requests.iter().map(|r| (r.rule, samples(r))).collect()
    }

    #[test]
    fn every_shard_is_observed_once_however_many_merges_lie_over_it() {
        let params = MergeParams { shard: 2, ..MergeParams::default() };
        for count in [1, 2, 40, 500, 4_000] {
            let files = files(count);
            let mut open = vec![files.clone()];
            let mut leaves = Vec::new();
            while let Some(part) = open.pop() {
                let requests = match observed(params.clone(), &part).expect("a request") {
                    r if r.rule == "observe" => vec![r],
                    _ => parts(&params, &part).expect("requests"),
                };
                assert!(requests.len() <= MOST, "{} at a time", requests.len());
                for (rule, names) in asked(&requests) {
                    let part: Vec<Sample> = names.into_iter().map(|n| vec![(n, "x".to_owned())]).collect();
                    if rule == "observe" { leaves.push(part) } else { open.push(part) }
                }
            }
            leaves.sort();
            let mut whole: Vec<Vec<Sample>> = shards(&files, 2).into_iter().map(<[Sample]>::to_vec).collect();
            whole.sort();
            assert_eq!(leaves, whole, "{count} samples");
        }
    }
}
