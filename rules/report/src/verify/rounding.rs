//! How far a float graph's own rounding moves its tensors. Called by `verify` where fusion seems to have changed a result:
//! a variance written as the mean of squares minus the square of the mean loses most digits where the mean is large, and
//! the fused operator, which computes it in two passes, is then the more exact of the two.

use ptq_ir::{DType, Graph, Tensor};

/// How many times the change by one rounding of the constants may be reached: every node in between rounds as well.
pub(super) const STEPS: f64 = 8.0;

/// The graph with every float constant one rounding step off, up or down in an order that looks like noise.
pub(super) fn one_step_off(graph: &Graph) -> Graph {
    let mut off = graph.clone();
    for tensor in off.constants.values_mut().filter(|t| t.dtype() == DType::F32) {
        let Ok(values) = tensor.f32s() else { continue };
        let moved = values.iter().enumerate().map(|(i, v)| moved(*v, i)).collect();
        if let Ok(t) = Tensor::from_f32(tensor.shape(), moved) {
            *tensor = t;
        }
    }
    off
}

/// The next number up or down; 0 and what is not finite stay.
fn moved(v: f32, i: usize) -> f32 {
    let up = (i as u32).wrapping_mul(2_654_435_769) >> 31 == 0;
    match v {
        _ if v == 0.0 || !v.is_finite() => v,
        _ if up => v.next_up(),
        _ => v.next_down(),
    }
}
