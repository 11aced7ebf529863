//! Names of borders: the Quantize and Dequantize nodes that a build puts between float values and integers.

use crate::{Graph, ValueId};

/// Kinds of border and the end of their names; a border is called after its value.
const ENDS: [(&str, &str); 2] = [("Quantize", "_quantize"), ("Dequantize", "_dequantize")];

/// Name of the border of a value; `kind` is `Quantize` or `Dequantize`.
pub fn border_name(kind: &str, value: &str) -> String {
    let end = ENDS.iter().find(|(of, _)| *of == kind).map_or("", |(_, end)| *end);
    format!("{value}{end}")
}

/// Whether a name has the form of a border's.
pub fn could_be_border(name: &str) -> bool {
    ENDS.iter().any(|(_, end)| name.ends_with(end))
}

/// Whether a name is what the Quantize of a model input or the Dequantize of a model output is called.
pub fn is_border_of_model(graph: &Graph, name: &str) -> bool {
    let port = |values: &[ValueId], value: &str| values.iter().any(|&v| graph.value(v).name == value);
    ENDS.iter().any(|(kind, end)| {
        let ports = if *kind == "Quantize" { &graph.inputs } else { &graph.outputs };
        name.strip_suffix(end).is_some_and(|value| port(ports, value))
    })
}
