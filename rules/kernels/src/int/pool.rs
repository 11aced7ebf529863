//! Integer pooling on NHWC images.

use super::Sign;
use super::narrow::Narrow;
use crate::error::expect_len;
use crate::float::inside;
use crate::requant::{apply, store};
use crate::{Isa, KernelError, parallel};
use ptq_ir::Requant;
use ptq_ir::ops::PoolGeom;

/// Channels that a thread takes together where the result is one pixel.
const CHANNELS: usize = 64;

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

/// An image `[height][width][channels]` with the threads that pool it.
#[derive(Clone, Copy, Debug)]
pub struct IntImage<'a> {
    /// Instruction set of the loops.
    pub isa: Isa,
    /// Most threads.
    pub threads: usize,
    /// Its bytes.
    pub x: &'a [u8],
    /// Height and width.
    pub hw: [usize; 2],
    /// Channels.
    pub channels: usize,
}

impl IntAveragePool<'_> {
    /// Pools one image.
    ///
    /// # Errors
    /// When sizes do not fit.
    pub fn run(&self, image: &IntImage<'_>, out: &mut [u8]) -> Result<(), KernelError> {
        let clamp = self.sign[1].range();
        // Flipping the top bit and taking 128 away reads a byte as signed.
        let (flip, less) = if self.sign[0] == Sign::Signed { (0x80, 128) } else { (0, 0) };
        let zero = self.input_zero.wrapping_add(less);
        let narrow = Narrow::new(self.out_zero, clamp);
        image.each_window(self.geom, out, |window, sums, y| {
            sums.clear();
            sums.resize(y.len(), 0);
            window.each(|pixel| sums.iter_mut().zip(pixel).for_each(|(s, &b)| *s += i32::from(b ^ flip)));
            let n = window.taps();
            let bias = zero.wrapping_mul(n as i32);
            let factor = match self.requant {
                Requant::Float(m) if n > 0 => Some(m[if m.len() == 1 { 0 } else { n - 1 }]),
                _ => None,
            };
            match (factor.filter(|m| m.is_finite()), narrow) {
                (Some(m), Some(narrow)) => {
                    y.iter_mut().zip(&*sums).for_each(|(y, s)| *y = narrow.byte(s.wrapping_sub(bias) as f32 * m));
                }
                _ => y.iter_mut().zip(&*sums).for_each(|(y, s)| {
                    let rounded = if n == 0 { 0 } else { apply(self.requant, n - 1, s.wrapping_sub(bias)) };
                    *y = store(rounded, self.out_zero, clamp.0, clamp.1) as u8;
                }),
            }
        })
    }
}

/// Maximum over each window of one image.
///
/// # Errors
/// When sizes do not fit.
pub fn int_max_pool(geom: &PoolGeom, sign: Sign, image: &IntImage<'_>, out: &mut [u8]) -> Result<(), KernelError> {
    // Flipping the top bit turns signed order into unsigned order.
    let flip = if sign == Sign::Signed { 0x80 } else { 0 };
    image.each_window(geom, out, |window, _, y| {
        y.fill(flip);
        window.each(|pixel| y.iter_mut().zip(pixel).for_each(|(y, &b)| *y = (*y ^ flip).max(b ^ flip) ^ flip));
    })
}

/// The part of a window that lies inside the image, and the channels that are looked at.
struct Window<'a> {
    image: &'a IntImage<'a>,
    first: [usize; 2],
    count: [usize; 2],
    step: [usize; 2],
    channels: [usize; 2],
}

impl Window<'_> {
    fn taps(&self) -> usize {
        self.count[0] * self.count[1]
    }

    /// Calls `f` with the channels of each pixel.
    #[inline(always)]
    fn each(&self, mut f: impl FnMut(&[u8])) {
        let [at, n] = self.channels;
        for r in 0..self.count[0] {
            let row = (self.first[0] + r * self.step[0]) * self.image.hw[1] + self.first[1];
            for c in 0..self.count[1] {
                f(&self.image.x[(row + c * self.step[1]) * self.image.channels + at..][..n]);
            }
        }
    }
}

impl IntImage<'_> {
    /// Calls `f` with each window, memory for sums, and the channels of its result.
    fn each_window(
        &self,
        geom: &PoolGeom,
        out: &mut [u8],
        f: impl Fn(&Window<'_>, &mut Vec<i32>, &mut [u8]) + Sync,
    ) -> Result<(), KernelError> {
        let (hw, channels) = (self.hw, self.channels);
        let [oh, ow] =
            geom.out_hw(hw).ok_or_else(|| KernelError::Geometry(format!("window does not fit image {hw:?}")))?;
        expect_len("input", self.x.len(), hw[0] * hw[1] * channels)?;
        expect_len("output", out.len(), oh * ow * channels)?;
        if channels == 0 {
            return Ok(());
        }
        let single = oh * ow == 1;
        let unit = if single { CHANNELS } else { ow * channels };
        let nanoseconds = out.len() * (geom.kernel[0] * geom.kernel[1] + 4) / 8;
        parallel::split(self.threads, nanoseconds, out, unit, |first, out| {
            let start = first * unit;
            let run = if single { out.len() } else { channels };
            let mut sums = Vec::new();
            for (i, y) in out.chunks_mut(run).enumerate() {
                let (p, c) = ((start / channels + i) % (oh * ow), if single { start } else { 0 });
                let (rows, cols) = (inside(geom, 0, p / ow, hw[0]), inside(geom, 1, p % ow, hw[1]));
                let window = Window {
                    image: self,
                    first: [rows.0, cols.0],
                    count: [rows.1, cols.1],
                    step: geom.dilations,
                    channels: [c, y.len()],
                };
                super::vectorized(self.isa, || f(&window, &mut sums, y));
            }
        });
        Ok(())
    }
}
