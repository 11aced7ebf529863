//! Axes of Squeeze, Unsqueeze and reductions: attributes or inputs, by operator set.

use super::parts::Parts;
use super::{Conversion, Converted};
use ptq_ir::{Attr, DType, Tensor};

/// Squeeze, Unsqueeze, ReduceSum: axes are an input since 13.
pub(super) fn axes_to_input(mut c: Conversion<'_>) -> Converted {
    if c.opset < 13
        && let Some(axes) = c.take_ints("axes")
    {
        c.constant_input(1, "axes", Tensor::vec_i64(axes));
    }
    c.done()
}

/// The other reductions: axes are an input since 18, an attribute in operator set 17; truth values are reduced since 20.
pub(super) fn reduce(mut c: Conversion<'_>) -> Converted {
    if c.opset < 18 {
        return c.done();
    }
    let axes = c.ints(1)?.unwrap_or_default();
    c.node.keep_inputs(1);
    let keep_all = c.node.attrs.int("noop_with_empty_axes", 0) != 0;
    c.node.attrs.0.remove("noop_with_empty_axes");
    if !axes.is_empty() {
        c.node.attrs.set("axes", Attr::Ints(axes));
    } else if keep_all {
        return of_each(c);
    }
    let typed = c.node.input(0).and_then(|n| c.env.typed(n));
    if typed.is_some_and(|t| t.0 == DType::Bool) { truth(c) } else { c.done() }
}

/// Without axes a reduction applies its function to each element alone.
fn of_each(c: Conversion<'_>) -> Converted {
    let function = match c.node.op.as_str() {
        "ReduceL1" | "ReduceL2" => "Abs",
        "ReduceLogSum" => "Log",
        "ReduceSumSquare" => "Mul",
        _ => "Identity",
    };
    let parts = Parts::of(c);
    let x = parts.input(0)?;
    let inputs: &[&str] = if function == "Mul" { &[&x, &x] } else { &[&x] };
    parts.finish(function, inputs, &[])
}

/// Truth values as the numbers 0 and 1.
fn truth(c: Conversion<'_>) -> Converted {
    let (op, attrs) = (c.node.op.clone(), c.node.attrs.clone());
    let attrs: Vec<(&str, Attr)> = attrs.0.iter().map(|(k, v)| (k.as_str(), v.clone())).collect();
    let to = |dtype: DType| [("to", Attr::Int(dtype.onnx().into()))];
    let mut parts = Parts::of(c);
    let x = parts.input(0)?;
    let numbers = parts.op("Cast", &[&x], &to(DType::U8));
    let reduced = parts.op(&op, &[&numbers], &attrs);
    parts.finish("Cast", &[&reduced], &to(DType::Bool))
}
