//! Depthwise convolution of one channel with AVX-512, straight from the image: a row of it is loaded once for all rows of
//! the result that read it, and masks put zeros where a window leaves the image. Each result is the same chain as in the
//! scalar version (tested).
#![allow(unsafe_code)]

use crate::Isa;
use ptq_ir::ops::ConvGeom;
use std::arch::x86_64::*;

/// Elements of a vector.
const LANES: usize = 16;

/// The form of a window that has vector code: its edge and stride.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// 3×3, stride 1.
    Three,
    /// 3×3, stride 2.
    ThreeApart,
    /// 5×5, stride 1.
    Five,
    /// 5×5, stride 2.
    FiveApart,
}

/// A window over images of one size.
#[derive(Clone, Copy, Debug)]
pub(super) struct Windows {
    form: Form,
    input: [usize; 2],
    output: [usize; 2],
    /// Rows above and columns left of the image.
    pads: [usize; 2],
    /// Least and largest result; others are set to these.
    clip: [f32; 2],
}

/// One channel.
#[derive(Clone, Copy)]
pub(super) struct Channel<'a> {
    /// Its image.
    pub(super) image: &'a [f32],
    /// Weights, row by row of the window.
    pub(super) weights: &'a [f32],
    /// Start of the chains.
    pub(super) bias: f32,
}

impl Windows {
    /// This window, where the processor has the instructions and the window a form with vector code.
    pub(super) fn of(
        isa: Isa,
        geom: &ConvGeom,
        input: [usize; 2],
        output: [usize; 2],
        clip: [f32; 2],
    ) -> Option<Windows> {
        if !isa.avx512_vnni() || geom.dilations != [1, 1] {
            return None;
        }
        let form = match (geom.kernel, geom.strides) {
            ([3, 3], [1, 1]) => Form::Three,
            ([3, 3], [2, 2]) => Form::ThreeApart,
            ([5, 5], [1, 1]) => Form::Five,
            ([5, 5], [2, 2]) => Form::FiveApart,
            _ => return None,
        };
        Some(Windows { form, input, output, pads: [geom.pads[0], geom.pads[1]], clip })
    }

    /// Whether a row of the result fills at most half a vector, so that two channels share one.
    pub(super) fn is_narrow(&self) -> bool {
        self.output[1] <= LANES / 2
    }

    /// Writes the results of one channel.
    pub(super) fn run(&self, isa: Isa, channel: &Channel<'_>, y: &mut [f32]) {
        self.check(isa, channel, y);
        let to = y.as_mut_ptr();
        // SAFETY: AVX-512 F is present, and image, weights and result have the sizes that `columns` asks for (checked).
        unsafe {
            match self.form {
                Form::Three => self.each_column::<3, 1, 3>(channel, to),
                Form::ThreeApart => self.each_column::<3, 2, 2>(channel, to),
                Form::Five => self.each_column::<5, 1, 5>(channel, to),
                Form::FiveApart => self.each_column::<5, 2, 3>(channel, to),
            }
        }
    }

