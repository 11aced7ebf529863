//! Functions of one number that a convolution applies to its results while they are in cache.

use crate::{Isa, math, vectorized::vectorized};

/// An activation behind a convolution. Each gives the bits of the ONNX operator of this name computed on its own.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Activation {
    /// The values themselves.
    None,
    /// Clip; Relu is the one from 0 to infinity. NaN stays.
    Clip {
        /// Smallest result.
        lo: f32,
        /// Largest result.
        hi: f32,
    },
    /// `max(0, min(1, alpha · x + beta))`.
    HardSigmoid {
        /// Slope.
        alpha: f32,
        /// Value at 0.
        beta: f32,
    },
    /// `x · max(0, min(1, x / 6 + 1/2))`.
    HardSwish,
    /// `alpha · x` below 0.
    LeakyRelu {
        /// Slope below 0.
        alpha: f32,
    },
    /// `1 / (1 + e^-x)`.
    Sigmoid,
}

impl Activation {
    /// Least and largest result of the part of an activation that only clips, and the part that is applied behind it: one of
    /// them does nothing.
    #[cfg(target_arch = "x86_64")]
    pub(super) fn clip_and_rest(self) -> ([f32; 2], Activation) {
        match self {
            Activation::Clip { lo, hi } => ([lo, hi], Activation::None),
            other => ([f32::NEG_INFINITY, f32::INFINITY], other),
        }
    }

    /// Replaces every element by its function value.
    pub fn apply(self, isa: Isa, x: &mut [f32]) {
        match self {
            Activation::None => {}
            Activation::Clip { lo, hi } => change(isa, x, |v| {
                let v = if v < lo { lo } else { v };
                if v > hi { hi } else { v }
            }),
            Activation::HardSigmoid { alpha, beta } => change(isa, x, |v| (alpha * v + beta).clamp(0.0, 1.0)),
            Activation::HardSwish => change(isa, x, |v| v * (v * (1.0 / 6.0) + 0.5).clamp(0.0, 1.0)),
            Activation::LeakyRelu { alpha } => change(isa, x, |v| if v < 0.0 { alpha * v } else { v }),
            Activation::Sigmoid => change(isa, x, math::sigmoid),
        }
    }
}

fn change(isa: Isa, x: &mut [f32], f: impl Fn(f32) -> f32) {
    vectorized(isa, || x.iter_mut().for_each(|v| *v = f(*v)));
}
