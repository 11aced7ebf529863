//! Integer operators in which a 16-bit tensor takes part. Numbers are widened to 32 bits, computed by the same functions as
//! bytes are, and stored in their tensor's form; sums that may be longer have 64 bits. Operators that only move elements are
//! those of bytes.

use super::elementwise::binary;
use super::{Call, nchw, stored, zero_point};
use ptq_ir::ops::PoolGeom;
use ptq_ir::{QConcat, QMatMul, QOp, QReduce, QSoftmax, Requant};
use ptq_kernels::requant::{apply as requantize, apply_wide, quotient, store};
use ptq_kernels::{KernelError, Stored, WordMatMul, WordPairs, word_lookup, word_map};
use ptq_sim::{from_storage, line_dims, matrix_batches, storage_axes, storage_dims, to_storage};

/// Writes the result of a node; false where the operator is one that moves elements or a convolution.
pub(crate) fn apply(call: &Call<'_>, out: &mut [u8]) -> Result<bool, KernelError> {
    match &call.node.op {
        QOp::Add(add) => {
            pairs(call, out, add.out_zero, (add.clamp_lo, add.clamp_hi), |p, order, a, b, out| {
                p.add(call.isa, call.threads, &ordered(&add.requant, order), a, b, out)
            })?;
        }
        QOp::Mul(mul) => {
            pairs(call, out, mul.out_zero, (mul.clamp_lo, mul.clamp_hi), |p, _, a, b, out| {
                p.mul(call.isa, call.threads, &mul.requant, a, b, out)
            })?;
        }
        QOp::Extreme(extreme) => {
            let range = stored(call.output()).range();
            pairs(call, out, extreme.out_zero, range, |p, order, a, b, out| {
                let requant = ordered(&extreme.requant, order);
                p.each(call.isa, call.threads, a, b, out, |x, y| {
                    let (x, y) = (requantize(&requant, 0, x), requantize(&requant, 1, y));
                    if extreme.smaller { x.min(y) } else { x.max(y) }
                })
            })?;
        }
        QOp::Div(div) => {
            let range = stored(call.output()).range();
            pairs(call, out, div.out_zero, range, |p, order, a, b, out| {
                p.each(call.isa, call.threads, a, b, out, |x, y| {
                    let (x, y) = if order == [0, 1] { (x, y) } else { (y, x) };
                    quotient(&div.requant, x.into(), y.into())
                })
            })?;
        }
        QOp::MatMul(matmul) => product(call, matmul, out)?,
        QOp::Reduce(reduce) => reduction(call, reduce, out),
        QOp::Softmax(softmax) => shares(call, softmax, out),
        QOp::Lut(lut) => {
            let (x, y) = (stored(call.input(0)), stored(call.output()));
            word_lookup(call.threads, &lut.table, x, call.inputs[0], y, out);
        }
        QOp::Concat(concat) => join(call, concat, out)?,
        QOp::Requantize(r) => requantized(call, 0, &r.requant, r.out_zero, out)?,
        QOp::AveragePool(pool) => {
            let (form, zero) = (stored(call.output()), zero_point(call.input(0)));
            let (lo, hi) = form.range();
            windows(call, &pool.geom, out, (0, i64::wrapping_add), |sum, taps| match taps {
                0 => pool.out_zero,
                n => {
                    let less = sum - i64::from(zero) * n as i64;
                    store(apply_wide(&pool.requant, n - 1, less), pool.out_zero, lo, hi)
                }
            });
        }
        QOp::MaxPool(geom) => {
            let lowest = stored(call.input(0)).range().0;
            windows(call, geom, out, (lowest.into(), i64::max), |max, _| max as i32);
        }
        _ => return Ok(false),
    }
    Ok(true)
}

/// Constants in the order in which a kernel gets the operands.
fn ordered(requant: &Requant, order: [usize; 2]) -> Requant {
    match (requant, order) {
        (Requant::Float(m), [1, _]) => Requant::Float(vec![m[1], m[0]]),
        (Requant::Fixed(m), [1, _]) => Requant::Fixed(vec![m[1], m[0]]),
        (in_order, _) => in_order.clone(),
    }
}