    /// Writes the results of two channels whose rows are narrow, one behind the other.
    pub(super) fn run_two(&self, isa: Isa, channels: &[Channel<'_>; 2], y: &mut [f32]) {
        assert!(self.is_narrow(), "rows are too wide");
        let (first, second) = y.split_at_mut(self.output[0] * self.output[1]);
        self.check(isa, &channels[0], first);
        self.check(isa, &channels[1], second);
        let to = [first.as_mut_ptr(), second.as_mut_ptr()];
        // SAFETY: as for one channel, and rows have at most half a vector of columns (checked).
        unsafe {
            match self.form {
                Form::Three => columns::<3, 1, 3, 1, true>(self, channels, 0, to),
                Form::ThreeApart => columns::<3, 2, 2, 1, true>(self, channels, 0, to),
                Form::Five => columns::<5, 1, 5, 1, true>(self, channels, 0, to),
                Form::FiveApart => columns::<5, 2, 3, 1, true>(self, channels, 0, to),
            }
        }
    }

    fn check(&self, isa: Isa, channel: &Channel<'_>, y: &[f32]) {
        let taps = if matches!(self.form, Form::Three | Form::ThreeApart) { 9 } else { 25 };
        assert!(isa.avx512_vnni() && channel.weights.len() == taps, "not the weights of the window");
        assert!(channel.image.len() == self.input[0] * self.input[1], "the image has another size");
        assert!(y.len() == self.output[0] * self.output[1], "the result has another size");
    }

    /// # Safety
    /// As [`columns`].
    #[target_feature(enable = "avx512f")]
    unsafe fn each_column<const K: usize, const S: usize, const A: usize>(&self, c: &Channel<'_>, to: *mut f32) {
        let (width, channels, to) = (self.output[1], [*c; 2], [to; 2]);
        let mut x = 0;
        while x < width {
            // SAFETY: what the caller promises; columns from x on exist.
            unsafe {
                if width - x > LANES {
                    columns::<K, S, A, 2, false>(self, &channels, x, to);
                } else {
                    columns::<K, S, A, 1, false>(self, &channels, x, to);
                }
            }
            x += 2 * LANES;
        }
    }
}

/// Lanes `l` of a vector for which `0 <= first + l < width`.
fn lanes(first: isize, width: usize) -> __mmask16 {
    let below = |n: isize| ((1u32 << n.clamp(0, LANES as isize)) - 1) as __mmask16;
    below(width as isize - first) & !below(-first)
}

/// Up to `V` vectors of columns from `x` on, all rows. Step `t` reads the rows of the image from `S·t` on; `acc[j]` is row
/// `t - j` of the result. With `TWO`, the upper half of the only vector belongs to a second channel.
///
/// # Safety
/// `K` and `S` are those of the form, `A` is `K / S` rounded up; images, weights and the results at `to` have their stated
/// sizes; with `TWO`, `V` is 1 and results are at most half a vector wide.
#[inline(never)]
#[target_feature(enable = "avx512f")]
unsafe fn columns<const K: usize, const S: usize, const A: usize, const V: usize, const TWO: bool>(
    windows: &Windows,
    channels: &[Channel<'_>; 2],
    x: usize,
    to: [*mut f32; 2],
) {
    const HALF: usize = LANES / 2;
    const UPPER: __mmask16 = 0xff00;
    let [c, other] = channels;
    let ([height, width], [rows, cols]) = (windows.input, windows.output);
    let [top, left] = windows.pads;
    let first = |v: usize, kx: usize| (S * (x + v * LANES) + kx) as isize - left as isize;
    let masks: [[__mmask16; V]; K] = std::array::from_fn(|kx| std::array::from_fn(|v| lanes(first(v, kx), width)));
    let behind: [[__mmask16; V]; K] =
        std::array::from_fn(|kx| std::array::from_fn(|v| lanes(first(v, kx) + LANES as isize, width)));
    // The upper half of what is loaded at stride 1 is the other channel's.
    let masks = if TWO && S == 1 { masks.map(|m| m.map(|m| m & !UPPER)) } else { masks };
    let stored: [__mmask16; V] = std::array::from_fn(|v| lanes((x + v * LANES) as isize, cols));
    let even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    let odd = _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
    let [lo, hi] = windows.clip.map(|bound| _mm512_set1_ps(bound));
    let both = |w: f32, other: f32| _mm512_mask_blend_ps(UPPER, _mm512_set1_ps(w), _mm512_set1_ps(other));
    let start = if TWO { both(c.bias, other.bias) } else { _mm512_set1_ps(c.bias) };
    let mut weights = [[start; K]; K];
    if TWO {
        for i in 0..K * K {
            weights[i / K][i % K] = both(c.weights[i], other.weights[i]);
        }
    }
    let mut acc = [[start; V]; A];
    for t in 0..rows + A - 1 {
        for j in (1..A).rev() {
            acc[j] = acc[j - 1];
        }
        acc[0] = [start; V];
        for p in 0..S {
            let mut pixels = [[_mm512_setzero_ps(); V]; K];
            if let Some(row) = (S * t + p).checked_sub(top).filter(|&row| row < height) {
                let [row, other] = [c, other].map(|c| c.image.as_ptr().wrapping_add(row * width));
                for v in 0..V {
                    for kx in (0..K).step_by(S) {
                        let from = row.wrapping_offset(first(v, kx));
                        // SAFETY: lanes outside the row are masked, and the row lies in the image.
                        let near = unsafe { _mm512_maskz_loadu_ps(masks[kx][v], from) };
                        let beside = other.wrapping_offset(first(v, kx));
                        if S == 1 && TWO {
                            // SAFETY: as above; the upper lanes are the first elements at `beside`.
                            pixels[kx][v] =
                                unsafe { _mm512_mask_loadu_ps(near, masks[kx][v] << HALF, beside.wrapping_sub(HALF)) };
                            continue;
                        }
                        if S == 1 {
                            pixels[kx][v] = near;
                            continue;
                        }
                        // SAFETY: as above.
                        let far = unsafe {
                            if TWO {
                                _mm512_maskz_loadu_ps(masks[kx][v], beside)
                            } else {
                                _mm512_maskz_loadu_ps(behind[kx][v], from.wrapping_add(LANES))
                            }
                        };
                        pixels[kx][v] = _mm512_permutex2var_ps(near, even, far);
                        if kx + 1 < K {
                            pixels[kx + 1][v] = _mm512_permutex2var_ps(near, odd, far);
                        }
                    }
                }
            }
            for j in 0..A {
                let ky = S * j + p;
                if ky < K && t >= j && t - j < rows {
                    for kx in 0..K {
                        let w = if TWO {
                            weights[ky][kx]
                        } else {
                            // SAFETY: there are K·K weights.
                            _mm512_set1_ps(unsafe { *c.weights.get_unchecked(ky * K + kx) })
                        };
                        for v in 0..V {
                            acc[j][v] = _mm512_fmadd_ps(w, pixels[kx][v], acc[j][v]);
                        }
                    }
                }
            }
        }
        if let Some(row) = (t + 1).checked_sub(A) {
            for v in 0..V {
                // With NaN, and with zeros of two signs, both give their second operand, as the scalar comparison does.
                let result = _mm512_min_ps(hi, _mm512_max_ps(lo, acc[A - 1][v]));
                let [to, beside] = to.map(|to| to.wrapping_add(row * cols + x + v * LANES));
                // SAFETY: the row exists (t < rows + A - 1), and lanes outside it are masked; with TWO the upper lanes are the
                // first elements at `beside`.
                unsafe {
                    _mm512_mask_storeu_ps(to, stored[v], result);
                    if TWO {
                        _mm512_mask_storeu_ps(beside.wrapping_sub(HALF), stored[v] << HALF, result);
                    }
                }
            }
        }
    }
}
