//! A float graph in which one node at a time is quantized: what that node alone costs. Called by the search of calibrate.

use crate::ExecError;
use crate::fake_quant::{activation_params, fake_quantize, with_rounded_weights};
use crate::float_plan::{FloatPlan, State};
use ptq_ir::{Graph, NodeId, QuantParams, QuantTable, Tensor, ValueId};
use std::collections::BTreeMap;

/// Runs a graph in float once, and from each asked node on once more with only that node's inputs and weights rounded to
/// their grids: the float run in front of a node is shared.
#[derive(Clone, Debug)]
pub struct AlonePlan {
    float: FloatPlan,
    /// The same graph with rounded weights, for the asked node only.
    rounded: FloatPlan,
    /// Parameters of activations, by value number.
    activations: Vec<Option<QuantParams>>,
}

impl AlonePlan {
    /// Prepares a graph with the parameters of a quantization table.
    ///
    /// # Errors
    /// As [`FloatPlan::new`]; and when parameters do not fit their tensor.
    pub fn new(
        graph: &Graph,
        table: &QuantTable,
        weights: &BTreeMap<ValueId, QuantParams>,
    ) -> Result<AlonePlan, ExecError> {
        Ok(AlonePlan {
            float: FloatPlan::new(graph)?,
            rounded: FloatPlan::new(&with_rounded_weights(graph, table, weights)?)?,
            activations: activation_params(graph, table),
        })
    }

    /// Calls `found` once for each of `nodes` (in ascending order), with the values `at` of the run in which that node
    /// alone was quantized; a value that it does not change is the float one.
    ///
    /// # Errors
    /// When an input does not fit, or a node fails.
    pub fn run(
        &self,
        inputs: &[Tensor],
        nodes: &[NodeId],
        at: &[ValueId],
        found: &mut dyn FnMut(NodeId, &[Option<Tensor>]),
    ) -> Result<(), ExecError> {
        let buffers = self.float.take_buffers();
        let mut seen: Vec<Option<Tensor>> = vec![None; at.len()];
        let record = |seen: &mut [Option<Tensor>], v: ValueId, t: &Tensor| {
            at.iter().zip(seen).filter(|(a, _)| **a == v).for_each(|(_, s)| *s = Some(t.clone()));
        };
        let mut same = |_, t| Ok(t);
        let mut state = self.float.start(inputs, &mut same, &mut |v, t| record(&mut seen, v, t))?;
        for i in 0..self.float.graph().nodes.len() {
            if nodes.binary_search(&NodeId(i as u32)).is_ok() {
                let mut there = seen.clone();
                let mut fork = self.quantized_step(i, &state, &mut |v, t| record(&mut there, v, t))?;
                for later in i + 1..self.float.graph().nodes.len() {
                    let mut sink = |v: ValueId, t: &Tensor| record(&mut there, v, t);
                    self.float.step(later, &mut fork, &mut same, &mut sink, &buffers)?;
                }
                found(NodeId(i as u32), &there);
            }
            self.float.step(i, &mut state, &mut same, &mut |v, t| record(&mut seen, v, t), &buffers)?;
        }
        self.float.give_buffers(buffers);
        Ok(())
    }

    /// The state behind node `i` when its inputs and weights are rounded; other readers of its inputs read them in float.
    fn quantized_step(
        &self,
        i: usize,
        before: &State,
        sink: &mut dyn FnMut(ValueId, &Tensor),
    ) -> Result<State, ExecError> {
        let node = &self.float.graph().nodes[i];
        let mut state = before.clone();
        for &v in node.inputs.iter().flatten() {
            if let (Some(params), Some(x)) = (&self.activations[v.0 as usize], &mut state.live[v.0 as usize]) {
                *x = fake_quantize(x, params, false).map_err(|e| e.at(&node.name))?;
            }
        }
        let buffers = self.rounded.take_buffers();
        self.rounded.step(i, &mut state, &mut |_, t| Ok(t), &mut |v, t| sink(v, t), &buffers)?;
        self.rounded.give_buffers(buffers);
        for &v in node.inputs.iter().flatten() {
            if state.live[v.0 as usize].is_some() {
                state.live[v.0 as usize].clone_from(&before.live[v.0 as usize]);
            }
        }
        Ok(state)
    }
}
