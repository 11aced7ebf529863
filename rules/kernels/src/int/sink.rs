//! Where the rows of accumulators of a convolution go: to bytes or to memory as they are.

use super::finish::Finish;
use super::tile::NR;
use crate::Isa;

/// What becomes of rows of accumulators.
pub(super) trait Sink: Send + Sync {
    type Out: Send;
    /// Adds the bias to the rows and stores them `place.0` apart, `place.1` columns of each.
    fn rows(
        &self,
        isa: Isa,
        at: (usize, usize),
        bias: &[i32; NR],
        acc: &[[i32; NR]],
        out: &mut [Self::Out],
        place: (usize, usize),
    );
}

/// Bytes: the requantization of each group.
pub(super) struct Quantized<'a>(pub(super) &'a [Finish]);

impl Sink for Quantized<'_> {
    type Out = u8;
    #[inline(always)]
    fn rows(
        &self,
        isa: Isa,
        (group, panel): (usize, usize),
        bias: &[i32; NR],
        acc: &[[i32; NR]],
        out: &mut [u8],
        place: (usize, usize),
    ) {
        self.0[group].rows(isa, panel * NR, bias, acc, out, place);
    }
}

/// The accumulators themselves.
pub(super) struct Accumulators;

impl Sink for Accumulators {
    type Out = i32;
    #[inline(always)]
    fn rows(
        &self,
        _isa: Isa,
        _at: (usize, usize),
        bias: &[i32; NR],
        acc: &[[i32; NR]],
        out: &mut [i32],
        (stride, columns): (usize, usize),
    ) {
        for (i, acc) in acc.iter().enumerate() {
            let sums = acc.iter().zip(bias).map(|(a, b)| a.wrapping_add(*b));
            out[i * stride..][..columns].iter_mut().zip(sums).for_each(|(o, v)| *o = v);
        }
    }
}
