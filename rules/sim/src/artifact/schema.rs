//! Protobuf messages of the file. Field numbers are never reused; `docs/format.md` describes them.

use bytes::Bytes;
use prost::{Message, Oneof};

#[derive(Clone, PartialEq, Message)]
pub(super) struct ModelMessage {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub march: String,
    #[prost(bytes = "bytes", tag = "3")]
    pub march_hash: Bytes,
    #[prost(uint32, tag = "4")]
    pub rounding: u32,
    #[prost(string, tag = "5")]
    pub optimize_level: String,
    #[prost(message, repeated, tag = "6")]
    pub tensors: Vec<TensorMessage>,
    #[prost(message, repeated, tag = "7")]
    pub inputs: Vec<PortMessage>,
    #[prost(message, repeated, tag = "8")]
    pub outputs: Vec<PortMessage>,
    #[prost(message, repeated, tag = "9")]
    pub segments: Vec<SegmentMessage>,
    #[prost(bool, tag = "10")]
    pub without_debug: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct PackMessage {
    #[prost(message, repeated, tag = "1")]
    pub models: Vec<PackedMessage>,
}

/// A whole `.bin` under its name.
#[derive(Clone, PartialEq, Message)]
pub(super) struct PackedMessage {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(bytes = "bytes", tag = "2")]
    pub bin: Bytes,
}

