//! The rule `analyze`: which nodes lose accuracy, what up to each value has been lost, and which settings would help.
//!
//! A step machine like `calibrate`: it asks for the observations that calibrate has asked for, for the float values once, for
//! `isolated` errors of a group of nodes at a time (each request holds only the parameters that its nodes read, so an edit of one
//! node's settings runs one group again), for `accumulated` errors, and for the whole tables that other settings would make
//! (`calibrate`) with their scores. Called by the engine for `ptq analyze`.

mod accumulated;
mod errors;
mod isolated;
mod proposals;
mod report;
mod values;

pub use accumulated::AccumulatedRule;
pub use errors::Errors;
pub use isolated::IsolatedRule;
pub use report::{Analysis, GraphNode, NodeAnalysis, Parts, Proposal, ValueAnalysis, WeightAnalysis};

use crate::answers::{Answers, Stop, request};
use crate::channels::{ChannelParams, ChannelRanges};
use crate::merge::merged;
use crate::rule::{CalibrateParams, blobs, by_shard, files, merged_channels, observations_of};
use crate::samples::Sample;
use crate::score::{QUANT, REFERENCE, SCORES, ScoreParams, mean};
use crate::search::{at_values, computing};
use bytes::Bytes;
use isolated::ERRORS;
use ptq_ir::{Diagnostic, Graph, Node, QuantTable, Tensor, ValueId};
use ptq_march::March;
use ptq_place::{Placement, absorbed_output, place, scales};
use ptq_rule::{Blobs, BuildRule, Context, Failure, InputRef, Step};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Name of the blob with the [`Analysis`].
pub const ANALYSIS: &str = "analysis.json";
/// Nodes of one `isolated` action.
const GROUP: usize = 8;
/// Most channels of a value whose ranges are listed.
const MOST_CHANNELS: usize = 4096;

/// What this rule reads of the configuration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AnalyzeParams {
    /// What calibrate read.
    pub calibrate: CalibrateParams,
    /// Nodes that proposals are tried for.
    pub top: usize,
}

/// Inputs: those of `calibrate`, and its `quant`. Output: `analysis.json`.
pub struct AnalyzeRule;

impl BuildRule for AnalyzeRule {
    fn name(&self) -> &'static str {
        "analyze"
    }

    fn version(&self) -> u32 {
        1
    }

    fn step(&self, ctx: &Context<'_>, results: &[Blobs]) -> Result<Step, Failure> {
        match analyze(ctx, &mut Answers::new(results)) {
            Ok(analysis) => {
                let json = serde_json::to_vec(&analysis).map_err(|e| internal(&e))?;
                Ok(Step::Done(Blobs::from([(ANALYSIS.to_owned(), json.into())])))
            }
            Err(Stop::Need(requests)) => Ok(Step::Need(requests)),
            Err(Stop::Failed(failure)) => Err(failure),
        }
    }
}

fn internal(e: &dyn std::fmt::Display) -> Failure {
    Diagnostic::error("CALIB03", e.to_string()).into()
}

/// What all parts of an analysis read.
pub(crate) struct Subject<'a> {
    pub(crate) ctx: &'a Context<'a>,
    pub(crate) params: &'a CalibrateParams,
    pub(crate) graph: &'a Graph,
    pub(crate) march: &'a March,
    pub(crate) placement: &'a Placement,
    pub(crate) table: &'a QuantTable,
    /// Samples, and how many of them errors are measured on.
    pub(crate) files: &'a [Sample],
    /// Blob names of the samples that errors are measured on.
    pub(crate) scored: Vec<Vec<String>>,
    /// The compared values.
    pub(crate) at: Vec<String>,
}

impl Subject<'_> {
    /// A request over the scored samples.
    fn asked(
        &self,
        rule: &'static str,
        params: &ScoreParams,
        made: Vec<(&str, Bytes)>,
    ) -> Result<ptq_rule::ActionRequest, Failure> {
        request(rule, params, self.scored.iter().flatten(), made)
    }

    pub(crate) fn score_params(&self) -> ScoreParams {
        ScoreParams { inputs: self.params.inputs.clone(), at: self.at.clone(), nodes: Vec::new() }
    }
}

