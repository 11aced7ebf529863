//! AttributeProto → attribute.

use super::sparse::sparse;
use super::tensor::{External, tensor};
use crate::meter::Meter;
use crate::proto::{AttributeProto, NodeProto, attribute_type as kind};
use bytes::Bytes;
use ptq_ir::{Attr, Attrs};

/// The attributes of a node.
///
/// # Errors
/// One sentence for each attribute that cannot be held.
pub(crate) fn attrs(node: &NodeProto, external: External<'_>, meter: &Meter) -> Result<Attrs, Vec<String>> {
    let mut out = Attrs::default();
    let mut problems = Vec::new();
    for a in node.attribute.iter().filter(|a| !(has_bodies(node) && is_body(a))) {
        let name = a.name.as_deref().unwrap_or("");
        if name.is_empty() {
            problems.push("an attribute has no name".to_owned());
        } else if out.get(name).is_some() {
            problems.push(format!("attribute {name} is given twice"));
        } else {
            match attr(a, external, meter) {
                Ok(value) => out.set(name, value),
                Err(why) => problems.push(format!("attribute {name}: {why}")),
            }
        }
    }
    if problems.is_empty() { Ok(out) } else { Err(problems) }
}

fn attr(a: &AttributeProto, external: External<'_>, meter: &Meter) -> Result<Attr, String> {
    if a.ref_attr_name.as_deref().is_some_and(|n| !n.is_empty()) {
        return Err("refers to an attribute of a function, which is not supported".to_owned());
    }
    let missing = || "the value is missing".to_owned();
    match stated_kind(a) {
        kind::FLOAT => Ok(Attr::Float(a.f.unwrap_or(0.0))),
        kind::INT => Ok(Attr::Int(a.i.unwrap_or(0))),
        kind::STRING => text(a.s.as_ref().unwrap_or(&Bytes::new())).map(Attr::Str),
        kind::TENSOR => Ok(Attr::Tensor(tensor(a.t.as_ref().ok_or_else(missing)?, external, meter)?)),
        kind::SPARSE_TENSOR => {
            Ok(Attr::Tensor(sparse(a.sparse_tensor.as_ref().ok_or_else(missing)?, external, meter)?))
        }
        kind::FLOATS => Ok(Attr::Floats(a.floats.clone())),
        kind::INTS => Ok(Attr::Ints(a.ints.clone())),
        kind::STRINGS => a.strings.iter().map(text).collect::<Result<_, _>>().map(Attr::Strs),
        kind::GRAPH | kind::GRAPHS => Err("only If, Loop and Scan may have sub-graphs".to_owned()),
        kind::UNDEFINED => Err(missing()),
        other => Err(format!("kind {other} is not supported")),
    }
}

/// Whether a node is control flow of the standard domain, whose sub-graphs are read.
pub(crate) fn has_bodies(node: &NodeProto) -> bool {
    let standard = matches!(node.domain.as_deref(), None | Some("" | "ai.onnx"));
    standard && node.op_type.as_deref().is_some_and(crate::raw::is_control)
}

/// Whether an attribute is one sub-graph.
pub(crate) fn is_body(a: &AttributeProto) -> bool {
    stated_kind(a) == kind::GRAPH && a.g.is_some()
}

/// The kind that the message states, or that its only present field implies.
fn stated_kind(a: &AttributeProto) -> i32 {
    let stated = a.r#type.unwrap_or(kind::UNDEFINED);
    let present = [
        (a.f.is_some(), kind::FLOAT),
        (a.i.is_some(), kind::INT),
        (a.s.is_some(), kind::STRING),
        (a.t.is_some(), kind::TENSOR),
        (a.g.is_some(), kind::GRAPH),
        (a.sparse_tensor.is_some(), kind::SPARSE_TENSOR),
        (!a.floats.is_empty(), kind::FLOATS),
        (!a.ints.is_empty(), kind::INTS),
        (!a.strings.is_empty(), kind::STRINGS),
        (!a.graphs.is_empty(), kind::GRAPHS),
    ];
    if stated != kind::UNDEFINED {
        return stated;
    }
    present.iter().find(|(is, _)| *is).map_or(kind::UNDEFINED, |&(_, k)| k)
}

fn text(bytes: &Bytes) -> Result<String, String> {
    String::from_utf8(bytes.to_vec()).map_err(|_| "the text is not UTF-8".to_owned())
}
