//! The integer tile: `MR` pixels times `NR` filters over the whole of k, and its packed operands.

use super::Sign;
use crate::Isa;

/// Pixels of a tile.
pub(crate) const MR: usize = 6;
/// Filters of a panel.
pub(crate) const NR: usize = 16;

/// Accumulators of a tile.
pub(crate) type Acc = [[i32; NR]; MR];

/// Filters in the order in which the instruction set reads them, panel by panel, padded with zeros.
#[derive(Clone, Debug)]
pub(crate) enum Panels {
    /// `[k / 2][NR][2]`, widened: for `vpmaddwd` and the scalar code.
    Pairs(Vec<i16>),
    /// `[k / 4][NR][4]`: for `vpdpbusd`.
    Quads(Vec<i8>),
}

impl Panels {
    /// Packs filters `w[o][q]`, `filters` rows of `k`.
    pub(crate) fn pack(isa: Isa, w: &[i8], filters: usize, k: usize) -> Panels {
        let panels = filters.div_ceil(NR);
        if isa.avx512_vnni() {
            let depth = k.next_multiple_of(4);
            let mut out = vec![0i8; panels * depth * NR];
            for (o, row) in w.chunks_exact(k).enumerate() {
                for (q, &v) in row.iter().enumerate() {
                    out[(o / NR * depth + q / 4 * 4) * NR + o % NR * 4 + q % 4] = v;
                }
            }
            return Panels::Quads(out);
        }
        let depth = k.next_multiple_of(2);
        let mut out = vec![0i16; panels * depth * NR];
        for (o, row) in w.chunks_exact(k).enumerate() {
            for (q, &v) in row.iter().enumerate() {
                out[(o / NR * depth + q / 2 * 2) * NR + o % NR * 2 + q % 2] = i16::from(v);
            }
        }
        Panels::Pairs(out)
    }

    /// What is added to a signed byte so that it becomes the left operand.
    pub(crate) fn offset(&self, sign: Sign) -> i32 {
        match (self, sign) {
            (Panels::Quads(_), Sign::Signed) => 128,
            _ => 0,
        }
    }
}

/// Windows of pixels, `MR` of them to a tile, in the form that the panels need.
pub(crate) enum Pixels {
    /// Widened, `[pixel][depth]`.
    Wide(Vec<i16>),
    /// Unsigned bytes, `[pixel][depth]`.
    Bytes(Vec<u8>),
}

/// Accumulators of the tile of pixels `tile` with the filters of panel `panel`, starting from 0.
pub(crate) fn run(isa: Isa, pixels: &Pixels, depth: usize, tile: usize, panels: &Panels, panel: usize, acc: &mut Acc) {
    match (pixels, panels) {
        (Pixels::Wide(x), Panels::Pairs(w)) => {
            let x = &x[tile * MR * depth..][..MR * depth];
            let w = &w[panel * depth * NR..][..depth * NR];
            #[cfg(target_arch = "x86_64")]
            if isa.avx2() {
                return super::avx2::tile(isa, x, depth, w, acc);
            }
            scalar(x, depth, w, acc);
        }
        #[cfg(target_arch = "x86_64")]
        (Pixels::Bytes(x), Panels::Quads(w)) => {
            let x = &x[tile * MR * depth..][..MR * depth];
            super::vnni::tile(isa, x, depth, &w[panel * depth * NR..][..depth * NR], acc);
        }
        _ => unreachable!("invariant: pixels are packed for their panels"),
    }
    let _ = isa;
}

/// The definition.
fn scalar(x: &[i16], depth: usize, w: &[i16], acc: &mut Acc) {
    *acc = [[0; NR]; MR];
    for (row, x) in acc.iter_mut().zip(x.chunks_exact(depth)) {
        for (pair, w) in x.chunks_exact(2).zip(w.chunks_exact(2 * NR)) {
            for (a, w) in row.iter_mut().zip(w.chunks_exact(2)) {
                let sum = i32::from(pair[0]) * i32::from(w[0]) + i32::from(pair[1]) * i32::from(w[1]);
                *a = a.wrapping_add(sum);
            }
        }
    }
}
