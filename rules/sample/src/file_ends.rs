//! The two ends of any file, as classifiers of file types read them.

use ptq_ir::{DType, Diagnostic, Tensor};

/// Stands for a position that the file does not fill.
const PADDING: i32 = 256;
/// Bytes at either end of the file among which leading or trailing white space is passed over.
const BLOCK: usize = 4096;

/// For an int32 input [1, 2n]: the first `n` bytes of the first 4,096 after leading white space, padded behind, then the
/// last `n` bytes of the last 4,096 before trailing white space, padded in front. Padding is 256.
///
/// # Errors
/// `SAMPLE09` for an input of another type or shape.
pub(crate) fn decode(bytes: &[u8], dtype: DType, shape: &[usize]) -> Result<Tensor, Diagnostic> {
    let half = match (dtype, shape) {
        (DType::I32, &[1, length]) if length % 2 == 0 => length / 2,
        _ => {
            let what = format!("an input of type bytes is int32 [1, even], this one is {dtype} {shape:?}");
            return Err(Diagnostic::error("SAMPLE09", what).hint("set type_train of the input to featuremap"));
        }
    };
    let head = trim_start(&bytes[..bytes.len().min(BLOCK)]);
    let tail = trim_end(&bytes[bytes.len().saturating_sub(BLOCK)..]);
    let head = &head[..head.len().min(half)];
    let tail = &tail[tail.len().saturating_sub(half)..];
    let mut values = vec![PADDING; 2 * half];
    for (to, &from) in values.iter_mut().zip(head) {
        *to = i32::from(from);
    }
    for (to, &from) in values.iter_mut().rev().zip(tail.iter().rev()) {
        *to = i32::from(from);
    }
    Tensor::from_i32(shape, values).map_err(|e| Diagnostic::error("SAMPLE04", e.to_string()))
}

/// Space, tab, line feed, carriage return, vertical tab and form feed.
fn is_space(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == 0x0B
}

fn trim_start(bytes: &[u8]) -> &[u8] {
    let from = bytes.iter().position(|&b| !is_space(b)).unwrap_or(bytes.len());
    &bytes[from..]
}

fn trim_end(bytes: &[u8]) -> &[u8] {
    let to = bytes.iter().rposition(|&b| !is_space(b)).map_or(0, |last| last + 1);
    &bytes[..to]
}
