//! RotaryEmbedding (23): pairs of a head's elements turned by the angles of their position.

use super::parts::Parts;
use super::{Conversion, Converted};
use ptq_ir::Attr;

/// `(cos·x₁ − sin·x₂, sin·x₁ + cos·x₂)` for the halves, or with `interleaved` for neighbours, of the first
/// `rotary_embedding_dim` elements of each head; the others stay.
pub(super) fn rotary_embedding(c: Conversion<'_>) -> Converted {
    let shape = c.shape()?;
    let heads = usize::try_from(c.node.attrs.int("num_heads", 0)).unwrap_or(0);
    // The caches get the heads' axis: behind the batch, or behind the sequence where heads are still in the last axis.
    let (own, heads_axis) = match *shape {
        [_, _, _, _] => (shape.clone(), 1),
        [n, s, hidden] if heads > 0 && hidden % heads == 0 => (vec![n, s, heads, hidden / heads], 2),
        _ => return Err(c.error(format!("input {shape:?} with {heads} heads is neither rank 3 nor 4"))),
    };
    let size = own[3];
    let turned = match c.node.attrs.int("rotary_embedding_dim", 0) {
        0 => size,
        n => usize::try_from(n).ok().filter(|&n| n <= size).unwrap_or(0),
    };
    if turned == 0 || turned % 2 != 0 {
        return Err(c.error(format!("rotary_embedding_dim does not fit heads of {size}")));
    }
    let (half, interleaved) = (turned / 2, c.node.attrs.int("interleaved", 0) != 0);
    let positions = c.node.input(3).map(str::to_owned);
    let mut parts = Parts::of(c);
    let mut x = parts.input(0)?;
    if shape.len() == 3 {
        x = parts.reshape(&x, &own);
    }
    let mut cache_shape = vec![own[0], if heads_axis == 1 { own[2] } else { own[1] }, half];
    cache_shape.insert(heads_axis, 1);
    let mut caches = Vec::new();
    for i in [1, 2] {
        let mut cache = parts.input(i)?;
        if let Some(positions) = &positions {
            cache = parts.op("Gather", &[&cache, positions], &[("axis", Attr::Int(0))]);
        }
        caches.push(parts.reshape(&cache, &cache_shape));
    }
    let (cos, sin) = (&caches[0], &caches[1]);
    let front = if turned == size { x.clone() } else { parts.slice(&x, 3, [0, turned, 1]) };
    let (x1, x2) = if interleaved {
        (parts.slice(&front, 3, [0, turned, 2]), parts.slice(&front, 3, [1, turned, 2]))
    } else {
        (parts.slice(&front, 3, [0, half, 1]), parts.slice(&front, 3, [half, turned, 1]))
    };
    let mut mix = |first: (&str, &str), op: &str, second: (&str, &str)| {
        let a = parts.op("Mul", &[first.0, first.1], &[]);
        let b = parts.op("Mul", &[second.0, second.1], &[]);
        parts.op(op, &[&a, &b], &[])
    };
    let real = mix((cos, &x1), "Sub", (sin, &x2));
    let imaginary = mix((sin, &x1), "Add", (cos, &x2));
    let axis = |a: i64| [("axis", Attr::Int(a))];
    let mut y = if interleaved {
        let column = [own[0], own[1], own[2], half, 1];
        let (real, imaginary) = (parts.reshape(&real, &column), parts.reshape(&imaginary, &column));
        let pairs = parts.op("Concat", &[&real, &imaginary], &axis(4));
        parts.reshape(&pairs, &[own[0], own[1], own[2], turned])
    } else {
        parts.op("Concat", &[&real, &imaginary], &axis(3))
    };
    if turned < size {
        let rest = parts.slice(&x, 3, [turned, size, 1]);
        y = parts.op("Concat", &[&y, &rest], &axis(3));
    }
    let target = parts.ints("shape", super::parts::signed(&shape));
    parts.finish("Reshape", &[&y, &target], &[])
}
