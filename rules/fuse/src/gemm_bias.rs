//! The addend of a Gemm as one number a column. Called by the rules that fold or convert a Gemm.

use ptq_ir::ops::GemmAttrs;
use ptq_ir::{Graph, Node};

/// `beta * C` for each of the `columns` of the result, zeros when there is none.
///
/// # Errors
/// The reason why `C` is not one number a column.
pub(crate) fn gemm_bias(graph: &Graph, node: &Node, columns: usize) -> Result<Vec<f64>, String> {
    let Some(c) = node.input(2) else { return Ok(vec![0.0; columns]) };
    let c = graph.constant(c).ok_or_else(|| format!("the addend C of {} is not constant", node.name))?;
    let beta = f64::from(GemmAttrs::of(node).beta);
    let values = c.to_f64s();
    match c.shape().split_last() {
        _ if values.len() == 1 => Ok(vec![beta * values[0]; columns]),
        Some((&last, outer)) if last == columns && outer.iter().all(|&d| d == 1) => {
            Ok(values.into_iter().map(|v| beta * v).collect())
        }
        _ => Err(format!("the addend C of {} has shape {:?} and varies by row", node.name, c.shape())),
    }
}
