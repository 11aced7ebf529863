//! 16-bit floats of a file: the graph computes them in float32, and a note says so.

use super::element::ElementType;
use crate::proto::{GraphProto, NodeProto};
use ptq_ir::{Attr, Attrs, Diagnostic, Place, Severity};

/// Operators with an attribute that names an element type.
const TYPE_ATTRIBUTES: [(&str, &str); 2] = [("Cast", "to"), ("EyeLike", "dtype")];

/// One note for each 16-bit type that inputs, constants or nodes of the graph name.
pub(crate) fn notes(graph: &GraphProto) -> Vec<Diagnostic> {
    [ElementType::Float16, ElementType::BFloat16].into_iter().filter_map(|kind| note(graph, kind)).collect()
}

fn note(graph: &GraphProto, kind: ElementType) -> Option<Diagnostic> {
    let is = |number: Option<i32>| number.is_some_and(|n| ElementType::of(n) == Ok(kind));
    let inputs: Vec<&str> = graph
        .input
        .iter()
        .filter(|i| is(i.r#type.as_ref().and_then(|t| t.tensor_type.as_ref()).and_then(|t| t.elem_type)))
        .filter_map(|i| i.name.as_deref())
        .collect();
    let in_nodes = graph.node.iter().flat_map(|n| n.attribute.iter().filter_map(|a| a.t.as_ref()));
    let tensors = graph.initializer.iter().chain(in_nodes).filter(|t| is(t.data_type)).count();
    let casts = graph.node.iter().filter(|n| is(named_type(n))).count();
    if inputs.is_empty() && tensors + casts == 0 {
        return None;
    }
    let name = kind.widened_name()?;
    let listed = if inputs.is_empty() { "no input".to_owned() } else { format!("inputs {}", inputs.join(", ")) };
    Some(Diagnostic {
        code: "ONNX10".to_owned(),
        severity: Severity::Note,
        message: format!("{name} is computed in float32: {listed}, {tensors} constants, {casts} casts"),
        place: Place::default(),
        hint: None,
    })
}

fn named_type(node: &NodeProto) -> Option<i32> {
    let attribute = type_attribute(node.op_type.as_deref()?)?;
    let value = node.attribute.iter().find(|a| a.name.as_deref() == Some(attribute))?.i?;
    i32::try_from(value).ok()
}

fn type_attribute(op: &str) -> Option<&'static str> {
    TYPE_ATTRIBUTES.iter().find(|(name, _)| *name == op).map(|(_, attribute)| *attribute)
}

/// Replaces a 16-bit type that a node's attribute names by the graph's type.
pub(crate) fn widen(op: &str, attrs: &mut Attrs) {
    let Some(name) = type_attribute(op) else { return };
    let Some(Attr::Int(number)) = attrs.get(name) else { return };
    if let Some(kind) = i32::try_from(*number).ok().and_then(|n| ElementType::of(n).ok()) {
        attrs.set(name, Attr::Int(kind.dtype().onnx().into()));
    }
}