/// Calls `run(kernel, order of the operands, a, b, result)` on operands in the result's order.
fn pairs(
    call: &Call<'_>,
    out: &mut [u8],
    out_zero: i32,
    clamp: (i32, i32),
    run: impl Fn(&WordPairs, [usize; 2], &[u8], &[u8], &mut [u8]) -> Result<(), KernelError>,
) -> Result<(), KernelError> {
    binary(call, out, |order, a, b, out| {
        let operands = order.map(|i| stored(call.input(i)));
        let zero = order.map(|i| zero_point(call.input(i)));
        run(&WordPairs { operands, zero, out: stored(call.output()), out_zero, clamp }, order, a, b, out)
    })
}

/// Input `i` in the output's units.
fn requantized(call: &Call<'_>, i: usize, requant: &Requant, out_zero: i32, out: &mut [u8]) -> Result<(), KernelError> {
    let (x, form) = (call.input(i), stored(call.output()));
    let kernel =
        WordPairs { operands: [stored(x); 2], zero: [zero_point(x); 2], out: form, out_zero, clamp: form.range() };
    word_map(&kernel, call.isa, call.threads, call.inputs[i], out, |v| requantize(requant, 0, v))
}

fn join(call: &Call<'_>, concat: &QConcat, out: &mut [u8]) -> Result<(), KernelError> {
    let at = storage_axes(call.output().shape.len()).iter().position(|&a| a == concat.axis).unwrap_or(0);
    let elem = call.output().dtype.bytes();
    let run = |shape: &[usize]| storage_dims(shape)[at..].iter().product::<usize>() * elem;
    let row = run(&call.output().shape);
    let mut first = 0;
    for (i, x) in call.inputs.iter().enumerate() {
        let own = run(&call.input(i).shape);
        let mut changed = Vec::new();
        let from = match &concat.requant[i] {
            None => *x,
            Some(requant) => {
                changed.resize(x.len() / call.input(i).dtype.bytes() * elem, 0);
                requantized(call, i, requant, concat.out_zero, &mut changed)?;
                &changed
            }
        };
        let rows = out.chunks_exact_mut(row.max(1)).zip(from.chunks_exact(own.max(1)));
        rows.for_each(|(to, from)| to[first..first + own].copy_from_slice(from));
        first += own;
    }
    Ok(())
}

/// One product for every index of the outer axes, in the model's axis order.
fn product(call: &Call<'_>, matmul: &QMatMul, out: &mut [u8]) -> Result<(), KernelError> {
    let forms = [0, 1].map(|i| stored(call.input(i)));
    let [a, b] = [0, 1].map(|i| from_storage(call.inputs[i], &call.input(i).shape, forms[i].bytes()));
    let (shape_a, shape_b) = (&call.input(0).shape, &call.input(1).shape);
    let rank = shape_a.len();
    let [m, k, n] = [shape_a[rank - 2], shape_a[rank - 1], shape_b[rank - 1]];
    let form = stored(call.output());
    let kernel = WordMatMul {
        mkn: [m, k, n],
        operands: forms,
        zero: [0, 1].map(|i| zero_point(call.input(i))),
        requant: &matmul.requant,
        out: form,
        out_zero: matmul.out_zero,
    };
    let [sa, sb, sy] = [m * k * forms[0].bytes(), k * n * forms[1].bytes(), m * n * form.bytes()];
    let mut y = vec![0; out.len()];
    for ([at_a, at_b], y) in matrix_batches(shape_a, shape_b).into_iter().zip(y.chunks_exact_mut(sy.max(1))) {
        kernel.run(call.isa, call.threads, &a[at_a * sa..][..sa], &b[at_b * sb..][..sb], y)?;
    }
    out.copy_from_slice(&to_storage(&y, &call.output().shape, form.bytes()));
    Ok(())
}