/// A model input or output. `layout` 0: the model's own axis order.
#[derive(Clone, PartialEq, Message)]
pub(super) struct PortMessage {
    #[prost(uint32, tag = "1")]
    pub tensor: u32,
    #[prost(uint32, tag = "2")]
    pub layout: u32,
    #[prost(string, optional, tag = "3")]
    pub spec: Option<String>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct TensorMessage {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub source: String,
    #[prost(int32, tag = "3")]
    pub dtype: i32,
    #[prost(uint64, repeated, tag = "4")]
    pub shape: Vec<u64>,
    #[prost(message, optional, tag = "5")]
    pub quant: Option<QuantMessage>,
    #[prost(bytes = "bytes", optional, tag = "6")]
    pub data: Option<Bytes>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct QuantMessage {
    #[prost(float, repeated, tag = "1")]
    pub scale: Vec<f32>,
    #[prost(sint32, repeated, tag = "2")]
    pub zero_point: Vec<i32>,
    #[prost(uint32, optional, tag = "3")]
    pub axis: Option<u32>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct SegmentMessage {
    #[prost(uint32, optional, tag = "1")]
    pub subgraph: Option<u32>,
    #[prost(uint32, repeated, tag = "2")]
    pub inputs: Vec<u32>,
    #[prost(uint32, repeated, tag = "3")]
    pub outputs: Vec<u32>,
    #[prost(oneof = "BodyMessage", tags = "4, 5, 6")]
    pub body: Option<BodyMessage>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(super) enum BodyMessage {
    #[prost(message, tag = "4")]
    Float(NodesMessage),
    #[prost(message, tag = "5")]
    Int(NodesMessage),
    #[prost(message, tag = "6")]
    Npu(NpuMessage),
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct NodesMessage {
    #[prost(message, repeated, tag = "1")]
    pub nodes: Vec<NodeMessage>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct NpuMessage {
    #[prost(bytes = "bytes", tag = "1")]
    pub commands: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    pub constants: Bytes,
    #[prost(uint32, tag = "3")]
    pub sram_bytes: u32,
    #[prost(uint32, tag = "4")]
    pub align: u32,
    #[prost(uint32, tag = "5")]
    pub ddr_bytes: u32,
    #[prost(message, repeated, tag = "6")]
    pub layers: Vec<LayerMessage>,
    #[prost(message, repeated, tag = "7")]
    pub placed: Vec<PlacedMessage>,
    #[prost(uint32, repeated, tag = "8")]
    pub calls: Vec<u32>,
    #[prost(string, tag = "9")]
    pub follows: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct LayerMessage {
    #[prost(string, tag = "1")]
    pub node: String,
    #[prost(string, tag = "2")]
    pub op: String,
    #[prost(message, repeated, tag = "3")]
    pub tile: Vec<TileMessage>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct TileMessage {
    #[prost(string, tag = "1")]
    pub axis: String,
    #[prost(uint32, tag = "2")]
    pub extent: u32,
    #[prost(uint32, tag = "3")]
    pub total: u32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct PlacedMessage {
    #[prost(uint32, tag = "1")]
    pub tensor: u32,
    #[prost(uint32, tag = "2")]
    pub address: u32,
    #[prost(uint32, optional, tag = "3")]
    pub layer: Option<u32>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct NodeMessage {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(uint32, repeated, tag = "2")]
    pub inputs: Vec<u32>,
    #[prost(uint32, repeated, tag = "3")]
    pub outputs: Vec<u32>,
    #[prost(string, repeated, tag = "4")]
    pub covers: Vec<String>,
    #[prost(
        oneof = "OpMessage",
        tags = "10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34"
    )]
    pub op: Option<OpMessage>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(super) enum OpMessage {
    #[prost(message, tag = "10")]
    Float(FloatMessage),
    #[prost(message, tag = "11")]
    Quantize(Empty),
    #[prost(message, tag = "12")]
    Dequantize(Empty),
    #[prost(message, tag = "13")]
    Conv(ConvMessage),
    #[prost(message, tag = "14")]
    Add(ResultMessage),
    #[prost(message, tag = "15")]
    Mul(ResultMessage),
    #[prost(message, tag = "16")]
    Concat(ConcatMessage),
    #[prost(message, tag = "17")]
    AveragePool(PoolMessage),
    #[prost(message, tag = "18")]
    MaxPool(WindowMessage),
    #[prost(message, tag = "19")]
    Lut(LutMessage),
    #[prost(message, tag = "20")]
    Resize(ResizeMessage),
    #[prost(message, tag = "21")]
    Reshape(Empty),
    #[prost(message, tag = "22")]
    Transpose(PermMessage),
    #[prost(message, tag = "23")]
    DepthToSpace(BlockMessage),
    #[prost(message, tag = "24")]
    SpaceToDepth(BlockMessage),
    #[prost(message, tag = "25")]
    Slice(StartsMessage),
    #[prost(message, tag = "26")]
    LinearResize(TapsMessage),
    #[prost(message, tag = "27")]
    Extreme(ExtremeMessage),
    #[prost(message, tag = "28")]
    Div(ResultMessage),
    #[prost(message, tag = "29")]
    MatMul(ResultMessage),
    #[prost(message, tag = "30")]
    Reduce(ReduceMessage),
    #[prost(message, tag = "31")]
    Softmax(SoftmaxMessage),
    #[prost(message, tag = "32")]
    Gather(IndicesMessage),
    #[prost(message, tag = "33")]
    Pad(PadMessage),
    #[prost(message, tag = "34")]
    Requantize(ResultMessage),
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Empty {}

#[derive(Clone, PartialEq, Message)]
pub(super) struct FloatMessage {
    #[prost(string, tag = "1")]
    pub op: String,
    #[prost(string, tag = "2")]
    pub domain: String,
    #[prost(message, repeated, tag = "3")]
    pub attrs: Vec<AttrMessage>,
    #[prost(bool, repeated, tag = "4")]
    pub present: Vec<bool>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct AttrMessage {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(oneof = "AttrValue", tags = "2, 3, 4, 5, 6, 7, 8")]
    pub value: Option<AttrValue>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(super) enum AttrValue {
    #[prost(float, tag = "2")]
    Float(f32),
    #[prost(sint64, tag = "3")]
    Int(i64),
    #[prost(string, tag = "4")]
    Str(String),
    #[prost(message, tag = "5")]
    Tensor(TensorMessage),
    #[prost(message, tag = "6")]
    Floats(FloatsMessage),
    #[prost(message, tag = "7")]
    Ints(IntsMessage),
    #[prost(message, tag = "8")]
    Strs(StrsMessage),
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct FloatsMessage {
    #[prost(float, repeated, tag = "1")]
    pub values: Vec<f32>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct IntsMessage {
    #[prost(sint64, repeated, tag = "1")]
    pub values: Vec<i64>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct StrsMessage {
    #[prost(string, repeated, tag = "1")]
    pub values: Vec<String>,
}

/// Multipliers: `float` alone, or `mult` with one byte of `shift` each.
#[derive(Clone, PartialEq, Message)]
pub(super) struct RequantMessage {
    #[prost(float, repeated, tag = "1")]
    pub float: Vec<f32>,
    #[prost(sint32, repeated, tag = "2")]
    pub mult: Vec<i32>,
    #[prost(bytes = "vec", tag = "3")]
    pub shift: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ActivationMessage {
    #[prost(uint32, tag = "1")]
    pub kind: u32,
    #[prost(float, tag = "2")]
    pub min: f32,
    #[prost(float, tag = "3")]
    pub max: f32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ResultMessage {
    #[prost(message, optional, tag = "1")]
    pub requant: Option<RequantMessage>,
    #[prost(sint32, tag = "2")]
    pub out_zero: i32,
    #[prost(sint32, tag = "3")]
    pub clamp_lo: i32,
    #[prost(sint32, tag = "4")]
    pub clamp_hi: i32,
    #[prost(message, optional, tag = "5")]
    pub activation: Option<ActivationMessage>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct WindowMessage {
    #[prost(uint32, repeated, tag = "1")]
    pub kernel: Vec<u32>,
    #[prost(uint32, repeated, tag = "2")]
    pub strides: Vec<u32>,
    #[prost(uint32, repeated, tag = "3")]
    pub pads: Vec<u32>,
    #[prost(uint32, repeated, tag = "4")]
    pub dilations: Vec<u32>,
    #[prost(uint32, tag = "5")]
    pub group: u32,
    #[prost(bool, tag = "6")]
    pub ceil_mode: bool,
    #[prost(bool, tag = "7")]
    pub count_include_pad: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ConvMessage {
    #[prost(message, optional, tag = "1")]
    pub window: Option<WindowMessage>,
    #[prost(message, optional, tag = "2")]
    pub result: Option<ResultMessage>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct PoolMessage {
    #[prost(message, optional, tag = "1")]
    pub window: Option<WindowMessage>,
    #[prost(message, optional, tag = "2")]
    pub result: Option<ResultMessage>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ConcatMessage {
    #[prost(uint32, tag = "1")]
    pub axis: u32,
    /// One for each input; an empty message where the input is copied.
    #[prost(message, repeated, tag = "2")]
    pub requant: Vec<RequantMessage>,
    #[prost(sint32, tag = "3")]
    pub out_zero: i32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct LutMessage {
    #[prost(string, tag = "1")]
    pub op: String,
    #[prost(message, repeated, tag = "2")]
    pub attrs: Vec<AttrMessage>,
    #[prost(sint32, repeated, tag = "3")]
    pub table: Vec<i32>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ResizeMessage {
    #[prost(uint32, repeated, tag = "1")]
    pub rows: Vec<u32>,
    #[prost(uint32, repeated, tag = "2")]
    pub cols: Vec<u32>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct PermMessage {
    #[prost(uint32, repeated, tag = "1")]
    pub perm: Vec<u32>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct BlockMessage {
    #[prost(uint32, tag = "1")]
    pub block: u32,
    /// Order CRD; otherwise DCR.
    #[prost(bool, tag = "2")]
    pub crd: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct StartsMessage {
    #[prost(uint64, repeated, tag = "1")]
    pub starts: Vec<u64>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ExtremeMessage {
    #[prost(bool, tag = "1")]
    pub smaller: bool,
    #[prost(message, optional, tag = "2")]
    pub result: Option<ResultMessage>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ReduceMessage {
    /// 0 sum, 1 mean, 2 maximum.
    #[prost(uint32, tag = "1")]
    pub kind: u32,
    #[prost(uint32, tag = "2")]
    pub axis: u32,
    #[prost(message, optional, tag = "3")]
    pub result: Option<ResultMessage>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct SoftmaxMessage {
    #[prost(uint32, tag = "1")]
    pub axis: u32,
    #[prost(uint32, repeated, tag = "2")]
    pub table: Vec<u32>,
    #[prost(message, optional, tag = "3")]
    pub result: Option<ResultMessage>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct IndicesMessage {
    #[prost(uint32, tag = "1")]
    pub axis: u32,
    #[prost(uint32, repeated, tag = "2")]
    pub indices: Vec<u32>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct PadMessage {
    #[prost(uint64, repeated, tag = "1")]
    pub before: Vec<u64>,
    #[prost(sint32, tag = "2")]
    pub value: i32,
}

/// First index, second index and weight of each row and column.
#[derive(Clone, PartialEq, Message)]
pub(super) struct TapsMessage {
    #[prost(uint32, repeated, tag = "1")]
    pub rows: Vec<u32>,
    #[prost(uint32, repeated, tag = "2")]
    pub cols: Vec<u32>,
    #[prost(string, tag = "3")]
    pub transform: String,
    #[prost(float, repeated, tag = "4")]
    pub scales: Vec<f32>,
}
