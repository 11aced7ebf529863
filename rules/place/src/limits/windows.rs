//! Numbers of a node's window: kernel, stride, dilation, padding, filters; and the factors of a Resize.

use super::{flag, listed, to_i64s};
use ptq_ir::{Graph, Node, ops};

/// The last two axes of a window.
struct Window {
    kernel: [usize; 2],
    strides: [usize; 2],
    dilations: [usize; 2],
    pads: [usize; 4],
}

fn window(g: &Graph, n: &Node) -> Option<Window> {
    let x = &g.value(n.input(0)?).shape;
    if n.op == "Conv" && x.len() == 4 {
        let geom = ops::ConvGeom::of(n, x, &g.value(n.input(1)?).shape).ok()?;
        return Some(Window { kernel: geom.kernel, strides: geom.strides, dilations: geom.dilations, pads: geom.pads });
    }
    if has_weights(n) {
        return stated(g, n);
    }
    let geom = ops::PoolGeom::of(n, x).ok()?;
    Some(Window { kernel: geom.kernel, strides: geom.strides, dilations: geom.dilations, pads: geom.pads })
}

fn has_weights(n: &Node) -> bool {
    n.op == "Conv" || n.op == "ConvTranspose"
}

/// The window as weights and attributes state it, for any rank.
fn stated(g: &Graph, n: &Node) -> Option<Window> {
    let kernel = weight_shape(g, n)?.get(2..)?;
    let ones = vec![1; kernel.len()];
    let positive = |name: &str| numbers(n, name).unwrap_or_else(|| ones.clone());
    let pads = numbers(n, "pads").unwrap_or_else(|| vec![0; 2 * kernel.len()]);
    let (before, after) = pads.split_at_checked(kernel.len())?;
    let ([top, left], [bottom, right]) = (last_two(before, 0), last_two(after, 0));
    Some(Window {
        kernel: last_two(kernel, 1),
        strides: last_two(&positive("strides"), 1),
        dilations: last_two(&positive("dilations"), 1),
        pads: [top, left, bottom, right],
    })
}

fn numbers(n: &Node, name: &str) -> Option<Vec<usize>> {
    n.attrs.ints(name)?.iter().map(|&v| usize::try_from(v).ok()).collect()
}

fn last_two(v: &[usize], default: usize) -> [usize; 2] {
    match v {
        [.., h, w] => [*h, *w],
        [w] => [default, *w],
        [] => [default; 2],
    }
}

fn weight_shape<'g>(g: &'g Graph, n: &Node) -> Option<&'g [usize]> {
    n.input(1).map(|w| g.value(w).shape.as_slice())
}

pub(super) fn kernel(g: &Graph, n: &Node) -> Option<Vec<i64>> {
    window(g, n).map(|w| to_i64s(&w.kernel))
}

pub(super) fn kernel_area(g: &Graph, n: &Node) -> Option<Vec<i64>> {
    window(g, n).map(|w| to_i64s(&[w.kernel[0] * w.kernel[1]]))
}

pub(super) fn stride(g: &Graph, n: &Node) -> Option<Vec<i64>> {
    window(g, n).map(|w| to_i64s(&w.strides))
}

pub(super) fn stride_area(g: &Graph, n: &Node) -> Option<Vec<i64>> {
    window(g, n).map(|w| to_i64s(&[w.strides[0] * w.strides[1]]))
}

pub(super) fn equal_strides(g: &Graph, n: &Node) -> Option<Vec<i64>> {
    window(g, n).map(|w| flag(w.strides[0] == w.strides[1]))
}

pub(super) fn stride_powers(g: &Graph, n: &Node) -> Option<Vec<i64>> {
    window(g, n).map(|w| flag(w.strides.iter().all(|s| s.is_power_of_two())))
}

pub(super) fn strides(g: &Graph, n: &Node) -> String {
    window(g, n).map_or_else(String::new, |w| format!("its strides are {} and {}", w.strides[0], w.strides[1]))
}

pub(super) fn dilation(g: &Graph, n: &Node) -> Option<Vec<i64>> {
    window(g, n).map(|w| to_i64s(&w.dilations))
}

pub(super) fn dilation_powers(g: &Graph, n: &Node) -> Option<Vec<i64>> {
    window(g, n).map(|w| flag(w.dilations.iter().all(|d| d.is_power_of_two())))
}

pub(super) fn dilations(g: &Graph, n: &Node) -> String {
    window(g, n).map_or_else(String::new, |w| format!("its dilations are {} and {}", w.dilations[0], w.dilations[1]))
}

/// Strides where a dilation is above 1.
pub(super) fn dilated_stride(g: &Graph, n: &Node) -> Option<Vec<i64>> {
    let w = window(g, n)?;
    Some(if w.dilations == [1, 1] { Vec::new() } else { to_i64s(&w.strides) })
}

/// Height and width of the input.
fn image(g: &Graph, n: &Node) -> Option<[usize; 2]> {
    Some(last_two(&g.value(n.input(0)?).shape, 1))
}

/// Whether the dilation divides height and width.
pub(super) fn dilation_divides(g: &Graph, n: &Node) -> Option<Vec<i64>> {
    let pairs = image(g, n)?.into_iter().zip(window(g, n)?.dilations);
    Some(flag(pairs.into_iter().all(|(extent, dilation)| extent.is_multiple_of(dilation))))
}

pub(super) fn dilated_image(g: &Graph, n: &Node) -> String {
    let [h, w] = image(g, n).unwrap_or_default();
    format!("{} for an image of {h} x {w}", dilations(g, n))
}

