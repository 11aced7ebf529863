//! Range.

use super::{InferCtx, Inferred};
use ptq_ir::Diagnostic;

/// Largest number of elements; a range is a small helper of shape arithmetic.
const MAX_ELEMENTS: f64 = (1u64 << 31) as f64;

/// Range: `ceil((limit - start) / delta)` elements; all three are constants.
pub(super) fn range(ctx: &InferCtx<'_>) -> Inferred {
    let number = |i: usize| -> Result<f64, Diagnostic> {
        let t = ctx.constant(i)?.ok_or_else(|| ctx.error(format!("input {i} is missing")))?;
        match t.to_f64s().as_slice() {
            &[v] => Ok(v),
            other => Err(ctx.error(format!("input {i} must be one number, has {}", other.len()))),
        }
    };
    let (start, limit, delta) = (number(0)?, number(1)?, number(2)?);
    let count = ((limit - start) / delta).ceil().max(0.0);
    if delta == 0.0 || !count.is_finite() || count > MAX_ELEMENTS {
        return Err(ctx.error(format!("{start}..{limit} by {delta} is no range")));
    }
    Ok(vec![(ctx.dtype(0)?, vec![count as usize])])
}