fn analyze(ctx: &Context<'_>, answers: &mut Answers<'_>) -> Result<Analysis, Stop> {
    let params: AnalyzeParams = ctx.params()?;
    let graph: Arc<Graph> = ctx.graph()?;
    let march = March::from_toml(&String::from_utf8_lossy(&ctx.input("march")?))?;
    let (placement, _) = place(&graph, &march, &params.calibrate.requests).checked()?;
    let table: QuantTable = crate::score::blob(ctx, QUANT)?;
    let files = files(ctx, &params.calibrate, &graph)?;
    if files.is_empty() {
        return Err(Diagnostic::error("CALIB06", "an analysis needs samples, and this variant was calibrated without")
            .hint("set calibration.data and a calibration.type that uses it")
            .into());
    }
    let calibration = &params.calibrate.calibration;
    let subject = Subject {
        ctx,
        params: &params.calibrate,
        graph: &graph,
        march: &march,
        placement: &placement,
        table: &table,
        scored: blobs(files.iter().take(calibration.score_samples.max(1))),
        at: at_values(&graph, &placement, calibration.score_at),
        files: &files,
    };
    let scales = scales(&graph, &placement);
    let histograms = answers.ask(observations_of(&params.calibrate, &graph, &scales, &files)?)?;
    let histograms = ctx.memo.keep("histograms", || merged(histograms))?;
    let channels = channels(&subject, answers)?;
    let reference = answers.ask(vec![subject.asked("reference", &subject.score_params(), Vec::new())?])?;
    let reference = named(&reference[0], REFERENCE)?;
    let nodes = computing(&placement);
    let alone = isolated(&subject, &nodes, &reference, answers)?;
    let results: Vec<String> = nodes.iter().filter_map(|n| result(&subject, n)).collect();
    let accumulated = accumulated(&subject, &results, answers)?;
    let found = nodes.iter().zip(alone).zip(results.iter().zip(&accumulated.0));
    let mut nodes: Vec<NodeAnalysis> =
        found.filter_map(|((name, alone), (out, acc))| node(&subject, name, out, alone, *acc)).collect();
    // What is not a number first, then the least similar; ties in the order of the graph.
    nodes.sort_by(|a, b| rank(a).total_cmp(&rank(b)));
    let score = proposals::scores(&subject, std::slice::from_ref(&table), &reference, answers)?[0];
    let proposals = proposals::tried(&subject, &nodes, params.top, score, &reference, answers)?;
    Ok(Analysis {
        samples: subject.scored.len(),
        compared: subject.at.clone(),
        score: Some(score).filter(|s| s.is_finite()),
        whole: accumulated.1,
        nodes,
        graph: drawn(&subject),
        values: values::values(&subject, &histograms, &channels),
        proposals,
    })
}

/// The order of nodes: the cosine similarity of each alone, below everything where it is not a number.
fn rank(node: &NodeAnalysis) -> f64 {
    node.alone.both.cosine.unwrap_or(f64::NEG_INFINITY)
}

fn named(blobs: &Blobs, name: &str) -> Result<Bytes, Failure> {
    blobs.get(name).cloned().ok_or_else(|| internal(&format!("a result has no {name}")))
}

fn decoded<T: serde::de::DeserializeOwned>(blobs: &Blobs, name: &str) -> Result<T, Failure> {
    ptq_ir::from_bytes(&named(blobs, name)?).map_err(|e| internal(&format!("{name}: {e}")))
}

/// Extremes of each channel of the quantized activations.
fn channels(subject: &Subject<'_>, answers: &mut Answers<'_>) -> Result<ChannelRanges, Stop> {
    let fits = |name: &&String| {
        let shape = subject.graph.find_value(name).map(|v| &subject.graph.value(v).shape);
        shape.is_some_and(|s| s.len() >= 3 && (2..=MOST_CHANNELS).contains(&s[1]))
    };
    let values = subject.table.activations.keys().filter(fits).cloned().collect();
    let channels = ChannelParams { inputs: subject.params.inputs.clone(), values };
    Ok(merged_channels(answers.ask(by_shard("channels", &channels, subject.params, subject.files)?)?)?)
}

