//! Lists of numbers, one a spatial axis.

use super::InferCtx;
use ptq_ir::Diagnostic;

/// Non-negative integers of an attribute with `count` entries, or the default.
pub(super) fn list(ctx: &InferCtx<'_>, name: &str, count: usize, default: usize) -> Result<Vec<usize>, Diagnostic> {
    let Some(values) = ctx.node().attrs.ints(name) else { return Ok(vec![default; count]) };
    if values.len() != count {
        return Err(ctx.error(format!("{name} has {} entries, {count} are expected", values.len())));
    }
    values.iter().map(|&v| ctx.extent(v)).collect()
}
