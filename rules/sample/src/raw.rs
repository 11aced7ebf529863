//! Headerless files that hold exactly the input's elements.

use ptq_ir::{DType, Diagnostic, Tensor, numel};

/// Reads little-endian elements of the stated type, or else of the input's; without a stated type, one byte an element
/// is taken as a pixel where the input is float32.
pub(crate) fn decode(bytes: &[u8], stated: Option<DType>, dtype: DType, shape: &[usize]) -> Result<Tensor, Diagnostic> {
    let n = numel(shape).unwrap_or(0);
    let pixels = stated.is_none() && bytes.len() == n && dtype == DType::F32;
    let held = if pixels { DType::U8 } else { stated.unwrap_or(dtype) };
    Tensor::from_le_bytes(held, shape, bytes).map_err(|e| {
        let or_pixels = if stated.is_none() && dtype == DType::F32 { ", or one byte an element" } else { "" };
        Diagnostic::error("SAMPLE08", e.to_string()).hint(format!("the file must hold {n} {held} elements{or_pixels}"))
    })
}
