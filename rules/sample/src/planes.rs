//! Integer colour conversion between pixels. Called for image files, calibration pixels and frames, so that all pass
//! through the same rounding.
//!
//! Coefficients are those of ITU-R BT.601-7 (full range: JFIF 1.02) times 2^16, rounded so that luma sums to the range's
//! steps and chroma to zero. Every result is one sum, one half added, one shift: nearest, ties upwards, clipped to 0..255.

use ptq_ir::SpaceAndRange;

const HALF: i32 = 1 << 15;

/// Weights of red, green and blue in each of Y, U and V, times 2^16, and the value of black luma.
struct Weights {
    luma: [i32; 3],
    u: [i32; 3],
    v: [i32; 3],
    black: i32,
}

const FULL: Weights =
    Weights { luma: [19_595, 38_470, 7_471], u: [-11_058, -21_710, 32_768], v: [32_768, -27_439, -5_329], black: 0 };
const STUDIO: Weights =
    Weights { luma: [16_829, 33_039, 6_416], u: [-9_714, -19_070, 28_784], v: [28_784, -24_103, -4_681], black: 16 };

fn weights(range: SpaceAndRange) -> &'static Weights {
    match range {
        SpaceAndRange::Regular => &FULL,
        SpaceAndRange::Bt601Video => &STUDIO,
    }
}

fn dot(w: [i32; 3], rgb: [u8; 3]) -> i32 {
    w.iter().zip(rgb).map(|(w, p)| w * i32::from(p)).sum()
}

fn byte(v: i32) -> u8 {
    v.clamp(0, 255) as u8
}

/// Luma of a pixel.
pub(crate) fn luma(rgb: [u8; 3], range: SpaceAndRange) -> u8 {
    let w = weights(range);
    byte(((dot(w.luma, rgb) + HALF) >> 16) + w.black)
}

/// Luma and chroma of a pixel.
pub(crate) fn yuv(rgb: [u8; 3], range: SpaceAndRange) -> [u8; 3] {
    let w = weights(range);
    let chroma = |c: [i32; 3]| byte(((dot(c, rgb) + HALF) >> 16) + 128);
    [luma(rgb, range), chroma(w.u), chroma(w.v)]
}

/// Chroma of 2 x 2 pixels: the mean of the four, rounded once.
pub(crate) fn chroma_of_four(four: [[u8; 3]; 4], range: SpaceAndRange) -> [u8; 2] {
    let w = weights(range);
    [w.u, w.v].map(|c| byte(((four.iter().map(|&p| dot(c, p)).sum::<i32>() + 4 * HALF) >> 18) + 128))
}

/// Mean of the chroma of 2 x 2 pixels that are luma and chroma already.
pub(crate) fn mean_chroma(four: [[u8; 3]; 4]) -> [u8; 2] {
    [1, 2].map(|k| ((four.iter().map(|p| u32::from(p[k])).sum::<u32>() + 2) >> 2) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_gray_keeps_its_luma_and_has_no_colour() {
        for v in 0..=255 {
            assert_eq!(yuv([v; 3], SpaceAndRange::Regular), [v, 128, 128]);
        }
        assert_eq!(yuv([255; 3], SpaceAndRange::Bt601Video), [235, 128, 128]);
        assert_eq!(yuv([0; 3], SpaceAndRange::Bt601Video), [16, 128, 128]);
        assert_eq!(yuv([0, 0, 255], SpaceAndRange::Bt601Video), [41, 240, 110]);
        assert_eq!(yuv([0, 0, 255], SpaceAndRange::Regular), [29, 255, 107]);
    }
}
