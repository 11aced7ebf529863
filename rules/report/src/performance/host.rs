//! What nodes and borders on the CPU would take: two assumed figures, because march files say nothing about the CPU.

use ptq_ir::{QNode, QOp, QTensor, TensorId, numel};
use ptq_march::{Parameter, Provenance};

/// Elements a microsecond that a CPU node reads or makes, whichever are more.
const ELEMENTS: f64 = 500.0;
/// Multiply-accumulates a microsecond of float convolutions and matrix products.
const MACS: f64 = 2000.0;

/// The figures, for reports: one core of an embedded processor with 128-bit vectors.
pub const HOST_FIGURES: [Parameter; 2] = [
    Parameter {
        name: "host.elements_per_us",
        value: ELEMENTS,
        unit: "elements a microsecond",
        provenance: Provenance::Assumed,
    },
    Parameter {
        name: "host.macs_per_us",
        value: MACS,
        unit: "float MACs a microsecond",
        provenance: Provenance::Assumed,
    },
];

/// Multiply-accumulates of a node, and its time in microseconds.
pub(super) fn cost(node: &QNode, tensors: &[QTensor]) -> (u64, f64) {
    let shape = |id: &TensorId| tensors.get(id.0 as usize).map_or(&[][..], |t| &t.shape);
    let elements = |ids: &[TensorId]| ids.iter().map(|id| numel(shape(id)).unwrap_or(0) as u64).sum::<u64>();
    let made = elements(&node.outputs);
    let macs = match &node.op {
        QOp::Float { op, .. } => {
            let first = node.inputs.first().map_or(&[][..], &shape);
            let second = node.inputs.get(1).map_or(&[][..], shape);
            let depth = match op.as_str() {
                "Conv" => second.iter().skip(1).product::<usize>(),
                "ConvTranspose" => second.iter().skip(1).product::<usize>(),
                "MatMul" | "Gemm" => first.last().copied().unwrap_or(0),
                _ => 0,
            };
            let results = if op == "ConvTranspose" { elements(&node.inputs[..1]) } else { made };
            results.saturating_mul(depth as u64)
        }
        _ => 0,
    };
    let moved = elements(&node.inputs).max(made) as f64 / ELEMENTS;
    (macs, moved.max(macs as f64 / MACS))
}
