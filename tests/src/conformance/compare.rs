//! Whether a result is the expected one, within a case's tolerances.

use super::Case;
use ptq_ir::Tensor;

/// Tolerance of results that the case computes in 16-bit floats and we in float32: a few units of the last place of the
/// narrower type, which has 11 (float16) or 8 (bfloat16) significant bits.
fn tolerance(case: &Case) -> (f64, f64) {
    let has = |t: &str| case.types.iter().any(|x| x == t);
    let least: f64 = if has("BFLOAT16") {
        4.0 / 256.0
    } else if has("FLOAT16") {
        4.0 / 2048.0
    } else {
        1e-6
    };
    // Sums that cancel to zero leave a rest of the terms' last bits.
    (case.rtol.max(least), case.atol.max(least))
}

/// Compares one output: floats within the tolerances, everything else exactly.
///
/// # Errors
/// Says what differs: shape, kind of element, or the first element that is too far off.
pub(super) fn compare(case: &Case, ours: &Tensor, expected: &Tensor) -> Result<(), String> {
    if ours.shape() != expected.shape() {
        return Err(format!("shape {:?}, expected {:?}", ours.shape(), expected.shape()));
    }
    if ours.dtype() != expected.dtype() && !(is_float(ours) && is_float(expected)) {
        return Err(format!("type {}, expected {}", ours.dtype(), expected.dtype()));
    }
    if !is_float(ours) {
        let equal = ours.to_le_bytes() == expected.to_le_bytes();
        return if equal { Ok(()) } else { Err(first(ours, expected, 0.0, 0.0)) };
    }
    let (rtol, atol) = tolerance(case);
    let close = |a: f64, b: f64| a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= atol + rtol * b.abs();
    let all = ours.to_f64s().into_iter().zip(expected.to_f64s()).all(|(a, b)| close(a, b));
    if all { Ok(()) } else { Err(first(ours, expected, rtol, atol)) }
}

fn is_float(t: &Tensor) -> bool {
    matches!(t.dtype(), ptq_ir::DType::F32 | ptq_ir::DType::F64)
}

fn first(ours: &Tensor, expected: &Tensor, rtol: f64, atol: f64) -> String {
    let (a, b) = (ours.to_f64s(), expected.to_f64s());
    let off = |&i: &usize| {
        let near = (a[i] - b[i]).abs() <= atol + rtol * b[i].abs();
        a[i] != b[i] && !(a[i].is_nan() && b[i].is_nan()) && !near
    };
    let wrong: Vec<usize> = (0..a.len()).filter(off).collect();
    let Some(&i) = wrong.first() else { return "bytes differ".to_owned() };
    format!("{} of {} elements differ, element {i} is {}, expected {}", wrong.len(), a.len(), a[i], b[i])
}
