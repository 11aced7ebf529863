//! AVX2 versions of the integer kernels.
#![allow(unsafe_code)]

pub(super) mod finish;
pub(super) mod taps;
pub(super) mod tile;
pub(super) mod transpose;

use crate::Isa;

/// Runs `f` with AVX2 and FMA enabled, so that what is inlined into it is compiled for them.
pub(super) fn with<R>(isa: Isa, f: impl FnOnce() -> R) -> R {
    assert!(isa.avx2());
    // SAFETY: AVX2 and FMA are present (checked).
    unsafe { with_avx2(f) }
}

#[target_feature(enable = "avx2,fma")]
fn with_avx2<R>(f: impl FnOnce() -> R) -> R {
    f()
}
