//! Nested loops over several strided operands, with dimensions merged so that the inner loop is long.

use ptq_ir::numel;

/// Loops over one shape with `K` operands, each with its own strides.
pub(crate) struct Loops<const K: usize> {
    /// Length of the inner loop.
    pub(crate) inner: usize,
    /// Step of each operand in the inner loop.
    pub(crate) steps: [isize; K],
    outer: Vec<(usize, [isize; K])>,
    empty: bool,
}

impl<const K: usize> Loops<K> {
    /// Loops over `shape`; `strides[k][d]` is the step of operand `k` along dimension `d`.
    pub(crate) fn new(shape: &[usize], strides: [&[isize]; K]) -> Loops<K> {
        let mut dims: Vec<(usize, [isize; K])> = Vec::with_capacity(shape.len());
        for (d, &n) in shape.iter().enumerate() {
            let step: [isize; K] = std::array::from_fn(|k| strides[k][d]);
            if n == 1 {
                continue;
            }
            match dims.last_mut() {
                Some((m, prev)) if (0..K).all(|k| prev[k] == step[k] * n as isize) => {
                    *m *= n;
                    *prev = step;
                }
                _ => dims.push((n, step)),
            }
        }
        let (inner, steps) = dims.pop().unwrap_or((1, [0; K]));
        Loops { inner, steps, outer: dims, empty: numel(shape) == Some(0) }
    }

    /// Calls `row` with the operands' offsets at the start of each inner loop, in row-major order.
    pub(crate) fn rows(&self, start: [isize; K], mut row: impl FnMut([isize; K])) {
        if self.empty {
            return;
        }
        let mut index = vec![0usize; self.outer.len()];
        let mut at = start;
        loop {
            row(at);
            let mut d = self.outer.len();
            loop {
                let Some(next) = d.checked_sub(1) else { return };
                d = next;
                let (n, step) = &self.outer[d];
                index[d] += 1;
                if index[d] < *n {
                    (0..K).for_each(|k| at[k] += step[k]);
                    break;
                }
                index[d] = 0;
                (0..K).for_each(|k| at[k] -= step[k] * (*n as isize - 1));
            }
        }
    }
}

/// Row-major strides as signed steps.
pub(crate) fn steps_of(shape: &[usize]) -> Vec<isize> {
    ptq_ir::strides(shape).into_iter().map(|s| s as isize).collect()
}

/// The elements at `start + Σ index[d]·steps[d]` for all indexes of `shape`, in row-major order. The caller guarantees
/// that all of them are inside `x`.
pub(crate) fn strided<T: Copy>(x: &[T], shape: &[usize], start: isize, steps: &[isize]) -> Vec<T> {
    let loops = Loops::new(shape, [steps]);
    let mut out = Vec::with_capacity(numel(shape).unwrap_or(0));
    loops.rows([start], |[at]| match loops.steps[0] {
        1 => out.extend_from_slice(&x[at as usize..at as usize + loops.inner]),
        0 => out.extend(std::iter::repeat_n(x[at as usize], loops.inner)),
        step => out.extend((0..loops.inner as isize).map(|i| x[(at + i * step) as usize])),
    });
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strided_copies_equal_index_arithmetic() {
        let x: Vec<i32> = (0..24).collect();
        // A transposition, a reversal and a repetition at once: out[i][j][k] = x[2 - i][k % 1 …].
        let (shape, start, steps) = ([3usize, 4, 2, 2], 16isize, [-8isize, 2, 0, 1]);
        let got = strided(&x, &shape, start, &steps);
        let mut expect = Vec::new();
        for i in 0..3 {
            for j in 0..4 {
                for _ in 0..2 {
                    for k in 0..2 {
                        expect.push(x[(start + i * -8 + j * 2 + k) as usize]);
                    }
                }
            }
        }
        assert_eq!(got, expect);
        assert_eq!(strided(&x, &[], 5, &[]), vec![5]);
        assert!(strided(&x, &[3, 0], 0, &[1, 1]).is_empty());
    }
}
