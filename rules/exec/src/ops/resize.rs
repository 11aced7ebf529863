//! Resize (nearest, linear, cubic, regions) and the older Upsample, one axis after the other.

use crate::ExecError;
use crate::call::Call;
use crate::elements::{Element, each_type};
use ptq_ir::ops::{Filter, NearestResize, Resample, resize_source};
use ptq_ir::{Tensor, TensorData};
use ptq_kernels::split;

/// What the operator asks for along one axis.
struct Axis {
    input: usize,
    output: usize,
    scale: f64,
    /// Part of the input that is resized.
    roi: [f64; 2],
}

impl Axis {
    fn changes(&self) -> bool {
        self.input != self.output || self.scale != 1.0 || self.roi != [0.0, 1.0]
    }

    fn resample<'a>(&self, transform: &'a str) -> Resample<'a> {
        let width = self.output as f64;
        Resample { input: self.input, output: self.output, scale: self.scale, width, transform, roi: self.roi }
    }
}

pub(super) fn resize(call: &Call<'_>) -> Result<Tensor, ExecError> {
    let x = call.input(0)?;
    let rank = x.shape().len();
    let scales = call.optional(2).filter(|t| !t.is_empty()).map(Tensor::f32s).transpose()?;
    let sizes = call.ints(3)?.filter(|s| !s.is_empty());
    resized(call, x, scales, sizes, rank)
}

/// Upsample of opset 9: scales as input 1, asymmetric coordinates, floor.
pub(super) fn upsample(call: &Call<'_>) -> Result<Tensor, ExecError> {
    let x = call.input(0)?;
    let mut attrs = call.attrs.clone();
    attrs.set("coordinate_transformation_mode", ptq_ir::Attr::Str("asymmetric".into()));
    attrs.set("nearest_mode", ptq_ir::Attr::Str("floor".into()));
    let call = Call {
        op: call.op,
        attrs: &attrs,
        inputs: call.inputs,
        outputs: 1,
        threads: call.threads,
        buffers: call.buffers,
    };
    let scales = call.input(1)?.f32s()?;
    resized(&call, x, Some(scales), None, x.shape().len())
}

fn resized(
    call: &Call<'_>,
    x: &Tensor,
    scales: Option<&[f32]>,
    sizes: Option<Vec<i64>>,
    rank: usize,
) -> Result<Tensor, ExecError> {
    let axes = (0..rank)
        .map(|d| axis(call, x.shape()[d], d, rank, scales, sizes.as_deref()))
        .collect::<Result<Vec<_>, _>>()?;
    let shape: Vec<usize> = axes.iter().map(|a| a.output).collect();
    call.bounded(&shape)?;
    if shape.contains(&0) || x.is_empty() {
        return Err(call.bad(format!("shapes {:?} and {shape:?} are empty", x.shape())));
    }
    let crops = call.attrs.str("coordinate_transformation_mode", "") == "tf_crop_and_resize";
    let mut y = x.clone();
    for (d, a) in axes.iter().enumerate().filter(|(_, a)| a.changes()) {
        y = match call.attrs.str("mode", "nearest") {
            "nearest" if crops => cropped_nearest(call, &y, d, a)?,
            "nearest" => nearest(call, &y, d, a)?,
            "linear" if !crops => linear(call, &y, d, a)?,
            "linear" | "cubic" => filtered(call, &y, d, a)?,
            other => return Err(call.bad(format!("mode {other:?} is not supported"))),
        };
    }
    Ok(y)
}

