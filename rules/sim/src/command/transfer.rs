//! LOAD and STORE: strided transfers between DDR and SRAM.

use super::field::fields;
use crate::{Ddr, Sram};

fields! {
    /// `outer[0] × outer[1]` runs of `bytes` contiguous bytes.
    pub struct Transfer {
        /// First byte in DDR. Any alignment.
        pub ddr: Ddr,
        /// First byte in SRAM. Aligned as the target asks.
        pub sram: Sram,
        /// Runs along the outer and the middle axis.
        pub outer: [u32; 2],
        /// Bytes of one run.
        pub bytes: u32,
        /// Distance between runs in DDR, in bytes, along both axes.
        pub ddr_strides: [u32; 2],
        /// Distance between runs in SRAM, in bytes, along both axes.
        pub sram_strides: [u32; 2],
    }
}

impl Transfer {
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        if self.bytes == 0 || self.outer.contains(&0) {
            return Err("moves nothing");
        }
        let canonical = |n: u32, strides: [u32; 2], i: usize| n > 1 || strides[i] == 0;
        let strides_canonical = (0..2)
            .all(|i| canonical(self.outer[i], self.ddr_strides, i) && canonical(self.outer[i], self.sram_strides, i));
        if !strides_canonical {
            return Err("an axis of one run has a stride");
        }
        // Runs never overlap in SRAM, which also bounds their number by its size.
        let s = self.sram_strides.map(u64::from);
        let row = u64::from(self.outer[1] - 1) * s[1] + u64::from(self.bytes);
        let overlaps = (self.outer[1] > 1 && s[1] < self.bytes.into()) || (self.outer[0] > 1 && s[0] < row);
        if overlaps { Err("runs overlap in SRAM") } else { Ok(()) }
    }

    /// Bytes of SRAM from the first to behind the last one touched.
    pub(crate) fn sram_reach(&self) -> u64 {
        let s = self.sram_strides.map(u64::from);
        u64::from(self.outer[0] - 1) * s[0] + u64::from(self.outer[1] - 1) * s[1] + u64::from(self.bytes)
    }

    /// Bytes of DDR from the first to behind the last one touched.
    pub fn ddr_bytes(&self) -> u64 {
        let s = self.ddr_strides.map(u64::from);
        u64::from(self.outer[0] - 1) * s[0] + u64::from(self.outer[1] - 1) * s[1] + u64::from(self.bytes)
    }

    /// The same as a range of addresses.
    pub(crate) fn ddr_range(&self) -> std::ops::Range<u64> {
        let start = u64::from(self.ddr.0);
        start..start + self.ddr_bytes()
    }

    /// Bytes moved.
    pub fn total_bytes(&self) -> u64 {
        u64::from(self.outer[0]) * u64::from(self.outer[1]) * u64::from(self.bytes)
    }

    /// Offsets of all runs in (DDR, SRAM), relative to the start.
    pub(crate) fn runs(&self) -> impl Iterator<Item = (u64, u64)> + use<> {
        let Transfer { outer, ddr_strides: d, sram_strides: s, .. } = *self;
        let at = |i: u32, stride: u32| u64::from(i) * u64::from(stride);
        (0..outer[0])
            .flat_map(move |i| (0..outer[1]).map(move |j| (at(i, d[0]) + at(j, d[1]), at(i, s[0]) + at(j, s[1]))))
    }
}
