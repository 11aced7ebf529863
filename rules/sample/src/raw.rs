//! Headerless files that hold exactly the input's elements.

use ptq_ir::{DType, Diagnostic, Tensor, numel};

/// Reads little-endian elements of the input's type; for float inputs, one byte an element is taken as a pixel.
pub(crate) fn decode(bytes: &[u8], dtype: DType, shape: &[usize]) -> Result<Tensor, Diagnostic> {
    let n = numel(shape).unwrap_or(0);
    if bytes.len() == n && dtype == DType::F32 {
        let pixels = bytes.iter().map(|&b| f32::from(b)).collect();
        return Tensor::from_f32(shape, pixels).map_err(|e| Diagnostic::error("SAMPLE04", e.to_string()));
    }
    Tensor::from_le_bytes(dtype, shape, bytes).map_err(|e| {
        Diagnostic::error("SAMPLE08", e.to_string()).hint(format!(
            "the file must hold {n} {dtype} elements{}",
            if dtype == DType::F32 { ", or one byte an element" } else { "" }
        ))
    })
}
