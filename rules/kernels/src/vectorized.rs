//! Loops that the compiler turns into vector instructions, compiled for those that this processor has.
#![cfg_attr(target_arch = "x86_64", allow(unsafe_code))]

use crate::Isa;

/// Runs `f` compiled for the vector instructions of `isa`, as far as it is inlined.
#[inline(always)]
pub(crate) fn vectorized<R>(isa: Isa, f: impl FnOnce() -> R) -> R {
    #[cfg(target_arch = "x86_64")]
    if isa.avx2() {
        // SAFETY: AVX2 and FMA are present (checked).
        return unsafe { with_avx2(f) };
    }
    let _ = isa;
    f()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn with_avx2<R>(f: impl FnOnce() -> R) -> R {
    f()
}
