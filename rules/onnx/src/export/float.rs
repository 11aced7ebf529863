//! The float graph as an ONNX file.

use super::ExportMeta;
use super::file::OnnxFile;
use ptq_ir::{Graph, Node};

/// Writes a float graph.
pub fn export_float(graph: &Graph, meta: &ExportMeta) -> Vec<u8> {
    let mut file = start(graph);
    for (&id, tensor) in &graph.constants {
        file.constant(&graph.value(id).name, tensor);
    }
    for node in &graph.nodes {
        let outputs: Vec<String> = node.outputs.iter().map(|&v| graph.value(v).name.clone()).collect();
        file.node_of(&node.domain, &node.op, &node.name, &input_names(graph, node), &outputs, &node.attrs);
    }
    file.finish(&graph.name, meta)
}

/// A file with the graph's inputs and outputs, in which all names of the graph are reserved.
pub(super) fn start(graph: &Graph) -> OnnxFile {
    let values = graph.values.iter().map(|v| v.name.as_str());
    let mut file = OnnxFile::new(values, graph.nodes.iter().map(|n| n.name.as_str()));
    for &id in &graph.inputs {
        let value = graph.value(id);
        file.input(&value.name, value.dtype, &value.shape);
    }
    for &id in &graph.outputs {
        let value = graph.value(id);
        file.output(&value.name, value.dtype, &value.shape);
    }
    file
}

/// Names of a node's inputs; empty for omitted ones.
pub(super) fn input_names(graph: &Graph, node: &Node) -> Vec<String> {
    node.inputs.iter().map(|i| i.map_or(String::new(), |v| graph.value(v).name.clone())).collect()
}
