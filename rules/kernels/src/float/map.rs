//! Functions of one number over a slice.

use crate::Isa;

/// `f` of every element, compiled for the instruction set. `f` must give the same bits with and without vector
/// instructions, which every function of [`crate::math`] and every IEEE operation does.
pub fn map(isa: Isa, x: &[f32], f: impl Fn(f32) -> f32) -> Vec<f32> {
    #[cfg(target_arch = "x86_64")]
    if isa.avx2() {
        return super::avx2::with(isa, || plain(x, f));
    }
    let _ = isa;
    plain(x, f)
}

#[inline(always)]
fn plain(x: &[f32], f: impl Fn(f32) -> f32) -> Vec<f32> {
    x.iter().map(|&v| f(v)).collect()
}
