//! Ranges per channel of feature maps: which may have them, and the rule that observes them.
//!
//! A feature map with one scale a channel costs nothing where its producer requantizes each channel on its own and every
//! reader can take the scales into its weights ([`ptq_ir::fold_into_weights`]): a Conv in front, with no activation or one
//! that is bounded below by zero, and only Convs behind.

use crate::observe::{cannot_run, load_sample, observing_plan};
use crate::samples::samples;
use crate::spread::spread_fold;
use ptq_ir::{Activation, Device, Diagnostic, Graph, InputSpec, Node, NodeId, ValueId, ops};
use ptq_kernels::{Isa, extremes};
use ptq_place::{Placement, Scale, absorbed_output};
use ptq_rule::{Blobs, BuildRule, Context, Failure, Step};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Name of the blob of channel ranges.
pub(crate) const CHANNELS: &str = "channels";

/// Smallest and largest element of each channel, by value name.
pub(crate) type ChannelRanges = BTreeMap<String, Vec<(f32, f32)>>;

/// What this rule reads of the configuration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChannelParams {
    /// Descriptions of the model's inputs.
    pub inputs: BTreeMap<String, InputSpec>,
    /// Names of the values to observe; axis 1 is the channel's.
    pub values: Vec<String>,
}

/// Inputs: `graph` and its tensors, `sample/<input>/<file>`. Output: `channels`, exact extremes by value name.
pub struct ChannelRule;

impl BuildRule for ChannelRule {
    fn name(&self) -> &'static str {
        "channels"
    }

    fn version(&self) -> u32 {
        1
    }

    fn step(&self, ctx: &Context<'_>, _results: &[Blobs]) -> Result<Step, Failure> {
        let params: ChannelParams = ctx.params()?;
        let graph = ctx.graph()?;
        let wanted: Vec<ValueId> = params.values.iter().filter_map(|n| graph.find_value(n)).collect();
        let plan = observing_plan(ctx, &params.values, &wanted)?;
        let files = samples(&graph, &ctx.inputs.names())?;
        let parts = spread_fold(files.len(), ctx, |into: &mut ChannelRanges, i| {
            let inputs = load_sample(ctx, &params.inputs, &graph, &files[i])?;
            let mut sink = |v: ValueId, t: &ptq_ir::Tensor| {
                if let (true, Ok(values)) = (wanted.contains(&v), t.f32s()) {
                    observe(into, &graph.value(v).name, t.shape(), values);
                }
            };
            plan.run(&inputs, &mut sink).map_err(cannot_run)?;
            Ok(())
        })?;
        plan.rest();
        let mut all = ChannelRanges::new();
        parts.iter().for_each(|part| merge(&mut all, part));
        let bytes = ptq_ir::to_bytes(&all).map_err(|e| Diagnostic::error("CALIB03", e.to_string()))?;
        Ok(Step::Done(Blobs::from([(CHANNELS.to_owned(), bytes)])))
    }
}

/// Widens the ranges of a value by one tensor `[N, C, ...]`.
fn observe(into: &mut ChannelRanges, name: &str, shape: &[usize], values: &[f32]) {
    let channels = shape.get(1).copied().unwrap_or(1).max(1);
    let inner: usize = shape.iter().skip(2).product();
    let isa = Isa::best();
    let ranges = into.entry(name.to_owned()).or_insert_with(|| vec![(f32::INFINITY, f32::NEG_INFINITY); channels]);
    for (i, plane) in values.chunks(inner.max(1)).enumerate() {
        let (range, (min, max)) = (&mut ranges[i % channels], extremes(isa, plane));
        *range = (range.0.min(min), range.1.max(max));
    }
}

/// Widens ranges by others.
pub(crate) fn merge(all: &mut ChannelRanges, part: &ChannelRanges) {
    for (name, ranges) in part {
        let mine = all.entry(name.clone()).or_insert_with(|| ranges.clone());
        for (a, b) in mine.iter_mut().zip(ranges) {
            *a = (a.0.min(b.0), a.1.max(b.1));
        }
    }
}

/// The values that may have one scale a channel under some placement: made by a Conv or by the activation behind one, and read by
/// Convs.
pub(crate) fn between_convs(graph: &Graph) -> Vec<ValueId> {
    let consumers = graph.consumers();
    let made = |node: &Node| {
        let own = node.outputs.first().copied().filter(|_| node.is("Conv"))?;
        let behind = match consumers[own.0 as usize][..] {
            [reader] if ops::activation_of(graph, graph.node(reader)).is_some() => {
                graph.node(reader).outputs.first().copied()
            }
            _ => None,
        };
        Some([Some(own), behind])
    };
    let read = |v: &ValueId| {
        let readers = &consumers[v.0 as usize];
        !readers.is_empty() && readers.iter().all(|r| graph.node(*r).is("Conv"))
    };
    graph.nodes.iter().filter_map(made).flatten().flatten().filter(read).collect()
}

