//! Types of values.

/// Type of a value (`onnx.TypeProto`): a tensor, or something that is not supported.
#[derive(Clone, PartialEq, prost::Message)]
pub struct TypeProto {
    /// A dense tensor.
    #[prost(message, optional, tag = "1")]
    pub tensor_type: Option<TensorTypeProto>,
    /// An opaque type; with a sequence, map or optional (skipped) it means "not a tensor".
    #[prost(message, optional, tag = "7")]
    pub opaque_type: Option<OpaqueTypeProto>,
    /// Meaning of the value, in words.
    #[prost(string, optional, tag = "6")]
    pub denotation: Option<String>,
}

/// Type of a dense tensor (`onnx.TypeProto.Tensor`).
#[derive(Clone, PartialEq, prost::Message)]
pub struct TensorTypeProto {
    /// Element type, a number of `TensorProto.DataType`.
    #[prost(int32, optional, tag = "1")]
    pub elem_type: Option<i32>,
    /// Shape; absent when not even the rank is known.
    #[prost(message, optional, tag = "2")]
    pub shape: Option<TensorShapeProto>,
}

/// A type outside the standard (`onnx.TypeProto.Opaque`).
#[derive(Clone, PartialEq, prost::Message)]
pub struct OpaqueTypeProto {
    /// Name space.
    #[prost(string, optional, tag = "1")]
    pub domain: Option<String>,
    /// Name.
    #[prost(string, optional, tag = "2")]
    pub name: Option<String>,
}

/// A shape (`onnx.TensorShapeProto`).
#[derive(Clone, PartialEq, prost::Message)]
pub struct TensorShapeProto {
    /// Dimensions.
    #[prost(message, repeated, tag = "1")]
    pub dim: Vec<DimensionProto>,
}

/// A dimension (`onnx.TensorShapeProto.Dimension`): a number, a name, or neither.
#[derive(Clone, PartialEq, prost::Message)]
pub struct DimensionProto {
    /// Extent.
    #[prost(int64, optional, tag = "1")]
    pub dim_value: Option<i64>,
    /// Name of an extent known only at run time.
    #[prost(string, optional, tag = "2")]
    pub dim_param: Option<String>,
    /// Meaning, in words.
    #[prost(string, optional, tag = "3")]
    pub denotation: Option<String>,
}
