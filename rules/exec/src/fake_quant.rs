//! A float graph in which values are rounded to their quantized grid: what the integer program will compute, in floats.

use crate::ExecError;
use crate::float_plan::{FloatPlan, FloatSink};
use ptq_ir::{
    Graph, QuantParams, QuantTable, Tensor, ValueId, fold_into_weights, input_channel_scales, unfold_from_weights,
};
use ptq_kernels::Isa;
use std::collections::BTreeMap;

/// Runs a graph with fake quantization. Weights are rounded once, when the plan is made.
#[derive(Clone, Debug)]
pub struct FakeQuantPlan {
    plan: FloatPlan,
    /// Parameters of activations, by value number.
    activations: Vec<Option<QuantParams>>,
    /// Values of the graph; those behind them are copies for readers of another width.
    values: usize,
}

impl FakeQuantPlan {
    /// Prepares a graph. Activations in the table are rounded after they are produced (model inputs too); the
    /// constants in `weights` are rounded here, with ±127 as the range of int8, as partition does.
    ///
    /// # Errors
    /// As [`FloatPlan::new`]; and when parameters do not fit their tensor.
    pub fn new(
        graph: &Graph,
        table: &QuantTable,
        weights: &BTreeMap<ValueId, QuantParams>,
    ) -> Result<FakeQuantPlan, ExecError> {
        let values = graph.values.len();
        let graph = &*table.with_readers(graph);
        let activations = activation_params(graph, table);
        let plan = FloatPlan::new(&with_rounded_weights(graph, table, weights)?)?;
        Ok(FakeQuantPlan { plan, activations, values })
    }

    /// The same plan with this many threads inside large kernels. Results do not depend on it.
    #[must_use]
    pub fn with_threads(mut self, threads: usize) -> FakeQuantPlan {
        self.plan = self.plan.with_threads(threads);
        self
    }

    /// The same plan for a sink that only asks for these values and for those that are rounded, as [`FloatPlan::observing`].
    /// Results do not change.
    #[must_use]
    pub fn observing(mut self, wanted: &[ValueId]) -> FakeQuantPlan {
        let rounded = self.activations.iter().enumerate().filter(|(_, p)| p.is_some());
        let all: Vec<ValueId> = rounded.map(|(i, _)| ValueId(i as u32)).chain(wanted.iter().copied()).collect();
        self.plan = self.plan.observing(&all);
        self
    }

    /// Runs this graph and the float one side by side, node by node: `found` gets each value that is not constant, in float and
    /// rounded, once. Both plans must be of one graph (with its readers: [`QuantTable::with_readers`]) and observe the same values.
    ///
    /// # Errors
    /// As [`FakeQuantPlan::run`].
    pub fn beside(
        &self,
        float: &FloatPlan,
        inputs: &[Tensor],
        found: &mut dyn FnMut(ValueId, &Tensor, &Tensor),
    ) -> Result<(), ExecError> {
        let mut change = |v: ValueId, t: Tensor| match &self.activations[v.0 as usize] {
            Some(params) => fake_quantize(t, params, false),
            None => Ok(t),
        };
        let mut made: Vec<(ValueId, Tensor)> = Vec::new();
        let mut rounded: Vec<(ValueId, Tensor)> = Vec::new();
        let (own, other) = (self.plan.take_buffers(), float.take_buffers());
        let mut ours = self.plan.start(inputs, &mut change, &mut |v, t| rounded.push((v, t.clone())))?;
        let mut theirs = float.start(inputs, &mut |_, t| Ok(t), &mut |v, t| made.push((v, t.clone())))?;
        for i in 0..=float.graph().nodes.len() {
            for ((v, f), (w, q)) in made.drain(..).zip(rounded.drain(..)) {
                debug_assert_eq!(v, w, "one graph, the same values observed");
                found(v, &f, &q);
            }
            if i < float.graph().nodes.len() {
                self.plan.step(i, &mut ours, &mut change, &mut |v, t| rounded.push((v, t.clone())), &own)?;
                float.step(i, &mut theirs, &mut |_, t| Ok(t), &mut |v, t| made.push((v, t.clone())), &other)?;
            }
        }
        self.plan.give_buffers(own);
        float.give_buffers(other);
        Ok(())
    }

