//! Pools with options that operator set 17 does not have: dilated AveragePool (19), LpPool with dilations or ceil_mode
//! (18). Both are sums over windows, which a depthwise Conv by ones computes.

use super::parts::{Parts, signed};
use super::{Conversion, Converted};
use ptq_ir::ops::Window;
use ptq_ir::{Attr, Diagnostic};

/// AveragePool: `dilations` since 19.
pub(super) fn average(mut c: Conversion<'_>) -> Converted {
    if c.node.attrs.ints("dilations").is_none_or(|d| d.iter().all(|&v| v == 1)) {
        c.node.attrs.0.remove("dilations");
        return c.done();
    }
    let sums = Sums::of(&c)?;
    let padded = c.node.attrs.int("count_include_pad", 0) != 0;
    let counts: Vec<f32> = sums.counts(padded);
    let mut parts = Parts::of(c);
    let x = parts.input(0)?;
    match counts.iter().all(|&n| n == counts[0]) {
        true => {
            let (weights, attrs) = sums.conv(&mut parts, 1.0 / counts[0])?;
            parts.finish("Conv", &[&x, &weights], &attrs)
        }
        false => {
            let (weights, attrs) = sums.conv(&mut parts, 1.0)?;
            let total = parts.op("Conv", &[&x, &weights], &attrs);
            let mut shape = vec![1, 1];
            shape.extend(&sums.out);
            let counts = parts.floats("counts", &shape, counts)?;
            parts.finish("Div", &[&total, &counts], &[])
        }
    }
}

/// LpPool: `dilations` and `ceil_mode` since 18.
pub(super) fn norm(mut c: Conversion<'_>) -> Converted {
    let plain = c.node.attrs.ints("dilations").is_none_or(|d| d.iter().all(|&v| v == 1));
    if plain && c.node.attrs.int("ceil_mode", 0) == 0 {
        c.node.attrs.0.remove("dilations");
        c.node.attrs.0.remove("ceil_mode");
        return c.done();
    }
    let sums = Sums::of(&c)?;
    let p = c.node.attrs.int("p", 2) as f32;
    let mut parts = Parts::of(c);
    let x = parts.input(0)?;
    let sizes = parts.op("Abs", &[&x], &[]);
    let exponent = parts.number("p", p);
    let powers = parts.op("Pow", &[&sizes, &exponent], &[]);
    let (weights, attrs) = sums.conv(&mut parts, 1.0)?;
    let total = parts.op("Conv", &[&powers, &weights], &attrs);
    let root = parts.number("root", 1.0 / p);
    parts.finish("Pow", &[&total, &root], &[])
}

/// Attributes of a Conv.
type ConvAttrs = [(&'static str, Attr); 5];

/// Sums over the windows of a pool.
struct Sums {
    window: Window,
    channels: usize,
    spatial: Vec<usize>,
    out: Vec<usize>,
}

impl Sums {
    fn of(c: &Conversion<'_>) -> Result<Sums, Diagnostic> {
        let shape = c.shape()?;
        let kernel: Option<Vec<usize>> =
            c.node.attrs.ints("kernel_shape").and_then(|k| k.iter().map(|&v| usize::try_from(v).ok()).collect());
        let kernel = kernel.filter(|_| shape.len() > 2).ok_or_else(|| c.error("kernel_shape or image is missing"))?;
        let node = c.as_node();
        let window = Window::of(&node, &shape[2..], &kernel)?;
        let out = window.out(&node, &shape[2..])?;
        Ok(Sums { window, channels: shape[1], spatial: shape[2..].to_vec(), out })
    }

    /// Weights and attributes of the Conv; its padding behind reaches just as far as the last window.
    fn conv(&self, parts: &mut Parts<'_>, weight: f32) -> Result<(String, ConvAttrs), Diagnostic> {
        let w = &self.window;
        let mut shape = vec![self.channels, 1];
        shape.extend(&w.kernel);
        let weights = parts.floats("ones", &shape, vec![weight; shape.iter().product()])?;
        let before = w.pads.iter().map(|p| p[0]);
        let after = (0..self.out.len()).map(|d| {
            let reach = (self.out[d] - 1) * w.strides[d] + w.span(d);
            reach.saturating_sub(self.spatial[d] + w.pads[d][0])
        });
        let pads: Vec<usize> = before.chain(after).collect();
        let ints = |v: &[usize]| Attr::Ints(signed(v));
        let attrs = [
            ("dilations", ints(&w.dilations)),
            ("group", Attr::Int(self.channels as i64)),
            ("kernel_shape", ints(&w.kernel)),
            ("pads", ints(&pads)),
            ("strides", ints(&w.strides)),
        ];
        Ok((weights, attrs))
    }

    /// What each output is divided by: the product of the counts along the axes.
    fn counts(&self, padded: bool) -> Vec<f32> {
        self.out.iter().enumerate().fold(vec![1.0], |counts, (d, &n)| {
            let along: Vec<f32> = (0..n).map(|o| self.window.count(d, o, self.spatial[d], padded) as f32).collect();
            counts.iter().flat_map(|c| along.iter().map(move |a| c * a)).collect()
        })
    }
}
