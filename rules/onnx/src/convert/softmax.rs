//! Softmax and LogSoftmax before 13: the axes from `axis` on were one.

use super::{Conversion, Converted};
use crate::raw::RawNode;
use ptq_ir::{Attr, Attrs, Tensor};

/// Keeps the node where the flattened axes hold at most one extent above 1; otherwise normalizes a flattened matrix
/// and restores the shape.
pub(super) fn softmax(mut c: Conversion<'_>) -> Converted {
    if c.opset >= 13 {
        return c.done();
    }
    let shape = c.shape()?;
    let first = c.axes(&[c.node.attrs.int("axis", 1)], shape.len().max(1))?[0];
    let mut wide = (first..shape.len()).filter(|&d| shape[d] != 1);
    match (wide.next(), wide.next()) {
        (only, None) => {
            c.node.attrs.set("axis", Attr::Int(only.unwrap_or(first) as i64));
            c.done()
        }
        _ => flattened(c, first, &shape),
    }
}

fn flattened(c: Conversion<'_>, axis: usize, shape: &[usize]) -> Converted {
    let name = c.node.name.clone();
    let matrix = c.env.fresh_value(&format!("{name}_flat_in"));
    let flat = c.env.fresh_value(&format!("{name}_flat_out"));
    let target = Tensor::vec_i64(shape.iter().map(|&n| n as i64).collect());
    let target = c.env.add_constant(&format!("{name}_shape"), target);
    let node = |op: &str, name: String, inputs: Vec<Option<String>>, output: String, attrs| RawNode {
        name,
        op: op.to_owned(),
        domain: String::new(),
        inputs,
        outputs: vec![output],
        attrs,
    };
    let attrs = Attrs::of([("axis", Attr::Int(axis as i64))]);
    let before = c.env.fresh_node(&format!("{name}_flatten"));
    let flatten = node("Flatten", before, c.node.inputs.clone(), matrix.clone(), attrs);
    let after = c.env.fresh_node(&format!("{name}_restore"));
    let output = c.node.outputs[0].clone();
    let restore = node("Reshape", after, vec![Some(flat.clone()), Some(target)], output, Attrs::default());
    let softmax = RawNode {
        inputs: vec![Some(matrix)],
        outputs: vec![flat],
        attrs: Attrs::of([("axis", Attr::Int(1))]),
        ..c.node
    };
    Ok(vec![flatten, softmax, restore])
}
