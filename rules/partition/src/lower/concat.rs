//! Concat: inputs are requantized to one scale.

use super::operands::{input, output};
use crate::builder::Builder;
use crate::constants::{Factor, requant};
use ptq_ir::{Diagnostic, NodeId, QConcat, QOp, ops};

pub(super) fn lower(b: &mut Builder<'_>, id: NodeId) -> Result<(), Diagnostic> {
    let node = b.graph.node(id);
    let (result, out) = output(b, id)?;
    let rank = b.graph.value(result).shape.len();
    let axis = ops::axis(node.attrs.int("axis", 0), rank)
        .ok_or_else(|| Diagnostic::error("PART09", "axis is outside the rank").node(&node.name))?;
    let mut inputs = Vec::new();
    let mut entries = Vec::new();
    for i in 0..node.inputs.len() {
        let t = input(b, id, i)?;
        let params = b.tensor_params(t);
        let same = params == out;
        let factor = Factor::ratio(params.scale0(), out.scale0());
        entries.push((!same).then(|| requant(b.march.quantization.rounding, &[factor])));
        inputs.push(t);
    }
    let op = QOp::Concat(QConcat { axis, requant: entries, out_zero: out.zero_point0() });
    let t = b.integer_home(result, out);
    b.bpu_node(id, op, inputs, result, t);
    Ok(())
}
