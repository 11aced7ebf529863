//! Which vector instructions this processor has. Kernels take an [`Isa`]; every choice gives the same bits.

/// An instruction set that is known to be present: a value can only be made by asking the processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Isa(Level);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// No particular instructions.
    Scalar,
    /// x86-64 with AVX2 and FMA.
    Avx2,
    /// In addition AVX-512 F, BW, VL and VNNI.
    Vnni,
}

impl Isa {
    /// The best set of this processor.
    pub fn best() -> Isa {
        Isa(detect())
    }

    /// The portable code, present everywhere.
    pub fn scalar() -> Isa {
        Isa(Level::Scalar)
    }

    /// Every set of this processor, for tests that compare them.
    pub fn all() -> Vec<Isa> {
        [Level::Scalar, Level::Avx2, Level::Vnni].into_iter().filter(|&l| l <= detect()).map(Isa).collect()
    }

    /// Whether AVX2 and FMA are present.
    pub(crate) fn avx2(self) -> bool {
        self.0 >= Level::Avx2
    }

    /// Whether AVX-512 VNNI is present.
    pub(crate) fn vnni(self) -> bool {
        self.0 >= Level::Vnni
    }
}

#[cfg(target_arch = "x86_64")]
fn detect() -> Level {
    use std::arch::is_x86_feature_detected as has;
    if !(has!("avx2") && has!("fma")) {
        Level::Scalar
    } else if has!("avx512f") && has!("avx512bw") && has!("avx512vl") && has!("avx512vnni") {
        Level::Vnni
    } else {
        Level::Avx2
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn detect() -> Level {
    Level::Scalar
}