/// The values that may have one scale a channel under a placement.
pub(crate) fn absorbable(graph: &Graph, placement: &Placement) -> Vec<ValueId> {
    let consumers = graph.consumers();
    let bpu = |id: NodeId| {
        let row = &placement.nodes[id.0 as usize];
        row.on == Device::Bpu && row.absorbed_by.is_none() && !row.int32
    };
    let reads = |id: &NodeId, v: ValueId| {
        let row = &placement.nodes[id.0 as usize];
        let node = graph.node(*id);
        let only_data = node.input(0) == Some(v) && !node.inputs[1..].contains(&Some(v));
        let own_weights =
            node.input(1).is_some_and(|w| graph.constant(w).is_some() && consumers[w.0 as usize].len() == 1);
        row.on == Device::Bpu && node.is("Conv") && only_data && own_weights
    };
    let fits = |(id, node): (NodeId, &Node)| {
        if !node.is("Conv") || !bpu(id) {
            return None;
        }
        let result = absorbed_output(graph, placement, id)?;
        let own = node.outputs.first().copied()?;
        let activation =
            if result == own { Some(Activation::None) } else { activation_between(graph, own, &consumers) };
        let bounded_by_zero =
            matches!(activation, Some(Activation::None | Activation::Relu | Activation::Clip { min: 0.0, .. }));
        let readers = &consumers[result.0 as usize];
        let all = !readers.is_empty() && readers.iter().all(|r| reads(r, result));
        (bounded_by_zero && all && !graph.is_output(result)).then_some(result)
    };
    graph.nodes().filter_map(fits).collect()
}

/// Why quantized values have one scale although one a channel was asked for by this key: a note for each reason, with the values.
pub(crate) fn refused(
    key: &str,
    graph: &Graph,
    placement: &Placement,
    scales: &BTreeMap<ValueId, Scale>,
) -> Vec<Diagnostic> {
    let may = absorbable(graph, placement);
    let (producers, consumers) = (graph.producers(), graph.consumers());
    let mut reasons: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (&v, _) in scales.iter().filter(|(v, s)| **s == Scale::Own && !may.contains(v)) {
        let maker = producers[v.0 as usize].map(|p| graph.node(p));
        let readers = consumers[v.0 as usize].iter().map(|r| graph.node(*r));
        let why = match maker {
            None => "it is a model input",
            Some(_) if graph.is_output(v) => "it is a model output, which has one scale",
            Some(maker) if !maker.is("Conv") && ops::activation_of(graph, maker).is_none() => {
                "no Conv makes it, and only a Conv requantizes each channel on its own"
            }
            Some(_) if readers.clone().any(|r| !r.is("Conv")) => {
                "something else than a Conv reads it, and only a Conv takes scales into its weights"
            }
            Some(_) => "its producer's activation is not bounded below by zero, or its reader shares its weights",
        };
        reasons.entry(why).or_default().push(&graph.value(v).name);
    }
    let note = |(why, values): (&str, Vec<&str>)| {
        let what = format!("{key}: {} of {} values keep one scale: {why}", values.len(), scales.len());
        Diagnostic::warning("CALIB16", what).hint(format!("values: {}", values.join(", ")))
    };
    reasons.into_iter().map(note).collect()
}

/// The activation that reads a Conv's own output.
fn activation_between(graph: &Graph, own: ValueId, consumers: &[Vec<NodeId>]) -> Option<Activation> {
    let [reader] = consumers[own.0 as usize][..] else { return None };
    ops::activation_of(graph, graph.node(reader))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extremes_are_per_channel_over_all_samples_in_any_order() {
        let (mut a, mut b) = (ChannelRanges::new(), ChannelRanges::new());
        observe(&mut a, "x", &[1, 2, 2], &[1.0, -2.0, 5.0, 6.0]);
        observe(&mut b, "x", &[2, 2, 1], &[3.0, 7.0, -4.0, 0.5]);
        let (mut ab, mut ba) = (a.clone(), b.clone());
        merge(&mut ab, &b);
        merge(&mut ba, &a);
        assert_eq!(ab, ba);
        assert_eq!(ab["x"], [(-4.0, 3.0), (0.5, 7.0)]);
    }
}
