//! Reshape and Flatten.

use super::{InferCtx, Inferred};
use ptq_ir::numel;

/// Reshape: 0 copies the input's extent (unless `allowzero`), one -1 takes what is left.
pub(super) fn reshape(ctx: &InferCtx<'_>) -> Inferred {
    let x = ctx.shape(0)?;
    let target = ctx.required_ints(1)?;
    let allow_zero = ctx.node().attrs.int("allowzero", 0) != 0;
    let mut out = Vec::with_capacity(target.len());
    let mut open = None;
    for (d, &t) in target.iter().enumerate() {
        out.push(match t {
            0 if !allow_zero => *x.get(d).ok_or_else(|| ctx.error(format!("0 at {d} is outside input {x:?}")))?,
            -1 if open.is_none() => {
                open = Some(d);
                1
            }
            _ => ctx.extent(t)?,
        });
    }
    let (have, fixed) = (numel(x), numel(&out));
    let misfit = || ctx.error(format!("input {x:?} does not fill {target:?}"));
    if let Some(d) = open {
        let (have, fixed) = (have.ok_or_else(misfit)?, fixed.filter(|&f| f > 0).ok_or_else(misfit)?);
        if have % fixed != 0 {
            return Err(misfit());
        }
        out[d] = have / fixed;
    } else if have != fixed {
        return Err(misfit());
    }
    Ok(vec![(ctx.dtype(0)?, out)])
}

/// Flatten: a matrix of the axes before and from `axis`.
pub(super) fn flatten(ctx: &InferCtx<'_>) -> Inferred {
    let x = ctx.shape(0)?;
    let raw = ctx.node().attrs.int("axis", 1);
    let axis = if raw == x.len() as i64 { x.len() } else { ctx.axis(raw, x.len())? };
    let side = |dims: &[usize]| numel(dims).ok_or_else(|| ctx.error("the shape is too large"));
    Ok(vec![(ctx.dtype(0)?, vec![side(&x[..axis])?, side(&x[axis..])?])])
}
