//! Inputs as they arrive at run time: their bytes, and how many items one run computes.

use ptq_ir::{InputType, QOp, TensorId, numel};
use ptq_sim::artifact::{Body, Model};

/// An input of the model.
#[derive(Clone, Debug, PartialEq)]
pub struct InputUse {
    /// Name.
    pub name: String,
    /// Shape in the model's own axis order.
    pub shape: Vec<usize>,
    /// What arrives: a run-time type, or the element type where none is declared.
    pub arrives: String,
    /// Where the accelerator takes it from.
    pub source: &'static str,
    /// Bytes that arrive. Of nv12 N·H·W·3/2.
    pub bytes: u64,
    /// Elements that the accelerator computes with: of nv12 N·H·W·3.
    pub elements: u64,
}

/// All inputs in the model's order.
pub(super) fn inputs(model: &Model) -> Vec<InputUse> {
    let of = |(i, id): (usize, &TensorId)| {
        let tensor = model.tensors.get(id.0 as usize)?;
        let spec = model.input_specs.get(i).and_then(Option::as_ref);
        let elements = numel(&tensor.shape).unwrap_or(0) as u64;
        let arrives = spec.and_then(|s| s.type_rt).map_or_else(|| tensor.dtype.to_string(), |t| t.word().to_owned());
        let frame = spec.and_then(|s| s.frame_bytes(&tensor.shape)).map(|b| b as u64);
        Some(InputUse {
            name: tensor.source.clone(),
            shape: tensor.shape.clone(),
            arrives,
            source: spec.map_or("ddr", |s| s.source().word()),
            bytes: frame.unwrap_or(elements * tensor.dtype.bytes() as u64),
            elements,
        })
    };
    model.inputs.iter().enumerate().filter_map(of).collect()
}

/// Items of the first input that has a batch axis.
pub(super) fn per_run(model: &Model) -> u64 {
    let shapes = model.inputs.iter().filter_map(|id| model.tensors.get(id.0 as usize)).map(|t| &t.shape);
    let batch = shapes.filter(|s| s.len() == 4).find_map(|s| s.first());
    batch.map_or(1, |&n| n.max(1) as u64)
}

/// Tensors that hold an nv12 frame expanded to three planes: such inputs, also behind their border.
pub(super) fn expanded(model: &Model) -> Vec<TensorId> {
    let nv12 = |(i, _): &(usize, &TensorId)| {
        let spec = model.input_specs.get(*i).and_then(Option::as_ref);
        spec.and_then(|s| s.type_rt) == Some(InputType::Nv12)
    };
    let mut out: Vec<TensorId> = model.inputs.iter().enumerate().filter(nv12).map(|(_, &id)| id).collect();
    for segment in &model.segments {
        let Body::Float(nodes) = &segment.body else { continue };
        for node in nodes.iter().filter(|n| matches!(n.op, QOp::Quantize)) {
            if node.inputs.first().is_some_and(|id| out.contains(id)) {
                out.extend(&node.outputs);
            }
        }
    }
    out
}
