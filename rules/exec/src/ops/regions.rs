//! Pooling of regions of interest: RoiAlign and MaxRoiPool.

use crate::ExecError;
use crate::call::Call;
use ptq_ir::Tensor;

/// A point between pixels: four indices within a plane with their weights.
type Sample = [(usize, f32); 4];

/// RoiAlign: the mean or the largest of points in each bin, interpolated between pixels.
pub(super) fn align(call: &Call<'_>) -> Result<Tensor, ExecError> {
    let (x, rois, batches) = (call.input(0)?, call.input(1)?, call.input(2)?.to_i64s()?);
    let (&[n, c, h, w], &[count, 4]) = (x.shape(), rois.shape()) else {
        return Err(call.bad(format!("shapes {:?} and {:?} are no images and regions", x.shape(), rois.shape())));
    };
    let [oh, ow] = [extent(call, "output_height", 1)?, extent(call, "output_width", 1)?];
    let ratio = usize::try_from(call.attrs.int("sampling_ratio", 0)).unwrap_or(0);
    let scale = call.attrs.float("spatial_scale", 1.0);
    let half = call.attrs.str("coordinate_transformation_mode", "half_pixel") == "half_pixel";
    let largest = call.attrs.str("mode", "avg") == "max";
    let offset = if half { 0.5 } else { 0.0 };
    let mut out = Vec::with_capacity(call.bounded(&[count, c, oh, ow])?);
    for (roi, &batch) in rois.f32s()?.as_chunks::<4>().0.iter().zip(&batches) {
        let batch = usize::try_from(batch).ok().filter(|&b| b < n);
        let batch = batch.ok_or_else(|| call.bad("a region names no image"))?;
        let [x0, y0, x1, y1] = roi.map(|v| v * scale - offset);
        let least = if half { f32::NEG_INFINITY } else { 1.0 };
        let bin = [(y1 - y0).max(least) / oh as f32, (x1 - x0).max(least) / ow as f32];
        let grid = bin.map(|b| if ratio > 0 { ratio } else { (b.ceil().max(0.0) as usize).min(1 << 10) });
        let points = |oy: usize, ox: usize| -> Vec<Option<Sample>> {
            let at = |start: f32, d: usize, o: usize, i: usize| {
                start + o as f32 * bin[d] + (i as f32 + 0.5) * bin[d] / grid[d] as f32
            };
            (0..grid[0] * grid[1])
                .map(|i| sample(at(y0, 0, oy, i / grid[1]), at(x0, 1, ox, i % grid[1]), h, w))
                .collect()
        };
        let bins: Vec<Vec<Option<Sample>>> = (0..oh * ow).map(|b| points(b / ow, b % ow)).collect();
        for plane in x.f32s()?[batch * c * h * w..][..c * h * w].chunks_exact((h * w).max(1)) {
            out.extend(bins.iter().map(|samples| if largest { maximum(plane, samples) } else { mean(plane, samples) }));
        }
    }
    Ok(Tensor::from_f32([count, c, oh, ow], out)?)
}

fn mean(plane: &[f32], samples: &[Option<Sample>]) -> f32 {
    let sum =
        samples.iter().flatten().fold(0.0f32, |sum, s| s.iter().fold(sum, |sum, &(i, w)| plane[i].mul_add(w, sum)));
    sum / samples.len().max(1) as f32
}

/// The largest weighted neighbour of all points, as the operator is defined.
fn maximum(plane: &[f32], samples: &[Option<Sample>]) -> f32 {
    let of =
        |s: &Option<Sample>| s.map_or(0.0, |s| s.iter().map(|&(i, w)| plane[i] * w).fold(f32::NEG_INFINITY, f32::max));
    samples.iter().map(of).reduce(f32::max).unwrap_or(0.0)
}

/// `None` more than a pixel outside the image.
fn sample(y: f32, x: f32, h: usize, w: usize) -> Option<Sample> {
    if !(-1.0..=h as f32).contains(&y) || !(-1.0..=w as f32).contains(&x) || h == 0 || w == 0 {
        return None;
    }
    let split = |v: f32, n: usize| {
        let v = v.max(0.0);
        let low = v as usize;
        if low + 1 >= n { (n - 1, n - 1, 0.0) } else { (low, low + 1, v - low as f32) }
    };
    let ((top, bottom, ty), (left, right, tx)) = (split(y, h), split(x, w));
    Some([
        (top * w + left, (1.0 - ty) * (1.0 - tx)),
        (top * w + right, (1.0 - ty) * tx),
        (bottom * w + left, ty * (1.0 - tx)),
        (bottom * w + right, ty * tx),
    ])
}

/// MaxRoiPool: the largest pixel of each bin; regions are `[image, x0, y0, x1, y1]`, corners included.
pub(super) fn max_pool(call: &Call<'_>) -> Result<Tensor, ExecError> {
    let (x, rois) = (call.input(0)?, call.input(1)?);
    let (&[n, c, h, w], &[count, 5]) = (x.shape(), rois.shape()) else {
        return Err(call.bad(format!("shapes {:?} and {:?} are no images and regions", x.shape(), rois.shape())));
    };
    let Some(&[oh, ow]) = call.attrs.ints("pooled_shape") else { return Err(call.bad("pooled_shape is missing")) };
    let [oh, ow] = [oh, ow].map(|v| usize::try_from(v).unwrap_or(0).max(1));
    let scale = call.attrs.float("spatial_scale", 1.0);
    let mut out = Vec::with_capacity(call.bounded(&[count, c, oh, ow])?);
    for &[image, x0, y0, x1, y1] in rois.f32s()?.as_chunks::<5>().0 {
        if !(image >= 0.0 && image < n as f32) {
            return Err(call.bad("a region names no image"));
        }
        let [x0, y0, x1, y1] = [x0, y0, x1, y1].map(|v| (v * scale).round());
        let bins = |start: f32, end: f32, count: usize, extent: usize| -> Vec<(usize, usize)> {
            let size = (end - start + 1.0).max(1.0) / count as f32;
            let clip = |v: f32| v.clamp(0.0, extent as f32) as usize;
            (0..count)
                .map(|o| (clip((o as f32 * size).floor() + start), clip(((o + 1) as f32 * size).ceil() + start)))
                .collect()
        };
        let (rows, columns) = (bins(y0, y1, oh, h), bins(x0, x1, ow, w));
        for plane in x.f32s()?[image as usize * c * h * w..][..c * h * w].chunks_exact((h * w).max(1)) {
            for &(top, bottom) in &rows {
                for &(left, right) in &columns {
                    let pixels = (top..bottom).flat_map(|y| (left..right).map(move |x| plane[y * w + x]));
                    out.push(pixels.reduce(f32::max).unwrap_or(0.0));
                }
            }
        }
    }
    Ok(Tensor::from_f32([count, c, oh, ow], out)?)
}

fn extent(call: &Call<'_>, name: &str, default: i64) -> Result<usize, ExecError> {
    usize::try_from(call.attrs.int(name, default))
        .ok()
        .filter(|&n| n > 0)
        .ok_or_else(|| call.bad(format!("{name} must be positive")))
}
