//! A float graph ready to run: weights packed once, buffers dropped after their last use.

use crate::buffers::{BufferSets, Buffers};
use crate::call::Call;
use crate::eval::apply;
use crate::lifetimes::release_after;
use crate::ops::conv::{convolve, multiply, packed, packed_gemm};
use crate::vanish::followers;
use crate::{ExecError, runs};
use ptq_ir::{Graph, Node, Tensor, ValueId};
use ptq_kernels::{Activation, FloatConv};

/// What observers of a float plan see: every value that is not constant, once, model inputs first.
pub type FloatSink<'a> = dyn FnMut(ValueId, &Tensor) + 'a;

/// Replaces a value that is not constant right after it was produced.
pub(crate) type Change<'a> = dyn FnMut(ValueId, Tensor) -> Result<Tensor, ExecError> + 'a;

/// A run between two nodes: the values that are still read. Cloning it forks the run.
#[derive(Clone)]
pub(crate) struct State {
    /// Values by number.
    pub(crate) live: Vec<Option<Tensor>>,
    /// Nodes that an earlier one computed along.
    computed: Vec<bool>,
}

/// Runs a float graph on inputs, any number of times.
#[derive(Clone, Debug)]
pub struct FloatPlan {
    graph: Graph,
    /// Packed weights of Conv and Gemm, by node.
    convs: Vec<Option<FloatConv>>,
    /// Values to drop after each node.
    release: Vec<Vec<usize>>,
    /// For each node the later node that it computes along with its own work.
    computes: Vec<Option<usize>>,
    threads: usize,
    buffers: BufferSets,
}

impl FloatPlan {
    /// Prepares a graph. Convolutions with constant weights are packed here.
    ///
    /// # Errors
    /// Names the first node whose operator or attributes are not supported.
    pub fn new(graph: &Graph) -> Result<FloatPlan, ExecError> {
        if let Some(problem) = graph.verify().into_iter().next() {
            return Err(problem.into());
        }
        let computes = vec![None; graph.nodes.len()];
        let release = releases(graph, &computes);
        let convs =
            graph.nodes.iter().map(|n| prepare(graph, n).map_err(|e| e.at(&n.name))).collect::<Result<_, _>>()?;
        Ok(FloatPlan { graph: graph.clone(), convs, release, computes, threads: 1, buffers: BufferSets::default() })
    }

    /// The same plan for a sink that only asks for these values: activations move into the convolutions in front of
    /// them where the value between is not among them; the sink does not see such a value. Results do not change.
    #[must_use]
    pub fn observing(mut self, wanted: &[ValueId]) -> FloatPlan {
        let followers = followers(&self.graph, |i| self.convs[i].is_some(), wanted);
        for (conv, follower) in self.convs.iter_mut().zip(&followers) {
            let activation = follower.map_or(Activation::None, |(_, a)| a);
            *conv = conv.take().map(|c| c.with_activation(activation));
        }
        self.computes = followers.into_iter().map(|f| f.map(|(j, _)| j)).collect();
        self.release = releases(&self.graph, &self.computes);
        self
    }

    /// The same plan with this many threads inside large kernels. Results do not depend on it.
    #[must_use]
    pub fn with_threads(mut self, threads: usize) -> FloatPlan {
        self.threads = threads.max(1);
        self
    }

    /// Bytes of the weights that it holds packed, about; those of the graph are its maker's too.
    pub fn byte_len(&self) -> usize {
        let weights = |node: &Node| node.input(1).and_then(|w| self.graph.constant(w)).map_or(0, Tensor::byte_len);
        let packed = self.graph.nodes.iter().zip(&self.convs).filter(|(_, conv)| conv.is_some());
        packed.map(|(node, _)| weights(node)).sum()
    }

    /// Gives back the memory that waits for the next run.
    pub fn rest(&self) {
        self.buffers.clear();
    }

    /// The graph that runs.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Runs the graph on inputs in the model's order and returns its outputs in the model's order.
    ///
    /// # Errors
    /// When an input does not fit, or a node fails.
    pub fn run(&self, inputs: &[Tensor], sink: &mut FloatSink<'_>) -> Result<Vec<Tensor>, ExecError> {
        self.run_with(inputs, &mut |_, t| Ok(t), sink)
    }

    /// [`FloatPlan::run`] where `change` replaces every value that is not constant right after it was produced.
    pub(crate) fn run_with(
        &self,
        inputs: &[Tensor],
        change: &mut Change<'_>,
        sink: &mut FloatSink<'_>,
    ) -> Result<Vec<Tensor>, ExecError> {
        let buffers = self.buffers.take();
        let result = self.steps(inputs, change, sink, &buffers);
        self.buffers.give(buffers);
        result
    }