/// The part of the table that these nodes read.
fn slice(subject: &Subject<'_>, nodes: &[String]) -> QuantTable {
    let of = |name: &String| subject.graph.find_node(name).map(|id| subject.graph.node(id));
    let read = nodes.iter().filter_map(of).flat_map(|n| n.inputs.iter().flatten());
    let mut out = QuantTable::default();
    for name in read.map(|v| &subject.graph.value(*v).name) {
        let entry = subject.table.activations.get_key_value(name);
        out.activations.extend(entry.map(|(n, a)| (n.clone(), a.clone())));
        out.weights.extend(subject.table.weights.get_key_value(name).map(|(n, w)| (n.clone(), w.clone())));
        out.constants.extend(subject.table.constants.get_key_value(name).map(|(n, t)| (n.clone(), t.clone())));
    }
    out
}

fn isolated(
    subject: &Subject<'_>,
    nodes: &[String],
    reference: &Bytes,
    answers: &mut Answers<'_>,
) -> Result<Vec<Parts>, Stop> {
    let asked = |group: &[String]| {
        let table = ptq_ir::to_bytes(&slice(subject, group)).map_err(|e| internal(&e))?;
        let params = ScoreParams { nodes: group.to_vec(), ..subject.score_params() };
        subject.asked("isolated", &params, vec![(QUANT, table), (REFERENCE, reference.clone())])
    };
    let groups: Vec<&[String]> = nodes.chunks(GROUP).collect();
    let results = answers.ask(groups.iter().map(|g| asked(g)).collect::<Result<_, _>>()?)?;
    let mut out = Vec::new();
    for (group, result) in groups.iter().zip(results) {
        let parts: Vec<Parts> = decoded(result, ERRORS)?;
        if parts.len() != group.len() {
            return Err(internal(&"errors of a node are missing").into());
        }
        out.extend(parts);
    }
    Ok(out)
}

/// The value that a node makes, with what it absorbs.
fn result(subject: &Subject<'_>, node: &str) -> Option<String> {
    let id = subject.graph.find_node(node)?;
    absorbed_output(subject.graph, subject.placement, id).map(|v| subject.graph.value(v).name.clone())
}

/// Errors of these values, and at the compared ones, with everything, weights only and activations only quantized.
fn accumulated(
    subject: &Subject<'_>,
    values: &[String],
    answers: &mut Answers<'_>,
) -> Result<(Vec<Parts>, Parts), Stop> {
    let table = subject.table;
    let weights = QuantTable { activations: BTreeMap::new(), ..table.clone() };
    let activations = QuantTable { activations: table.activations.clone(), ..QuantTable::default() };
    let all: Vec<String> = values.iter().chain(&subject.at).cloned().collect();
    let params = ScoreParams { at: all.clone(), ..subject.score_params() };
    let asked = |t: &QuantTable| {
        subject.asked("accumulated", &params, vec![(QUANT, ptq_ir::to_bytes(t).map_err(|e| internal(&e))?)])
    };
    let requests = [table, &weights, &activations].into_iter().map(asked).collect::<Result<_, _>>()?;
    let found = answers.ask(requests)?;
    let found = found.iter().map(|b| decoded::<Vec<Errors>>(b, ERRORS)).collect::<Result<Vec<_>, _>>()?;
    let [both, weights, activations] = &found[..] else { return Err(internal(&"errors are missing").into()) };
    if found.iter().any(|f| f.len() != all.len()) {
        return Err(internal(&"errors of a value are missing").into());
    }
    let of = |i: usize| Parts { both: both[i], weights: weights[i], activations: activations[i] };
    let worst = |a: Parts, b: Parts| Parts {
        both: Errors::worst(&a.both, &b.both),
        weights: Errors::worst(&a.weights, &b.weights),
        activations: Errors::worst(&a.activations, &b.activations),
    };
    let whole = (values.len()..all.len()).map(of).reduce(worst).unwrap_or_default();
    Ok(((0..values.len()).map(of).collect(), whole))
}

