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
struct Channel<'a> {
    windows: &'a Windows,
    image: &'a [f32],
    /// Weights, row by row of the window.
    weights: &'a [f32],
    /// Start of the chains.
    bias: f32,
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

    /// Writes the results of one channel.
    pub(super) fn run(&self, isa: Isa, image: &[f32], weights: &[f32], bias: f32, y: &mut [f32]) {
        let taps = if matches!(self.form, Form::Three | Form::ThreeApart) { 9 } else { 25 };
        assert!(isa.avx512_vnni() && weights.len() == taps, "not the weights of the window");
        assert!(image.len() == self.input[0] * self.input[1], "the image has another size");
        assert!(y.len() == self.output[0] * self.output[1], "the result has another size");
        let channel = Channel { windows: self, image, weights, bias };
        // SAFETY: AVX-512 F is present, and image, weights and result have the sizes that `columns` asks for (checked).
        unsafe {
            match self.form {
                Form::Three => each_column::<3, 1, 3>(&channel, y),
                Form::ThreeApart => each_column::<3, 2, 2>(&channel, y),
                Form::Five => each_column::<5, 1, 5>(&channel, y),
                Form::FiveApart => each_column::<5, 2, 3>(&channel, y),
            }
        }
    }
}

/// # Safety
/// As [`columns`].
#[target_feature(enable = "avx512f")]
unsafe fn each_column<const K: usize, const S: usize, const A: usize>(c: &Channel<'_>, y: &mut [f32]) {
    let width = c.windows.output[1];
    let mut x = 0;
    while x < width {
        // SAFETY: what the caller promises; columns from x on exist.
        unsafe {
            if width - x > LANES {
                columns::<K, S, A, 2>(c, x, y);
            } else {
                columns::<K, S, A, 1>(c, x, y);
            }
        }
        x += 2 * LANES;
    }
}

/// Lanes `l` of a vector for which `0 <= first + l < width`.
fn lanes(first: isize, width: usize) -> __mmask16 {
    let below = |n: isize| ((1u32 << n.clamp(0, LANES as isize)) - 1) as __mmask16;
    below(width as isize - first) & !below(-first)
}

/// Up to `V` vectors of columns from `x` on, all rows. Step `t` reads the rows of the image from `S·t` on; `acc[j]` is row
/// `t - j` of the result.
///
/// # Safety
/// `K` and `S` are those of the form, `A` is `K / S` rounded up; image, weights and result have their stated sizes.
#[inline(never)]
#[target_feature(enable = "avx512f")]
unsafe fn columns<const K: usize, const S: usize, const A: usize, const V: usize>(
    c: &Channel<'_>,
    x: usize,
    y: &mut [f32],
) {
    let ([height, width], [rows, cols]) = (c.windows.input, c.windows.output);
    let [top, left] = c.windows.pads;
    let first = |v: usize, kx: usize| (S * (x + v * LANES) + kx) as isize - left as isize;
    let masks: [[__mmask16; V]; K] = std::array::from_fn(|kx| std::array::from_fn(|v| lanes(first(v, kx), width)));
    let behind: [[__mmask16; V]; K] =
        std::array::from_fn(|kx| std::array::from_fn(|v| lanes(first(v, kx) + LANES as isize, width)));
    let stored: [__mmask16; V] = std::array::from_fn(|v| lanes((x + v * LANES) as isize, cols));
    let even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    let odd = _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
    let [lo, hi] = [_mm512_set1_ps(c.windows.clip[0]), _mm512_set1_ps(c.windows.clip[1])];
    let start = _mm512_set1_ps(c.bias);
    let mut acc = [[start; V]; A];
    for t in 0..rows + A - 1 {
        for j in (1..A).rev() {
            acc[j] = acc[j - 1];
        }
        acc[0] = [start; V];
        for p in 0..S {
            let mut pixels = [[_mm512_setzero_ps(); V]; K];
            if let Some(row) = (S * t + p).checked_sub(top).filter(|&row| row < height) {
                let row = c.image.as_ptr().wrapping_add(row * width);
                for v in 0..V {
                    for kx in (0..K).step_by(S) {
                        let from = row.wrapping_offset(first(v, kx));
                        // SAFETY: lanes outside the row are masked, and the row lies in the image.
                        let near = unsafe { _mm512_maskz_loadu_ps(masks[kx][v], from) };
                        if S == 1 {
                            pixels[kx][v] = near;
                            continue;
                        }
                        // SAFETY: as above.
                        let far = unsafe { _mm512_maskz_loadu_ps(behind[kx][v], from.wrapping_add(LANES)) };
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
                        // SAFETY: there are K·K weights.
                        let w = _mm512_set1_ps(unsafe { *c.weights.get_unchecked(ky * K + kx) });
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
                let to = y.as_mut_ptr().wrapping_add(row * cols + x + v * LANES);
                // SAFETY: the row exists (t < rows + A - 1), and lanes outside it are masked.
                unsafe { _mm512_mask_storeu_ps(to, stored[v], result) };
            }
        }
    }
}