/// Whether the stride divides dilations above 1.
pub(super) fn dilation_of_stride(g: &Graph, n: &Node) -> Option<Vec<i64>> {
    let w = window(g, n)?;
    Some(flag(w.dilations.iter().zip(w.strides).all(|(d, s)| *d == 1 || d.is_multiple_of(s))))
}

pub(super) fn pad(g: &Graph, n: &Node) -> Option<Vec<i64>> {
    window(g, n).map(|w| to_i64s(&w.pads))
}

/// Whether every pad is below kernel / stride, or at most that where the stride is even.
pub(super) fn pad_fits(g: &Graph, n: &Node) -> Option<Vec<i64>> {
    let w = window(g, n)?;
    let fits = |(i, &pad): (usize, &usize)| {
        let (kernel, stride) = (w.kernel[i % 2], w.strides[i % 2]);
        pad * stride + stride % 2 <= kernel
    };
    // An odd stride without padding needs none of that room.
    Some(flag(w.pads.iter().enumerate().filter(|(_, p)| **p > 0).all(fits)))
}

pub(super) fn pads_and_strides(g: &Graph, n: &Node) -> String {
    window(g, n).map_or_else(String::new, |w| {
        format!("its pads are {:?} for kernel {:?} and strides {:?}", w.pads, w.kernel, w.strides)
    })
}

pub(super) fn output_pad(_: &Graph, n: &Node) -> Option<Vec<i64>> {
    Some(n.attrs.ints("output_padding").map_or(vec![0], <[i64]>::to_vec))
}

pub(super) fn groups(_: &Graph, n: &Node) -> Option<Vec<i64>> {
    Some(vec![n.attrs.int("group", 1)])
}

fn group(n: &Node) -> Option<usize> {
    usize::try_from(n.attrs.int("group", 1)).ok().filter(|&g| g > 0)
}

/// Filters; the weights of a ConvTranspose have them second, for one group.
pub(super) fn output_channels(g: &Graph, n: &Node) -> Option<Vec<i64>> {
    let w = weight_shape(g, n)?;
    let filters = if n.op == "ConvTranspose" { w.get(1)? * group(n)? } else { *w.first()? };
    Some(to_i64s(&[filters]))
}

pub(super) fn channels_per_group(g: &Graph, n: &Node) -> Option<Vec<i64>> {
    let w = weight_shape(g, n)?;
    Some(to_i64s(&[*w.get(1)?, w.first()? / group(n)?]))
}

pub(super) fn weights_per_filter(g: &Graph, n: &Node) -> Option<Vec<i64>> {
    let w = weight_shape(g, n)?;
    Some(vec![w.get(1..)?.iter().map(|&d| d as i64).product()])
}

/// Depth and channels of a 3-D kernel.
fn depth(g: &Graph, n: &Node) -> Option<(usize, usize)> {
    match weight_shape(g, n)? {
        &[_, channels, depth, _, _] => Some((depth, channels)),
        _ => None,
    }
}

pub(super) fn kernel_depth(g: &Graph, n: &Node) -> Option<Vec<i64>> {
    depth(g, n).map(|(d, _)| to_i64s(&[d]))
}

pub(super) fn depth_weights(g: &Graph, n: &Node) -> Option<Vec<i64>> {
    depth(g, n).map(|(d, channels)| to_i64s(&[d * channels]))
}

/// Paddings in front of the depth and behind it.
fn depth_pad(n: &Node) -> [usize; 2] {
    match numbers(n, "pads").as_deref() {
        Some(&[front, _, _, back, _, _]) => [front, back],
        _ => [0; 2],
    }
}

pub(super) fn depth_pad_fits(g: &Graph, n: &Node) -> Option<Vec<i64>> {
    depth(g, n).map(|(d, _)| flag(depth_pad(n).iter().all(|&p| p <= d / 2)))
}

pub(super) fn depth_pads(g: &Graph, n: &Node) -> String {
    let [front, back] = depth_pad(n);
    format!("the depth is padded by {front} and {back} for a kernel of depth {}", depth(g, n).map_or(0, |d| d.0))
}

/// Factors of height and width of a nearest Resize; `None` for another mode.
fn nearest(g: &Graph, n: &Node) -> Option<[f64; 2]> {
    if n.attrs.str("mode", "nearest") != "nearest" {
        return None;
    }
    let (x, y) = (&g.value(n.input(0)?).shape, &g.value(*n.outputs.first()?).shape);
    let ([h, w], [to_h, to_w]) = (last_two(x, 1), last_two(y, 1));
    let scales = g.const_input(n, 2).and_then(|t| t.f32s().ok()).filter(|s| s.len() == x.len());
    Some(match scales {
        Some([.., a, b]) => [f64::from(*a), f64::from(*b)],
        _ => [to_h as f64 / h.max(1) as f64, to_w as f64 / w.max(1) as f64],
    })
}

pub(super) fn nearest_factors(g: &Graph, n: &Node) -> Option<Vec<i64>> {
    let is_power = |f: &f64| *f > 0.0 && f.log2().fract() == 0.0;
    Some(flag(nearest(g, n).is_none_or(|f| f.iter().all(is_power))))
}

pub(super) fn nearest_order(g: &Graph, n: &Node) -> Option<Vec<i64>> {
    Some(flag(nearest(g, n).is_none_or(|[h, w]| h <= w)))
}

pub(super) fn resize_factors(g: &Graph, n: &Node) -> String {
    let factors: Vec<String> = nearest(g, n).iter().flatten().map(|f| format!("{f}")).collect();
    format!("its factors of height and width are {}", listed(&factors))
}
