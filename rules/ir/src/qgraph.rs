//! The integer program: what partition makes of a float graph, what the interpreter runs and compile lowers.
//!
//! One definition of the integer semantics for everything downstream. All constants that decide a
//! result (weights, biases, multipliers, tables) are stored here as integers or exact floats, so that
//! interpreter, simulator, executor and the exported QDQ file cannot disagree about them.

use crate::{Attrs, DType, Device, QuantParams, Requant, Rounding, Tensor, ops};
use serde::{Deserialize, Serialize};

/// Index of a tensor in its [`QGraph`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TensorId(pub u32);

/// Index of a segment in its [`QGraph`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SegmentId(pub u32);

/// A tensor of the integer program.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QTensor {
    /// Unique name. Equal to `source` for float tensors and for model inputs and outputs that carry integers; other integer tensors end
    /// in `_quantized`.
    pub name: String,
    /// Name of the float graph's value that it stands for.
    pub source: String,
    /// Shape in the model's own (ONNX) axis order.
    pub shape: Vec<usize>,
    /// Element type: `int8`, `uint8`, `int16` or `int32` when quantized; any type on the CPU.
    pub dtype: DType,
    /// Parameters when quantized.
    pub quant: Option<QuantParams>,
    /// Data when constant.
    pub data: Option<Tensor>,
}

/// A function that a node applies to its result before storing it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Activation {
    /// None.
    None,
    /// `max(x, 0)`.
    Relu,
    /// `min(max(x, min), max)`; Relu6 is `Clip` with 0 and 6.
    Clip {
        /// Lower bound.
        min: f32,
        /// Upper bound.
        max: f32,
    },
}

/// Integer convolution: `acc = bias[o] + Σ (x - x_zero) * w`, taps outside the image add nothing.
/// Inputs: `x` (NCHW, int8/uint8/int16), `w` (OIHW int8, constant), optional `bias` (int32, constant).
/// With 8-bit `x` the accumulator has 32 bits and wraps (placement's limits keep it inside); with 16-bit `x` it has 64
/// bits, which no legal convolution exceeds, and an int32 result is saturated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QConv {
    /// Kernel, strides, pads, dilations, groups.
    pub geom: ops::ConvGeom,
    /// How the accumulator becomes the output; `None` when the output is the int32 accumulator itself.
    pub requant: Option<Requant>,
    /// Output zero point, added after requantization.
    pub out_zero: i32,
    /// Lowest output (quantized units); includes the fused activation and the type's range.
    pub clamp_lo: i32,
    /// Highest output (quantized units); includes the fused activation and the type's range.
    pub clamp_hi: i32,
    /// The fused activation, as the float model states it.
    pub activation: Activation,
}

/// Element-wise sum with broadcasting (a difference where `mb` is negative): `out = round((a - a_zero)·ma + (b - b_zero)·mb) + out_zero`, clamped.
/// `Requant` holds two entries, for `a` and `b`. `Float`: both products and the sum are single f32
/// operations, then half to even. `Fixed`: both entries have one shift; one rounding of the exact 64-bit sum.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QAdd {
    /// Multipliers of `a` and `b`.
    pub requant: Requant,
    /// Output zero point.
    pub out_zero: i32,
    /// Lowest output.
    pub clamp_lo: i32,
    /// Highest output.
    pub clamp_hi: i32,
    /// The fused activation, as the float model states it.
    pub activation: Activation,
}

/// Element-wise product with broadcasting: `out = requant((a - a_zero)·(b - b_zero)) + out_zero`, clamped.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QMul {
    /// One entry.
    pub requant: Requant,
    /// Output zero point.
    pub out_zero: i32,
    /// Lowest output.
    pub clamp_lo: i32,
    /// Highest output.
    pub clamp_hi: i32,
}

/// Element-wise larger or smaller operand with broadcasting: `out = max(round((a - a_zero)·ma), round((b - b_zero)·mb)) + out_zero`,
/// saturated to the type; `min` in place of `max` where `smaller`. `requant` is as a [`QAdd`]'s: two entries, in fixed point with one shift.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QExtreme {
    /// Whether the smaller one is taken.
    pub smaller: bool,
    /// Multipliers of `a` and `b`.
    pub requant: Requant,
    /// Output zero point.
    pub out_zero: i32,
}

/// Element-wise quotient with broadcasting: `out = round((a - a_zero)·m / (b - b_zero)) + out_zero`, saturated to the type, one
/// rounding. A zero divisor gives the type's highest or lowest value by the sign of `a - a_zero`, and the zero point where that is 0 too.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QDiv {
    /// One entry.
    pub requant: Requant,
    /// Output zero point.
    pub out_zero: i32,
}

/// Matrix product over the last two axes, the others broadcast: `out = requant(Σ (a - a_zero)·(b - b_zero)) + out_zero`,
/// saturated to the type. Operands have equal rank, `[.., M, K]` and `[.., K, N]`. The sum has 64 bits where an operand has 16.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QMatMul {
    /// One entry.
    pub requant: Requant,
    /// Output zero point.
    pub out_zero: i32,
}

