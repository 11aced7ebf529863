//! Integer segments of march `cpu`: packed weights, exact kernels, tensors as bytes in storage order.

use crate::arena::{Arena, Life, part};
use crate::int::{self, Call, PackedConv};
use crate::run::Run;
use crate::stored::{from_stored, store, stored_len, to_stored};
use crate::{RunOptions, RuntimeError, StepKind};
use ptq_ir::{QNode, QOp, QTensor, TensorId};
use ptq_kernels::Isa;
use ptq_sim::artifact::Segment;
use std::collections::BTreeMap;

/// What loading prepares: packed convolutions, constants in storage order, places of the tensors.
#[derive(Debug)]
pub(crate) struct PackedSegment {
    isa: Isa,
    convs: Vec<Option<PackedConv>>,
    constants: BTreeMap<TensorId, Vec<u8>>,
    arena: Arena,
}

impl PackedSegment {
    pub(crate) fn new(
        segment: &Segment,
        nodes: &[QNode],
        tensors: &[QTensor],
        isa: Isa,
    ) -> Result<PackedSegment, RuntimeError> {
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
        let convs = nodes.iter().map(pack).collect::<Result<_, _>>()?;
        Ok(PackedSegment { isa, convs, constants, arena: Arena::plan(&lives(segment, nodes, tensors)) })
    }
}

/// When the tensors of a segment are needed: its inputs from the start, results from the step that makes them, both until
/// they are read last. What leaves the segment is copied as soon as it is made.
fn lives(segment: &Segment, nodes: &[QNode], tensors: &[QTensor]) -> Vec<Life> {
    let made = nodes.iter().enumerate().flat_map(|(i, n)| n.outputs.iter().map(move |&id| (id, i)));
    let mut lives: Vec<Life> = segment
        .inputs
        .iter()
        .map(|&id| (id, 0))
        .chain(made)
        .map(|(id, first)| Life { id, bytes: stored_len(&tensors[id.0 as usize]), first, last: first })
        .collect();
    let at: BTreeMap<TensorId, usize> = lives.iter().enumerate().map(|(i, l)| (l.id, i)).collect();
    for (step, node) in nodes.iter().enumerate() {
        node.inputs.iter().filter_map(|id| at.get(id)).for_each(|&i| lives[i].last = step);
    }
    lives
}

/// Runs the nodes in order.
pub(crate) fn run(
    segment: &Segment,
    nodes: &[QNode],
    packed: &PackedSegment,
    options: &RunOptions,
    run: &mut Run<'_, '_, '_, '_>,
) -> Result<(), RuntimeError> {
    let mut memory = packed.arena.take();
    let result = steps(segment, nodes, packed, options, run, &mut memory);
    packed.arena.give(memory);
    result
}

fn steps(
    segment: &Segment,
    nodes: &[QNode],
    packed: &PackedSegment,
    options: &RunOptions,
    run: &mut Run<'_, '_, '_, '_>,
    memory: &mut [u8],
) -> Result<(), RuntimeError> {
    let tensors = &run.model.artifact.tensors;
    let missing = |name: &str| RuntimeError::node(name, "reads a tensor that is not there");
    for &id in &segment.inputs {
        let place = packed.arena.place(id).ok_or_else(|| missing(&tensors[id.0 as usize].name))?;
        store(run.values.get(id)?, &mut memory[place], options.threads)?;
    }
    run.values.release(&segment.inputs);
    run.layout_step(StepKind::InputLayout, segment.inputs.last().copied());
    for (node, conv) in nodes.iter().zip(&packed.convs) {
        let id = node.outputs[0];
        let place = packed.arena.place(id).ok_or_else(|| missing(&node.name))?;
        let (out, others) = part(memory, place);
        let find = |id: &TensorId| {
            let held = packed.arena.place(*id).and_then(|place| others.get(place));
            held.or(packed.constants.get(id).map(Vec::as_slice)).ok_or_else(|| missing(&node.name))
        };
        // The weights of a convolution are packed.
        let operands = if conv.is_some() { &node.inputs[..1] } else { &node.inputs[..] };
        let inputs = operands.iter().map(find).collect::<Result<Vec<&[u8]>, _>>()?;
        let call = Call { node, inputs: &inputs, tensors, threads: options.threads, isa: packed.isa };
        apply(&call, conv.as_ref(), out)?;
        run.step(StepKind::Layer, node);
        if run.is_watched() || segment.outputs.contains(&id) {
            let declared = call.output();
            run.made(id, from_stored(out, declared.dtype, &declared.shape, options.threads)?)?;
            run.layout_step(StepKind::OutputLayout, Some(id));
        }
    }
    Ok(())
}

/// Writes the result of one node.
fn apply(call: &Call<'_>, conv: Option<&PackedConv>, out: &mut [u8]) -> Result<(), RuntimeError> {
    if call.has_words() && int::apply_words(call, out)? {
        return Ok(());
    }
    match (&call.node.op, conv) {
        (QOp::Conv(_), Some(conv)) => conv.run(call, out)?,
        (QOp::Add(add), _) => int::add(call, add, out)?,
        (QOp::Mul(mul), _) => int::mul(call, mul, out)?,
        (QOp::Lut(lut), _) => int::lut(call, lut, out),
        (QOp::Extreme(extreme), _) => int::extreme(call, extreme, out)?,
        (QOp::Div(div), _) => int::div(call, div, out)?,
        (QOp::MatMul(matmul), _) => int::matmul(call, matmul, out)?,
        (QOp::Reduce(reduce), _) => int::reduce(call, reduce, out)?,
        (QOp::Softmax(softmax), _) => int::softmax(call, softmax, out)?,
        (QOp::Concat(concat), _) => int::concat(call, concat, out),
        (QOp::AveragePool(pool), _) => int::average_pool(call, pool, out)?,
        (QOp::MaxPool(geom), _) => int::max_pool(call, geom, out)?,
        (QOp::Resize(resize), _) => int::resize(call, resize, out),
        (QOp::LinearResize(resize), _) => int::linear_resize(call, resize, out),
        (QOp::DepthToSpace(block), _) => int::depth_to_space(call, *block, out),
        (QOp::SpaceToDepth { block }, _) => int::space_to_depth(call, *block, out),
        (QOp::Slice { starts }, _) => int::slice(call, starts, out),
        (QOp::Gather { axis, indices }, _) => int::gather_along(call, *axis, indices, out),
        (QOp::Pad { before, value }, _) => int::pad(call, before, *value, out),
        (QOp::Reshape, _) => int::reshape(call, out),
        (QOp::Transpose { perm }, _) => int::transpose(call, perm, out),
        (QOp::Requantize(requantize), _) => int::requantize(call, requantize, out),
        (other, _) => {
            let why = format!("{} is not an integer operator", other.name());
            return Err(RuntimeError::node(&call.node.name, why));
        }
    }
    Ok(())
}
