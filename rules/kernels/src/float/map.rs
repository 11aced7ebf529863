//! Functions of one number over a slice.
#![cfg_attr(target_arch = "x86_64", allow(unsafe_code))]

use crate::{Isa, parallel};

/// Elements that a thread takes together.
const UNIT: usize = 4096;

/// Writes `f` of every element to `out`, compiled for the instruction set. `f` must give the same bits with and without
/// vector instructions, which every function of [`crate::math`] and every IEEE operation does.
///
/// # Panics
/// When the slices differ in length.
pub fn map(isa: Isa, threads: usize, x: &[f32], out: &mut [f32], f: impl Fn(f32) -> f32 + Copy + Sync) {
    assert_eq!(x.len(), out.len(), "slices differ in length");
    let _ = isa;
    parallel::split(threads, x.len() / 2, out, UNIT, |first, out| {
        let x = &x[first * UNIT..][..out.len()];
        #[cfg(target_arch = "x86_64")]
        if isa.avx2() {
            // SAFETY: AVX2 and FMA are present (checked).
            return unsafe { each_avx2(x, out, f) };
        }
        each(x, out, f);
    });
}

/// The same code for AVX2; `f` comes by value, so that its constants stay in registers.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn each_avx2(x: &[f32], out: &mut [f32], f: impl Fn(f32) -> f32) {
    each(x, out, f);
}

#[inline(always)]
fn each(x: &[f32], out: &mut [f32], f: impl Fn(f32) -> f32) {
    out.iter_mut().zip(x).for_each(|(o, &v)| *o = f(v));
}
