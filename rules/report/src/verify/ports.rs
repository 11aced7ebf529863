//! The contract of all artifacts: equal names, order, types and shapes of inputs and outputs.

use super::{Port, Stage, VerifyStages};
use ptq_ir::{Graph, QGraph, TensorId, ValueId};

/// One sentence for each difference from the original's inputs and outputs.
pub(super) fn differences(stages: &VerifyStages<'_>) -> Vec<String> {
    let original = of_graph(stages.original);
    let mut others =
        vec![(Stage::Optimized, of_graph(stages.optimized)), (Stage::Quantized, of_integer(stages.integer))];
    others.extend(stages.bin.as_ref().map(|b| (Stage::Bin, [b.inputs.clone(), b.outputs.clone()])));
    let mut problems = Vec::new();
    for (stage, ports) in &others {
        for (kind, (wanted, found)) in ["inputs", "outputs"].iter().zip(original.iter().zip(ports)) {
            if wanted != found {
                problems.push(format!("{kind} of {stage} are {}, of the original {}", shown(found), shown(wanted)));
            }
        }
    }
    problems
}

pub(super) fn of_graph(graph: &Graph) -> [Vec<Port>; 2] {
    let port = |v: &ValueId| {
        let value = graph.value(*v);
        Port { name: value.name.clone(), dtype: value.dtype, shape: value.shape.clone() }
    };
    [graph.inputs.iter().map(port).collect(), graph.outputs.iter().map(port).collect()]
}

/// By source name: a border may give the tensor another name, the model's port keeps the float value's.
fn of_integer(graph: &QGraph) -> [Vec<Port>; 2] {
    let port = |t: &TensorId| {
        let tensor = graph.tensor(*t);
        Port { name: tensor.source.clone(), dtype: tensor.dtype, shape: tensor.shape.clone() }
    };
    [graph.inputs.iter().map(port).collect(), graph.outputs.iter().map(port).collect()]
}

pub(super) fn shown(ports: &[Port]) -> String {
    let one = |p: &Port| format!("{}:{}{:?}", p.name, p.dtype, p.shape);
    format!("({})", ports.iter().map(one).collect::<Vec<_>>().join(", "))
}
