//! Tables of bytes.
#![cfg_attr(target_arch = "x86_64", allow(unsafe_code))]

use super::Sign;
use crate::requant::{apply, store};
use crate::{Isa, parallel};
use ptq_ir::Requant;

/// Bytes that a thread takes together.
const UNIT: usize = 4096;

/// `table[byte]` of every byte.
///
/// # Panics
/// When the slices differ in length.
pub fn lookup(isa: Isa, threads: usize, table: &[u8; 256], x: &[u8], out: &mut [u8]) {
    assert_eq!(x.len(), out.len(), "slices differ in length");
    parallel::split(threads, x.len() / 8, out, UNIT, |first, out| {
        part(isa, table, &x[first * UNIT..][..out.len()], out)
    });
}

fn part(isa: Isa, table: &[u8; 256], x: &[u8], out: &mut [u8]) {
    #[cfg(target_arch = "x86_64")]
    if isa.avx512_vnni() && std::arch::is_x86_feature_detected!("avx512vbmi") {
        // SAFETY: the instructions are present, and the slices are of one length (checked by the caller's split).
        return unsafe { permuted(table, x, out) };
    }
    let _ = isa;
    out.iter_mut().zip(x).for_each(|(o, &b)| *o = table[usize::from(b)]);
}

/// Two permutations of 128 bytes each, of which the top bit of a byte chooses one.
///
/// # Safety
/// `out` is at least as long as `x`.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
unsafe fn permuted(table: &[u8; 256], x: &[u8], out: &mut [u8]) {
    use std::arch::x86_64::*;
    let at = |i: usize| table.as_ptr().wrapping_add(64 * i).cast();
    // SAFETY: the table holds four times 64 bytes; masks keep loads and stores inside the slices.
    unsafe {
        let [a, b, c, d] = [0, 1, 2, 3].map(|i| _mm512_loadu_si512(at(i)));
        let find = |bytes: __m512i| {
            let (low, high) = (_mm512_permutex2var_epi8(a, bytes, b), _mm512_permutex2var_epi8(c, bytes, d));
            _mm512_mask_blend_epi8(_mm512_movepi8_mask(bytes), low, high)
        };
        let whole = x.len() / 64 * 64;
        for i in (0..whole).step_by(64) {
            let found = find(_mm512_loadu_si512(x.as_ptr().add(i).cast()));
            _mm512_storeu_si512(out.as_mut_ptr().add(i).cast(), found);
        }
        if whole < x.len() {
            let mask = (1u64 << (x.len() - whole)) - 1;
            let bytes = _mm512_maskz_loadu_epi8(mask, x.as_ptr().add(whole).cast());
            _mm512_mask_storeu_epi8(out.as_mut_ptr().add(whole).cast(), mask, find(bytes));
        }
    }
}

/// The requantization of a byte, `clamp(requant(x - zero) + out_zero)`, for all 256 of them.
pub fn requant_table(requant: &Requant, sign: Sign, zero: i32, out_zero: i32, clamp: (i32, i32)) -> [u8; 256] {
    std::array::from_fn(|b| store(apply(requant, 0, sign.value(b as u8) - zero), out_zero, clamp.0, clamp.1) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_instruction_set_finds_the_same() {
        let table = std::array::from_fn(|i| (i * 7 + 3) as u8);
        for n in [0, 1, 63, 64, 65, 256, 10_001] {
            let x: Vec<u8> = (0..n).map(|i| (i * 31 + i / 256) as u8).collect();
            for isa in Isa::all() {
                let mut out = vec![0; n];
                lookup(isa, 2, &table, &x, &mut out);
                assert!(out.iter().zip(&x).all(|(&o, &b)| o == table[usize::from(b)]), "{isa:?} {n}");
            }
        }
    }
}
