//! Depthwise convolution: sixteen neighbouring elements at once, their taps two by two.

use super::conv::IntConvSpec;
use super::finish::Target;
use super::sink::Sink;
use super::strips::Strips;
use super::tile::{NR, Places, Sums};
use crate::Isa;

/// A depthwise convolution prepared for its image size.
#[derive(Clone, Debug)]
pub(super) struct Depthwise {
    isa: Isa,
    channels: usize,
    /// For each panel and pair of taps the weights `[lanes][2]`.
    weights: Vec<i16>,
    /// Panels after which channels repeat.
    panels: usize,
    strips: Strips,
    body: Body,
}

/// Element of each lane: the order in which unpacking gives them.
const LANES: [usize; NR] = [0, 1, 2, 3, 8, 9, 10, 11, 4, 5, 6, 7, 12, 13, 14, 15];

/// How elements are gathered to panels.
#[derive(Clone, Debug)]
enum Body {
    /// A panel is sixteen channels of each pixel of a block.
    Pixels(Places),
    /// A panel is sixteen neighbours in a row of all pixels' channels; it repeats after this many elements.
    Rows(Places, usize),
}

impl Depthwise {
    /// Packs a convolution that has been checked, with result extent `out`.
    pub(super) fn pack(isa: Isa, spec: &IntConvSpec<'_>, out: [usize; 2]) -> Depthwise {
        let (g, channels) = (spec.geom, spec.channels);
        let taps = g.kernel[0] * g.kernel[1];
        let strips = Strips::new(isa, spec, spec.image, out, 2);
        let offset =
            |t: usize| t / g.kernel[1] * g.dilations[0] * strips.row() + t % g.kernel[1] * g.dilations[1] * channels;
        // An odd number of taps is made even by a tap at the corner, whose weight is 0.
        let even = taps.next_multiple_of(2);
        let offsets: Vec<usize> = (0..even).map(|t| if t < taps { offset(t) } else { 0 }).collect();
        let (panels, body) = if g.strides[1] == 1 && !channels.is_multiple_of(NR) {
            let period = period(channels);
            let corners = (0..(out[1] * channels).div_ceil(period)).map(|i| i * period).collect();
            (period / NR, Body::Rows(Places::new(corners, offsets, NR), period))
        } else {
            let corner = |p: usize| p / out[1] * g.strides[0] * strips.row() + p % out[1] * g.strides[1] * channels;
            let corners = (0..strips.block * out[1]).map(corner).collect();
            (channels.div_ceil(NR), Body::Pixels(Places::new(corners, offsets, NR)))
        };
        let wraps = matches!(body, Body::Rows(..));
        let mut weights = vec![0i16; panels * even * NR];
        for (i, slot) in weights.iter_mut().enumerate() {
            let (panel, pair, lane, half) = (i / (even * NR), i / (2 * NR) % (even / 2), i / 2 % NR, i % 2);
            let (channel, tap) = (panel * NR + LANES[lane], pair * 2 + half);
            let channel = if wraps { channel % channels } else { channel };
            if channel < channels && tap < taps {
                *slot = i16::from(spec.weights[channel * taps + tap]);
            }
        }
        Depthwise { isa, channels, weights, panels, strips, body }
    }

    /// The filter of each column of the panels.
    pub(super) fn columns(&self) -> Vec<usize> {
        (0..self.panels * NR)
            .map(|c| if matches!(self.body, Body::Rows(..)) { c % self.channels } else { c.min(self.channels - 1) })
            .collect()
    }

    /// Elements of the result that a thread should take together.
    pub(super) fn unit(&self) -> usize {
        self.strips.rows_together() * self.strips.out[1] * self.channels
    }

    /// Computes the part of the result that starts at element `first`, a whole row, and fills `out`.
    pub(super) fn run<S: Sink>(&self, x: &[u8], bias: &[Sums], first: usize, out: &mut [S::Out], sink: &S) {
        let row = self.strips.out[1] * self.channels;
        for (b, out) in out.chunks_mut(self.strips.block * row).enumerate() {
            let y = first / row + b * self.strips.block;
            self.strips.wide(x, y, out.len() / row, |strip| match &self.body {
                Body::Pixels(places) => self.pixels(strip, places, bias, out, sink),
                Body::Rows(places, period) => self.rows(strip, places, *period, bias, out, sink),
            });
        }
    }

    fn pixels<S: Sink>(&self, x: &[i16], places: &Places, bias: &[Sums], out: &mut [S::Out], sink: &S) {
        let pixels = out.len() / self.channels;
        for panel in 0..self.panels {
            let at = panel * NR;
            let place = (self.channels, NR.min(self.channels - at));
            let mut target = sink.target((0, panel), &mut out[at..], place);
            self.panel(&x[at..], places, pixels, panel, bias, &mut target);
        }
    }

    fn rows<S: Sink>(&self, x: &[i16], places: &Places, period: usize, bias: &[Sums], out: &mut [S::Out], sink: &S) {
        let row = self.strips.out[1] * self.channels;
        for (y, out) in out.chunks_exact_mut(row).enumerate() {
            let x = &x[y * self.strips.step()..];
            for panel in 0..self.panels.min(row.div_ceil(NR)) {
                let at = panel * NR;
                // Whole panels, then the one that the row's end cuts.
                let whole = (row - at).checked_sub(NR).map_or(0, |rest| rest / period + 1);
                let mut target = sink.target((0, panel), &mut out[at..], (period, NR));
                self.panel(&x[at..], places, whole, panel, bias, &mut target);
                let cut = at + whole * period;
                if cut < row {
                    let mut target = sink.target((0, panel), &mut out[cut..], (period, row - cut));
                    self.panel(&x[cut..], places, 1, panel, bias, &mut target);
                }
            }
        }
    }

    /// One panel of the first `pixels` places.
    fn panel(&self, x: &[i16], places: &Places, pixels: usize, panel: usize, bias: &[Sums], target: &mut Target<'_>) {
        let taps = places.runs().len();
        let w = &self.weights[panel * taps * NR..][..taps * NR];
        #[cfg(target_arch = "x86_64")]
        if self.isa.avx2() {
            return super::avx2::taps::panel(self.isa, x, places, pixels, w, &bias[panel], target);
        }
        for (pixel, &corner) in places.corners()[..pixels].iter().enumerate() {
            let mut sums = bias[panel];
            for (pair, w) in places.runs().chunks_exact(2).zip(w.chunks_exact(2 * NR)) {
                let (a, b) = (&x[corner + pair[0]..][..NR], &x[corner + pair[1]..][..NR]);
                for (w, &i) in w.chunks_exact(2).zip(&LANES) {
                    let products = i32::from(a[i]) * i32::from(w[0]) + i32::from(b[i]) * i32::from(w[1]);
                    sums[i] = sums[i].wrapping_add(products);
                }
            }
            target.store(pixel, &sums);
        }
    }
}

/// The least common multiple of `channels` and a panel.
fn period(channels: usize) -> usize {
    let common = 1 << channels.trailing_zeros().min(NR.trailing_zeros());
    channels * (NR / common)
}
