//! AVX-512 version of two neighbouring full tiles, bit-equal to the scalar ones (tested).
#![allow(unsafe_code)]

use super::tile::{Init, MR, NR, Pair};
use crate::Isa;
use std::arch::x86_64::*;

/// Advances `rows × 2·NR` chains.
pub(super) fn pair(isa: Isa, t: &Pair<'_>, c: &mut [f32], ldc: usize) {
    assert!(isa.avx512_vnni());
    let reach = if t.k == 0 { 0 } else { (t.k - 1) * t.ldb + NR };
    assert!(t.a.len() >= t.k * MR && t.b.iter().all(|b| b.len() >= reach), "operands are too short");
    assert!((1..=MR).contains(&t.rows), "tile is empty or too large");
    assert!(!matches!(t.init, Init::Cols(bias) if bias.len() < 2 * NR), "the pair has two tiles of starts");
    assert!(c.len() >= (t.rows - 1) * ldc + 2 * NR, "output is too short");
    // SAFETY: AVX-512 F is present (checked), and the bounds that `pair_avx512` asks for hold (checked).
    unsafe { pair_avx512(t, c, ldc) }
}

/// # Safety
/// `a` holds `k·MR` elements, both `b` hold `NR` elements at each `q·ldb` for `q < k`, `c` holds `2·NR` elements at
/// each `i·ldc` for `i < rows <= MR`.
#[target_feature(enable = "avx512f")]
unsafe fn pair_avx512(t: &Pair<'_>, c: &mut [f32], ldc: usize) {
    let mut acc = [[_mm512_setzero_ps(); 2]; MR];
    for i in 0..t.rows {
        acc[i] = match t.init {
            Init::Rows(bias) => [_mm512_set1_ps(bias[i]); 2],
            // SAFETY: the values are 2·NR (checked).
            Init::Cols(bias) => unsafe { [_mm512_loadu_ps(bias.as_ptr()), _mm512_loadu_ps(bias.as_ptr().add(NR))] },
            // SAFETY: row i of the output holds 2·NR elements.
            Init::Out => unsafe {
                let row = c.as_ptr().add(i * ldc);
                [_mm512_loadu_ps(row), _mm512_loadu_ps(row.add(NR))]
            },
        };
    }
    let (mut a, mut b0, mut b1) = (t.a.as_ptr(), t.b[0].as_ptr(), t.b[1].as_ptr());
    for _ in 0..t.k {
        // SAFETY: step q reads a[q·MR..][..MR] and b[q·ldb..][..NR] of both, which exist; the pointers move at most to
        // one step behind, by wrapping arithmetic that is not dereferenced.
        unsafe {
            let row = [_mm512_loadu_ps(b0), _mm512_loadu_ps(b1)];
            for i in 0..MR {
                let x = _mm512_set1_ps(*a.add(i));
                acc[i][0] = _mm512_fmadd_ps(x, row[0], acc[i][0]);
                acc[i][1] = _mm512_fmadd_ps(x, row[1], acc[i][1]);
            }
            a = a.wrapping_add(MR);
            b0 = b0.wrapping_add(t.ldb);
            b1 = b1.wrapping_add(t.ldb);
        }
    }
    for i in 0..t.rows {
        // SAFETY: row i of the output holds 2·NR elements.
        unsafe {
            let row = c.as_mut_ptr().add(i * ldc);
            _mm512_storeu_ps(row, acc[i][0]);
            _mm512_storeu_ps(row.add(NR), acc[i][1]);
        }
    }
}
