//! The graph that every stage passes on, and the integer program that partition makes of it.
//!
//! What: values with static shapes, nodes with ONNX operators, constants, quantization parameters,
//! their canonical bytes and a text form. Not here: ONNX files (`ptq-onnx`), arithmetic
//! (`ptq-kernels`), decisions (`ptq-place` and the stages). Called by every crate under `rules/`.
//! Start at [`Graph`], then [`QGraph`].

mod alignment;
mod attr;
mod border;
mod builder;
mod channel_scale;
mod codec;
mod diag;
mod dtype;
mod graph;
mod image_input;
mod input_spec;
pub mod ops;
mod qgraph;
mod quant;
mod shape;
mod tensor;
mod text;
mod verify;

pub use alignment::{aligned_image, aligned_shape, nv12_stride};
pub use attr::{Attr, Attrs};
pub use border::{border_name, could_be_border, is_border_of_model};
pub use builder::GraphBuilder;
pub use channel_scale::{channel_scales, fold_into_weights, input_channel_scales, unfold_from_weights};
pub use codec::{
    CodecError, EncodedGraph, INLINE_TENSOR_BYTES, decode, decode_q, encode, encode_q, from_bytes, to_bytes,
};
pub use diag::{Diagnostic, Place, Severity};
pub use dtype::DType;
pub use graph::{Device, Graph, IR_OPSET, Node, NodeId, Value, ValueId};
pub use image_input::{RESIZER_PIXELS, Source, SpaceAndRange, legal_sources, legal_types_rt};
pub use input_spec::{Fit, InputSpec, InputType, Layout};
pub use qgraph::{
    Activation, QAdd, QConcat, QConv, QDiv, QExtreme, QGraph, QLut, QMatMul, QMul, QNode, QOp, QPool, QReduce,
    QRequantize, QSoftmax, QTensor, Reduction, Segment, SegmentId, TensorId,
};
pub use quant::{ActScheme, ActivationQuant, QuantParams, QuantTable, Requant, Rounding};
pub use shape::{broadcast_shapes, numel, strides};
pub use tensor::{Tensor, TensorData, TensorError};
