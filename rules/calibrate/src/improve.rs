//! Bias correction and compensated rounding of a whole table, a group of layers at a time. Called by the calibrate rule.

use crate::answers::{Answers, Stop, request};
use crate::correct::{CORRECTION, CorrectParams};
use crate::score::QUANT;
use crate::table::Observations;
use ptq_ir::{Device, Diagnostic, Node, NodeId, QuantTable};
use ptq_rule::Failure;

/// Groups that a model's layers are corrected in: each sees what the groups before it lost.
const GROUPS: usize = 8;
/// Most bytes of a group's sums.
const GROUP_BYTES: usize = 256 << 20;

/// A table that is corrected, and on which samples.
pub(crate) struct Improvement<'a> {
    /// What is corrected.
    pub(crate) table: &'a QuantTable,
    /// Blob names of the samples that means and products are summed over.
    pub(crate) samples: &'a [Vec<String>],
    /// Whether weights are rounded with compensation; otherwise only biases are corrected.
    pub(crate) rounding: bool,
}

/// The tables with corrected constants, in the order asked: the first groups of all, then the second ones, and so on.
pub(crate) fn improved(
    asked: &[Improvement<'_>],
    observations: &Observations<'_>,
    answers: &mut Answers<'_>,
) -> Result<Vec<QuantTable>, Stop> {
    let internal = |e: &dyn std::fmt::Display| Failure::from(Diagnostic::error("CALIB03", e.to_string()));
    let mut tables: Vec<QuantTable> = asked.iter().map(|a| a.table.clone()).collect();
    let groups = [false, true].map(|rounding| groups(observations, rounding));
    let groups = |a: &Improvement<'_>| &groups[usize::from(a.rounding)];
    let rounds = asked.iter().map(|a| groups(a).len()).max().unwrap_or(0);
    for round in 0..rounds {
        let (mut requests, mut of) = (Vec::new(), Vec::new());
        for (i, a) in asked.iter().enumerate() {
            let Some(nodes) = groups(a).get(round).cloned() else { continue };
            let params = CorrectParams { inputs: observations.inputs.clone(), nodes, rounding: a.rounding };
            let quant = ptq_ir::to_bytes(&tables[i]).map_err(|e| internal(&e))?;
            requests.push(request("correct", &params, a.samples.iter().flatten(), vec![(QUANT, quant)])?);
            of.push(i);
        }
        for (i, found) in of.into_iter().zip(answers.ask(requests)?) {
            let bytes = found.get(CORRECTION).ok_or_else(|| internal(&"a correction is missing"))?;
            let correction: QuantTable = ptq_ir::from_bytes(bytes).map_err(|e| internal(&e))?;
            tables[i].weights.extend(correction.weights);
            tables[i].constants.extend(correction.constants);
        }
    }
    Ok(tables)
}

/// The Convs that can be corrected, in the order of the graph: accelerated 2-D ones whose weights and bias nobody else reads and no
/// quantized file states.
fn groups(of: &Observations<'_>, products: bool) -> Vec<Vec<String>> {
    let graph = of.graph;
    let consumers = graph.consumers();
    let own = |node: &Node, i: usize| {
        let v = node.input(i)?;
        graph.constant(v).filter(|_| consumers[v.0 as usize].len() == 1)
    };
    let bytes = |(id, node): (NodeId, &Node)| {
        let rank = node.input(0).map(|v| graph.value(v).shape.len());
        let fits = of.placement.nodes[id.0 as usize].on == Device::Bpu && node.is("Conv") && rank == Some(4);
        let weights = own(node, 1).filter(|_| fits && of.given.weights.is_empty())?;
        if node.input(2).is_some() && own(node, 2).is_none() {
            return None;
        }
        let group = usize::try_from(node.attrs.int("group", 1)).unwrap_or(1).max(1);
        let (filters, taps) = (weights.shape()[0], 1 + weights.shape()[1..].iter().product::<usize>());
        Some((node.name.clone(), if products { 8 * taps * (group * taps + filters) } else { 0 }))
    };
    let layers: Vec<(String, usize)> = graph.nodes().filter_map(bytes).collect();
    let most = layers.len().div_ceil(GROUPS);
    let mut out: Vec<Vec<String>> = Vec::new();
    let mut sum = 0;
    for (name, size) in layers {
        match out.last_mut().filter(|g| g.len() < most && sum + size <= GROUP_BYTES) {
            Some(group) => group.push(name),
            None => {
                sum = 0;
                out.push(vec![name]);
            }
        }
        sum += size;
    }
    out
}
