//! A float graph in which one node at a time is quantized: what that node alone costs. Called by the search of calibrate and by its
//! analysis.

use crate::ExecError;
use crate::buffers::Buffers;
use crate::fake_quant::{activation_params, fake_quantize, with_rounded_weights};
use crate::float_plan::{FloatPlan, State};
use ptq_ir::{Graph, NodeId, QuantParams, QuantTable, Tensor, ValueId};
use std::collections::BTreeMap;

/// What of a node is quantized.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Its inputs and its weights.
    Both,
    /// Its weights only.
    Weights,
    /// Its inputs only.
    Activations,
}

/// What a run of [`AlonePlan`] calls: node, what of it was quantized, the compared values (`None` where they do not depend on the node).
pub type FoundAlone<'a> = dyn FnMut(NodeId, Part, &[Option<Tensor>]) + 'a;

/// Runs a graph in float once, and from each asked node on once more with only that node's inputs and weights rounded to
/// their grids: the float run in front of a node is shared, and behind it only what depends on it runs again.
#[derive(Clone, Debug)]
pub struct AlonePlan {
    float: FloatPlan,
    /// The same graph with rounded weights, for the asked node only.
    rounded: FloatPlan,
    /// Parameters of activations, by value number.
    activations: Vec<Option<QuantParams>>,
    /// The values that are compared.
    at: Vec<ValueId>,
}

impl AlonePlan {
    /// Prepares a graph with the parameters of a quantization table, to be compared at the values `at`.
    ///
    /// # Errors
    /// As [`FloatPlan::new`]; and when parameters do not fit their tensor.
    pub fn new(
        graph: &Graph,
        table: &QuantTable,
        weights: &BTreeMap<ValueId, QuantParams>,
        at: &[ValueId],
    ) -> Result<AlonePlan, ExecError> {
        let activations = activation_params(graph, table);
        let scaled = activations.iter().enumerate().filter(|(_, p)| p.is_some()).map(|(i, _)| ValueId(i as u32));
        let wanted: Vec<ValueId> = scaled.chain(at.iter().copied()).collect();
        Ok(AlonePlan {
            float: FloatPlan::new(graph)?.observing(&wanted),
            rounded: FloatPlan::new(&with_rounded_weights(graph, table, weights)?)?.observing(&wanted),
            activations,
            at: at.to_vec(),
        })
    }

    /// Calls `found` once for each of `nodes` (in ascending order) and each of `parts`, with the compared values of the run in
    /// which that part of that node alone was quantized; `None` for a value that does not depend on the node.
    ///
    /// # Errors
    /// When an input does not fit, or a node fails.
    pub fn run(
        &self,
        inputs: &[Tensor],
        nodes: &[NodeId],
        parts: &[Part],
        found: &mut FoundAlone<'_>,
    ) -> Result<(), ExecError> {
        let buffers = self.float.take_buffers();
        let result = self.forks(inputs, nodes, parts, found, &buffers);
        self.float.give_buffers(buffers);
        result
    }

    fn forks(
        &self,
        inputs: &[Tensor],
        nodes: &[NodeId],
        parts: &[Part],
        found: &mut FoundAlone<'_>,
        buffers: &Buffers,
    ) -> Result<(), ExecError> {
        let mut same = |_, t| Ok(t);
        let mut state = self.float.start(inputs, &mut same, &mut |_, _| {})?;
        let end = nodes.last().map_or(0, |n| n.0 as usize + 1).min(self.float.graph().nodes.len());
        for i in 0..end {
            let id = NodeId(i as u32);
            if nodes.binary_search(&id).is_ok() {
                let behind = self.float.depending(i, &self.at);
                for &part in parts {
                    let mut there: Vec<Option<Tensor>> = vec![None; self.at.len()];
                    let mut fork = self.quantized_step(i, &state, part, &mut |v, t| self.record(&mut there, v, t))?;
                    for &later in &behind {
                        let mut sink = |v: ValueId, t: &Tensor| self.record(&mut there, v, t);
                        self.float.step(later, &mut fork, &mut same, &mut sink, buffers)?;
                    }
                    found(id, part, &there);
                }
            }
            self.float.step(i, &mut state, &mut same, &mut |_, _| {}, buffers)?;
        }
        Ok(())
    }

    fn record(&self, seen: &mut [Option<Tensor>], v: ValueId, t: &Tensor) {
        self.at.iter().zip(seen).filter(|(a, _)| **a == v).for_each(|(_, s)| *s = Some(t.clone()));
    }

    /// The state behind node `i` when its inputs and weights are rounded; other readers of its inputs read them in float.
    fn quantized_step(
        &self,
        i: usize,
        before: &State,
        part: Part,
        sink: &mut dyn FnMut(ValueId, &Tensor),
    ) -> Result<State, ExecError> {
        let node = &self.float.graph().nodes[i];
        let mut state = before.clone();
        for &v in node.inputs.iter().flatten().filter(|_| part != Part::Weights) {
            if let (Some(params), Some(x)) = (&self.activations[v.0 as usize], &mut state.live[v.0 as usize]) {
                *x = fake_quantize(x.clone(), params, false).map_err(|e| e.at(&node.name))?;
            }
        }
        let plan = if part == Part::Activations { &self.float } else { &self.rounded };
        let buffers = plan.take_buffers();
        let result = plan.step(i, &mut state, &mut |_, t| Ok(t), &mut |v, t| sink(v, t), &buffers);
        plan.give_buffers(buffers);
        result?;
        for &v in node.inputs.iter().flatten() {
            if state.live[v.0 as usize].is_some() {
                state.live[v.0 as usize].clone_from(&before.live[v.0 as usize]);
            }
        }
        Ok(state)
    }
}
