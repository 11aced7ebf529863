//! Small ONNX files made by hand, for the tests of this crate.

use crate::proto::{
    AttributeProto, DimensionProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto,
    TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto, attribute_type,
};
use bytes::Bytes;
use prost::Message as _;

/// A node; an empty name stays empty.
pub(crate) fn node(op: &str, name: &str, inputs: &[&str], outputs: &[&str], attrs: &[AttributeProto]) -> NodeProto {
    let list = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect();
    NodeProto {
        input: list(inputs),
        output: list(outputs),
        name: Some(name.to_owned()),
        op_type: Some(op.to_owned()),
        attribute: attrs.to_vec(),
        ..NodeProto::default()
    }
}

/// An integer attribute.
pub(crate) fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto {
        name: Some(name.to_owned()),
        r#type: Some(attribute_type::INT),
        i: Some(value),
        ..AttributeProto::default()
    }
}

/// A float32 value; negative extents are open.
pub(crate) fn value(name: &str, shape: &[i64]) -> ValueInfoProto {
    let dim = |&n: &i64| DimensionProto { dim_value: (n >= 0).then_some(n), ..DimensionProto::default() };
    let shape = TensorShapeProto { dim: shape.iter().map(dim).collect() };
    let tensor_type = TensorTypeProto { elem_type: Some(1), shape: Some(shape) };
    ValueInfoProto {
        name: Some(name.to_owned()),
        r#type: Some(TypeProto { tensor_type: Some(tensor_type), ..TypeProto::default() }),
        doc_string: None,
    }
}

/// A float32 initializer.
pub(crate) fn floats(name: &str, dims: &[i64], data: &[f32]) -> TensorProto {
    TensorProto {
        name: Some(name.to_owned()),
        dims: dims.to_vec(),
        data_type: Some(1),
        float_data: data.to_vec(),
        ..TensorProto::default()
    }
}

/// A graph from input `x` to output `y`.
pub(crate) fn graph(nodes: Vec<NodeProto>, initializer: Vec<TensorProto>) -> GraphProto {
    GraphProto {
        node: nodes,
        initializer,
        input: vec![value("x", &[1, 2, 4, 4])],
        output: vec![value("y", &[])],
        ..GraphProto::default()
    }
}

/// A model of this operator set.
pub(crate) fn model(opset: i64, graph: GraphProto) -> ModelProto {
    ModelProto {
        ir_version: Some(8),
        opset_import: vec![OperatorSetIdProto { domain: None, version: Some(opset) }],
        graph: Some(graph),
        ..ModelProto::default()
    }
}

/// The bytes of a model.
pub(crate) fn bytes(model: &ModelProto) -> Bytes {
    model.encode_to_vec().into()
}