/// What a [`QReduce`] makes of the elements along its axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reduction {
    /// `requant(Σ (x - x_zero)) + out_zero`.
    Sum,
    /// The same; the multiplier contains the division by the extent.
    Mean,
    /// The largest element; output parameters equal the input's.
    Max,
}

/// Reduction along one axis, which stays with extent 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QReduce {
    /// What is computed.
    pub kind: Reduction,
    /// Axis, non-negative.
    pub axis: usize,
    /// One entry; `None` for a maximum.
    pub requant: Option<Requant>,
    /// Output zero point; 0 for a maximum.
    pub out_zero: i32,
}

/// Softmax along one axis in one step: with `e(i) = table[max(q) - q(i)]` and `s = Σ e`, `out(i) = round(e(i)·m / s) + out_zero`,
/// saturated to the type. Rounded once, so that no part of it has an 8-bit intermediate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QSoftmax {
    /// Axis, non-negative.
    pub axis: usize,
    /// One entry for each difference of two values of the input's type, 256 or 65,536: `round(2^20 · exp(-k · x_scale))`,
    /// with 16 bits `2^30`.
    pub table: Vec<u32>,
    /// One entry, `1 / out_scale`.
    pub requant: Requant,
    /// Output zero point.
    pub out_zero: i32,
}

/// Another scale, zero point or width for the same numbers: `out = round((x - x_zero)·m) + out_zero`, saturated to the type.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QRequantize {
    /// One entry.
    pub requant: Requant,
    /// Output zero point.
    pub out_zero: i32,
}

/// Concatenation; input `i` is requantized to the output's scale by entry `i`, unless that is `None` (equal parameters).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QConcat {
    /// Axis, non-negative.
    pub axis: usize,
    /// One single-entry requantization for each input: `round((x - x_zero)·m) + out_zero`, saturated.
    pub requant: Vec<Option<Requant>>,
    /// Output zero point.
    pub out_zero: i32,
}

/// Average pooling: `out = requant(Σ (x - x_zero)) + out_zero`, clamped to the type. The sum runs over the taps inside
/// the image; `requant` has one entry for each possible tap count: entry `n - 1` divides by `n`
/// (or every entry divides by the kernel's area with `count_include_pad`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QPool {
    /// Window; for a global pool the whole image.
    pub geom: ops::PoolGeom,
    /// One entry for each tap count.
    pub requant: Requant,
    /// Output zero point.
    pub out_zero: i32,
}

/// Table look-up: `out = table[q - lowest q of the input type]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QLut {
    /// ONNX operator that the table replaces.
    pub op: String,
    /// Attributes of that operator.
    pub attrs: Attrs,
    /// One output for each value of the input's type, 256 or 65,536, in the output's quantized units.
    pub table: Vec<i16>,
}

/// Operators of the integer program.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum QOp {
    /// A float operator on the CPU with ONNX semantics; optional inputs are positions in `present`.
    Float {
        /// Operator.
        op: String,
        /// Domain.
        domain: String,
        /// Attributes.
        attrs: Attrs,
        /// For each ONNX input position whether the node's next input fills it.
        present: Vec<bool>,
    },
    /// float32 → integer: `saturate(rint_half_even(x / scale) + zero_point)` (ONNX QuantizeLinear). A border, on the CPU.
    Quantize,
    /// integer → float32: `(q - zero_point) * scale` (ONNX DequantizeLinear; per channel for int32). A border, on the CPU.
    Dequantize,
    /// Convolution.
    Conv(QConv),
    /// Sum.
    Add(QAdd),
    /// Product.
    Mul(QMul),
    /// Larger or smaller operand.
    Extreme(QExtreme),
    /// Quotient.
    Div(QDiv),
    /// Matrix product of two activations.
    MatMul(QMatMul),
    /// Sum, mean or maximum along one axis.
    Reduce(QReduce),
    /// Softmax along one axis.
    Softmax(QSoftmax),
    /// Concatenation.
    Concat(QConcat),
    /// Average or global average pooling.
    AveragePool(QPool),
    /// Maximum pooling; output parameters equal the input's. Taps outside the image do not count.
    MaxPool(ops::PoolGeom),
    /// Look-up table.
    Lut(QLut),
    /// Nearest-neighbour resize over the last two axes; output parameters equal the input's.
    Resize(ops::NearestResize),
    /// Linear resize over the last two axes of a rank-4 tensor; output parameters equal the input's.
    LinearResize(ops::LinearResize),
    /// Channels to pixels (ONNX DepthToSpace), rank 4; output parameters equal the input's.
    DepthToSpace(ops::BlockMove),
    /// Pixels to channels (ONNX SpaceToDepth), the inverse of DepthToSpace in the order `Dcr`.
    SpaceToDepth {
        /// Side of a block in pixels.
        block: usize,
    },
    /// A box of the input with the output's extents; output parameters equal the input's. A Split is one for each part.
    Slice {
        /// First element along every axis.
        starts: Vec<usize>,
    },
    /// Elements along one axis by a table, in any order and number; output parameters equal the input's. Also Expand and Tile.
    Gather {
        /// Axis, non-negative.
        axis: usize,
        /// Source index of each element along the axis.
        indices: Vec<u32>,
    },
    /// The input in a larger box; output parameters equal the input's.
    Pad {
        /// Elements in front along every axis.
        before: Vec<usize>,
        /// What fills the rest, in quantized units.
        value: i32,
    },
    /// Same elements in ONNX order under the output's shape.
    Reshape,
    /// Axis permutation: output axis `i` is input axis `perm[i]`.
    Transpose {
        /// Permutation.
        perm: Vec<usize>,
    },
    /// Another scale, zero point or width.
    Requantize(QRequantize),
}

