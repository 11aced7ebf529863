//! From accelerated float nodes to integer operators, one file an operator family.

mod arithmetic;
mod boxes;
mod compare;
mod concat;
mod conv;
mod elements;
mod extreme_index;
mod lines;
mod lut;
mod moves;
mod operands;
mod pool;
mod resize;

use crate::builder::Builder;
use ptq_ir::{Diagnostic, NodeId};

/// Adds the integer form of node `id` to the program. `int32` keeps the accumulator.
pub(crate) fn node(b: &mut Builder<'_>, id: NodeId, int32: bool) -> Result<(), Diagnostic> {
    let node = b.graph.node(id);
    match node.op.as_str() {
        "Conv" => conv::lower(b, id, int32),
        "Add" | "Sub" | "Mul" | "Div" | "Max" | "Min" | "MatMul" => arithmetic::lower(b, id),
        "Concat" => concat::lower(b, id),
        "AveragePool" | "GlobalAveragePool" | "MaxPool" | "GlobalMaxPool" => pool::lower(b, id),
        "ReduceSum" | "ReduceMean" | "ReduceMax" => lines::reduce(b, id),
        "Softmax" => lines::softmax(b, id),
        "ArgMax" | "ArgMin" => extreme_index::lower(b, id),
        "Equal" | "Greater" | "GreaterOrEqual" | "Less" | "LessOrEqual" => compare::lower(b, id),
        "Gather" | "Expand" | "Tile" => moves::gather(b, id),
        "GatherElements" => elements::gather(b, id),
        "GridSample" => elements::sample(b, id),
        "Pad" => moves::pad(b, id),
        "Resize" => resize::lower(b, id),
        "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" => moves::reshape(b, id, int32),
        "DepthToSpace" | "SpaceToDepth" => moves::block(b, id),
        "Slice" => boxes::slice(b, id),
        "Split" => boxes::split(b, id),
        "Transpose" => moves::transpose(b, id, int32),
        _ => lut::lower(b, id),
    }
}
