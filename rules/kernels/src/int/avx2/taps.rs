//! Panels of a depthwise convolution by `vpmaddwd`: sixteen neighbours, two taps at a time.

use super::finish::store_row;
use crate::Isa;
use crate::int::finish::Target;
use crate::int::tile::{NR, Places, Sums};
use std::arch::x86_64::*;

/// One panel of the first `pixels` places; each run of [`Places`] is one tap.
pub(crate) fn panel(
    isa: Isa,
    x: &[i16],
    places: &Places,
    pixels: usize,
    w: &[i16],
    bias: &Sums,
    target: &mut Target<'_>,
) {
    assert!(isa.avx2());
    assert!(places.runs().len().is_multiple_of(2) && w.len() >= places.runs().len() * NR, "weights are too short");
    assert!(places.run() == NR && (pixels == 0 || places.reach(pixels) <= x.len()), "a tap leaves the strip");
    assert!(target.holds(pixels), "the result is too short");
    // SAFETY: AVX2 is present, and the bounds that `panel_avx2` asks for hold (all checked).
    unsafe { panel_avx2(x, places, pixels, w, bias, target) }
}

/// # Safety
/// The number of taps is even, `x` holds `NR` elements at every tap of the first `pixels` places, `w` holds `NR` weights
/// for every tap, `target` holds the rows.
#[target_feature(enable = "avx2")]
unsafe fn panel_avx2(x: &[i16], places: &Places, pixels: usize, w: &[i16], bias: &Sums, target: &mut Target<'_>) {
    for (pixel, &corner) in places.corners()[..pixels].iter().enumerate() {
        // SAFETY: what the caller promises; the bias holds 16 numbers.
        unsafe {
            let x = x.as_ptr().add(corner);
            // Unpacking gives elements 0..4, 8..12 and 4..8, 12..16.
            let (low, high) =
                (_mm256_loadu_si256(bias.as_ptr().cast()), _mm256_loadu_si256(bias.as_ptr().add(8).cast()));
            let mut even = _mm256_permute2x128_si256::<0x20>(low, high);
            let mut odd = _mm256_permute2x128_si256::<0x31>(low, high);
            let mut w = w.as_ptr();
            for pair in places.runs().chunks_exact(2) {
                let a = _mm256_loadu_si256(x.add(pair[0]).cast());
                let b = _mm256_loadu_si256(x.add(pair[1]).cast());
                let (wl, wh) = (_mm256_loadu_si256(w.cast()), _mm256_loadu_si256(w.add(NR).cast()));
                even = _mm256_add_epi32(even, _mm256_madd_epi16(_mm256_unpacklo_epi16(a, b), wl));
                odd = _mm256_add_epi32(odd, _mm256_madd_epi16(_mm256_unpackhi_epi16(a, b), wh));
                w = w.add(2 * NR);
            }
            let low = _mm256_permute2x128_si256::<0x20>(even, odd);
            let high = _mm256_permute2x128_si256::<0x31>(even, odd);
            store_row(target, pixel, low, high);
        }
    }
}
