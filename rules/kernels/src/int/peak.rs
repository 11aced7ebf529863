//! The limit of the integer products: their multiply-add instructions alone, on registers.
#![cfg_attr(target_arch = "x86_64", allow(unsafe_code))]

use crate::Isa;

/// Runs the multiply-add instructions of an instruction set's integer tile `rounds` times over as many registers as the
/// tile has sums, without touching memory, and returns the number of operations (two for each multiplication).
/// Its speed is what the tile could reach at best; measurements compare with it.
pub fn multiply_add_loop(isa: Isa, rounds: usize) -> usize {
    #[cfg(target_arch = "x86_64")]
    {
        // SAFETY: each function's instructions are present (checked).
        unsafe {
            if isa.avx512_vnni() {
                return x86::avx512_vnni(rounds);
            }
            if isa.avx_vnni() {
                return x86::avx_vnni(rounds);
            }
            if isa.avx2() {
                return x86::avx2(rounds);
            }
        }
    }
    let _ = isa;
    let mut sums = [0i32; 16];
    for r in 0..rounds {
        let x = std::hint::black_box(r as i8);
        for (i, s) in sums.iter_mut().enumerate() {
            *s = s.wrapping_add(i32::from(x) * (i as i32 + 1));
        }
    }
    std::hint::black_box(sums);
    2 * 16 * rounds
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;
    use std::hint::black_box;

    /// Sums that are in flight.
    const SUMS: usize = 12;

    /// `vpmaddwd` and the addition that it needs: 16 multiplications.
    #[target_feature(enable = "avx2")]
    pub(super) fn avx2(rounds: usize) -> usize {
        let (a, b) = black_box((_mm256_set1_epi16(3), _mm256_set1_epi16(5)));
        let mut sums = [_mm256_setzero_si256(); SUMS];
        for _ in 0..rounds {
            for s in &mut sums {
                // The product is made anew: without this the compiler would compute it once.
                *s = _mm256_add_epi32(*s, _mm256_madd_epi16(opaque(a), b));
            }
        }
        black_box(sums);
        2 * 16 * SUMS * rounds
    }

    /// A value that the compiler knows nothing about, at no cost.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn opaque(mut x: __m256i) -> __m256i {
        // SAFETY: the assembly is empty.
        unsafe { std::arch::asm!("/* {0} */", inout(ymm_reg) x, options(nomem, nostack, preserves_flags)) };
        x
    }

    /// 256-bit `vpdpbusd`: 32 multiplications.
    #[target_feature(enable = "avx2,avxvnni")]
    pub(super) fn avx_vnni(rounds: usize) -> usize {
        let (a, b) = black_box((_mm256_set1_epi8(3), _mm256_set1_epi8(5)));
        let mut sums = [_mm256_setzero_si256(); SUMS];
        for _ in 0..rounds {
            for s in &mut sums {
                *s = _mm256_dpbusd_avx_epi32(*s, a, b);
            }
        }
        black_box(sums);
        2 * 32 * SUMS * rounds
    }

    /// 512-bit `vpdpbusd`: 64 multiplications.
    #[target_feature(enable = "avx512f,avx512vnni")]
    pub(super) fn avx512_vnni(rounds: usize) -> usize {
        let (a, b) = black_box((_mm512_set1_epi8(3), _mm512_set1_epi8(5)));
        let mut sums = [_mm512_setzero_si512(); SUMS];
        for _ in 0..rounds {
            for s in &mut sums {
                *s = _mm512_dpbusd_epi32(*s, a, b);
            }
        }
        black_box(sums);
        2 * 64 * SUMS * rounds
    }
}