    fn steps(
        &self,
        inputs: &[Tensor],
        change: &mut Change<'_>,
        sink: &mut FloatSink<'_>,
        buffers: &Buffers,
    ) -> Result<Vec<Tensor>, ExecError> {
        let mut state = self.start(inputs, change, sink)?;
        for i in 0..self.graph.nodes.len() {
            self.step(i, &mut state, change, sink, buffers)?;
        }
        self.graph.outputs.iter().map(|&v| self.value(v, &state.live).cloned()).collect()
    }

    /// The state in front of the first node.
    pub(crate) fn start(
        &self,
        inputs: &[Tensor],
        change: &mut Change<'_>,
        sink: &mut FloatSink<'_>,
    ) -> Result<State, ExecError> {
        self.check(inputs)?;
        let mut live: Vec<Option<Tensor>> = vec![None; self.graph.values.len()];
        for (&v, tensor) in self.graph.inputs.iter().zip(inputs) {
            let tensor = change(v, tensor.clone())?;
            sink(v, &tensor);
            live[v.0 as usize] = Some(tensor);
        }
        Ok(State { live, computed: vec![false; self.graph.nodes.len()] })
    }

    /// Runs node `i`, which must follow all nodes that it reads, and drops what nobody reads any more.
    pub(crate) fn step(
        &self,
        i: usize,
        state: &mut State,
        change: &mut Change<'_>,
        sink: &mut FloatSink<'_>,
        buffers: &Buffers,
    ) -> Result<(), ExecError> {
        if state.computed[i] {
            return Ok(());
        }
        let node = &self.graph.nodes[i];
        let made = self.computes[i].map_or(node, |j| &self.graph.nodes[j]);
        let outputs = self.node(i, node, &made.outputs, &state.live, buffers).map_err(|e| e.at(&node.name))?;
        if let Some(j) = self.computes[i] {
            state.computed[j] = true;
        }
        for (&v, tensor) in made.outputs.iter().zip(outputs) {
            let tensor = change(v, tensor).map_err(|e| e.at(&node.name))?;
            sink(v, &tensor);
            state.live[v.0 as usize] = Some(tensor);
        }
        for &v in &self.release[i] {
            if let Some(tensor) = state.live[v].take() {
                buffers.recycle(tensor);
            }
        }
        Ok(())
    }

    /// The nodes behind node `i` that must run again for the values `at` when the results of `i` change, in order; a node that
    /// does not depend on `i` is among them only where one that does reads it. What was live behind `i` stays as it is.
    pub(crate) fn depending(&self, i: usize, at: &[ValueId]) -> Vec<usize> {
        let outputs = |j: usize| &self.graph.nodes[self.computes[j].unwrap_or(j)].outputs;
        let mut by_earlier = vec![false; self.graph.nodes.len()];
        self.computes.iter().flatten().for_each(|&j| by_earlier[j] = true);
        let mut changed = vec![false; self.graph.values.len()];
        outputs(i).iter().for_each(|v| changed[v.0 as usize] = true);
        for j in i + 1..self.graph.nodes.len() {
            let reads = self.graph.nodes[j].inputs.iter().flatten().any(|v| changed[v.0 as usize]);
            if reads && !by_earlier[j] {
                outputs(j).iter().for_each(|v| changed[v.0 as usize] = true);
            }
        }
        let mut needed = vec![false; self.graph.values.len()];
        at.iter().filter(|v| changed[v.0 as usize]).for_each(|v| needed[v.0 as usize] = true);
        let mut out = Vec::new();
        for j in (i + 1..self.graph.nodes.len()).rev().filter(|&j| !by_earlier[j]) {
            if outputs(j).iter().any(|v| needed[v.0 as usize]) {
                out.push(j);
                self.graph.nodes[j].inputs.iter().flatten().for_each(|v| needed[v.0 as usize] = true);
            }
        }
        out.reverse();
        out
    }

    /// Free memory for a run by steps.
    pub(crate) fn take_buffers(&self) -> Buffers {
        self.buffers.take()
    }

    /// Keeps the memory for the next run.
    pub(crate) fn give_buffers(&self, buffers: Buffers) {
        self.buffers.give(buffers);
    }

