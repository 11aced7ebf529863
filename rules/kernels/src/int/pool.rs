//! Integer pooling on NHWC images.

use super::Sign;
use crate::KernelError;
use crate::error::expect_len;
use crate::float::inside;
use crate::requant::{apply, store};
use ptq_ir::Requant;
use ptq_ir::ops::PoolGeom;

/// `clamp(requant[n - 1](Σ (x - input_zero)) + out_zero)` over the `n` taps inside the image.
#[derive(Clone, Copy, Debug)]
pub struct IntAveragePool<'a> {
    /// Window.
    pub geom: &'a PoolGeom,
    /// How bytes are read, and written.
    pub sign: [Sign; 2],
    /// Input zero point.
    pub input_zero: i32,
    /// One entry for each tap count, or one for all.
    pub requant: &'a Requant,
    /// Output zero point.
    pub out_zero: i32,
}

impl IntAveragePool<'_> {
    /// Pools one image `[height][width][channels]`.
    ///
    /// # Errors
    /// When sizes do not fit.
    pub fn run(&self, x: &[u8], hw: [usize; 2], channels: usize, out: &mut [u8]) -> Result<(), KernelError> {
        let clamp = self.sign[1].range();
        let mut sums = vec![0i32; channels];
        each_window(self.geom, x, hw, channels, out, |pixels, y| {
            sums.fill(0);
            let mut n = 0;
            for pixel in pixels {
                n += 1;
                sums.iter_mut().zip(pixel).for_each(|(s, &b)| *s += self.sign[0].value(b));
            }
            for (y, &sum) in y.iter_mut().zip(&sums) {
                let acc = sum.wrapping_sub(self.input_zero.wrapping_mul(n));
                let rounded = if n == 0 { 0 } else { apply(self.requant, n as usize - 1, acc) };
                *y = store(rounded, self.out_zero, clamp.0, clamp.1) as u8;
            }
        })
    }
}

/// Maximum over each window of one image `[height][width][channels]`.
///
/// # Errors
/// When sizes do not fit.
pub fn int_max_pool(
    geom: &PoolGeom,
    sign: Sign,
    x: &[u8],
    hw: [usize; 2],
    channels: usize,
    out: &mut [u8],
) -> Result<(), KernelError> {
    // Flipping the top bit turns signed order into unsigned order.
    let flip = if sign == Sign::Signed { 0x80 } else { 0 };
    each_window(geom, x, hw, channels, out, |pixels, y| {
        y.fill(flip);
        for pixel in pixels {
            y.iter_mut().zip(pixel).for_each(|(y, &b)| *y = (*y ^ flip).max(b ^ flip) ^ flip);
        }
    })
}

/// Calls `f` with the pixels inside the image and the output pixel, for each window.
fn each_window(
    geom: &PoolGeom,
    x: &[u8],
    hw: [usize; 2],
    channels: usize,
    out: &mut [u8],
    mut f: impl FnMut(&mut dyn Iterator<Item = &[u8]>, &mut [u8]),
) -> Result<(), KernelError> {
    let [oh, ow] = geom.out_hw(hw).ok_or_else(|| KernelError::Geometry(format!("window does not fit image {hw:?}")))?;
    expect_len("input", x.len(), hw[0] * hw[1] * channels)?;
    expect_len("output", out.len(), oh * ow * channels)?;
    for (p, y) in out.chunks_exact_mut(channels.max(1)).enumerate() {
        let (y0, ny) = inside(geom, 0, p / ow, hw[0]);
        let (x0, nx) = inside(geom, 1, p % ow, hw[1]);
        let mut pixels = (0..ny).flat_map(|r| {
            let row = (y0 + r * geom.dilations[0]) * hw[1];
            (0..nx).map(move |c| &x[(row + x0 + c * geom.dilations[1]) * channels..][..channels])
        });
        f(&mut pixels, y);
    }
    Ok(())
}
