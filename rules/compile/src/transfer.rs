//! Boxes of a tensor as hardware transfers.

use ptq_sim::{Ddr, Sram, Transfer};

/// A transfer without addresses: how a box of a strided tensor becomes a compact tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BoxTransfer {
    outer: [u32; 2],
    bytes: u32,
    ddr_strides: [u32; 2],
    sram_strides: [u32; 2],
}

impl BoxTransfer {
    /// The box with these extents out of a tensor with these strides (elements, outermost first); `None` when it takes
    /// more axes than the hardware has, or its numbers do not fit.
    pub(crate) fn new(extents: &[usize], strides: &[usize], elem: usize) -> Option<BoxTransfer> {
        let mut run = elem;
        // Axes around the run, innermost first: runs, DDR stride, SRAM stride.
        let mut around: Vec<(usize, usize, usize)> = Vec::new();
        let mut sram_stride = elem;
        for (&extent, &stride) in extents.iter().zip(strides).rev().filter(|(e, _)| **e != 1) {
            let stride = stride * elem;
            match around.last_mut() {
                None if stride == run => run *= extent,
                Some((count, inner, _)) if stride == *inner * *count => *count *= extent,
                _ => around.push((extent, stride, sram_stride)),
            }
            sram_stride *= extent;
        }
        if around.len() > 2 || extents.contains(&0) {
            return None;
        }
        let mut out =
            BoxTransfer { outer: [1; 2], bytes: u32::try_from(run).ok()?, ddr_strides: [0; 2], sram_strides: [0; 2] };
        for (axis, (count, ddr, sram)) in [1, 0].into_iter().zip(around) {
            out.outer[axis] = u32::try_from(count).ok()?;
            out.ddr_strides[axis] = u32::try_from(ddr).ok()?;
            out.sram_strides[axis] = u32::try_from(sram).ok()?;
        }
        Some(out)
    }

    /// Contiguous bytes.
    pub(crate) fn linear(bytes: usize) -> Option<BoxTransfer> {
        BoxTransfer::new(&[bytes], &[1], 1)
    }

    /// The transfer at these addresses.
    pub(crate) fn at(self, ddr: Ddr, sram: Sram) -> Transfer {
        let BoxTransfer { outer, bytes, ddr_strides, sram_strides } = self;
        Transfer { ddr, sram, outer, bytes, ddr_strides, sram_strides }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_that_follow_each_other_become_one_run() {
        // Whole rows of a 10 × 8 × 4 tensor: contiguous.
        let whole = BoxTransfer::new(&[3, 8, 4], &[32, 4, 1], 2).expect("fits");
        assert_eq!((whole.outer, whole.bytes), ([1, 1], 192));
        // Two of four channels: one run a pixel, rows merge with columns.
        let part = BoxTransfer::new(&[3, 8, 2], &[32, 4, 1], 1).expect("fits");
        assert_eq!((part.outer, part.bytes, part.ddr_strides, part.sram_strides), ([1, 24], 2, [0, 4], [0, 2]));
        // A window of columns too: both outer axes.
        let window = BoxTransfer::new(&[3, 5, 2], &[32, 4, 1], 1).expect("fits");
        assert_eq!((window.outer, window.ddr_strides, window.sram_strides), ([3, 5], [32, 4], [10, 2]));
        assert_eq!(BoxTransfer::new(&[2, 3, 5, 2], &[999, 32, 4, 1], 1), None);
    }
}
