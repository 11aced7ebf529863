//! Functions of one number over a slice.

use crate::Isa;

/// `f` of every element, compiled for the instruction set, appended to `out`. `f` must give the same bits with and
/// without vector instructions, which every function of [`crate::math`] and every IEEE operation does.
pub fn map(isa: Isa, x: &[f32], out: &mut Vec<f32>, f: impl Fn(f32) -> f32) {
    #[cfg(target_arch = "x86_64")]
    if isa.avx2() {
        return super::avx2::with(isa, || out.extend(x.iter().map(|&v| f(v))));
    }
    let _ = isa;
    out.extend(x.iter().map(|&v| f(v)));
}
