//! Sliding windows of any spatial rank: convolutions, pools and transposed convolutions.

use crate::{Diagnostic, Node};

/// A window over the spatial axes, `auto_pad` resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// Extent of the window along each axis.
    pub kernel: Vec<usize>,
    /// Strides, at least 1.
    pub strides: Vec<usize>,
    /// Dilations, at least 1.
    pub dilations: Vec<usize>,
    /// Padding before and after each axis.
    pub pads: Vec<[usize; 2]>,
    /// Round output extents up; a last window that would start behind the image is dropped.
    pub ceil: bool,
}

fn bad(node: &Node, why: String) -> Diagnostic {
    Diagnostic::error("OPS06", format!("{}: {why}", node.op)).node(&node.name)
}

/// Non-negative integers of an attribute with `count` entries, or the default.
pub(crate) fn list(node: &Node, name: &str, count: usize, default: usize) -> Result<Vec<usize>, Diagnostic> {
    let Some(values) = node.attrs.ints(name) else { return Ok(vec![default; count]) };
    if values.len() != count {
        return Err(bad(node, format!("{name} has {} entries, {count} are expected", values.len())));
    }
    let read = |&v: &i64| usize::try_from(v).map_err(|_| bad(node, format!("{name} {v} is negative")));
    values.iter().map(read).collect()
}

impl Window {
    /// Reads the window of a node over an image of extent `spatial`.
    ///
    /// # Errors
    /// Names the node when an attribute has the wrong length, or a number is not positive.
    pub fn of(node: &Node, spatial: &[usize], kernel: &[usize]) -> Result<Window, Diagnostic> {
        let n = spatial.len();
        let strides = list(node, "strides", n, 1)?;
        let dilations = list(node, "dilations", n, 1)?;
        if kernel.len() != n || kernel.iter().chain(&strides).chain(&dilations).any(|&v| v == 0) {
            let why = format!("kernel {kernel:?}, strides {strides:?} and dilations must be {n} positive numbers");
            return Err(bad(node, why));
        }
        let ceil = node.attrs.int("ceil_mode", 0) != 0;
        let mut window = Window { kernel: kernel.to_vec(), strides, dilations, pads: vec![[0; 2]; n], ceil };
        match node.attrs.str("auto_pad", "NOTSET") {
            "NOTSET" | "" => {
                let p = list(node, "pads", 2 * n, 0)?;
                window.pads = (0..n).map(|d| [p[d], p[d + n]]).collect();
            }
            "VALID" => {}
            mode @ ("SAME_UPPER" | "SAME_LOWER") => {
                for (d, &extent) in spatial.iter().enumerate() {
                    let room = extent.div_ceil(window.strides[d]).saturating_sub(1).saturating_mul(window.strides[d]);
                    let total = room.saturating_add(window.span(d)).saturating_sub(extent);
                    window.pads[d] = halves(total, mode == "SAME_UPPER");
                }
            }
            other => return Err(bad(node, format!("auto_pad {other:?} is not an ONNX mode"))),
        }
        Ok(window)
    }

    /// Pixels from the first to the last tap along an axis.
    pub fn span(&self, d: usize) -> usize {
        (self.kernel[d] - 1).saturating_mul(self.dilations[d]).saturating_add(1)
    }

    /// Output extent of axis `d`; `None` when the window is larger than the padded image.
    pub fn extent(&self, d: usize, input: usize) -> Option<usize> {
        let [before, after] = self.pads[d];
        let room = input.saturating_add(before).saturating_add(after).checked_sub(self.span(d))?;
        let stride = self.strides[d];
        let n = if self.ceil { room.div_ceil(stride) } else { room / stride } + 1;
        let starts_behind = self.ceil && (n - 1).saturating_mul(stride) >= input.saturating_add(before);
        Some(if starts_behind { n - 1 } else { n })
    }

    /// Output extents; the first axis that the window does not fit is the error.
    ///
    /// # Errors
    /// Names the node and the axis.
    pub fn out(&self, node: &Node, spatial: &[usize]) -> Result<Vec<usize>, Diagnostic> {
        let extent = |(d, &input): (usize, &usize)| {
            self.extent(d, input).ok_or_else(|| {
                let why = format!("window of {} is larger than the padded input of {input}", self.span(d));
                bad(node, format!("{why} (axis {d})"))
            })
        };
        spatial.iter().enumerate().map(extent).collect()
    }

