//! Convolution by windows: tiles read the windows of their pixels from strips, without copying them apart.

use super::Sign;
use super::conv::IntConvSpec;
use super::prepare::taps_first;
use super::sink::Sink;
use super::strips::Strips;
use super::tile::{self, NR, Panels, Places, Strip, Sums};
use crate::Isa;

/// A convolution prepared for its image size.
#[derive(Clone, Debug)]
pub(super) struct Windows {
    isa: Isa,
    sign: Sign,
    filters: usize,
    /// Channels of a group.
    depth: usize,
    strips: Strips,
    /// Places in the strip of a block.
    places: Places,
    /// Panels of each group.
    panels: Vec<Panels>,
    /// Whether windows can be read from the image itself.
    in_place: bool,
}

impl Windows {
    /// Packs a convolution that has been checked, with result extent `out`.
    pub(super) fn pack(isa: Isa, spec: &IntConvSpec<'_>, out: [usize; 2]) -> Windows {
        let g = spec.geom;
        let (depth, per_group) = (spec.channels / g.group, spec.filters / g.group);
        let taps = g.kernel[0] * g.kernel[1];
        // A pointwise convolution sees every pixel as a row.
        let pointwise = taps == 1 && g.strides == [1, 1] && g.pads == [0; 4];
        let row_of_pixels = |[h, w]: [usize; 2]| if pointwise { [h * w, 1] } else { [h, w] };
        let out = row_of_pixels(out);
        let strips = Strips::new(isa, spec, row_of_pixels(spec.image), out, if isa.quads() { 1 } else { 2 });
        let row = strips.row();
        // Neighbouring columns are one run when they touch.
        let touching = g.dilations[1] == 1 && g.group == 1;
        let (columns, width) = if touching { (1, g.kernel[1] * depth) } else { (g.kernel[1], depth) };
        let run = width.next_multiple_of(tile::unit(isa));
        let runs = (0..g.kernel[0] * columns)
            .map(|t| t / columns * g.dilations[0] * row + t % columns * g.dilations[1] * spec.channels)
            .collect();
        let corner = |p: usize| p / out[1] * g.strides[0] * row + p % out[1] * g.strides[1] * spec.channels;
        let places = Places::new((0..strips.block * out[1]).map(corner).collect(), runs, run);
        let panels = spec.weights.chunks_exact(per_group * depth * taps).map(|w| {
            let rows = taps_first(w, depth, taps);
            let padding = std::iter::repeat_n(&0i8, run - width);
            let padded: Vec<i8> =
                rows.chunks_exact(width).flat_map(|r| r.iter().chain(padding.clone())).copied().collect();
            Panels::pack(isa, &padded, places.depth())
        });
        let panels = panels.collect();
        let in_place = isa.quads() && spec.input == Sign::Unsigned && strips.is_unpadded() && run == width;
        Windows { isa, sign: spec.input, filters: spec.filters, depth, strips, places, panels, in_place }
    }

    /// What is added to input numbers before they are multiplied.
    pub(super) fn offset(&self) -> i32 {
        if self.isa.quads() && self.sign == Sign::Signed { 128 } else { 0 }
    }

    /// Elements of the result that a thread should take together.
    pub(super) fn unit(&self) -> usize {
        self.strips.rows_together() * self.strips.out[1] * self.filters
    }

    /// Computes the part of the result that starts at element `first`, a whole row, and fills `out`.
    pub(super) fn run<S: Sink>(&self, x: &[u8], bias: &[Sums], first: usize, out: &mut [S::Out], sink: &S) {
        let row = self.strips.out[1] * self.filters;
        for (b, out) in out.chunks_mut(self.strips.block * row).enumerate() {
            let (y, rows) = (first / row + b * self.strips.block, out.len() / row);
            if self.in_place {
                self.block(Strip::Bytes(&x[self.strips.start(y)..]), bias, out, sink);
            } else if self.isa.quads() {
                self.strips.bytes(x, y, rows, |strip| self.block(Strip::Bytes(strip), bias, out, sink));
            } else {
                self.strips.wide(x, y, rows, |strip| self.block(Strip::Wide(strip), bias, out, sink));
            }
        }
    }

    fn block<S: Sink>(&self, strip: Strip<'_>, bias: &[Sums], out: &mut [S::Out], sink: &S) {
        let pixels = out.len() / self.filters;
        let filters = self.filters / self.panels.len();
        for (g, panels) in self.panels.iter().enumerate() {
            let strip = strip.from(g * self.depth);
            for panel in 0..filters.div_ceil(NR) {
                let columns = NR.min(filters - panel * NR);
                let out = &mut out[g * filters + panel * NR..];
                let mut target = sink.target((g, panel), out, (self.filters, columns));
                let bias = &bias[g * filters.div_ceil(NR) + panel];
                tile::run(self.isa, strip, &self.places, pixels, (panels, panel), bias, &mut target);
            }
        }
    }
}
