//! Pools of any spatial rank: maxima with their indices, averages, p-norms, MaxUnpool.

use super::taps::{OUTSIDE, chunks, coordinates, taps};
use crate::ExecError;
use crate::call::Call;
use crate::elements::{Element, each_number};
use ptq_ir::Tensor;
use ptq_ir::ops::Window;
use ptq_kernels::math;

/// Geometry of a pool over an input.
struct Pool {
    window: Window,
    spatial: Vec<usize>,
    out: Vec<usize>,
    shape: Vec<usize>,
}

impl Pool {
    fn of(call: &Call<'_>) -> Result<Pool, ExecError> {
        let x = call.input(0)?.shape();
        if x.len() < 3 || x.contains(&0) {
            return Err(call.bad(format!("input {x:?} is no image")));
        }
        let (node, spatial) = (call.node(), x[2..].to_vec());
        let kernel = match call.op.starts_with("Global") {
            true => spatial.clone(),
            false => call.shape(call.attrs.ints("kernel_shape").unwrap_or_default())?,
        };
        let window = Window::of(&node, &spatial, &kernel)?;
        let out = window.out(&node, &spatial)?;
        let mut shape = x[..2].to_vec();
        shape.extend(&out);
        call.bounded(&shape)?;
        Ok(Pool { window, spatial, out, shape })
    }

    /// `f(plane number, pixel, indices of the taps within the plane)` for every output, plane by plane within a chunk of
    /// pixels.
    fn each(&self, mut f: impl FnMut(usize, usize, &[usize])) {
        let pixels = self.out.iter().product();
        let planes = self.shape[0] * self.shape[1];
        let mut inside = Vec::new();
        for range in chunks(pixels) {
            let table = taps(&self.window, &self.spatial, &self.out, range.clone());
            let n = range.len();
            for (j, pixel) in range.enumerate() {
                inside.clear();
                inside.extend(table.iter().skip(j).step_by(n).filter(|&&i| i != OUTSIDE));
                (0..planes).for_each(|plane| f(plane, pixel, &inside));
            }
        }
    }
}

/// MaxPool with its two outputs: maxima, and where in the input they are (the first of equal ones).
pub(super) fn max(call: &Call<'_>) -> Result<Vec<Tensor>, ExecError> {
    let x = call.input(0)?;
    let other = Err(call.bad(format!("{} is not a type of pooling", x.dtype())));
    each_number!(x, v => float maxima(call, v), int maxima(call, v), other other)
}

fn maxima<T: Element>(call: &Call<'_>, x: &[T]) -> Result<Vec<Tensor>, ExecError> {
    let pool = Pool::of(call)?;
    let columns_first = call.attrs.int("storage_order", 0) != 0;
    let (image, pixels) = (pool.spatial.iter().product::<usize>(), pool.out.iter().product::<usize>());
    let n = pool.shape.iter().product();
    let (mut values, mut indices) = (vec![T::default(); n], vec![0i64; n]);
    let mut hollow = false;
    pool.each(|plane, pixel, taps| {
        let x = &x[plane * image..][..image];
        let Some((&first, rest)) = taps.split_first() else {
            hollow = true;
            return;
        };
        let best = rest.iter().fold(first, |best, &i| if x[i] > x[best] { i } else { best });
        let at = plane * pixels + pixel;
        values[at] = x[best];
        let within = if columns_first { column_major(best, &pool.spatial) } else { best };
        indices[at] = (plane * image + within) as i64;
    });
    if hollow {
        return Err(call.bad("a window lies in the padding alone"));
    }
    Ok(vec![T::tensor(&pool.shape, values)?, Tensor::from_i64(pool.shape, indices)?])
}

/// Position of a row-major index when the first axis runs fastest.
fn column_major(index: usize, shape: &[usize]) -> usize {
    let at = coordinates(index, shape);
    at.iter().zip(shape).rev().fold(0, |sum, (&i, &n)| sum * n + i)
}

