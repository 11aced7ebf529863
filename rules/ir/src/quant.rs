//! How real numbers become integers: parameters of a tensor, and constants of a requantization.

use crate::{DType, Graph, Tensor, ValueId};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Affine quantization of one tensor: `real = (q - zero_point) * scale`
/// (ONNX QuantizeLinear / DequantizeLinear).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QuantParams {
    /// Type of the stored integers.
    pub dtype: DType,
    /// One scale, or one for each index along `axis`.
    pub scale: Vec<f32>,
    /// One zero point, or one for each index along `axis`.
    pub zero_point: Vec<i32>,
    /// Axis of per-channel parameters; `None` for one pair.
    pub axis: Option<usize>,
}

impl QuantParams {
    /// Parameters shared by the whole tensor.
    pub fn per_tensor(dtype: DType, scale: f32, zero_point: i32) -> QuantParams {
        QuantParams { dtype, scale: vec![scale], zero_point: vec![zero_point], axis: None }
    }

    /// Symmetric parameters for each index along `axis`.
    pub fn per_channel(dtype: DType, scale: Vec<f32>, axis: usize) -> QuantParams {
        let zero_point = vec![0; scale.len()];
        QuantParams { dtype, scale, zero_point, axis: Some(axis) }
    }

    /// The single scale; the first one when per channel.
    pub fn scale0(&self) -> f32 {
        self.scale.first().copied().unwrap_or(1.0)
    }

    /// The single zero point; the first one when per channel.
    pub fn zero_point0(&self) -> i32 {
        self.zero_point.first().copied().unwrap_or(0)
    }

    /// Clip value: the largest real number that the integers can hold, as the `Threshold` column shows it.
    pub fn threshold(&self) -> f32 {
        let (lo, hi) = self.dtype.quant_range().unwrap_or((-127, 127));
        let reach = (hi - self.zero_point0()).max(self.zero_point0() - lo.max(-hi));
        reach as f32 * self.scale0()
    }
}

/// How activations of a march are quantized.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ActScheme {
    /// int8, zero point 0, scale = threshold / 127.
    SymmetricInt8,
    /// uint8 with a zero point; 0 for tensors that are never negative.
    AffineUint8,
    /// int8 with a zero point: what `calibration.asymmetric` makes of [`ActScheme::SymmetricInt8`].
    AffineInt8,
}

impl ActScheme {
    /// Whether the zero point follows the range.
    pub fn is_affine(self) -> bool {
        self != ActScheme::SymmetricInt8
    }

    /// The scheme of the same type with a zero point.
    #[must_use]
    pub fn asymmetric(self) -> ActScheme {
        match self {
            ActScheme::SymmetricInt8 => ActScheme::AffineInt8,
            affine => affine,
        }
    }
}

/// Rounding of a requantization; a property of the march.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rounding {
    /// float32 multiply, half to even (ONNX QLinearConv as ONNX Runtime computes it).
    Float,
    /// 31-bit multiplier, one 64-bit product, one rounding shift, half away from zero.
    Fixed,
}

/// Constants that turn an accumulator into a quantized value; one entry, or one for each output channel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Requant {
    /// Multipliers of [`Rounding::Float`].
    Float(Vec<f32>),
    /// `(multiplier, right shift)` of [`Rounding::Fixed`]: `round(acc * multiplier / 2^shift)`.
    Fixed(Vec<(i32, u8)>),
}

/// What calibration decided about one activation value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ActivationQuant {
    /// The parameters that the integer graph will use.
    pub params: QuantParams,
    /// Lower end of the calibrated range.
    pub lo: f32,
    /// Upper end of the calibrated range.
    pub hi: f32,
    /// Method that chose it (`max`, `max-percentile`, `kl`, `skip`, `image`, `shared`).
    pub method: String,
}

/// Quantization of a graph, by value name: what calibration decided.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct QuantTable {
    /// Activations that carry a scale.
    pub activations: BTreeMap<String, ActivationQuant>,
    /// Weights of accelerated nodes: int8, symmetric, per output channel.
    pub weights: BTreeMap<String, QuantParams>,
    /// Constants in place of the graph's, where calibration corrected weights and biases for what quantization loses.
    pub constants: BTreeMap<String, Tensor>,
}

impl QuantTable {
    /// The graph that is quantized: with the constants that calibration corrected.
    pub fn corrected<'g>(&self, graph: &'g Graph) -> Cow<'g, Graph> {
        if self.constants.is_empty() {
            return Cow::Borrowed(graph);
        }
        let mut graph = graph.clone();
        for (i, value) in graph.values.iter().enumerate() {
            let found = self.constants.get(&value.name);
            if let (Some(new), Some(old)) = (found, graph.constants.get_mut(&ValueId(i as u32))) {
                old.clone_from(new);
            }
        }
        Cow::Owned(graph)
    }

    /// Whether both tables give every value the same integers; ranges and names of methods do not count.
    pub fn same_parameters(&self, other: &QuantTable) -> bool {
        let params = |t: &QuantTable| -> Vec<(String, QuantParams)> {
            t.activations.iter().map(|(n, a)| (n.clone(), a.params.clone())).collect()
        };
        self.weights == other.weights && self.constants == other.constants && params(self) == params(other)
    }
}
