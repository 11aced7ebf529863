//! Loops that the compiler turns into vector instructions, compiled for those that this processor has.
#![cfg_attr(target_arch = "x86_64", allow(unsafe_code))]

use crate::Isa;

/// Runs `f` compiled for the vector instructions of `isa`, as far as it is inlined. Results are those of the plain code: nothing is
/// reordered or fused.
#[inline(always)]
pub fn vectorized<R>(isa: Isa, f: impl FnOnce() -> R) -> R {
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

/// Numbers by which reading ahead runs in front: 4 KiB, so that a tensor that has left the nearest caches is waited for only once.
pub(crate) const AHEAD: usize = 1024;

/// Asks for the memory at an address, which need not be valid; changes nothing.
#[inline(always)]
pub(crate) fn prefetch<T>(at: *const T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a hint, which SSE has on every x86-64 and which never faults.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(at.cast());
    }
    let _ = at;
}
