//! How real numbers become integers: parameters of a tensor, and constants of a requantization.

use crate::{Attrs, DType, Graph, Node, Tensor, Value, ValueId};
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
    /// int16, zero point 0, scale = threshold / 32,767: values that placement gives 16 bits, on every march.
    SymmetricInt16,
    /// int8 with a zero point: what `calibration.asymmetric` makes of [`ActScheme::SymmetricInt8`].
    AffineInt8,
}

impl ActScheme {
    /// Whether the zero point follows the range.
    pub fn is_affine(self) -> bool {
        !matches!(self, ActScheme::SymmetricInt8 | ActScheme::SymmetricInt16)
    }

    /// The scheme of the same type with a zero point.
    #[must_use]
    pub fn asymmetric(self) -> ActScheme {
        match self {
            ActScheme::SymmetricInt8 => ActScheme::AffineInt8,
            other => other,
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
    /// Activations that carry a scale. Where a node reads a value with other parameters than the value's own (in another
    /// width), a second entry under [`QuantTable::reader_key`] has them.
    pub activations: BTreeMap<String, ActivationQuant>,
    /// Weights of accelerated nodes: int8, symmetric, per output channel.
    pub weights: BTreeMap<String, QuantParams>,
    /// Constants in place of the graph's, where calibration corrected weights and biases for what quantization loses.
    pub constants: BTreeMap<String, Tensor>,
}

impl QuantTable {
    /// Key of the parameters with which one node reads a value.
    pub fn reader_key(value: &str, node: &str) -> String {
        format!("{value} for {node}")
    }

    /// The parameters with which a node reads a value, where they are not the value's own.
    pub fn reread(&self, value: &str, node: &str) -> Option<&ActivationQuant> {
        self.activations.get(&QuantTable::reader_key(value, node))
    }

    /// The parameters with which a node reads a value.
    pub fn read_by(&self, value: &str, node: &str) -> Option<&ActivationQuant> {
        self.reread(value, node).or_else(|| self.activations.get(value))
    }

    /// The graph in which every value that a node reads with other parameters than its own is a value of its own, named by
    /// [`QuantTable::reader_key`] and copied by an Identity in front of that node. Numbers of values stay.
    pub fn with_readers<'g>(&self, graph: &'g Graph) -> Cow<'g, Graph> {
        let reread = |node: &Node| -> Vec<(usize, ValueId, String)> {
            let of = |(i, v): (usize, &Option<ValueId>)| {
                let v = (*v)?;
                let key = QuantTable::reader_key(&graph.value(v).name, &node.name);
                self.activations.contains_key(&key).then_some((i, v, key))
            };
            node.inputs.iter().enumerate().filter_map(of).collect()
        };
        let all: Vec<_> = graph.nodes.iter().map(reread).collect();
        if all.iter().all(Vec::is_empty) {
            return Cow::Borrowed(graph);
        }
        let mut out = graph.clone();
        out.nodes.clear();
        for (node, reread) in graph.nodes.iter().zip(all) {
            let mut node = node.clone();
            for (i, v, key) in reread {
                let made = out.values.iter().position(|v| v.name == key);
                let copy = made.map_or(ValueId(out.values.len() as u32), |i| ValueId(i as u32));
                node.inputs[i] = Some(copy);
                if made.is_none() {
                    let value = graph.value(v);
                    out.values.push(Value { name: key.clone(), ..value.clone() });
                    out.nodes.push(Node {
                        name: key,
                        op: "Identity".into(),
                        domain: String::new(),
                        inputs: vec![Some(v)],
                        outputs: vec![copy],
                        attrs: Attrs::default(),
                        covers: Vec::new(),
                        fusible_into: None,
                    });
                }
            }
            out.nodes.push(node);
        }
        Cow::Owned(out)
    }

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
