//! The contract of all artifacts: equal names, order, types and shapes of inputs and outputs. Where a border is left away, the
//! program and what is made of it carry that port's integers.

use super::{Port, Stage, VerifyStages};
use ptq_ir::{Graph, QGraph, TensorId, ValueId};

/// One sentence for each difference from the original's inputs and outputs.
pub(super) fn differences(stages: &VerifyStages<'_>) -> Vec<String> {
    let original = of_graph(stages.original);
    let program = with_integers(&original, stages.integer);
    let mut others = vec![
        (Stage::Optimized, of_graph(stages.optimized), &original),
        (Stage::Quantized, of_integer(stages.integer), &program),
    ];
    others.extend(stages.bin.as_ref().map(|b| (Stage::Bin, [b.inputs.clone(), b.outputs.clone()], &program)));
    let mut problems = Vec::new();
    for (stage, ports, wanted) in &others {
        for (kind, (wanted, found)) in ["inputs", "outputs"].iter().zip(wanted.iter().zip(ports)) {
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

/// The original's ports with the integer type of each whose border the program leaves away.
pub(super) fn with_integers(original: &[Vec<Port>; 2], program: &QGraph) -> [Vec<Port>; 2] {
    let one = |(ports, ids): (&Vec<Port>, &Vec<TensorId>)| {
        let bare = ids.iter().map(|&id| program.tensor(id)).filter(|t| t.quant.is_some());
        let bare: Vec<_> = bare.map(|t| (t.source.as_str(), t.dtype)).collect();
        let typed = |p: &Port| {
            let dtype = bare.iter().find(|(name, _)| *name == p.name).map_or(p.dtype, |(_, dtype)| *dtype);
            Port { dtype, ..p.clone() }
        };
        ports.iter().map(typed).collect()
    };
    let [inputs, outputs] = original;
    [one((inputs, &program.inputs)), one((outputs, &program.outputs))]
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
