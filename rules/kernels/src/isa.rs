//! Which vector instructions this processor has. Kernels take an [`Isa`]; every choice gives the same bits.

/// An instruction set that is known to be present: a value can only be made by asking the processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Isa(Level);

/// Instruction sets, best last. Each but the first includes what kernels of the lower ones of its architecture use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// No particular instructions.
    Scalar,
    /// aarch64 with the dot products of ARMv8.2.
    NeonDot,
    /// x86-64 with AVX2 and FMA.
    Avx2,
    /// In addition the dot products of AVX-VNNI.
    AvxVnni,
    /// AVX2, FMA, AVX-512 F, BW, VL and VNNI.
    Avx512Vnni,
}

/// Every level with its name.
const LEVELS: [(Level, &str); 5] = [
    (Level::Scalar, "scalar"),
    (Level::NeonDot, "neondot"),
    (Level::Avx2, "avx2"),
    (Level::AvxVnni, "avxvnni"),
    (Level::Avx512Vnni, "avx512vnni"),
];

impl Isa {
    /// The best set of this processor.
    pub fn best() -> Isa {
        Isa::all().pop().unwrap_or(Isa(Level::Scalar))
    }

    /// The portable code, present everywhere.
    pub fn scalar() -> Isa {
        Isa(Level::Scalar)
    }

    /// Every set of this processor, best last; for tests and measurements that compare them.
    pub fn all() -> Vec<Isa> {
        LEVELS.iter().filter(|(level, _)| has(*level)).map(|(level, _)| Isa(*level)).collect()
    }

    /// The set of this name, when the processor has it: `scalar`, `neondot`, `avx2`, `avxvnni`, `avx512vnni`.
    pub fn named(name: &str) -> Option<Isa> {
        Isa::all().into_iter().find(|isa| isa.name() == name)
    }

    /// Name of the set.
    pub fn name(self) -> &'static str {
        LEVELS.iter().find(|(level, _)| *level == self.0).map_or("", |(_, name)| name)
    }

    /// Whether AVX2 and FMA are present.
    pub(crate) fn avx2(self) -> bool {
        self.0 >= Level::Avx2
    }

    /// Whether four products of bytes are added at once.
    pub(crate) fn quads(self) -> bool {
        self.0 >= Level::AvxVnni || self.0 == Level::NeonDot
    }

    /// Whether AVX-VNNI is to be used.
    pub(crate) fn avx_vnni(self) -> bool {
        self.0 == Level::AvxVnni
    }

    /// Whether AVX-512 VNNI is present.
    pub(crate) fn avx512_vnni(self) -> bool {
        self.0 == Level::Avx512Vnni
    }
}

#[cfg(target_arch = "x86_64")]
fn has(level: Level) -> bool {
    use std::arch::is_x86_feature_detected as has;
    let avx2 = has!("avx2") && has!("fma");
    match level {
        Level::Scalar => true,
        Level::NeonDot => false,
        Level::Avx2 => avx2,
        Level::AvxVnni => avx2 && has!("avxvnni"),
        Level::Avx512Vnni => avx2 && has!("avx512f") && has!("avx512bw") && has!("avx512vl") && has!("avx512vnni"),
    }
}

#[cfg(target_arch = "aarch64")]
fn has(level: Level) -> bool {
    use std::arch::is_aarch64_feature_detected as has;
    level == Level::Scalar || (level == Level::NeonDot && has!("neon") && has!("dotprod"))
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn has(level: Level) -> bool {
    level == Level::Scalar
}
