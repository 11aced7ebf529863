//! Sampling: GridSample since 20, AffineGrid (20), Col2Im (18), DeformConv (19), in operators of set 17.

use super::parts::{Parts, signed};
use super::{Conversion, Converted};
use ptq_ir::ops::Window;
use ptq_ir::{Attr, Diagnostic};

/// GridSample: the modes have other names since 20; volumes have no form in operator set 17.
pub(super) fn grid_sample(mut c: Conversion<'_>) -> Converted {
    if c.shape()?.len() != 4 {
        return Err(c.error("only images (rank 4) have a form in operator set 17"));
    }
    let mode = match c.node.attrs.str("mode", "bilinear") {
        "linear" => "bilinear",
        "cubic" => "bicubic",
        other => other,
    };
    let mode = mode.to_owned();
    c.node.attrs.set("mode", Attr::Str(mode));
    c.done()
}

/// AffineGrid: the constant grid of the size, times theta.
pub(super) fn affine_grid(c: Conversion<'_>) -> Converted {
    let size = c.ints(1)?.unwrap_or_default();
    let extents: Vec<usize> = size.iter().filter_map(|&v| usize::try_from(v).ok()).collect();
    if extents.len() != size.len() || !matches!(extents.len(), 4 | 5) {
        return Err(c.error(format!("size {size:?} is neither an image's nor a volume's")));
    }
    let corners = c.node.attrs.int("align_corners", 0) != 0;
    let spatial = &extents[2..];
    let (count, dims) = (spatial.iter().product::<usize>(), spatial.len());
    let along = |n: usize, i: usize| match (corners, n) {
        (true, 0 | 1) => 0.0,
        (true, n) => -1.0 + 2.0 * i as f32 / (n as f32 - 1.0),
        (false, n) => (2.0 * i as f32 + 1.0) / n as f32 - 1.0,
    };
    let mut points = Vec::with_capacity(count * (dims + 1));
    for p in 0..count {
        // The last axis is x, the first coordinate.
        let mut rest = p;
        for &n in spatial.iter().rev() {
            points.push(along(n, rest % n));
            rest /= n;
        }
        points.push(1.0);
    }
    let mut parts = Parts::of(c);
    let theta = parts.input(0)?;
    let points = parts.floats("points", &[count, dims + 1], points)?;
    let turned = parts.transpose(&theta, &[0, 2, 1]);
    let grid = parts.op("MatMul", &[&points, &turned], &[]);
    let mut shape = vec![extents[0]];
    shape.extend(spatial);
    shape.push(dims);
    let shape = parts.ints("shape", signed(&shape));
    parts.finish("Reshape", &[&grid, &shape], &[])
}

/// Col2Im: a ConvTranspose whose filters put each column entry at its place of the block.
pub(super) fn col2im(c: Conversion<'_>) -> Converted {
    let shape = c.shape()?;
    let extents = |i: usize| -> Result<Vec<usize>, Diagnostic> {
        let values = c.ints(i)?.unwrap_or_default();
        Ok(values.iter().filter_map(|&v| usize::try_from(v).ok()).filter(|&v| v > 0).collect())
    };
    let (image, block) = (extents(1)?, extents(2)?);
    let taps: usize = block.iter().product();
    let misfit = || c.error(format!("columns {shape:?} do not fit blocks {block:?} of an image {image:?}"));
    let (&[batch, rows, _], true) = (&shape[..], image.len() == block.len() && !block.is_empty()) else {
        return Err(misfit());
    };
    let window = Window::of(&c.as_node(), &image, &block)?;
    let blocks = window.out(&c.as_node(), &image)?;
    if rows % taps != 0 || blocks.iter().product::<usize>() != shape[2] {
        return Err(misfit());
    }
    let channels = rows / taps;
    // Pixels behind the last block belong to the image too.
    let extra: Vec<usize> = (0..image.len())
        .map(|d| {
            let reach = (blocks[d] - 1) * window.strides[d] + window.span(d);
            (image[d] + window.pads[d][0] + window.pads[d][1]).saturating_sub(reach)
        })
        .collect();
    let mut parts = Parts::of(c);
    let x = parts.input(0)?;
    let mut spread = vec![batch, rows];
    spread.extend(&blocks);
    let x = parts.reshape(&x, &spread);
    let mut filters = vec![rows, 1];
    filters.extend(&block);
    let entry = |i: usize| if i / taps % taps == i % taps { 1.0 } else { 0.0 };
    let weights = parts.floats("places", &filters, (0..rows * taps).map(entry).collect())?;
    let pads = window.pads.iter().map(|p| p[0]).chain(window.pads.iter().map(|p| p[1]));
    let ints = |v: &[usize]| Attr::Ints(signed(v));
    let attrs = [
        ("dilations", ints(&window.dilations)),
        ("group", Attr::Int(channels as i64)),
        ("kernel_shape", ints(&block)),
        ("output_padding", ints(&extra)),
        ("pads", ints(&pads.collect::<Vec<_>>())),
        ("strides", ints(&window.strides)),
    ];
    parts.finish("ConvTranspose", &[&x, &weights], &attrs)
}

