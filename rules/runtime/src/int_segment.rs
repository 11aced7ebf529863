//! Integer segments of march `cpu`: packed weights, exact kernels, tensors in the model's own axis order.

use crate::int::{self, PackedConv};
use crate::run::Run;
use crate::{RunOptions, RuntimeError};
use ptq_ir::{QNode, QOp, QTensor, Tensor};

/// What loading prepares for each node.
#[derive(Debug)]
pub(crate) struct PackedSegment(Vec<Option<PackedConv>>);

impl PackedSegment {
    pub(crate) fn new(nodes: &[QNode], tensors: &[QTensor]) -> Result<PackedSegment, RuntimeError> {
        let pack = |node: &QNode| match &node.op {
            QOp::Conv(conv) => PackedConv::new(node, conv, tensors).map(Some),
            _ => Ok(None),
        };
        Ok(PackedSegment(nodes.iter().map(pack).collect::<Result<_, _>>()?))
    }
}

/// Runs the nodes in order.
pub(crate) fn run(
    nodes: &[QNode],
    packed: &PackedSegment,
    options: &RunOptions,
    run: &mut Run<'_, '_, '_>,
) -> Result<(), RuntimeError> {
    let tensors = &run.model.artifact.tensors;
    for (node, packed) in nodes.iter().zip(&packed.0) {
        let inputs = node.inputs.iter().map(|&id| run.values.get(id)).collect::<Result<Vec<&Tensor>, _>>()?;
        let call = int::Call { node, inputs: &inputs, tensors, threads: options.threads };
        let result = match (&node.op, packed) {
            (QOp::Conv(_), Some(packed)) => packed.run(&call)?,
            (QOp::Add(add), _) => int::add(&call, add)?,
            (QOp::Mul(mul), _) => int::mul(&call, mul)?,
            (QOp::Lut(lut), _) => int::lut(&call, lut)?,
            (QOp::Concat(concat), _) => int::concat(&call, concat)?,
            (QOp::AveragePool(pool), _) => int::average_pool(&call, pool)?,
            (QOp::MaxPool(geom), _) => int::max_pool(&call, geom)?,
            (QOp::Resize(resize), _) => int::resize(&call, resize)?,
            (QOp::Reshape, _) => inputs[0].reshaped(call.output().shape.clone())?,
            (QOp::Transpose { perm }, _) => int::transpose(&call, perm)?,
            (other, _) => {
                return Err(RuntimeError::node(&node.name, format!("{} is not an integer operator", other.name())));
            }
        };
        run.made(node.outputs[0], result)?;
        run.values.release(&node.inputs);
    }
    Ok(())
}