    fn check(&self, inputs: &[Tensor]) -> Result<(), ExecError> {
        for (i, &v) in self.graph.inputs.iter().enumerate() {
            let value = self.graph.value(v);
            let bad = |why: String| ExecError::Input { name: value.name.clone(), why };
            let t = inputs.get(i).ok_or_else(|| bad("is missing".into()))?;
            if t.shape() != value.shape || t.dtype() != value.dtype {
                let (found, expected) = ((t.dtype(), t.shape()), (value.dtype, &value.shape));
                return Err(bad(format!(
                    "is {}{:?}, the model wants {}{:?}",
                    found.0, found.1, expected.0, expected.1
                )));
            }
        }
        match inputs.len().checked_sub(self.graph.inputs.len()) {
            Some(0) => Ok(()),
            _ => {
                let why = format!("{} inputs given, the model has {}", inputs.len(), self.graph.inputs.len());
                Err(ExecError::Input { name: format!("{}", self.graph.inputs.len()), why })
            }
        }
    }

    fn value<'a>(&'a self, v: ValueId, live: &'a [Option<Tensor>]) -> Result<&'a Tensor, ExecError> {
        self.graph
            .constants
            .get(&v)
            .or(live[v.0 as usize].as_ref())
            .ok_or_else(|| ExecError::Input { name: self.graph.value(v).name.clone(), why: "was never made".into() })
    }

    fn node(
        &self,
        i: usize,
        node: &Node,
        made: &[ValueId],
        live: &[Option<Tensor>],
        buffers: &Buffers,
    ) -> Result<Vec<Tensor>, ExecError> {
        let operands =
            node.inputs.iter().map(|v| v.map(|v| self.value(v, live)).transpose()).collect::<Result<Vec<_>, _>>()?;
        let call = Call {
            op: &node.op,
            attrs: &node.attrs,
            inputs: &operands,
            outputs: node.outputs.len(),
            threads: self.threads,
            buffers,
        };
        let outputs = match &self.convs[i] {
            Some(plan) if node.op == "Gemm" => vec![multiply(&call, plan, call.input(0)?, self.threads)?],
            Some(plan) => vec![convolve(&call, plan, call.input(0)?, self.threads)?],
            None => apply(&node.domain, &call)?,
        };
        if outputs.len() < node.outputs.len() {
            return Err(call.bad(format!("{} outputs are asked for, {} supported", node.outputs.len(), outputs.len())));
        }
        for (t, &v) in outputs.iter().zip(made) {
            let value = self.graph.value(v);
            if t.shape() != value.shape || t.dtype() != value.dtype {
                return Err(call.bad(format!(
                    "gives {}{:?} for {}, declared {}{:?}",
                    t.dtype(),
                    t.shape(),
                    value.name,
                    value.dtype,
                    value.shape
                )));
            }
        }
        Ok(outputs)
    }
}

/// Values to drop after each node, where a node of `computes` also makes what a later one would.
fn releases(graph: &Graph, computes: &[Option<usize>]) -> Vec<Vec<usize>> {
    let numbers = |v: &ValueId| v.0 as usize;
    let ends = |n: &Node| (n.inputs.iter().flatten().map(numbers).collect(), n.outputs.iter().map(numbers).collect());
    let mut ends: Vec<(Vec<usize>, Vec<usize>)> = graph.nodes.iter().map(ends).collect();
    for (i, later) in computes.iter().enumerate() {
        if let Some(j) = *later {
            ends[i].1 = std::mem::take(&mut ends[j].1);
            ends[j].0.clear();
        }
    }
    let kept: Vec<usize> = graph.outputs.iter().map(numbers).collect();
    release_after(graph.values.len(), &ends, &kept)
}

/// Checks that a node is supported; packs a Conv or Gemm whose weights and bias are constant.
fn prepare(graph: &Graph, node: &Node) -> Result<Option<FloatConv>, ExecError> {
    if !runs(&node.op, &node.domain, &node.attrs) {
        return Err(ExecError::Unsupported { op: node.op.clone(), domain: node.domain.clone() });
    }
    let constant = |i: usize| node.input(i).map(|v| graph.constant(v));
    let packs = node.is("Conv") || node.is("Gemm");
    let (true, Some(x), Some(Some(w))) = (packs, node.input(0), constant(1)) else { return Ok(None) };
    let bias = match constant(2) {
        Some(None) => return Ok(None),
        other => other.flatten(),
    };
    let inputs = [None, Some(w), bias];
    let buffers = Buffers::default();
    let call = Call { op: &node.op, attrs: &node.attrs, inputs: &inputs, outputs: 1, threads: 1, buffers: &buffers };
    let x = &graph.value(x).shape;
    if x.len() > 4 {
        return Ok(None);
    }
    if node.is("Gemm") { packed_gemm(&call, x) } else { packed(&call, x).map(Some) }
}