    /// Runs the graph; the sink sees rounded values.
    ///
    /// # Errors
    /// When an input does not fit, or a node fails.
    pub fn run(&self, inputs: &[Tensor], sink: &mut FloatSink<'_>) -> Result<Vec<Tensor>, ExecError> {
        let mut change = |v: ValueId, t: Tensor| match &self.activations[v.0 as usize] {
            Some(params) => fake_quantize(t, params, false),
            None => Ok(t),
        };
        let mut own = |v: ValueId, t: &Tensor| {
            if (v.0 as usize) < self.values {
                sink(v, t);
            }
        };
        self.plan.run_with(inputs, &mut change, &mut own)
    }
}

/// The graph with its corrected constants, these rounded to their grid; where their reader's input has one scale a channel, to the grid
/// of the folded weights.
pub(crate) fn with_rounded_weights(
    graph: &Graph,
    table: &QuantTable,
    weights: &BTreeMap<ValueId, QuantParams>,
) -> Result<Graph, ExecError> {
    let mut folds = BTreeMap::new();
    for node in &graph.nodes {
        if let (Some(w), Some(scales)) = (node.input(1), input_channel_scales(graph, node, table)) {
            folds.insert(w, (usize::try_from(node.attrs.int("group", 1)).unwrap_or(0), scales));
        }
    }
    let mut graph = table.corrected(graph).into_owned();
    for (&v, params) in weights {
        let name = graph.values.get(v.0 as usize).map(|v| v.name.clone()).unwrap_or_default();
        let Some(constant) = graph.constants.get_mut(&v) else {
            return Err(ExecError::Input { name, why: "has weight parameters but is not constant".into() });
        };
        let rounded = match folds.get(&v) {
            None => fake_quantize(constant.clone(), params, true),
            Some((group, scales)) => fold_into_weights(constant, *group, scales)
                .map_err(ExecError::from)
                .and_then(|w| fake_quantize(w, params, true))
                .and_then(|w| Ok(unfold_from_weights(&w, *group, scales)?)),
        };
        *constant = rounded.map_err(|e| e.at(&name))?;
    }
    Ok(graph)
}

/// Parameters of the graph's values, by value number.
pub(crate) fn activation_params(graph: &Graph, table: &QuantTable) -> Vec<Option<QuantParams>> {
    graph.values.iter().map(|v| table.activations.get(&v.name).map(|a| a.params.clone())).collect()
}

/// `(clamp(round_half_even(x / s) + z) - z) · s`, per tensor or along an axis. `symmetric` leaves out the lowest value
/// of a signed type.
pub(crate) fn fake_quantize(x: Tensor, params: &QuantParams, symmetric: bool) -> Result<Tensor, ExecError> {
    let bad = |why: String| ExecError::Invalid { op: "fake quantization".into(), why };
    let (lo, hi) =
        params.dtype.quant_range().ok_or_else(|| bad(format!("{} is not a quantized type", params.dtype)))?;
    let lo = if symmetric { lo.max(-hi) } else { lo };
    let (extent, inner) = match params.axis {
        None => (1, x.len()),
        Some(a) if a < x.shape().len() => (x.shape()[a], x.shape()[a + 1..].iter().product()),
        Some(a) => return Err(bad(format!("axis {a} is outside rank {}", x.shape().len()))),
    };
    if params.scale.len() != extent || params.zero_point.len() != extent {
        return Err(bad(format!("{} scales for extent {extent}", params.scale.len())));
    }
    let shape = x.shape().to_vec();
    let mut values = x.into_f32s()?;
    let isa = Isa::best();
    for (i, run) in values.chunks_mut(inner.max(1)).enumerate() {
        let (s, z) = (params.scale[i % extent], params.zero_point[i % extent]);
        ptq_kernels::fake_quantize(isa, run, s, z, (lo, hi));
    }
    Ok(Tensor::from_f32(shape, values)?)
}
