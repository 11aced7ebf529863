//! Model → protobuf messages.

use super::model::{Body, Model, Npu, Segment};
use super::op_wire;
use super::schema::*;
use ptq_ir::{QNode, QTensor, QuantParams, Rounding, Tensor, TensorId};

pub(super) fn model(m: &Model) -> ModelMessage {
    let port = |t: &TensorId| PortMessage { tensor: t.0, layout: 0, spec: None };
    let input = |(i, t): (usize, &TensorId)| {
        let spec = m.input_specs.get(i).and_then(Option::as_ref);
        PortMessage { spec: spec.and_then(|s| serde_json::to_string(s).ok()), ..port(t) }
    };
    ModelMessage {
        name: m.name.clone(),
        march: m.march.clone(),
        march_hash: m.march_hash.to_vec().into(),
        rounding: match m.rounding {
            Rounding::Fixed => 0,
            Rounding::Float => 1,
        },
        optimize_level: m.optimize_level.clone(),
        tensors: m.tensors.iter().map(tensor).collect(),
        inputs: m.inputs.iter().enumerate().map(input).collect(),
        outputs: m.outputs.iter().map(port).collect(),
        segments: m.segments.iter().map(segment).collect(),
        without_debug: !m.debug,
    }
}

fn tensor(t: &QTensor) -> TensorMessage {
    TensorMessage {
        name: t.name.clone(),
        source: t.source.clone(),
        dtype: t.dtype.onnx(),
        shape: t.shape.iter().map(|&d| d as u64).collect(),
        quant: t.quant.as_ref().map(quant),
        data: t.data.as_ref().map(|d| d.to_le_bytes().into()),
    }
}

/// A constant inside an attribute.
pub(super) fn plain_tensor(t: &Tensor) -> TensorMessage {
    TensorMessage {
        dtype: t.dtype().onnx(),
        shape: t.shape().iter().map(|&d| d as u64).collect(),
        data: Some(t.to_le_bytes().into()),
        ..TensorMessage::default()
    }
}

fn quant(q: &QuantParams) -> QuantMessage {
    QuantMessage { scale: q.scale.clone(), zero_point: q.zero_point.clone(), axis: q.axis.map(|a| a as u32) }
}

fn segment(s: &Segment) -> SegmentMessage {
    let ids = |ids: &[TensorId]| ids.iter().map(|t| t.0).collect();
    let nodes = |nodes: &[QNode]| NodesMessage { nodes: nodes.iter().map(node).collect() };
    SegmentMessage {
        subgraph: s.subgraph,
        inputs: ids(&s.inputs),
        outputs: ids(&s.outputs),
        body: Some(match &s.body {
            Body::Float(n) => BodyMessage::Float(nodes(n)),
            Body::Int(n) => BodyMessage::Int(nodes(n)),
            Body::Npu(n) => BodyMessage::Npu(npu(n)),
        }),
    }
}

fn node(n: &QNode) -> NodeMessage {
    NodeMessage {
        name: n.name.clone(),
        inputs: n.inputs.iter().map(|t| t.0).collect(),
        outputs: n.outputs.iter().map(|t| t.0).collect(),
        covers: n.covers.clone(),
        op: Some(op_wire::op(&n.op)),
    }
}

fn npu(n: &Npu) -> NpuMessage {
    let layers = n.plan.iter().map(|l| LayerMessage {
        node: l.node.clone(),
        op: l.op.clone(),
        tile: l.tile.iter().map(|t| TileMessage { axis: t.axis.clone(), extent: t.extent, total: t.total }).collect(),
    });
    let placed = n.placed.iter().map(|p| PlacedMessage {
        tensor: p.tensor.0,
        address: p.address,
        layer: p.layer.map(u32::from),
    });
    NpuMessage {
        commands: n.program.command_bytes().into(),
        constants: n.program.constants.clone(),
        sram_bytes: n.program.sram_bytes,
        align: n.program.align,
        ddr_bytes: n.program.ddr_bytes,
        layers: layers.collect(),
        placed: placed.collect(),
        calls: n.program.calls.clone(),
        follows: n.follows.clone(),
    }
}
