//! The files of a variant against its contract: names, order, types and shapes of inputs and outputs, with the layout that
//! each file has by the table of `docs/inputs.md`.

use super::Port;
use super::ports::{of_graph, shown};
use ptq_ir::{Graph, InputSpec};
use std::collections::BTreeMap;

/// Inputs and outputs of one file, in its order.
#[derive(Clone, Debug, PartialEq)]
pub struct FilePorts {
    /// File name.
    pub file: String,
    /// Inputs.
    pub inputs: Vec<Port>,
    /// Outputs.
    pub outputs: Vec<Port>,
}

/// One sentence for each difference of a file from the parsed graph.
pub fn file_differences(original: &Graph, specs: &BTreeMap<String, InputSpec>, files: &[FilePorts]) -> Vec<String> {
    let [inputs, outputs] = of_graph(original);
    let mut problems = Vec::new();
    for found in files {
        let layout = |port: &Port| {
            let spec = specs.get(&port.name).filter(|s| s.middle().is_some() && found.file == "quantized.onnx");
            let dims = spec.and_then(|s| s.layout_train.nchw(&port.shape).map(|d| s.layout_quantized().shape(d)));
            Port { shape: dims.unwrap_or_else(|| port.shape.clone()), ..port.clone() }
        };
        let wanted: Vec<Port> = inputs.iter().map(layout).collect();
        for (kind, wanted, got) in [("inputs", &wanted, &found.inputs), ("outputs", &outputs, &found.outputs)] {
            if wanted != got {
                problems.push(format!("{kind} of {} are {}, must be {}", found.file, shown(got), shown(wanted)));
            }
        }
    }
    problems
}