fn reduction(call: &Call<'_>, reduce: &QReduce, out: &mut [u8]) {
    let (zero, (lo, hi)) = (i64::from(zero_point(call.input(0))), stored(call.output()).range());
    lines(call, reduce.axis, out, |line, results| {
        results.push(match &reduce.requant {
            None => line.iter().copied().fold(lo, i32::max),
            Some(requant) => {
                let sum = line.iter().map(|&v| i64::from(v) - zero).sum();
                store(apply_wide(requant, 0, sum), reduce.out_zero, lo, hi)
            }
        });
    });
}

fn shares(call: &Call<'_>, softmax: &QSoftmax, out: &mut [u8]) {
    let (lo, hi) = stored(call.output()).range();
    lines(call, softmax.axis, out, |line, results| {
        let top = line.iter().copied().max().unwrap_or(0);
        let part = |v: i32| i64::from(softmax.table[(top - v) as usize]);
        let sum = line.iter().map(|&v| part(v)).sum();
        let share = |&v: &i32| store(quotient(&softmax.requant, part(v), sum), softmax.out_zero, lo, hi);
        results.extend(line.iter().map(share));
    });
}

/// `f(line, results)` of every line along an axis; the results take the line's place.
fn lines(call: &Call<'_>, axis: usize, out: &mut [u8], f: impl Fn(&[i32], &mut Vec<i32>)) {
    let [_, extent, inner] = line_dims(&call.input(0).shape, axis);
    let numbers = stored(call.input(0)).numbers(call.inputs[0], 0);
    let form = stored(call.output());
    let mut made = Vec::with_capacity(out.len() / form.bytes());
    let (mut line, mut results) = (Vec::with_capacity(extent), Vec::new());
    for block in numbers.chunks_exact((extent * inner).max(1)) {
        let mut columns: Vec<Vec<i32>> = Vec::with_capacity(inner);
        for column in 0..inner {
            line.clear();
            line.extend(block.iter().skip(column).step_by(inner));
            results.clear();
            f(&line, &mut results);
            columns.push(results.clone());
        }
        let rows = columns.first().map_or(0, Vec::len);
        made.extend((0..rows).flat_map(|r| columns.iter().map(move |c| c[r])));
    }
    form.narrow(&made, out);
}

/// `finish(joined, taps)` of every window: `join` over the taps inside the image, from `first` on.
fn windows(
    call: &Call<'_>,
    geom: &PoolGeom,
    out: &mut [u8],
    (first, join): (i64, fn(i64, i64) -> i64),
    finish: impl Fn(i64, usize) -> i32,
) {
    let ([_, c, h, w], [_, _, oh, ow]) = (nchw(call.input(0)), nchw(call.output()));
    let (from, form): (Stored, Stored) = (stored(call.input(0)), stored(call.output()));
    let taps = |d: usize, o: usize, extent: usize| {
        let place = move |k: usize| (o * geom.strides[d] + k * geom.dilations[d]).checked_sub(geom.pads[d]);
        (0..geom.kernel[d]).filter_map(place).filter(move |&p| p < extent)
    };
    let image = h * w * c * from.bytes();
    let mut made = Vec::with_capacity(out.len() / form.bytes());
    let mut joined = vec![0i64; c];
    for x in call.inputs[0].chunks_exact(image.max(1)) {
        let numbers = from.numbers(x, 0);
        for (oy, ox) in (0..oh).flat_map(|oy| (0..ow).map(move |ox| (oy, ox))) {
            joined.fill(first);
            let mut count = 0;
            for pixel in taps(0, oy, h).flat_map(|y| taps(1, ox, w).map(move |x| y * w + x)) {
                let pixel = &numbers[pixel * c..(pixel + 1) * c];
                joined.iter_mut().zip(pixel).for_each(|(j, &v)| *j = join(*j, v.into()));
                count += 1;
            }
            made.extend(joined.iter().map(|&j| finish(j, count)));
        }
    }
    form.narrow(&made, out);
}
