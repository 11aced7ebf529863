//! Depthwise convolution: sixteen channels of a pixel at once.

use super::tile::NR;
use crate::Isa;

/// Weights of a depthwise convolution.
#[derive(Clone, Debug)]
pub(super) struct Depthwise {
    /// For each panel of channels and pair of taps the weights `[lanes][2]`, where lanes are in the order in which
    /// unpacking gives them: channels 0..4, 8..12, then 4..8, 12..16.
    weights: Vec<i16>,
    taps: usize,
}

/// Channel of each lane.
const LANES: [usize; NR] = [0, 1, 2, 3, 8, 9, 10, 11, 4, 5, 6, 7, 12, 13, 14, 15];

/// Positions of the taps relative to a window's corner: an even number, all up to `reach`.
#[derive(Clone, Debug)]
pub(super) struct Taps {
    offsets: Vec<usize>,
    reach: usize,
}

impl Taps {
    /// An odd number of taps is made even by a tap at 0, whose weight is 0.
    pub(super) fn new(mut offsets: Vec<usize>) -> Taps {
        if !offsets.len().is_multiple_of(2) {
            offsets.push(0);
        }
        let reach = offsets.iter().copied().max().unwrap_or(0);
        Taps { offsets, reach }
    }

    pub(super) fn offsets(&self) -> &[usize] {
        &self.offsets
    }

    pub(super) fn reach(&self) -> usize {
        self.reach
    }
}

impl Depthwise {
    /// Packs weights `[channel][tap]`.
    pub(super) fn pack(w: &[i8], channels: usize, taps: usize) -> Depthwise {
        let even = taps.next_multiple_of(2);
        let mut weights = vec![0i16; channels.div_ceil(NR) * even * NR];
        for (panel, block) in weights.chunks_exact_mut(even * NR).enumerate() {
            for (pair, block) in block.chunks_exact_mut(2 * NR).enumerate() {
                for (lane, slot) in block.chunks_exact_mut(2).enumerate() {
                    let channel = panel * NR + LANES[lane];
                    for (half, slot) in slot.iter_mut().enumerate() {
                        let tap = pair * 2 + half;
                        if channel < channels && tap < taps {
                            *slot = i16::from(w[channel * taps + tap]);
                        }
                    }
                }
            }
        }
        Depthwise { weights, taps: even }
    }

    /// Sums of the panel of channels whose bytes start at `base`.
    pub(super) fn block(
        &self,
        isa: Isa,
        signed: bool,
        x: &[u8],
        base: usize,
        taps: &Taps,
        panel: usize,
        acc: &mut [i32; NR],
    ) {
        let w = &self.weights[panel * self.taps * NR..][..self.taps * NR];
        #[cfg(target_arch = "x86_64")]
        if isa.avx2() {
            return super::avx2::taps(isa, signed, x, base, taps, w, acc);
        }
        let _ = isa;
        *acc = [0; NR];
        let value = |b: u8| if signed { i32::from(b as i8) } else { i32::from(b) };
        for (pair, w) in taps.offsets.chunks_exact(2).zip(w.chunks_exact(2 * NR)) {
            for (w, &channel) in w.chunks_exact(2).zip(&LANES) {
                let (p, q) = (x[base + pair[0] + channel], x[base + pair[1] + channel]);
                let sum = value(p) * i32::from(w[0]) + value(q) * i32::from(w[1]);
                acc[channel] = acc[channel].wrapping_add(sum);
            }
        }
    }
}