    /// Coordinate along axis `d` that tap `k` of output `o` reads; `None` in the padding.
    pub fn source(&self, d: usize, o: usize, k: usize, input: usize) -> Option<usize> {
        (o * self.strides[d] + k * self.dilations[d]).checked_sub(self.pads[d][0]).filter(|&i| i < input)
    }

    /// Taps of output `o` along axis `d` that lie in the image, or, with `padded`, in the image and its padding.
    pub fn count(&self, d: usize, o: usize, input: usize, padded: bool) -> usize {
        let [before, after] = self.pads[d];
        let (low, high) = if padded { (0, input + before + after) } else { (before, input + before) };
        let at = |k: usize| o * self.strides[d] + k * self.dilations[d];
        (0..self.kernel[d]).filter(|&k| (low..high).contains(&at(k))).count()
    }
}

/// The window of a ConvTranspose, with `output_shape` and `auto_pad` resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransposedWindow {
    /// Strides of the output.
    pub strides: Vec<usize>,
    /// Dilations of the kernel.
    pub dilations: Vec<usize>,
    /// Pixels cut off before and after each axis.
    pub pads: Vec<[usize; 2]>,
    /// Pixels added behind each axis.
    pub extra: Vec<usize>,
    /// Output extents.
    pub out: Vec<usize>,
}

impl TransposedWindow {
    /// Reads a ConvTranspose over an image of extent `spatial` (formulas of ONNX ConvTranspose). Where the stated output
    /// is larger than what the kernel reaches, the rest is added behind.
    ///
    /// # Errors
    /// Names the node when attributes do not fit, or nothing of the output is left.
    pub fn of(node: &Node, spatial: &[usize], kernel: &[usize]) -> Result<TransposedWindow, Diagnostic> {
        let n = spatial.len();
        let (strides, dilations) = (list(node, "strides", n, 1)?, list(node, "dilations", n, 1)?);
        let mut extra = list(node, "output_padding", n, 0)?;
        if kernel.iter().chain(&strides).chain(&dilations).chain(spatial).any(|&v| v == 0) {
            return Err(bad(node, "input, kernel, strides and dilations must be positive".into()));
        }
        let mode = node.attrs.str("auto_pad", "NOTSET");
        let wanted = match node.attrs.ints("output_shape") {
            Some(_) => Some(list(node, "output_shape", n, 0)?),
            None if mode.starts_with("SAME") => {
                Some((0..n).map(|d| spatial[d].saturating_mul(strides[d])).collect::<Vec<_>>())
            }
            None => None,
        };
        let stated = if mode == "VALID" { vec![0; 2 * n] } else { list(node, "pads", 2 * n, 0)? };
        let (mut pads, mut out) = (Vec::with_capacity(n), Vec::with_capacity(n));
        for d in 0..n {
            let full = (kernel[d] - 1)
                .checked_mul(dilations[d])
                .and_then(|reach| {
                    (spatial[d] - 1).checked_mul(strides[d])?.checked_add(reach)?.checked_add(1 + extra[d])
                })
                .ok_or_else(|| bad(node, format!("axis {d} is too large")))?;
            let (pad, extent) = match &wanted {
                Some(wanted) => {
                    extra[d] += wanted[d].saturating_sub(full);
                    (halves(full.saturating_sub(wanted[d]), mode == "SAME_UPPER"), wanted[d])
                }
                None => {
                    let left = full.checked_sub(stated[d].saturating_add(stated[d + n]));
                    let why = || bad(node, format!("pads of axis {d} exceed the output of {full}"));
                    ([stated[d], stated[d + n]], left.ok_or_else(why)?)
                }
            };
            pads.push(pad);
            out.push(extent);
        }
        Ok(TransposedWindow { strides, dilations, pads, extra, out })
    }
}

/// A total of padding as before and after; the odd pixel goes behind (`upper`) or before.
fn halves(total: usize, upper: bool) -> [usize; 2] {
    let small = total / 2;
    if upper { [small, total - small] } else { [total - small, small] }
}
