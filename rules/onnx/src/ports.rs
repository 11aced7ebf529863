//! Inputs and outputs of an ONNX file as its header states them, also of files that import refuses. For `ptq info`.

use crate::proto::{GraphProto, ModelProto, StringStringEntryProto, ValueInfoProto};
use crate::scan::{Limits, scan};
use prost::Message as _;
use ptq_ir::{DType, Diagnostic, InputSpec, QuantParams};
use serde::de::DeserializeOwned;

/// Prefix of the metadata keys under which a file describes its inputs, as JSON of [`InputSpec`].
pub const INPUT_METADATA: &str = "ptq.input.";

/// Prefix of the metadata keys under which a file states what the integers of an input or output stand for, as JSON of [`QuantParams`].
pub const PORT_METADATA: &str = "ptq.port.";

/// A model input or output as the file states it.
#[derive(Clone, Debug, PartialEq)]
pub struct FilePort {
    /// Name.
    pub name: String,
    /// Element type, or its ONNX number when the graph cannot hold it.
    pub dtype: String,
    /// Shape with names and `?` for open dimensions.
    pub shape: String,
    /// Sizes of the dimensions, where all are stated.
    pub dims: Option<Vec<usize>>,
    /// Quantization at the border: of the QuantizeLinear that reads an input, of the DequantizeLinear that makes an output; of the integers
    /// themselves where the file's metadata states it.
    pub quant: Option<QuantParams>,
    /// The input's description in the file's metadata.
    pub spec: Option<InputSpec>,
}

/// Inputs (without initializers) and outputs of a file, in its order.
///
/// # Errors
/// When the bytes are not an ONNX model.
pub fn file_ports(bytes: &[u8]) -> Result<(Vec<FilePort>, Vec<FilePort>), Diagnostic> {
    scan(bytes, &Limits::default())?;
    let model = ModelProto::decode(bytes).map_err(|e| Diagnostic::error("ONNX01", e.to_string()))?;
    let graph = model.graph.unwrap_or_default();
    let constant = |v: &&ValueInfoProto| !graph.initializer.iter().any(|t| t.name == v.name);
    let own = |name: &str| said::<QuantParams>(&model.metadata_props, PORT_METADATA, name);
    let inputs = graph.input.iter().filter(constant).map(|v| {
        let port = port(v);
        let spec = said(&model.metadata_props, INPUT_METADATA, &port.name);
        FilePort { quant: own(&port.name).or_else(|| border(&graph, &port.name, true)), spec, ..port }
    });
    let outputs = graph.output.iter().map(|v| {
        let port = port(v);
        FilePort { quant: own(&port.name).or_else(|| border(&graph, &port.name, false)), ..port }
    });
    Ok((inputs.collect(), outputs.collect()))
}

/// What the metadata say of a port under a prefix.
fn said<T: DeserializeOwned>(metadata: &[StringStringEntryProto], prefix: &str, port: &str) -> Option<T> {
    let key = format!("{prefix}{port}");
    let entry = metadata.iter().find(|e| e.key.as_deref() == Some(key.as_str()))?;
    serde_json::from_str(entry.value.as_deref()?).ok()
}

/// An entry of a file's metadata; `None` where there is none, or no model.
pub fn metadata(bytes: &[u8], key: &str) -> Option<String> {
    scan(bytes, &Limits::default()).ok()?;
    let model = ModelProto::decode(bytes).ok()?;
    model.metadata_props.into_iter().find(|e| e.key.as_deref() == Some(key))?.value
}

/// Parameters at the border of a value; a Transpose of an input is looked through.
fn border(graph: &GraphProto, value: &str, input: bool) -> Option<QuantParams> {
    let reads = |op: &str, value: &str| {
        graph.node.iter().find(|n| n.op_type.as_deref() == Some(op) && n.input.first().is_some_and(|i| i == value))
    };
    let node = if input {
        let turned = reads("Transpose", value).and_then(|n| n.output.first());
        reads("QuantizeLinear", value).or_else(|| reads("QuantizeLinear", turned?))?
    } else {
        let makes = |n: &&crate::proto::NodeProto| {
            n.op_type.as_deref() == Some("DequantizeLinear") && n.output.first().is_some_and(|o| o == value)
        };
        graph.node.iter().find(makes)?
    };
    let constant = |i: usize| {
        let name = node.input.get(i)?;
        let proto = graph.initializer.iter().find(|t| t.name.as_ref() == Some(name))?;
        crate::import::plain_tensor(proto)
    };
    let scale = constant(1)?;
    let zero = constant(2);
    let dtype = zero.as_ref().map_or(DType::U8, ptq_ir::Tensor::dtype);
    let zero_point = match zero {
        Some(z) => z.to_i64s().ok()?.into_iter().map(|z| z as i32).collect(),
        None => vec![0; scale.len()],
    };
    let axis = node.attribute.iter().find(|a| a.name.as_deref() == Some("axis")).and_then(|a| a.i);
    let axis = (scale.len() > 1).then(|| usize::try_from(axis.unwrap_or(1)).unwrap_or(1));
    Some(QuantParams { dtype, scale: scale.f32s().ok()?.to_vec(), zero_point, axis })
}

fn port(value: &ValueInfoProto) -> FilePort {
    let tensor = value.r#type.as_ref().and_then(|t| t.tensor_type.as_ref());
    let number = tensor.and_then(|t| t.elem_type).unwrap_or(0);
    let stated = tensor.and_then(|t| t.shape.as_ref());
    let known = |d: &crate::proto::DimensionProto| d.dim_value.and_then(|v| usize::try_from(v).ok());
    let dims = stated.map(|s| {
        let dim = |d: &crate::proto::DimensionProto| match (&d.dim_value, &d.dim_param) {
            (Some(v), _) => v.to_string(),
            (_, Some(name)) if !name.is_empty() => name.clone(),
            _ => "?".to_owned(),
        };
        s.dim.iter().map(dim).collect::<Vec<_>>().join(", ")
    });
    FilePort {
        name: value.name.clone().unwrap_or_default(),
        dtype: DType::from_onnx(number).map_or_else(|| format!("type {number}"), |d| d.to_string()),
        shape: dims.map_or_else(|| "?".to_owned(), |d| format!("[{d}]")),
        dims: stated.and_then(|s| s.dim.iter().map(known).collect()),
        quant: None,
        spec: None,
    }
}
