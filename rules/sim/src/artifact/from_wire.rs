//! Protobuf messages → model, with every number's meaning checked. What the parts mean together is `check`'s.

use super::BinError;
use super::model::{Body, LayerPlan, Model, Npu, Placed, Segment, TileAxis};
use super::op_wire;
use super::schema::*;
use crate::Program;
use ptq_ir::{DType, Device, InputSpec, QNode, QTensor, QuantParams, Rounding, SegmentId, Tensor, TensorId};

pub(super) fn inconsistent(what: impl Into<String>) -> BinError {
    BinError::Inconsistent(what.into())
}

pub(super) fn model(m: ModelMessage) -> Result<Model, BinError> {
    let segments = m.segments.into_iter().enumerate().map(|(i, s)| segment(i, s));
    Ok(Model {
        name: m.name,
        march: m.march,
        march_hash: m.march_hash[..].try_into().map_err(|_| inconsistent("the march's hash is not 32 bytes"))?,
        rounding: match m.rounding {
            0 => Rounding::Fixed,
            1 => Rounding::Float,
            _ => return Err(inconsistent("the rounding is unknown")),
        },
        optimize_level: m.optimize_level,
        debug: !m.without_debug,
        tensors: m.tensors.into_iter().map(tensor).collect::<Result<_, _>>()?,
        inputs: ports(&m.inputs)?,
        input_specs: m.inputs.iter().map(spec).collect::<Result<_, _>>()?,
        outputs: ports(&m.outputs)?,
        segments: segments.collect::<Result<_, _>>()?,
    })
}

fn ports(ports: &[PortMessage]) -> Result<Vec<TensorId>, BinError> {
    let read = |p: &PortMessage| match p.layout {
        0 => Ok(TensorId(p.tensor)),
        _ => Err(inconsistent("the layout of an input or output is unknown")),
    };
    ports.iter().map(read).collect()
}

fn spec(p: &PortMessage) -> Result<Option<InputSpec>, BinError> {
    let read = |text: &String| serde_json::from_str(text);
    p.spec.as_ref().map(read).transpose().map_err(|e| inconsistent(format!("the description of an input: {e}")))
}

fn shape_and_type(t: &TensorMessage) -> Result<(Vec<usize>, DType), BinError> {
    let dtype = DType::from_onnx(t.dtype).ok_or_else(|| inconsistent(format!("{}: type is unknown", t.name)))?;
    let dim = |&d: &u64| usize::try_from(d).map_err(|_| inconsistent(format!("{}: shape is too large", t.name)));
    Ok((t.shape.iter().map(dim).collect::<Result<_, _>>()?, dtype))
}

fn tensor(t: TensorMessage) -> Result<QTensor, BinError> {
    let (shape, dtype) = shape_and_type(&t)?;
    let read = |bytes| Tensor::from_le_bytes(dtype, &shape, bytes).map_err(|e| inconsistent(e.to_string()));
    let data = t.data.as_deref().map(read).transpose()?;
    let quant = t.quant.map(|q| QuantParams {
        dtype,
        scale: q.scale,
        zero_point: q.zero_point,
        axis: q.axis.map(|a| a as usize),
    });
    Ok(QTensor { name: t.name, source: t.source, shape, dtype, quant, data })
}

/// A constant inside an attribute.
pub(super) fn plain_tensor(t: TensorMessage) -> Result<Tensor, BinError> {
    let (shape, dtype) = shape_and_type(&t)?;
    let data = t.data.ok_or_else(|| inconsistent("an attribute's tensor has no data"))?;
    Tensor::from_le_bytes(dtype, &shape, &data).map_err(|e| inconsistent(e.to_string()))
}

fn ids(ids: &[u32]) -> Vec<TensorId> {
    ids.iter().map(|&t| TensorId(t)).collect()
}

fn segment(index: usize, s: SegmentMessage) -> Result<Segment, BinError> {
    let nodes = |m: NodesMessage| m.nodes.into_iter().map(|n| node(index, n)).collect::<Result<Vec<_>, _>>();
    let (device, body) = match s.body.ok_or_else(|| inconsistent("a segment is empty"))? {
        BodyMessage::Float(n) => (Device::Cpu, Body::Float(nodes(n)?)),
        BodyMessage::Int(n) => (Device::Bpu, Body::Int(nodes(n)?)),
        BodyMessage::Npu(n) => (Device::Bpu, Body::Npu(npu(n)?)),
    };
    Ok(Segment { device, subgraph: s.subgraph, inputs: ids(&s.inputs), outputs: ids(&s.outputs), body })
}

fn node(segment: usize, n: NodeMessage) -> Result<QNode, BinError> {
    let op = n.op.ok_or_else(|| inconsistent(format!("{}: operator is unknown", n.name)))?;
    Ok(QNode {
        op: op_wire::read_op(op)?,
        inputs: ids(&n.inputs),
        outputs: ids(&n.outputs),
        segment: SegmentId(segment as u32),
        covers: n.covers,
        name: n.name,
    })
}

fn npu(n: NpuMessage) -> Result<Npu, BinError> {
    let commands = Program::decode_commands(&n.commands).map_err(|e| inconsistent(e.to_string()))?;
    let placed = n.placed.iter().map(|p| {
        let layer = p.layer.map(u16::try_from).transpose();
        let layer = layer.map_err(|_| inconsistent("a layer number is out of range"))?;
        Ok(Placed { tensor: TensorId(p.tensor), address: p.address, layer })
    });
    let placed = placed.collect::<Result<_, _>>()?;
    let tile = |t: TileMessage| TileAxis { axis: t.axis, extent: t.extent, total: t.total };
    let layer = |l: LayerMessage| LayerPlan { node: l.node, op: l.op, tile: l.tile.into_iter().map(tile).collect() };
    let plan: Vec<LayerPlan> = n.layers.into_iter().map(layer).collect();
    let program = Program {
        commands,
        constants: n.constants,
        sram_bytes: n.sram_bytes,
        align: n.align,
        ddr_bytes: n.ddr_bytes,
        layers: plan.iter().map(|l| l.node.clone()).collect(),
        calls: n.calls,
    };
    Ok(Npu { program, placed, plan, follows: n.follows })
}