fn axis(
    call: &Call<'_>,
    input: usize,
    d: usize,
    rank: usize,
    scales: Option<&[f32]>,
    sizes: Option<&[i64]>,
) -> Result<Axis, ExecError> {
    let fits =
        |n: usize| if n == rank { Ok(()) } else { Err(call.bad(format!("{n} scales or sizes for rank {rank}"))) };
    if call.attrs.get("axes").is_some() || call.attrs.str("keep_aspect_ratio_policy", "stretch") != "stretch" {
        return Err(call.bad("axes and keep_aspect_ratio_policy are not supported"));
    }
    let roi = region(call, d, rank)?;
    match (scales, sizes) {
        (_, Some(sizes)) => {
            fits(sizes.len())?;
            let output = call.shape(&sizes[d..=d])?[0];
            Ok(Axis { input, output, scale: output as f64 / input.max(1) as f64, roi })
        }
        (Some(scales), None) => {
            fits(scales.len())?;
            let scale = f64::from(scales[d]);
            let output = (input as f64 * (roi[1] - roi[0]) * scale).floor();
            if !(output >= 0.0 && output < f64::from(1 << 30)) {
                return Err(call.bad(format!("scale {scale} is out of range")));
            }
            Ok(Axis { input, output: output as usize, scale, roi })
        }
        (None, None) => Err(call.bad("neither scales nor sizes are given")),
    }
}

/// The region of interest along axis `d`, when the coordinates ask for one.
fn region(call: &Call<'_>, d: usize, rank: usize) -> Result<[f64; 2], ExecError> {
    let crops = call.attrs.str("coordinate_transformation_mode", "") == "tf_crop_and_resize";
    let Some(roi) = call.optional(1).filter(|_| crops) else { return Ok([0.0, 1.0]) };
    let roi = roi.to_f64s();
    if roi.len() != 2 * rank {
        return Err(call.bad(format!("region of {} numbers for rank {rank}", roi.len())));
    }
    Ok([roi[d], roi[d + rank]])
}

fn transform_error(call: &Call<'_>) -> ExecError {
    let transform = call.attrs.str("coordinate_transformation_mode", "half_pixel");
    let rounding = call.attrs.str("nearest_mode", "round_prefer_floor");
    call.bad(format!("coordinates {transform:?} with rounding {rounding:?} are not supported"))
}

/// Nearest pixels of a region; outside the image, the extrapolation value.
fn cropped_nearest(call: &Call<'_>, x: &Tensor, d: usize, a: &Axis) -> Result<Tensor, ExecError> {
    let mode = call.attrs.str("nearest_mode", "round_prefer_floor");
    let table = a.resample("tf_crop_and_resize").nearest(mode).ok_or_else(|| transform_error(call))?;
    let taps: Vec<Vec<(usize, f32)>> = table.into_iter().map(|i| i.map(|i| (i, 1.0)).into_iter().collect()).collect();
    weighted(call, x, d, a, &taps)
}

/// Linear of a region, or cubic: each output is a chain over its taps.
fn filtered(call: &Call<'_>, x: &Tensor, d: usize, a: &Axis) -> Result<Tensor, ExecError> {
    let transform = call.attrs.str("coordinate_transformation_mode", "half_pixel");
    let cubic = call.attrs.str("mode", "nearest") == "cubic";
    let filter = Filter {
        cubic: cubic.then(|| f64::from(call.attrs.float("cubic_coeff_a", -0.75))),
        antialias: false,
        exclude_outside: call.attrs.int("exclude_outside", 0) != 0,
    };
    let taps = a.resample(transform).taps(filter).ok_or_else(|| transform_error(call))?;
    weighted(call, x, d, a, &taps)
}

/// Sums of weighted rows along axis `d`; rows without taps have the extrapolation value.
fn weighted(call: &Call<'_>, x: &Tensor, d: usize, a: &Axis, taps: &[Vec<(usize, f32)>]) -> Result<Tensor, ExecError> {
    let outside = call.attrs.float("extrapolation_value", 0.0);
    let inner: usize = x.shape()[d + 1..].iter().product();
    let mut out = Vec::with_capacity(x.len() / a.input * a.output);
    for block in x.f32s()?.chunks_exact(a.input * inner) {
        for taps in taps {
            let start = out.len();
            out.resize(start + inner, if taps.is_empty() { outside } else { 0.0 });
            for &(i, w) in taps {
                let row = &block[i * inner..][..inner];
                out[start..].iter_mut().zip(row).for_each(|(o, &v)| *o = v.mul_add(w, *o));
            }
        }
    }
    let mut shape = x.shape().to_vec();
    shape[d] = a.output;
    Ok(Tensor::from_f32(shape, out)?)
}

