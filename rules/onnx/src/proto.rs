//! ONNX protobuf messages, written by hand for prost, and the table of their fields.
//!
//! Field numbers and types are those of the public `onnx.proto` (proto2 syntax: repeated numbers are unpacked
//! unless the schema says otherwise). Fields that nothing here reads are left out; prost skips them. Unions are
//! plain optional fields, which has the same bytes. Called by import, export, and by whoever wants the raw file.

mod attribute;
mod graph;
mod model;
mod table;
mod tensor;
mod types;

pub use attribute::{AttributeProto, attribute_type};
pub use graph::{GraphProto, NodeProto, ValueInfoProto};
pub use model::{FunctionProto, ModelProto, OperatorSetIdProto, StringStringEntryProto};
pub use table::{Tags, tags};
pub use tensor::{DATA_LOCATION_EXTERNAL, SegmentProto, SparseTensorProto, TensorProto};
pub use types::{DimensionProto, OpaqueTypeProto, TensorShapeProto, TensorTypeProto, TypeProto};

pub(crate) use table::{FieldKind, message_fields};

/// The bytes of a model, for whoever makes one by hand.
pub fn encode(model: &ModelProto) -> Vec<u8> {
    prost::Message::encode_to_vec(model)
}
