//! ConvTranspose of any spatial rank: the convolution of the spread image by the mirrored weights.

use super::conv_nd::ConvNd;
use super::taps::coordinates;
use crate::ExecError;
use crate::call::Call;
use ptq_ir::Tensor;
use ptq_ir::ops::{TransposedWindow, Window};

/// ConvTranspose with three and more spatial dimensions.
pub(super) fn conv_transpose(call: &Call<'_>) -> Result<Tensor, ExecError> {
    let (x, w) = (call.input(0)?, call.input(1)?);
    let bias = call.optional(2).map(Tensor::f32s).transpose()?;
    let (xs, ws) = (x.shape(), w.shape());
    let group = usize::try_from(call.attrs.int("group", 1)).unwrap_or(0);
    let filters = ws.get(1).and_then(|n| n.checked_mul(group)).unwrap_or(0);
    let fits = filters > 0 && xs.len() == ws.len() && ws[0] == xs[1] && xs[1].is_multiple_of(group);
    if !fits || bias.is_some_and(|b| b.len() != filters) {
        return Err(call.bad(format!("weights {ws:?} in {group} groups do not fit input {xs:?}")));
    }
    let (spatial, kernel) = (&xs[2..], &ws[2..]);
    let t = TransposedWindow::of(&call.node(), spatial, kernel)?;
    let mut shape = vec![xs[0], filters];
    shape.extend(&t.out);
    call.bounded(&shape)?;
    let n = spatial.len();
    let (mut crop, mut extent, mut pads) = (vec![0; n], vec![0; n], vec![[0; 2]; n]);
    for d in 0..n {
        let (reach, [before, after]) = ((kernel[d] - 1) * t.dilations[d], t.pads[d]);
        // Pads beyond the kernel's reach cut pixels off.
        crop[d] = before.saturating_sub(reach);
        pads[d] = [reach.saturating_sub(before), (reach + t.extra[d]).saturating_sub(after)];
        let cut = crop[d] + after.saturating_sub(reach + t.extra[d]);
        let left = ((spatial[d] - 1) * t.strides[d] + 1).checked_sub(cut).filter(|&n| n > 0);
        extent[d] = left.ok_or_else(|| call.bad("pads leave nothing of the output"))?;
    }
    let mut spread_shape = xs[..2].to_vec();
    spread_shape.extend(&extent);
    call.bounded(&spread_shape)?;
    let spread = spread(x.f32s()?, spatial, &t.strides, &crop, &extent);
    let weights = mirrored(w.f32s()?, xs[1], ws[1], group, kernel.iter().product());
    let window = Window { kernel: kernel.to_vec(), strides: vec![1; n], dilations: t.dilations, pads, ceil: false };
    let plan = ConvNd {
        batch: xs[0],
        channels: xs[1],
        spatial: &extent,
        weights: &weights,
        filters,
        group,
        bias,
        window: &window,
        out: &t.out,
    };
    Ok(Tensor::from_f32(shape, plan.run(&spread)?)?)
}

/// All images with `stride - 1` zeros between neighbours, cropped to `extent`.
fn spread(x: &[f32], spatial: &[usize], strides: &[usize], crop: &[usize], extent: &[usize]) -> Vec<f32> {
    let (image, steps) = (spatial.iter().product::<usize>(), ptq_ir::strides(extent));
    let target = |position: usize| {
        let at = coordinates(position, spatial);
        (0..at.len()).try_fold(0, |sum, d| {
            let i = (at[d] * strides[d]).checked_sub(crop[d]).filter(|&i| i < extent[d])?;
            Some(sum + i * steps[d])
        })
    };
    let table: Vec<Option<usize>> = (0..image).map(target).collect();
    let size = extent.iter().product();
    let mut out = vec![0.0; x.len() / image * size];
    for (image, plane) in x.chunks_exact(image).zip(out.chunks_exact_mut(size)) {
        for (&v, to) in image.iter().zip(&table) {
            if let Some(to) = to {
                plane[*to] = v;
            }
        }
    }
    out
}

/// Weights `[channel][filter of group][kernel]` as `[filter][channel of group][kernel]`, taps in reverse.
fn mirrored(w: &[f32], channels: usize, filters: usize, group: usize, taps: usize) -> Vec<f32> {
    let per_group = channels / group;
    let mut out = Vec::with_capacity(w.len());
    for g in 0..group {
        for f in 0..filters {
            for c in g * per_group..(g + 1) * per_group {
                out.extend(w[(c * filters + f) * taps..][..taps].iter().rev());
            }
        }
    }
    out
}
