//! One run of one artifact with the tensors that it made.

use super::{BinRun, Stage, VerifyError};
use crate::dequantize::real_values;
use ptq_exec::{FakeQuantPlan, FloatPlan, Interpreter, port_values, real_outputs};
use ptq_ir::{Graph, QGraph, QTensor, QuantParams, QuantTable, Tensor, TensorId, ValueId};
use std::collections::{BTreeMap, BTreeSet};

/// A tensor of a run.
pub(super) struct Entry {
    /// Its name in the artifact.
    pub(super) name: String,
    /// The float graph's value that it stands for.
    pub(super) source: String,
    /// The node that made it; empty for a model input.
    pub(super) node: String,
    pub(super) tensor: Tensor,
    pub(super) quant: Option<QuantParams>,
}

impl Entry {
    pub(super) fn real_values(&self) -> Vec<f64> {
        real_values(&self.tensor, self.quant.as_ref())
    }
}

/// The tensors of a run in the order in which they were made, and its outputs.
pub(super) struct Trace {
    pub(super) stage: Stage,
    pub(super) entries: Vec<Entry>,
    /// Name and values of each model output.
    pub(super) outputs: Vec<(String, Tensor)>,
}

impl Trace {
    /// Runs a float graph; keeps the values that `common` has too, all without it.
    pub(super) fn float(
        stage: Stage,
        graph: &Graph,
        common: Option<&Graph>,
        inputs: &[Tensor],
        threads: usize,
    ) -> Result<Trace, VerifyError> {
        let names: Option<BTreeSet<&str>> = common.map(|g| g.values.iter().map(|v| v.name.as_str()).collect());
        let mut recorder = Recorder::new(graph);
        let failed = VerifyError::at(stage);
        let plan = FloatPlan::new(graph).map_err(&failed)?;
        let mut sink = |v: ValueId, t: &Tensor| {
            if names.as_ref().is_none_or(|n| n.contains(graph.value(v).name.as_str())) {
                recorder.record(v, t);
            }
        };
        let outputs = plan.with_threads(threads).run(inputs, &mut sink).map_err(failed)?;
        Ok(recorder.finish(stage, outputs))
    }

    /// Runs the optimized graph with the activations and weights quantized and dequantized.
    pub(super) fn calibrated(
        graph: &Graph,
        quant: &QuantTable,
        inputs: &[Tensor],
        threads: usize,
    ) -> Result<Trace, VerifyError> {
        let mut recorder = Recorder::new(graph);
        let failed = VerifyError::at(Stage::Calibrated);
        let plan = FakeQuantPlan::new(graph, quant, &ptq_calibrate::weights(graph, quant)).map_err(&failed)?;
        let outputs = plan.with_threads(threads).run(inputs, &mut |v, t| recorder.record(v, t)).map_err(failed)?;
        Ok(recorder.finish(Stage::Calibrated, outputs))
    }

    /// Runs the integer program in the interpreter.
    pub(super) fn integer(graph: &QGraph, inputs: &[Tensor]) -> Result<Trace, VerifyError> {
        let makers = makers(graph);
        let mut entries = Vec::new();
        let failed = VerifyError::at(Stage::Quantized);
        let plan = Interpreter::new(graph).map_err(&failed)?;
        let mut sink = |id: TensorId, t: &Tensor| entries.push(integer_entry(graph.tensor(id), &makers, t));
        let inputs = port_values(graph, inputs).map_err(&failed)?;
        let outputs = plan.run(&inputs, &mut sink).map_err(&failed)?;
        let outputs = real_outputs(graph, outputs).map_err(failed)?;
        Ok(Trace { stage: Stage::Quantized, entries, outputs: named_outputs(graph, outputs) })
    }

    /// Runs the compiled program. Tensors that it makes under names of its own are not compared.
    pub(super) fn bin(bin: &BinRun<'_>, graph: &QGraph, inputs: &[Tensor]) -> Result<Trace, VerifyError> {
        let makers = makers(graph);
        let by_name: BTreeMap<&str, &QTensor> = graph.tensors.iter().map(|t| (t.name.as_str(), t)).collect();
        let mut entries = Vec::new();
        let failed = VerifyError::at(Stage::Bin);
        let inputs = port_values(graph, inputs).map_err(&failed)?;
        let outputs = (bin.run)(&inputs, &mut |name, t| {
            entries.extend(by_name.get(name).map(|q| integer_entry(q, &makers, t)));
        })
        .map_err(VerifyError::Bin)?;
        let outputs = real_outputs(graph, outputs).map_err(failed)?;
        Ok(Trace { stage: Stage::Bin, entries, outputs: named_outputs(graph, outputs) })
    }
}

struct Recorder<'a> {
    graph: &'a Graph,
    makers: Vec<Option<ptq_ir::NodeId>>,
    entries: Vec<Entry>,
}

impl<'a> Recorder<'a> {
    fn new(graph: &'a Graph) -> Recorder<'a> {
        Recorder { graph, makers: graph.producers(), entries: Vec::new() }
    }

    fn record(&mut self, v: ValueId, tensor: &Tensor) {
        let name = self.graph.value(v).name.clone();
        let node = self.makers[v.0 as usize].map(|n| self.graph.node(n).name.clone()).unwrap_or_default();
        self.entries.push(Entry { source: name.clone(), name, node, tensor: tensor.clone(), quant: None });
    }

    fn finish(self, stage: Stage, outputs: Vec<Tensor>) -> Trace {
        let names = self.graph.outputs.iter().map(|v| self.graph.value(*v).name.clone());
        Trace { stage, entries: self.entries, outputs: names.zip(outputs).collect() }
    }
}

/// The node that makes each tensor of the integer program, by tensor name.
fn makers(graph: &QGraph) -> BTreeMap<&str, &str> {
    let made = graph.nodes.iter().flat_map(|n| n.outputs.iter().map(move |t| (*t, n.name.as_str())));
    made.map(|(t, node)| (graph.tensor(t).name.as_str(), node)).collect()
}

fn integer_entry(q: &QTensor, makers: &BTreeMap<&str, &str>, tensor: &Tensor) -> Entry {
    Entry {
        name: q.name.clone(),
        source: q.source.clone(),
        node: makers.get(q.name.as_str()).copied().unwrap_or_default().to_owned(),
        tensor: tensor.clone(),
        quant: q.quant.clone(),
    }
}

fn named_outputs(graph: &QGraph, outputs: Vec<Tensor>) -> Vec<(String, Tensor)> {
    graph.outputs.iter().map(|t| graph.tensor(*t).source.clone()).zip(outputs).collect()
}
