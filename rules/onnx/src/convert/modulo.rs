//! Mod of floating-point numbers with `fmod = 0`: the remainder gets the divisor's sign. Defined since 28; older files
//! that have it mean the same in ONNX Runtime.

use super::parts::Parts;
use super::{Conversion, Converted};
use ptq_ir::{Attr, DType, Tensor};

/// `r = fmod(a, b)`, and `r + b` where `r` is not zero and its sign is not that of `b`.
pub(super) fn modulo(c: Conversion<'_>) -> Converted {
    let dtype = c.node.input(0).and_then(|n| c.env.typed(n)).map(|t| t.0);
    let floats = dtype.is_some_and(DType::is_float);
    if !floats || c.node.attrs.int("fmod", 0) != 0 {
        return c.done();
    }
    let mut parts = Parts::of(c);
    let (a, b) = (parts.input(0)?, parts.input(1)?);
    let zero = Tensor::zeros(dtype.unwrap_or(DType::F32), Vec::new());
    let zero = parts.constant("zero", zero);
    let r = parts.op("Mod", &[&a, &b], &[("fmod", Attr::Int(1))]);
    let (below, wants_below) = (parts.op("Less", &[&r, &zero], &[]), parts.op("Less", &[&b, &zero], &[]));
    let other_sign = parts.op("Xor", &[&below, &wants_below], &[]);
    let none = parts.op("Equal", &[&r, &zero], &[]);
    let some = parts.op("Not", &[&none], &[]);
    let moves = parts.op("And", &[&other_sign, &some], &[]);
    let moved = parts.op("Add", &[&r, &b], &[]);
    parts.finish("Where", &[&moves, &moved, &r], &[])
}
