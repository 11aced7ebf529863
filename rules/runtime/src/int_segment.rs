//! Integer segments of march `cpu`: packed weights, exact kernels, tensors as bytes in storage order.

use crate::int::{self, Call, PackedConv};
use crate::run::Run;
use crate::stored::{from_stored, to_stored};
use crate::{RunOptions, RuntimeError};
use ptq_ir::{QNode, QOp, QTensor, TensorId};
use ptq_kernels::Isa;
use ptq_sim::artifact::Segment;
use std::collections::BTreeMap;

/// What loading prepares: packed convolutions, constants in storage order, when each tensor is read last.
#[derive(Debug)]
pub(crate) struct PackedSegment {
    convs: Vec<Option<PackedConv>>,
    constants: BTreeMap<TensorId, Vec<u8>>,
    /// Tensors that no later node of the segment reads, by node.
    last_reads: Vec<Vec<TensorId>>,
}

impl PackedSegment {
    pub(crate) fn new(nodes: &[QNode], tensors: &[QTensor], isa: Isa) -> Result<PackedSegment, RuntimeError> {
        let pack = |node: &QNode| match &node.op {
            QOp::Conv(conv) => PackedConv::new(node, conv, tensors, isa).map(Some),
            _ => Ok(None),
        };
        let mut constants = BTreeMap::new();
        for &id in nodes.iter().filter(|n| !matches!(n.op, QOp::Conv(_))).flat_map(|n| &n.inputs) {
            if let Some(data) = &tensors[id.0 as usize].data {
                constants.insert(id, to_stored(data)?);
            }
        }
        let mut last = BTreeMap::new();
        for (i, node) in nodes.iter().enumerate() {
            last.extend(node.inputs.iter().chain(&node.outputs).map(|&id| (id, i)));
        }
        let mut last_reads = vec![Vec::new(); nodes.len()];
        last.into_iter().for_each(|(id, i)| last_reads[i].push(id));
        Ok(PackedSegment { convs: nodes.iter().map(pack).collect::<Result<_, _>>()?, constants, last_reads })
    }
}

/// Runs the nodes in order.
pub(crate) fn run(
    segment: &Segment,
    nodes: &[QNode],
    packed: &PackedSegment,
    options: &RunOptions,
    run: &mut Run<'_, '_, '_>,
) -> Result<(), RuntimeError> {
    let tensors = &run.model.artifact.tensors;
    let mut live: BTreeMap<TensorId, Vec<u8>> = BTreeMap::new();
    for &id in &segment.inputs {
        live.insert(id, to_stored(run.values.get(id)?)?);
    }
    run.values.release(&segment.inputs);
    for ((node, conv), last_reads) in nodes.iter().zip(&packed.convs).zip(&packed.last_reads) {
        let find = |id: &TensorId| {
            let missing = || RuntimeError::node(&node.name, "reads a tensor that is not there");
            live.get(id).or(packed.constants.get(id)).map(Vec::as_slice).ok_or_else(missing)
        };
        // The weights of a convolution are packed.
        let operands = if conv.is_some() { &node.inputs[..1] } else { &node.inputs[..] };
        let inputs = operands.iter().map(find).collect::<Result<Vec<&[u8]>, _>>()?;
        let call = Call { node, inputs: &inputs, tensors, threads: options.threads };
        let result = apply(&call, conv.as_ref())?;
        let id = node.outputs[0];
        if run.is_watched() || segment.outputs.contains(&id) {
            let declared = call.output();
            run.made(id, from_stored(&result, declared.dtype, &declared.shape)?)?;
        }
        live.insert(id, result);
        last_reads.iter().for_each(|id| drop(live.remove(id)));
    }
    Ok(())
}

fn apply(call: &Call<'_>, conv: Option<&PackedConv>) -> Result<Vec<u8>, RuntimeError> {
    Ok(match (&call.node.op, conv) {
        (QOp::Conv(_), Some(conv)) => conv.run(call)?,
        (QOp::Add(add), _) => int::add(call, add)?,
        (QOp::Mul(mul), _) => int::mul(call, mul)?,
        (QOp::Lut(lut), _) => int::lut(call, lut),
        (QOp::Concat(concat), _) => int::concat(call, concat),
        (QOp::AveragePool(pool), _) => int::average_pool(call, pool)?,
        (QOp::MaxPool(geom), _) => int::max_pool(call, geom)?,
        (QOp::Resize(resize), _) => int::resize(call, resize),
        (QOp::LinearResize(resize), _) => int::linear_resize(call, resize),
        (QOp::DepthToSpace(block), _) => int::depth_to_space(call, *block),
        (QOp::SpaceToDepth { block }, _) => int::space_to_depth(call, *block),
        (QOp::Slice { starts }, _) => int::slice(call, starts),
        (QOp::Reshape, _) => int::reshape(call),
        (QOp::Transpose { perm }, _) => int::transpose(call, perm),
        (other, _) => {
            let why = format!("{} is not an integer operator", other.name());
            return Err(RuntimeError::node(&call.node.name, why));
        }
    })
}
