//! Inputs and outputs of an ONNX file as its header states them, also of files that import refuses. For `ptq info`.

use crate::proto::{ModelProto, ValueInfoProto};
use crate::scan::{Limits, scan};
use prost::Message as _;
use ptq_ir::{DType, Diagnostic};

/// A model input or output as the file states it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilePort {
    /// Name.
    pub name: String,
    /// Element type, or its ONNX number when the graph cannot hold it.
    pub dtype: String,
    /// Shape with names and `?` for open dimensions.
    pub shape: String,
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
    let inputs = graph.input.iter().filter(constant).map(port).collect();
    Ok((inputs, graph.output.iter().map(port).collect()))
}

fn port(value: &ValueInfoProto) -> FilePort {
    let tensor = value.r#type.as_ref().and_then(|t| t.tensor_type.as_ref());
    let number = tensor.and_then(|t| t.elem_type).unwrap_or(0);
    let dims = tensor.and_then(|t| t.shape.as_ref()).map(|s| {
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
    }
}