/// DeformConv: GridSample takes every tap of every window from its shifted place; what it gives is an image with a
/// channel for each tap, which a pointwise Conv sums up.
pub(super) fn deform_conv(c: Conversion<'_>) -> Converted {
    let shape_of = |i: usize| c.node.input(i).and_then(|n| c.env.typed(n)).map(|(_, s)| s).unwrap_or_default();
    let (x, w) = (shape_of(0), shape_of(1));
    let groups = usize::try_from(c.node.attrs.int("offset_group", 1)).unwrap_or(0);
    let (&[n, channels, height, width], &[filters, per_group, kh, kw]) = (&x[..], &w[..]) else {
        return Err(c.error(format!("input {x:?} and weights {w:?}: only images have a form in operator set 17")));
    };
    let node = c.as_node();
    let window = Window::of(&node, &x[2..], &w[2..])?;
    let out = window.out(&node, &x[2..])?;
    let (taps, group) = (kh * kw, c.node.attrs.int("group", 1));
    if groups == 0 || channels % groups != 0 || shape_of(2) != [n, groups * taps * 2, out[0], out[1]] {
        return Err(c.error(format!("offsets {:?} in {groups} groups do not fit", shape_of(2))));
    }
    // Where each tap is without its offset, (row, column).
    let mut base = Vec::with_capacity(taps * 2 * out[0] * out[1]);
    for tap in 0..taps {
        for axis in 0..2 {
            let k = if axis == 0 { tap / kw } else { tap % kw };
            let place =
                |o: usize| (o * window.strides[axis] + k * window.dilations[axis]) as f32 - window.pads[axis][0] as f32;
            base.extend((0..out[0] * out[1]).map(|p| place(if axis == 0 { p / out[1] } else { p % out[1] })));
        }
    }
    let mut parts = Parts::of(c);
    let (image, weights, offsets) = (parts.input(0)?, parts.input(1)?, parts.input(2)?);
    let per_tap = [n * groups, taps, 2, out[0], out[1]];
    let offsets = parts.reshape(&offsets, &per_tap);
    let base = parts.floats("places", &[1, taps, 2, out[0], out[1]], base)?;
    let places = parts.op("Add", &[&offsets, &base], &[]);
    // Pixel p of n is the grid coordinate (2p + 1) / n − 1; a grid holds (x, y).
    let factor = parts.floats("factor", &[1, 1, 2, 1, 1], vec![2.0 / height as f32, 2.0 / width as f32])?;
    let shift = parts.floats("shift", &[1, 1, 2, 1, 1], vec![1.0 / height as f32 - 1.0, 1.0 / width as f32 - 1.0])?;
    let scaled = parts.op("Mul", &[&places, &factor], &[]);
    let grid = parts.op("Add", &[&scaled, &shift], &[]);
    let (y, x) = (parts.slice(&grid, 2, [0, 1, 1]), parts.slice(&grid, 2, [1, 2, 1]));
    let turned = parts.op("Concat", &[&x, &y], &[("axis", Attr::Int(2))]);
    let turned = parts.transpose(&turned, &[0, 1, 3, 4, 2]);
    let grid = parts.reshape(&turned, &[n * groups, taps * out[0], out[1], 2]);
    let image = parts.reshape(&image, &[n * groups, channels / groups, height, width]);
    let attrs = [
        ("align_corners", Attr::Int(0)),
        ("mode", Attr::Str("bilinear".to_owned())),
        ("padding_mode", Attr::Str("zeros".to_owned())),
    ];
    let mut seen = parts.op("GridSample", &[&image, &grid], &attrs);
    if let Ok(mask) = parts.input(4) {
        let mask = parts.reshape(&mask, &[n * groups, 1, taps * out[0], out[1]]);
        seen = parts.op("Mul", &[&seen, &mask], &[]);
    }
    let columns = parts.reshape(&seen, &[n, channels * taps, out[0], out[1]]);
    let weights = parts.reshape(&weights, &[filters, per_group * taps, 1, 1]);
    let bias = parts.input(3).unwrap_or_default();
    parts.finish("Conv", &[&columns, &weights, &bias], &[("group", Attr::Int(group))])
}
