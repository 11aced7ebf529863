//! Stripes of output rows and the input rows that they read.

use crate::sram::cut;

/// One axis of a window operator, rows here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WindowRows {
    pub(crate) in_rows: usize,
    pub(crate) out_rows: usize,
    pub(crate) stride: usize,
    /// Rows from the first to behind the last tap.
    pub(crate) span: usize,
    pub(crate) pad_top: usize,
}

/// A stripe of output rows with what it reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stripe {
    /// First output row.
    pub(crate) out: usize,
    /// Output rows.
    pub(crate) out_rows: usize,
    /// First input row.
    pub(crate) input: usize,
    /// Input rows inside the image; 0 when the stripe lies wholly in the padding.
    pub(crate) in_rows: usize,
    /// Padding rows in front of the first input row.
    pub(crate) pad_top: usize,
}

impl WindowRows {
    /// Most input rows that a stripe of this height holds.
    pub(crate) fn rows_for(&self, out_rows: usize) -> usize {
        ((out_rows - 1) * self.stride + self.span).min(self.in_rows)
    }

    /// The stripes of this height.
    pub(crate) fn stripes(&self, height: usize) -> Vec<Stripe> {
        cut(self.out_rows, height).map(|(out, out_rows)| self.stripe(out, out_rows)).collect()
    }

    /// The stripe of these output rows.
    pub(crate) fn stripe(&self, out: usize, out_rows: usize) -> Stripe {
        let first = out * self.stride;
        let last = (out + out_rows - 1) * self.stride + self.span;
        let input = first.saturating_sub(self.pad_top).min(self.in_rows);
        let end = last.saturating_sub(self.pad_top).min(self.in_rows);
        let pad_top = self.pad_top.saturating_sub(first);
        Stripe { out, out_rows, input, in_rows: end.saturating_sub(input), pad_top }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tap_inside_the_image_is_inside_the_stripe() {
        for (in_rows, stride, span, pad_top, pad_bottom) in
            [(7, 2, 3, 1, 1), (5, 1, 5, 2, 2), (4, 3, 2, 5, 6), (9, 4, 1, 0, 0), (2, 1, 3, 4, 1)]
        {
            let out_rows = (in_rows + pad_top + pad_bottom - span) / stride + 1;
            let rows = WindowRows { in_rows, out_rows, stride, span, pad_top };
            for height in 1..=out_rows {
                for s in rows.stripes(height) {
                    assert!(s.in_rows <= rows.rows_for(height), "{rows:?} {s:?}");
                    for y in s.out..s.out + s.out_rows {
                        for tap in 0..span {
                            let image = (y * stride + tap).checked_sub(pad_top).filter(|&r| r < in_rows);
                            let tile = ((y - s.out) * stride + tap).checked_sub(s.pad_top).filter(|&r| r < s.in_rows);
                            assert_eq!(tile.map(|r| r + s.input), image, "{rows:?} {s:?} row {y} tap {tap}");
                        }
                    }
                }
            }
        }
    }
}