fn node(subject: &Subject<'_>, name: &str, output: &str, alone: Parts, accumulated: Parts) -> Option<NodeAnalysis> {
    let graph = subject.graph;
    let node: &Node = graph.node(graph.find_node(name)?);
    let quantized = |v: &&ValueId| subject.table.activations.contains_key(&graph.value(**v).name);
    let inputs = node.inputs.iter().flatten().filter(quantized).map(|v| graph.value(*v).name.clone()).collect();
    let weights = node.inputs.iter().flatten().find_map(|v| weights(subject, *v));
    let (node, op, output) = (name.to_owned(), node.op.clone(), output.to_owned());
    Some(NodeAnalysis { node, op, inputs, output, alone, accumulated, weights })
}

/// Ranges of each filter, and what rounding keeps of them.
fn weights(subject: &Subject<'_>, v: ValueId) -> Option<WeightAnalysis> {
    let name = &subject.graph.value(v).name;
    let params = subject.table.weights.get(name)?;
    let tensor: &Tensor = subject.table.constants.get(name).or_else(|| subject.graph.constant(v))?;
    let values = tensor.f32s().ok()?;
    let taps = (values.len() / params.scale.len().max(1)).max(1);
    let range = |filter: &[f32]| filter.iter().fold((0f32, 0f32), |(lo, hi), &w| (lo.min(w), hi.max(w)));
    let (mut signal, mut noise) = (0f64, 0f64);
    for (filter, &scale) in values.chunks_exact(taps).zip(&params.scale) {
        for &w in filter {
            let q = ptq_kernels::requant::quantize(w, scale, 0, -127, 127);
            let kept = ptq_kernels::requant::dequantize(q, scale, 0);
            signal += f64::from(w).powi(2);
            noise += (f64::from(w) - f64::from(kept)).powi(2);
        }
    }
    let sqnr = 10.0 * libm::log10(signal / noise);
    Some(WeightAnalysis {
        name: name.clone(),
        channels: values.chunks_exact(taps).map(range).collect(),
        scale: params.scale.clone(),
        sqnr_db: sqnr.is_finite().then_some(sqnr),
    })
}

fn drawn(subject: &Subject<'_>) -> Vec<GraphNode> {
    let graph = subject.graph;
    let producers = graph.producers();
    let one = |(node, row): (&Node, &ptq_place::NodePlacement)| GraphNode {
        node: node.name.clone(),
        op: node.op.clone(),
        on: row.on.to_string(),
        absorbed_by: row.absorbed_by.clone(),
        reads: {
            let made = |v: &ValueId| producers[v.0 as usize].map(|p| p.0 as usize);
            node.inputs.iter().flatten().filter_map(made).collect()
        },
    };
    graph.nodes.iter().zip(&subject.placement.nodes).map(one).collect()
}

/// The request that makes a variant's table with other settings.
pub(crate) fn recalibrated(
    subject: &Subject<'_>,
    params: &CalibrateParams,
) -> Result<ptq_rule::ActionRequest, Failure> {
    let own = subject.ctx.inputs.names().into_iter().filter(|n| n != QUANT);
    Ok(ptq_rule::ActionRequest {
        rule: "calibrate",
        params: serde_json::to_string(params).map_err(|e| internal(&e))?,
        inputs: own.map(|n| (n.clone(), InputRef::Own(n))).collect(),
    })
}

/// The score in a result of the rule `score`.
pub(crate) fn score_of(blobs: &Blobs) -> Result<f64, Failure> {
    let scores: Vec<f64> = decoded(blobs, SCORES)?;
    if scores.is_empty() { Err(internal(&"a score is missing")) } else { Ok(mean(&scores)) }
}

#[cfg(test)]
mod tests;