impl QAdd {
    /// Whether this is a difference: its second multiplier is negative.
    pub fn is_difference(&self) -> bool {
        match &self.requant {
            Requant::Float(m) => m.get(1).is_some_and(|&m| m < 0.0),
            Requant::Fixed(m) => m.get(1).is_some_and(|&(m, _)| m < 0),
        }
    }
}

impl QOp {
    /// Operator name for tables: the ONNX name, or `Quantize` / `Dequantize` / `Requantize`.
    pub fn name(&self) -> &str {
        match self {
            QOp::Float { op, .. } => op,
            QOp::Quantize => "Quantize",
            QOp::Dequantize => "Dequantize",
            QOp::Conv(_) => "Conv",
            QOp::Add(add) if add.is_difference() => "Sub",
            QOp::Add(_) => "Add",
            QOp::Mul(_) => "Mul",
            QOp::Extreme(extreme) if extreme.smaller => "Min",
            QOp::Extreme(_) => "Max",
            QOp::Div(_) => "Div",
            QOp::MatMul(_) => "MatMul",
            QOp::Reduce(reduce) => match reduce.kind {
                Reduction::Sum => "ReduceSum",
                Reduction::Mean => "ReduceMean",
                Reduction::Max => "ReduceMax",
            },
            QOp::Softmax(_) => "Softmax",
            QOp::Concat(_) => "Concat",
            QOp::AveragePool(_) => "AveragePool",
            QOp::MaxPool(_) => "MaxPool",
            QOp::Lut(lut) => &lut.op,
            QOp::Resize(_) | QOp::LinearResize(_) => "Resize",
            QOp::DepthToSpace(_) => "DepthToSpace",
            QOp::SpaceToDepth { .. } => "SpaceToDepth",
            QOp::Slice { .. } => "Slice",
            QOp::Gather { .. } => "Gather",
            QOp::Pad { .. } => "Pad",
            QOp::Reshape => "Reshape",
            QOp::Transpose { .. } => "Transpose",
            QOp::Requantize(_) => "Requantize",
        }
    }
}

/// A step of the integer program.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QNode {
    /// Unique. The float node's name; borders are `<tensor>_quantize` and `<tensor>_dequantize`.
    pub name: String,
    /// What it computes.
    pub op: QOp,
    /// Tensors read.
    pub inputs: Vec<TensorId>,
    /// Tensors written.
    pub outputs: Vec<TensorId>,
    /// The segment it belongs to.
    pub segment: SegmentId,
    /// Names of the optimized graph's nodes computed here (itself first; none for borders).
    pub covers: Vec<String>,
}

/// A maximal piece of the program on one device; nodes of a segment are contiguous in [`QGraph::nodes`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Segment {
    /// Where it runs. Borders are in CPU segments.
    pub device: Device,
    /// Id shown as `id(n)`: a component of BPU nodes reachable without passing a CPU node. `None` on the CPU.
    pub subgraph: Option<u32>,
}

/// An integer program with float islands. Nodes are in topological order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QGraph {
    /// Name of the model.
    pub name: String,
    /// March that it is for.
    pub march: String,
    /// How every requantization rounds.
    pub rounding: Rounding,
    /// All tensors, by [`TensorId`].
    pub tensors: Vec<QTensor>,
    /// All nodes in topological order.
    pub nodes: Vec<QNode>,
    /// Segments, by [`SegmentId`], in execution order.
    pub segments: Vec<Segment>,
    /// Model inputs in the model's order: float or as given; integers with parameters where the border is left away.
    pub inputs: Vec<TensorId>,
    /// Model outputs in the model's order, likewise.
    pub outputs: Vec<TensorId>,
}

impl QGraph {
    /// The tensor with this id.
    ///
    /// # Panics
    /// When the id is of another graph; ids come from the graph itself.
    pub fn tensor(&self, id: TensorId) -> &QTensor {
        &self.tensors[id.0 as usize]
    }

    /// The segment of a node.
    ///
    /// # Panics
    /// When the node is of another graph.
    pub fn segment(&self, node: &QNode) -> &Segment {
        &self.segments[node.segment.0 as usize]
    }
}
