//! Sixteen rows of sixteen bytes become columns.

use crate::Isa;
use std::arch::x86_64::*;

/// Extent of a block.
pub(crate) const SIDE: usize = 16;

/// Transposes the columns from `first` on of `x`, `rows` rows of `cols` bytes, into `out`, as many as it has room for: all their whole
/// blocks; leaves the rest of `out` alone.
pub(crate) fn blocks(isa: Isa, x: &[u8], rows: usize, cols: usize, first: usize, out: &mut [u8]) {
    let count = out.len() / rows.max(1);
    assert!(isa.avx2());
    assert!(x.len() == rows * cols && first + count <= cols, "slices are not {rows} rows of {cols} bytes");
    for r in (0..rows / SIDE * SIDE).step_by(SIDE) {
        for c in (0..count / SIDE * SIDE).step_by(SIDE) {
            // SAFETY: AVX2 is present; the block of 16 rows and 16 columns lies in x, its transpose in out (checked).
            unsafe { block(x.as_ptr().add(r * cols + first + c), cols, out.as_mut_ptr().add(c * rows + r), rows) }
        }
    }
}

/// # Safety
/// Sixteen rows of sixteen bytes, `from_step` and `to_step` apart, may be read and written.
#[target_feature(enable = "avx2")]
unsafe fn block(from: *const u8, from_step: usize, to: *mut u8, to_step: usize) {
    // SAFETY: what the caller promises.
    let mut rows: [__m128i; SIDE] = std::array::from_fn(|i| unsafe { _mm_loadu_si128(from.add(i * from_step).cast()) });
    // Each round interleaves the first half of the rows with the second; four rounds transpose.
    for _ in 0..4 {
        rows = std::array::from_fn(|i| {
            let (a, b) = (rows[i / 2], rows[i / 2 + SIDE / 2]);
            if i % 2 == 0 { _mm_unpacklo_epi8(a, b) } else { _mm_unpackhi_epi8(a, b) }
        });
    }
    for (i, row) in rows.iter().enumerate() {
        // SAFETY: what the caller promises.
        unsafe { _mm_storeu_si128(to.add(i * to_step).cast(), *row) };
    }
}
