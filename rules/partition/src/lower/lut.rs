//! Functions of one number, as tables of one result for each value of the input's type: 256, or 65,536 of 16-bit inputs. Every
//! result is the function of the exact value, rounded once.

use super::operands::{input, output};
use crate::builder::Builder;
use ptq_ir::{Activation, Attr, Attrs, Diagnostic, NodeId, QLut, QOp, Tensor};
use ptq_kernels::requant::quantize;

pub(super) fn lower(b: &mut Builder<'_>, id: NodeId) -> Result<(), Diagnostic> {
    let node = b.graph.node(id);
    let bad = |e: &dyn std::fmt::Display| Diagnostic::error("PART10", e.to_string()).node(&node.name);
    let x = input(b, id, 0)?;
    let (result, out) = output(b, id)?;
    let in_params = b.tensor_params(x);
    let (lo, hi) = in_params.dtype.quant_range().ok_or_else(|| bad(&"input is not quantized"))?;
    let (out_lo, out_hi) = out.dtype.quant_range().ok_or_else(|| bad(&"output is not quantized"))?;
    let reals: Vec<f32> = (lo..=hi).map(|q| (q - in_params.zero_point0()) as f32 * in_params.scale0()).collect();
    let reals = Tensor::from_f32([reals.len()], reals).map_err(|e| bad(&e))?;
    let mut operands: Vec<Option<&Tensor>> = vec![Some(&reals)];
    operands.extend((1..node.inputs.len()).map(|i| b.graph.const_input(node, i)));
    let results = ptq_exec::eval(&node.op, &node.domain, &node.attrs, &operands).map_err(|e| bad(&e))?;
    let results = results.first().ok_or_else(|| bad(&"gave no result"))?.f32s().map_err(|e| bad(&e))?;
    let table = results.iter().map(|&y| quantize(y, out.scale0(), out.zero_point0(), out_lo, out_hi) as i16).collect();
    let op = QOp::Lut(QLut { op: node.op.clone(), attrs: table_attrs(b, id), table });
    let t = b.integer_home(result, out);
    b.bpu_node(id, op, vec![x], result, t);
    Ok(())
}

/// The node's attributes, with constant bounds of a Clip as `min` and `max` so that the table can be named again.
fn table_attrs(b: &Builder<'_>, id: NodeId) -> Attrs {
    let node = b.graph.node(id);
    let mut attrs = node.attrs.clone();
    let (min, max) = match ptq_ir::ops::activation_of(b.graph, node) {
        Some(Activation::Clip { min, max }) => (min, max),
        Some(Activation::Relu) if node.is("Clip") => (0.0, f32::INFINITY),
        _ => return attrs,
    };
    attrs.set("min", Attr::Float(min));
    attrs.set("max", Attr::Float(max));
    attrs
}
