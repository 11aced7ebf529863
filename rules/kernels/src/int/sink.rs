//! Where the result of a convolution goes: to bytes or to memory as it is.

use super::finish::{Finish, Kind, Target};
use super::tile::NR;

/// What becomes of sums.
pub(super) trait Sink: Send + Sync {
    /// Element of the result.
    type Out: Send;
    /// The target of panel `panel` of group `group`, in `out`; rows are `place.0` apart and have `place.1` columns.
    fn target<'a>(&'a self, at: (usize, usize), out: &'a mut [Self::Out], place: (usize, usize)) -> Target<'a>;
}

/// Bytes: the requantization of each group.
pub(super) struct Quantized<'f>(pub(super) &'f [Finish]);

impl Sink for Quantized<'_> {
    type Out = u8;
    fn target<'a>(
        &'a self,
        (group, panel): (usize, usize),
        out: &'a mut [u8],
        (stride, columns): (usize, usize),
    ) -> Target<'a> {
        let finish = &self.0[group];
        Target { kind: Kind::Bytes(finish.entries(panel * NR), finish.range(), out), stride, columns }
    }
}

/// The sums themselves.
pub(super) struct Accumulators;

impl Sink for Accumulators {
    type Out = i32;
    fn target<'a>(&'a self, _: (usize, usize), out: &'a mut [i32], (stride, columns): (usize, usize)) -> Target<'a> {
        Target { kind: Kind::Sums(out), stride, columns }
    }
}
