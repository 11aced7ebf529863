//! One address space: bounded bytes and a map of which were written. Used by the simulator only.

use crate::TrapKind;

/// What unwritten bytes hold; no result can depend on it, since reading them traps.
const POISON: u8 = 0xa5;

/// A memory that refuses accesses outside it and reads of bytes that nothing wrote.
#[derive(Debug)]
pub(crate) struct Memory {
    space: &'static str,
    bytes: Vec<u8>,
    /// One bit a byte.
    written: Vec<u64>,
}

impl Memory {
    /// A memory of `size` unwritten bytes.
    pub(crate) fn poisoned(space: &'static str, size: u32) -> Memory {
        Memory::over(space, vec![POISON; size as usize])
    }

    /// A memory whose pages the system supplies on first touch; for large spaces.
    pub(crate) fn lazy(space: &'static str, size: u32) -> Memory {
        Memory::over(space, vec![0; size as usize])
    }

    fn over(space: &'static str, bytes: Vec<u8>) -> Memory {
        let written = vec![0; bytes.len().div_ceil(64)];
        Memory { space, bytes, written }
    }

    /// Makes every byte unwritten again.
    pub(crate) fn forget(&mut self) {
        self.bytes.fill(POISON);
        self.written.fill(0);
    }

    /// Written bytes.
    pub(crate) fn read(&self, start: u64, len: u64) -> Result<&[u8], TrapKind> {
        let (from, to) = self.range(start, len)?;
        match self.first_unwritten(from, to) {
            None => Ok(&self.bytes[from..to]),
            Some(first) => Err(TrapKind::Unwritten { space: self.space, start, end: to as u64, first: first as u64 }),
        }
    }

    /// Writes bytes.
    pub(crate) fn write(&mut self, start: u64, data: &[u8]) -> Result<(), TrapKind> {
        let (from, to) = self.range(start, data.len() as u64)?;
        self.bytes[from..to].copy_from_slice(data);
        self.mark(from, to);
        Ok(())
    }

    /// Whether a range is inside the memory.
    pub(crate) fn bounds(&self, start: u64, len: u64) -> Result<(), TrapKind> {
        self.range(start, len).map(|_| ())
    }

    fn range(&self, start: u64, len: u64) -> Result<(usize, usize), TrapKind> {
        let size = self.bytes.len() as u64;
        let end = start.saturating_add(len);
        if end > size {
            return Err(TrapKind::Range { space: self.space, start, end, size });
        }
        Ok((start as usize, end as usize))
    }

    fn mark(&mut self, from: usize, to: usize) {
        for_words(from, to, |word, mask| {
            self.written[word] |= mask;
            true
        });
    }

    fn first_unwritten(&self, from: usize, to: usize) -> Option<usize> {
        let mut found = None;
        for_words(from, to, |word, mask| {
            let missing = mask & !self.written[word];
            if missing != 0 {
                found = Some(word * 64 + missing.trailing_zeros() as usize);
            }
            missing == 0
        });
        found
    }
}

/// Calls `f(word, mask)` for the bits `from..to` until it returns false.
fn for_words(from: usize, to: usize, mut f: impl FnMut(usize, u64) -> bool) {
    let mut at = from;
    while at < to {
        let word = at / 64;
        let end = to.min((word + 1) * 64);
        let mask = (u64::MAX >> (64 - (end - at))) << (at % 64);
        if !f(word, mask) {
            return;
        }
        at = end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_read_sees_exactly_what_was_written(
            writes in proptest::collection::vec((0u64..300, 1usize..130), 0..6),
            start in 0u64..310,
            len in 0u64..140,
        ) {
            let mut memory = Memory::poisoned("SRAM", 300);
            let mut model = vec![None; 300];
            for (i, &(at, n)) in writes.iter().enumerate() {
                let data = vec![i as u8; n];
                let fits = at as usize + n <= 300;
                prop_assert_eq!(memory.write(at, &data).is_ok(), fits);
                if fits {
                    model[at as usize..at as usize + n].fill(Some(i as u8));
                }
            }
            let expect: Option<Option<Vec<u8>>> =
                model.get(start as usize..(start + len) as usize).map(|m| m.iter().copied().collect());
            match (memory.read(start, len), expect) {
                (Ok(bytes), Some(Some(expect))) => prop_assert_eq!(bytes, &expect[..]),
                (Err(TrapKind::Unwritten { first, .. }), Some(None)) => {
                    let at = model[start as usize..].iter().position(Option::is_none).map(|p| p as u64 + start);
                    prop_assert_eq!(Some(first), at);
                }
                (Err(TrapKind::Range { .. }), None) => {}
                (got, expect) => prop_assert!(false, "{got:?} against {expect:?}"),
            }
        }
    }
}