fn nearest(call: &Call<'_>, x: &Tensor, d: usize, a: &Axis) -> Result<Tensor, ExecError> {
    let transform = call.attrs.str("coordinate_transformation_mode", "half_pixel");
    let mode = call.attrs.str("nearest_mode", "round_prefer_floor");
    let table = NearestResize::axis(a.input, a.output, a.scale, transform, mode)
        .ok_or_else(|| call.bad(format!("coordinates {transform:?} with rounding {mode:?} are not supported")))?;
    if let TensorData::F32(v) = x.data() {
        return picked_rows(call, v, x.shape(), d, &table);
    }
    each_type!(x, v => picked(v, x.shape(), d, &table))
}

/// Rows `table[i]` of axis `d`.
fn picked<T: Element>(v: &[T], from: &[usize], d: usize, table: &[u32]) -> Result<Tensor, ExecError> {
    let inner: usize = from[d + 1..].iter().product();
    let block = from[d] * inner;
    let mut out = Vec::with_capacity(v.len() / from[d] * table.len());
    for block in v.chunks_exact(block) {
        if inner == 1 {
            out.extend(table.iter().map(|&i| block[i as usize]));
        } else {
            table.iter().for_each(|&i| out.extend_from_slice(&block[i as usize * inner..][..inner]));
        }
    }
    let mut shape = from.to_vec();
    shape[d] = table.len();
    Ok(T::tensor(&shape, out)?)
}

/// [`picked`] of floats, on several threads.
fn picked_rows(call: &Call<'_>, v: &[f32], from: &[usize], d: usize, table: &[u32]) -> Result<Tensor, ExecError> {
    let inner: usize = from[d + 1..].iter().product();
    let (block, result) = (from[d] * inner, table.len() * inner);
    let mut out = call.buffers.any(v.len() / from[d] * table.len());
    split(call.threads, out.len(), &mut out, result, |first, out| {
        for (out, block) in out.chunks_exact_mut(result).zip(v[first * block..].chunks_exact(block)) {
            if inner == 1 {
                out.iter_mut().zip(table).for_each(|(o, &i)| *o = block[i as usize]);
            } else {
                let rows = table.iter().map(|&i| &block[i as usize * inner..][..inner]);
                out.chunks_exact_mut(inner).zip(rows).for_each(|(o, row)| o.copy_from_slice(row));
            }
        }
    });
    let mut shape = from.to_vec();
    shape[d] = table.len();
    Ok(Tensor::from_f32(shape, out)?)
}

/// Linear interpolation along one axis: `p + (q - p)·t`.
fn linear(call: &Call<'_>, x: &Tensor, d: usize, a: &Axis) -> Result<Tensor, ExecError> {
    let transform = call.attrs.str("coordinate_transformation_mode", "half_pixel");
    let last = (a.input - 1) as f64;
    let taps = (0..a.output)
        .map(|i| {
            let at = resize_source(i as f64, last, a.output, a.scale, transform)
                .ok_or_else(|| call.bad(format!("coordinates {transform:?} are not supported")))?
                .clamp(0.0, last);
            let low = at.floor();
            Ok((low as usize, (low + 1.0).min(last) as usize, (at - low) as f32))
        })
        .collect::<Result<Vec<_>, ExecError>>()?;
    let inner: usize = x.shape()[d + 1..].iter().product();
    let mut out = Vec::with_capacity(x.len() / a.input * a.output);
    for block in x.f32s()?.chunks_exact(a.input * inner) {
        for &(low, high, t) in &taps {
            let (p, q) = (&block[low * inner..][..inner], &block[high * inner..][..inner]);
            out.extend(p.iter().zip(q).map(|(&p, &q)| p + (q - p) * t));
        }
    }
    let mut shape = x.shape().to_vec();
    shape[d] = a.output;
    Ok(Tensor::from_f32(shape, out)?)
}
