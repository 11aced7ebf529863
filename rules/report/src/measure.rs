//! Float graph against integer program on one sample: the rows of the two tables. Called by the measure rule.

use crate::Figure;
use crate::dequantize::real_values;
use ptq_exec::{ExecError, FloatPlan, Interpreter, metrics, port_values, real_outputs};
use ptq_ir::{DType, Device, Graph, NodeId, QGraph, QNode, QuantTable, Tensor, TensorId};
use ptq_place::{NodePlacement, Placement, Reason};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Figures of one variant on one sample, and what they were measured on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Measure {
    /// Where each model input came from, in the model's order.
    pub samples: Vec<SampleSource>,
    /// One row a node of the optimized graph.
    pub nodes: Vec<NodeRow>,
    /// One row a model output.
    pub outputs: Vec<OutputRow>,
}

/// Where one model input of the measurement came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SampleSource {
    /// Model input.
    pub input: String,
    /// File of the calibration data; `None` for seeded synthetic values.
    pub file: Option<String>,
}

/// A row of the node table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeRow {
    /// Node.
    pub node: String,
    /// Device.
    pub on: Device,
    /// `id(n)` on the BPU, `--` on the CPU.
    pub subgraph: String,
    /// Type shown for the device's implementation.
    #[serde(rename = "type")]
    pub shown: String,
    /// Float output against dequantized output; for a node that absorbed others, of what it computes with them.
    /// The lowest where a node has several outputs, `None` where it has no counterpart.
    pub cosine: Option<Figure>,
    /// Clip value of the node's first input; `None` on the CPU and for absorbed nodes.
    pub threshold: Option<f32>,
    /// Element type read (`float`, `int8`, …).
    pub in_type: String,
    /// Element type written.
    pub out_type: String,
    /// Name of the node that computes this one as part of itself.
    #[serde(default)]
    pub absorbed_by: Option<String>,
    /// Why it is on the CPU.
    pub reason: Option<Reason>,
}

/// A row of the output table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OutputRow {
    /// Model output.
    pub output: String,
    /// [`metrics::cosine`].
    pub cosine: Figure,
    /// [`metrics::l1`].
    pub l1: Figure,
    /// [`metrics::l2`].
    pub l2: Figure,
    /// [`metrics::chebyshev`].
    pub chebyshev: Figure,
}

/// Runs both on the same inputs and compares every node. The integer program runs first, because its tensors are the
/// smaller ones to keep; the float values are compared as they appear. `threads` never changes a result.
///
/// # Errors
/// When one of them does not run.
pub fn measure(
    float: &Graph,
    integer: &QGraph,
    quant: &QuantTable,
    placement: &Placement,
    inputs: &[Tensor],
    threads: usize,
) -> Result<Measure, ExecError> {
    let computed_by = computed_by(integer);
    let mut by_source: BTreeMap<&str, Vec<(TensorId, Tensor)>> = BTreeMap::new();
    let wanted: BTreeSet<TensorId> = computed_by.values().flat_map(|n| n.outputs.iter().copied()).collect();
    let integer_outputs = Interpreter::new(integer)?.run(&port_values(integer, inputs)?, &mut |id, tensor| {
        if wanted.contains(&id) {
            by_source.entry(&integer.tensor(id).source).or_default().push((id, tensor.clone()));
        }
    })?;
    let integer_outputs = real_outputs(integer, integer_outputs)?;
    let mut cosines: BTreeMap<TensorId, f64> = BTreeMap::new();
    let float_outputs = FloatPlan::new(float)?.with_threads(threads).run(inputs, &mut |value, tensor| {
        let Some(list) = by_source.remove(float.value(value).name.as_str()) else { return };
        let reference = tensor.to_f64s();
        for (id, q) in list {
            let values = real_values(&q, integer.tensor(id).quant.as_ref());
            if values.len() == reference.len() {
                cosines.insert(id, metrics::cosine(&values, &reference));
            }
        }
    })?;
    let row = |(id, _)| node_row(float, integer, quant, placement, &computed_by, &cosines, id);
    let nodes = float.nodes().filter_map(row).collect();
    let outputs = float_outputs.iter().zip(&integer_outputs).zip(&float.outputs);
    let outputs = outputs.map(|((f, q), v)| output_row(&float.value(*v).name, &q.to_f64s(), &f.to_f64s())).collect();
    Ok(Measure { samples: Vec::new(), nodes, outputs })
}

/// The step of the integer program that computes each node of the optimized graph.
fn computed_by(integer: &QGraph) -> BTreeMap<&str, &QNode> {
    integer.nodes.iter().flat_map(|q| q.covers.iter().map(move |name| (name.as_str(), q))).collect()
}

fn node_row(
    float: &Graph,
    integer: &QGraph,
    quant: &QuantTable,
    placement: &Placement,
    computed_by: &BTreeMap<&str, &QNode>,
    cosines: &BTreeMap<TensorId, f64>,
    id: NodeId,
) -> Option<NodeRow> {
    let node = float.node(id);
    let place: &NodePlacement = placement.nodes.iter().find(|p| p.name == node.name)?;
    let step = computed_by.get(node.name.as_str());
    let lowest = |a: f64, b: f64| if a.is_nan() || b.is_nan() { f64::NAN } else { a.min(b) };
    let cosine = step.and_then(|q| q.outputs.iter().filter_map(|t| cosines.get(t).copied()).reduce(lowest));
    let input = node.inputs.iter().flatten().find(|v| float.constant(**v).is_none());
    let threshold = input
        .filter(|_| place.on == Device::Bpu && place.absorbed_by.is_none())
        .and_then(|v| quant.activations.get(&float.value(*v).name))
        .map(|a| a.params.threshold());
    let type_of = |ids: Option<&Vec<TensorId>>| {
        ids.and_then(|ids| ids.first()).map_or("--", |t| short_type(integer.tensor(*t).dtype)).to_owned()
    };
    Some(NodeRow {
        node: node.name.clone(),
        on: place.on,
        subgraph: place.subgraph.map_or("--".to_owned(), |n| format!("id({n})")),
        shown: place.shown.clone(),
        cosine: cosine.map(Figure),
        threshold,
        in_type: type_of(step.map(|q| &q.inputs)),
        out_type: type_of(step.map(|q| &q.outputs)),
        absorbed_by: place.absorbed_by.clone(),
        reason: place.reason.clone(),
    })
}

/// `float` as the tables of the FAQ write it, other types by their names.
fn short_type(dtype: DType) -> &'static str {
    if dtype == DType::F32 { "float" } else { dtype.name() }
}

fn output_row(name: &str, integer: &[f64], float: &[f64]) -> OutputRow {
    OutputRow {
        output: name.to_owned(),
        cosine: Figure(metrics::cosine(integer, float)),
        l1: Figure(metrics::l1(integer, float)),
        l2: Figure(metrics::l2(integer, float)),
        chebyshev: Figure(metrics::chebyshev(integer, float)),
    }
}
