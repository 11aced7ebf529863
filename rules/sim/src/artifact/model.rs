//! A compiled model in memory.

use crate::Program;
use ptq_ir::{Device, InputSpec, QNode, QTensor, Rounding, TensorId};

/// What a `.bin` holds. Made by compile, run by the runtime.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// Name of the model.
    pub name: String,
    /// March that it is compiled for.
    pub march: String,
    /// BLAKE3 of the march file.
    pub march_hash: [u8; 32],
    /// How every requantization rounds.
    pub rounding: Rounding,
    /// Level that compile was asked for, as in the manifest (`O0`..`O3`).
    pub optimize_level: String,
    /// Whether programs keep the names, operators and tiles of their layers.
    pub debug: bool,
    /// All tensors. Data is present for constants of float and integer segments; constants of programs are in the
    /// program.
    pub tensors: Vec<QTensor>,
    /// Model inputs in the model's order.
    pub inputs: Vec<TensorId>,
    /// How each model input is described, so that files and frames can be read; one for each input, or none at all.
    pub input_specs: Vec<Option<InputSpec>>,
    /// Model outputs in the model's order.
    pub outputs: Vec<TensorId>,
    /// Segments in execution order.
    pub segments: Vec<Segment>,
}

/// A piece of the model on one device.
#[derive(Clone, Debug, PartialEq)]
pub struct Segment {
    /// Where it runs.
    pub device: Device,
    /// Id shown as `id(n)`; none on the CPU.
    pub subgraph: Option<u32>,
    /// Tensors that other segments or the caller supply, constants excluded.
    pub inputs: Vec<TensorId>,
    /// Tensors that other segments or the caller read.
    pub outputs: Vec<TensorId>,
    /// What runs.
    pub body: Body,
}

/// What a segment runs.
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    /// Float nodes and borders.
    Float(Vec<QNode>),
    /// Integer nodes, run by the packed-weight executor of the host processor.
    Int(Vec<QNode>),
    /// A program of the accelerator.
    Npu(Npu),
}

/// A program and what its memory means.
#[derive(Clone, Debug, PartialEq)]
pub struct Npu {
    /// Commands, constants, memory sizes.
    pub program: Program,
    /// Where tensors are in DDR: rank-4 tensors as NHWC, all others row-major. Inputs first, then in layer order.
    pub placed: Vec<Placed>,
    /// The choices that the program follows, one a layer.
    pub plan: Vec<LayerPlan>,
    /// The whole plan as compile writes it (JSON), so that it can be replayed without a search.
    pub follows: String,
}

/// A tensor's place in DDR.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Tensor.
    pub tensor: TensorId,
    /// First byte.
    pub address: u32,
    /// Layer that writes it; none for an input.
    pub layer: Option<u16>,
}

/// How one layer is cut into tiles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerPlan {
    /// Name of the node.
    pub node: String,
    /// Operator name.
    pub op: String,
    /// Extents of a tile along the axes that are cut, outermost loop first; none when nothing is computed.
    pub tile: Vec<TileAxis>,
}

/// Extent of a tile along one axis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TileAxis {
    /// What is cut: `rows`, `channels`, `elements`, or an axis of the output.
    pub axis: String,
    /// Extent of a whole tile; the last one may be smaller.
    pub extent: u32,
    /// Extent of the layer.
    pub total: u32,
}
