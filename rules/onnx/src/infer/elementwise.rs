//! Element-wise operators with one or several broadcast inputs.

use super::{InferCtx, Inferred};
use ptq_ir::{DType, Diagnostic, broadcast_shapes};

/// Same type and shape as the input.
pub(super) fn unary(ctx: &InferCtx<'_>) -> Inferred {
    ctx.like_first()
}

/// As [`unary`], for floating-point inputs only.
pub(super) fn unary_float(ctx: &InferCtx<'_>) -> Inferred {
    let dtype = ctx.dtype(0)?;
    if !dtype.is_float() {
        return Err(ctx.error(format!("input must be floating-point, is {dtype}")));
    }
    ctx.like_first()
}

/// Clip: bounds are scalars of the input's type.
pub(super) fn clip(ctx: &InferCtx<'_>) -> Inferred {
    let dtype = ctx.dtype(0)?;
    for bound in (1..3).filter_map(|i| ctx.optional(i)) {
        if bound.dtype != dtype || bound.shape.iter().product::<usize>() != 1 {
            let why = format!("bound {} must be one {dtype}, is {}{:?}", bound.name, bound.dtype, bound.shape);
            return Err(ctx.error(why));
        }
    }
    ctx.like_first()
}

/// Not.
pub(super) fn logical_not(ctx: &InferCtx<'_>) -> Inferred {
    same_type(ctx, Some(DType::Bool))?;
    ctx.like_first()
}

/// Add, Sub, Mul, Div: two inputs of one numeric type.
pub(super) fn arithmetic(ctx: &InferCtx<'_>) -> Inferred {
    exactly(ctx, 2)?;
    variadic(ctx)
}

/// Min, Max, Sum, Mean: any number of inputs of one numeric type.
pub(super) fn variadic(ctx: &InferCtx<'_>) -> Inferred {
    let dtype = same_type(ctx, None)?;
    if dtype == DType::Bool {
        return Err(ctx.error("inputs must be numbers, are bool"));
    }
    Ok(vec![(dtype, broadcast(ctx)?)])
}

/// Mod: floating-point inputs need `fmod = 1` in operator set 17.
pub(super) fn modulo(ctx: &InferCtx<'_>) -> Inferred {
    if ctx.dtype(0)?.is_float() && ctx.node().attrs.int("fmod", 0) == 0 {
        return Err(ctx.error("floating-point inputs need fmod = 1"));
    }
    arithmetic(ctx)
}

/// Pow: the exponent may have another type; the base decides.
pub(super) fn power(ctx: &InferCtx<'_>) -> Inferred {
    exactly(ctx, 2)?;
    let dtype = ctx.dtype(0)?;
    if dtype == DType::Bool || ctx.dtype(1)? == DType::Bool {
        return Err(ctx.error("inputs must be numbers"));
    }
    Ok(vec![(dtype, broadcast(ctx)?)])
}

/// PRelu: the slope is broadcast to the input, never the other way.
pub(super) fn prelu(ctx: &InferCtx<'_>) -> Inferred {
    let dtype = arithmetic(ctx)?[0].0;
    let shape = ctx.shape(0)?.to_vec();
    if broadcast(ctx)? != shape {
        return Err(ctx.error(format!("slope {:?} does not broadcast to input {shape:?}", ctx.shape(1)?)));
    }
    Ok(vec![(dtype, shape)])
}

/// Comparisons: two inputs of one type, truth values out.
pub(super) fn comparison(ctx: &InferCtx<'_>) -> Inferred {
    exactly(ctx, 2)?;
    same_type(ctx, None)?;
    Ok(vec![(DType::Bool, broadcast(ctx)?)])
}

/// And, Or, Xor.
pub(super) fn logical(ctx: &InferCtx<'_>) -> Inferred {
    exactly(ctx, 2)?;
    same_type(ctx, Some(DType::Bool))?;
    Ok(vec![(DType::Bool, broadcast(ctx)?)])
}

/// Where: condition, then two inputs of one type.
pub(super) fn select(ctx: &InferCtx<'_>) -> Inferred {
    exactly(ctx, 3)?;
    let (condition, dtype, other) = (ctx.dtype(0)?, ctx.dtype(1)?, ctx.dtype(2)?);
    if condition != DType::Bool || dtype != other {
        return Err(ctx.error(format!("expected bool and two equal types, found {condition}, {dtype}, {other}")));
    }
    Ok(vec![(dtype, broadcast(ctx)?)])
}

/// CumSum: the axis is a constant scalar.
pub(super) fn cumulative(ctx: &InferCtx<'_>) -> Inferred {
    let axis = ctx.required_ints(1)?;
    let &[axis] = axis.as_slice() else {
        return Err(ctx.error(format!("axis must be one number, has {}", axis.len())));
    };
    ctx.axis(axis, ctx.shape(0)?.len())?;
    ctx.like_first()
}

fn exactly(ctx: &InferCtx<'_>, count: usize) -> Result<(), Diagnostic> {
    let given = ctx.inputs().count();
    if given == count { Ok(()) } else { Err(ctx.error(format!("{given} inputs, {count} are expected"))) }
}

fn same_type(ctx: &InferCtx<'_>, wanted: Option<DType>) -> Result<DType, Diagnostic> {
    let dtype = wanted.unwrap_or(ctx.dtype(0)?);
    match ctx.inputs().find(|v| v.dtype != dtype) {
        None => Ok(dtype),
        Some(v) => Err(ctx.error(format!("input {} is {}, expected {dtype}", v.name, v.dtype))),
    }
}

fn broadcast(ctx: &InferCtx<'_>) -> Result<Vec<usize>, Diagnostic> {
    let mut shape = ctx.shape(0)?.to_vec();
    for value in ctx.inputs().skip(1) {
        shape = broadcast_shapes(&shape, &value.shape).ok_or_else(|| {
            ctx.error(format!("shapes {shape:?} and {:?} ({}) do not broadcast", value.shape, value.name))
        })?;
    }
    Ok(shape)
}