/// AveragePool: the sum in order of the taps, divided by their number.
pub(super) fn average(call: &Call<'_>) -> Result<Tensor, ExecError> {
    let (pool, x) = (Pool::of(call)?, call.input(0)?.f32s()?);
    let padded = call.attrs.int("count_include_pad", 0) != 0;
    let (image, pixels) = (pool.spatial.iter().product::<usize>(), pool.out.iter().product::<usize>());
    let mut out = vec![0.0; pool.shape.iter().product()];
    pool.each(|plane, pixel, taps| {
        let sum = taps.iter().fold(0.0, |sum, &i| sum + x[plane * image + i]);
        let count = if padded {
            let o = coordinates(pixel, &pool.out);
            (0..o.len()).map(|d| pool.window.count(d, o[d], pool.spatial[d], true)).product()
        } else {
            taps.len()
        };
        out[plane * pixels + pixel] = sum / count as f32;
    });
    Ok(Tensor::from_f32(pool.shape, out)?)
}

/// LpPool and GlobalLpPool: `(Σ |x|^p)^(1/p)`.
pub(super) fn norm(call: &Call<'_>) -> Result<Tensor, ExecError> {
    let (pool, x) = (Pool::of(call)?, call.input(0)?.f32s()?);
    let p = call.attrs.int("p", 2) as f32;
    let (image, pixels) = (pool.spatial.iter().product::<usize>(), pool.out.iter().product::<usize>());
    let powers: Vec<f32> = x.iter().map(|v| if p == 2.0 { v * v } else { math::pow(v.abs(), p) }).collect();
    let mut out = vec![0.0; pool.shape.iter().product()];
    pool.each(|plane, pixel, taps| {
        let sum: f32 = taps.iter().fold(0.0, |sum, &i| sum + powers[plane * image + i]);
        out[plane * pixels + pixel] = if p == 2.0 { sum.sqrt() } else { math::pow(sum, 1.0 / p) };
    });
    Ok(Tensor::from_f32(pool.shape, out)?)
}

/// MaxUnpool: values back to where MaxPool found them, zeros elsewhere. Indices count the pixels of the image that the
/// window implies; a larger stated output holds it in its first corner.
pub(super) fn unpool(call: &Call<'_>) -> Result<Tensor, ExecError> {
    let (x, indices) = (call.input(0)?, call.input(1)?.i64s()?);
    let shape = x.shape();
    if shape.len() < 3 || indices.len() != x.len() {
        return Err(call.bad(format!("{} indices for input {shape:?}", indices.len())));
    }
    let kernel = call.shape(call.attrs.ints("kernel_shape").unwrap_or_default())?;
    let window = Window::of(&call.node(), &shape[2..], &kernel)?;
    let mut implied = shape[..2].to_vec();
    for (d, &n) in shape[2..].iter().enumerate() {
        let reach = n.saturating_sub(1) * window.strides[d] + kernel[d];
        let left = reach.checked_sub(window.pads[d][0] + window.pads[d][1]);
        implied.push(left.ok_or_else(|| call.bad("pads exceed the output"))?);
    }
    let stated = call.ints(2)?.map(|s| call.shape(&s)).transpose()?.unwrap_or_else(|| implied.clone());
    if stated.len() != implied.len() || stated.iter().zip(&implied).any(|(s, i)| s < i) {
        return Err(call.bad(format!("output shape {stated:?} does not hold {implied:?}")));
    }
    let (steps, count) = (ptq_ir::strides(&stated), call.bounded(&implied)?);
    let mut out = vec![0.0; call.bounded(&stated)?];
    for (&v, &i) in x.f32s()?.iter().zip(indices) {
        let i = usize::try_from(i).ok().filter(|&i| i < count);
        let i = i.ok_or_else(|| call.bad(format!("an index is outside {implied:?}")))?;
        out[coordinates(i, &implied).iter().zip(&steps).map(|(c, s)| c * s).sum::<usize>()] = v;
    }
    Ok(Tensor::from_f32(stated, out)?)
}
