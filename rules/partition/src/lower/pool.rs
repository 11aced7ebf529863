//! Pooling.

use super::operands::{input, output};
use crate::builder::Builder;
use crate::constants::{Factor, requant};
use ptq_ir::{Diagnostic, NodeId, QOp, QPool, ops};

pub(super) fn lower(b: &mut Builder<'_>, id: NodeId) -> Result<(), Diagnostic> {
    let node = b.graph.node(id);
    let x = input(b, id, 0)?;
    let x_shape = node.input(0).map(|v| b.graph.value(v).shape.clone()).unwrap_or_default();
    let geom = ops::PoolGeom::of(node, &x_shape)?;
    let in_params = b.tensor_params(x);
    let (op, result, out) = if node.op.ends_with("MaxPool") {
        (QOp::MaxPool(geom), b.result(id)?, in_params)
    } else {
        let (result, out) = output(b, id)?;
        let area = geom.kernel[0] * geom.kernel[1];
        let factors: Vec<Factor> = (1..=area)
            .map(|n| {
                let count = if geom.count_include_pad { area } else { n };
                Factor::mean(in_params.scale0(), out.scale0(), count)
            })
            .collect();
        let pool =
            QPool { geom, requant: requant(b.march.quantization.rounding, &factors), out_zero: out.zero_point0() };
        (QOp::AveragePool(pool), result, out)
    };
    let t = b.integer_home(result, out);
    b.bpu_node(id, op, vec![x], result, t);
    Ok(())
}
