//! The integer tile: a panel of `NR` filters over a list of pixels, its packed operands, and its definition in plain code.

use super::finish::Target;
use crate::Isa;

/// Filters of a panel.
pub(crate) const NR: usize = 16;

/// Sums of one pixel with the filters of a panel.
pub(crate) type Sums = [i32; NR];

/// Filters in the order in which the instruction set reads them, panel by panel, padded with zeros.
#[derive(Clone, Debug)]
pub(super) enum Panels {
    /// `[depth / 2][NR][2]`, widened: for `vpmaddwd` and the scalar code.
    Pairs(Vec<i16>),
    /// `[depth / 4][NR][4]`: for `vpdpbusd` and `sdot`.
    Quads(Vec<i8>),
}

/// How many neighbouring elements one instruction multiplies: runs of elements are padded to a multiple of it.
pub(super) fn unit(isa: Isa) -> usize {
    if isa.quads() { 4 } else { 2 }
}

impl Panels {
    /// Packs `filters` rows of `depth` weights, a multiple of [`unit`].
    pub(super) fn pack(isa: Isa, rows: &[i8], depth: usize) -> Panels {
        let unit = unit(isa);
        let filters = rows.len() / depth.max(1);
        let mut out = vec![0i8; filters.div_ceil(NR) * depth * NR];
        for (o, row) in rows.chunks_exact(depth).enumerate() {
            for (q, &v) in row.iter().enumerate() {
                out[(o / NR * depth + q / unit * unit) * NR + o % NR * unit + q % unit] = v;
            }
        }
        if isa.quads() { Panels::Quads(out) } else { Panels::Pairs(out.into_iter().map(i16::from).collect()) }
    }
}

/// Positions of pixels in a strip of the image, and of the runs of elements that each pixel's window covers.
#[derive(Clone, Debug)]
pub(super) struct Places {
    corners: Vec<usize>,
    /// For each corner, how many from it on are evenly spaced.
    even: Vec<usize>,
    runs: Vec<usize>,
    run: usize,
}

impl Places {
    /// `corners` ascend; every run has `run` elements.
    pub(super) fn new(corners: Vec<usize>, runs: Vec<usize>, run: usize) -> Places {
        debug_assert!(corners.is_sorted());
        let mut even = vec![1; corners.len()];
        for i in (0..corners.len().saturating_sub(1)).rev() {
            let steps = |i: usize| corners.get(i + 1).map(|next| next - corners[i]);
            even[i] = if steps(i) == steps(i + 1) { even[i + 1] + 1 } else { 2 };
        }
        Places { corners, even, runs, run }
    }

    /// First element of each pixel's window.
    pub(super) fn corners(&self) -> &[usize] {
        &self.corners
    }

    /// How many corners from this one on are evenly spaced.
    pub(super) fn even(&self, corner: usize) -> usize {
        self.even[corner]
    }

    /// First element of each run, relative to a corner.
    pub(super) fn runs(&self) -> &[usize] {
        &self.runs
    }

    /// Elements of a run.
    pub(super) fn run(&self) -> usize {
        self.run
    }

    /// Elements of a window.
    pub(super) fn depth(&self) -> usize {
        self.runs.len() * self.run
    }

    /// Elements that a strip must hold for the first `pixels` pixels.
    pub(super) fn reach(&self, pixels: usize) -> usize {
        let corner = self.corners[..pixels].last().copied().unwrap_or(0);
        corner + self.runs.iter().copied().max().unwrap_or(0) + self.run
    }
}

/// A strip of the image in the form that the panels need.
#[derive(Clone, Copy)]
pub(super) enum Strip<'a> {
    /// Widened.
    Wide(&'a [i16]),
    /// Unsigned bytes.
    Bytes(&'a [u8]),
}

impl<'a> Strip<'a> {
    /// The strip without its first elements.
    pub(super) fn from(self, at: usize) -> Strip<'a> {
        match self {
            Strip::Wide(x) => Strip::Wide(&x[at..]),
            Strip::Bytes(x) => Strip::Bytes(&x[at..]),
        }
    }
}

/// Sums of the first `pixels` pixels with the filters of one panel, each starting from its bias, into a target.
pub(super) fn run(
    isa: Isa,
    strip: Strip<'_>,
    places: &Places,
    pixels: usize,
    (panels, panel): (&Panels, usize),
    bias: &Sums,
    target: &mut Target<'_>,
) {
    let range = panel * places.depth() * NR..(panel + 1) * places.depth() * NR;
    match (strip, panels) {
        (Strip::Wide(x), Panels::Pairs(w)) => {
            #[cfg(target_arch = "x86_64")]
            if isa.avx2() {
                return super::avx2::tile::panel(isa, x, places, pixels, &w[range], bias, target);
            }
            scalar(x, places, pixels, &w[range], bias, |pixel, sums| target.store(pixel, sums));
        }
        #[cfg(target_arch = "x86_64")]
        (Strip::Bytes(x), Panels::Quads(w)) => {
            super::vnni::panel(isa, x, places, pixels, &w[range], bias, target);
        }
        #[cfg(target_arch = "aarch64")]
        (Strip::Bytes(x), Panels::Quads(w)) => {
            super::neon::panel(isa, x, places, pixels, &w[range], bias, target);
        }
        _ => unreachable!("invariant: strips are made for their panels"),
    }
    let _ = isa;
}

/// The definition.
fn scalar(x: &[i16], places: &Places, pixels: usize, w: &[i16], bias: &Sums, mut store: impl FnMut(usize, &Sums)) {
    for (pixel, corner) in places.corners[..pixels].iter().enumerate() {
        let mut sums = *bias;
        let mut weights = w.chunks_exact(2 * NR);
        for run in &places.runs {
            let x = &x[corner + run..][..places.run];
            for (pair, w) in x.chunks_exact(2).zip(&mut weights) {
                for (sum, w) in sums.iter_mut().zip(w.chunks_exact(2)) {
                    let products = i32::from(pair[0]) * i32::from(w[0]) + i32::from(pair[1]) * i32::from(w[1]);
                    *sum = sum.wrapping_add(products);
                }
            }
        }
        store(pixel, &sums);
    }
}
