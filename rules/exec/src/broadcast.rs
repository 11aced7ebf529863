//! Element-wise functions of two or three operands with ONNX multidirectional broadcasting.

use crate::ExecError;
use crate::call::Call;
use crate::loops::{Loops, steps_of};
use ptq_ir::{broadcast_shapes, numel};

/// The shape that all operands broadcast to.
pub(crate) fn common_shape(call: &Call<'_>, shapes: &[&[usize]]) -> Result<Vec<usize>, ExecError> {
    let mut out = Vec::new();
    for shape in shapes {
        out = broadcast_shapes(&out, shape).ok_or_else(|| call.bad(format!("shapes {shapes:?} do not broadcast")))?;
    }
    call.bounded(&out)?;
    Ok(out)
}

/// Steps that walk an operand of shape `shape` over the shape `out` that it broadcasts to.
pub(crate) fn steps_within(shape: &[usize], out: &[usize]) -> Vec<isize> {
    let own = steps_of(shape);
    let lead = out.len() - shape.len();
    (0..out.len()).map(|d| if d < lead || shape[d - lead] == 1 { 0 } else { own[d - lead] }).collect()
}

/// `f(a, b)` over the broadcast shape, appended to `r`.
pub(crate) fn zip<A: Copy, B: Copy, R>(
    out: &[usize],
    (a, a_shape): (&[A], &[usize]),
    (b, b_shape): (&[B], &[usize]),
    mut r: Vec<R>,
    f: impl Fn(A, B) -> R,
) -> Vec<R> {
    let (sa, sb) = (steps_within(a_shape, out), steps_within(b_shape, out));
    let loops = Loops::new(out, [&sa, &sb]);
    let n = loops.inner;
    loops.rows([0, 0], |[i, j]| {
        let (i, j) = (i as usize, j as usize);
        match loops.steps {
            [0, 0] => r.extend((0..n).map(|_| f(a[i], b[j]))),
            [0, _] => r.extend(b[j..j + n].iter().map(|&y| f(a[i], y))),
            [_, 0] => r.extend(a[i..i + n].iter().map(|&x| f(x, b[j]))),
            _ => r.extend(a[i..i + n].iter().zip(&b[j..j + n]).map(|(&x, &y)| f(x, y))),
        }
    });
    r
}

/// `f(a, b, c)` over the broadcast shape.
pub(crate) fn zip3<A: Copy, B: Copy, C: Copy, R>(
    out: &[usize],
    (a, a_shape): (&[A], &[usize]),
    (b, b_shape): (&[B], &[usize]),
    (c, c_shape): (&[C], &[usize]),
    f: impl Fn(A, B, C) -> R,
) -> Vec<R> {
    let steps = [steps_within(a_shape, out), steps_within(b_shape, out), steps_within(c_shape, out)];
    let loops = Loops::new(out, [&steps[0], &steps[1], &steps[2]]);
    let mut r = Vec::with_capacity(numel(out).unwrap_or(0));
    loops.rows([0, 0, 0], |at| {
        let index = |k: usize, t: usize| (at[k] + loops.steps[k] * t as isize) as usize;
        r.extend((0..loops.inner).map(|t| f(a[index(0, t)], b[index(1, t)], c[index(2, t)])));
    });
    r
}
