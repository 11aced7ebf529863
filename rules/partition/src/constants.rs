//! Integer constants from real scales: multipliers, clamps, quantized data.

use ptq_ir::{Activation, QuantParams, Requant, Rounding};
use ptq_kernels::requant::{fixed_from_f64, fixed_pair_from_f64, quantize};

/// Requantization constants for these real factors.
pub(crate) fn requant(rounding: Rounding, factors: &[Factor]) -> Requant {
    match rounding {
        Rounding::Float => Requant::Float(factors.iter().map(|f| f.single).collect()),
        Rounding::Fixed => Requant::Fixed(factors.iter().map(|f| fixed_from_f64(f.double)).collect()),
    }
}

/// Constants of a sum: two multipliers, in fixed point with one common shift.
pub(crate) fn requant_sum(rounding: Rounding, a: Factor, b: Factor) -> Requant {
    match rounding {
        Rounding::Float => Requant::Float(vec![a.single, b.single]),
        Rounding::Fixed => {
            let (ma, mb, shift) = fixed_pair_from_f64(a.double, b.double);
            Requant::Fixed(vec![(ma, shift), (mb, shift)])
        }
    }
}

/// A real factor in both precisions; each march uses one of them.
#[derive(Clone, Copy)]
pub(crate) struct Factor {
    single: f32,
    double: f64,
}

impl Factor {
    /// `input · weight / output`, in single precision with ONNX Runtime's order of operations.
    pub(crate) fn product(input: f32, weight: f32, output: f32) -> Factor {
        Factor { single: input * weight / output, double: f64::from(input) * f64::from(weight) / f64::from(output) }
    }

    /// `input / output`.
    pub(crate) fn ratio(input: f32, output: f32) -> Factor {
        Factor { single: input / output, double: f64::from(input) / f64::from(output) }
    }

    /// `a / b / output`, in single precision with ONNX Runtime's order of operations.
    pub(crate) fn quotient(a: f32, b: f32, output: f32) -> Factor {
        Factor { single: a / b / output, double: f64::from(a) / (f64::from(b) * f64::from(output)) }
    }

    /// `input / (output · count)`.
    pub(crate) fn mean(input: f32, output: f32, count: usize) -> Factor {
        let n = count as f64;
        Factor { single: input / (output * count as f32), double: f64::from(input) / (f64::from(output) * n) }
    }
}

/// Lowest and highest stored value of a result with this activation. With one scale a channel, calibration chose every
/// threshold below the activation's upper bound, so that only its lower bound, zero, is left.
pub(crate) fn clamp(activation: Activation, out: &QuantParams) -> (i32, i32) {
    let (lo, hi) = out.dtype.quant_range().unwrap_or((i32::MIN, i32::MAX));
    let activation = match activation {
        Activation::Clip { .. } if out.axis.is_some() => Activation::Relu,
        other => other,
    };
    let at = |x: f32| quantize(x, out.scale0(), out.zero_point0(), lo, hi);
    match activation {
        Activation::None => (lo, hi),
        Activation::Relu => (at(0.0), hi),
        Activation::Clip { min, max } => {
            let low = if min == f32::NEG_INFINITY { lo } else { at(min) };
            let high = if max == f32::INFINITY { hi } else { at(max) };
            (low, high.max(low))
        }
    }
}
