//! One address space: bounded bytes and maps of which were written, and which were brought for nothing. Used by the simulator only.

use crate::TrapKind;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::ops::Range;

/// What unwritten bytes hold; no result can depend on it, since reading them traps.
const POISON: u8 = 0xa5;

/// A memory that refuses accesses outside it and reads of bytes that nothing wrote.
#[derive(Debug)]
pub(crate) struct Memory {
    space: &'static str,
    bytes: Vec<u8>,
    /// One bit a byte.
    written: Vec<u64>,
    /// One bit a byte: brought here and not read since.
    unread: Vec<Cell<u64>>,
    /// Of each byte the command that wrote it; 0 where none did. Empty where nobody asks.
    writer: Vec<u32>,
    /// Of each command since the last [`Memory::forget`], the bytes that it reached, from the first to behind the last.
    reached: BTreeMap<u32, Range<usize>>,
}

impl Memory {
    /// A memory of `size` unwritten bytes.
    pub(crate) fn poisoned(space: &'static str, size: u32) -> Memory {
        Memory { writer: vec![0; size as usize], ..Memory::over(space, vec![POISON; size as usize]) }
    }

    /// A memory whose pages the system supplies on first touch; for large spaces.
    pub(crate) fn lazy(space: &'static str, size: u32) -> Memory {
        Memory::over(space, vec![0; size as usize])
    }

    fn over(space: &'static str, bytes: Vec<u8>) -> Memory {
        let words = bytes.len().div_ceil(64);
        let (written, unread) = (vec![0; words], vec![Cell::new(0); words]);
        Memory { space, bytes, written, unread, writer: Vec::new(), reached: BTreeMap::new() }
    }

    /// Whether all that was brought here has been read.
    ///
    /// # Errors
    /// Names the first byte that was not.
    pub(crate) fn end(&self) -> Result<(), TrapKind> {
        self.ensure_read(0, self.bytes.len())
    }

    /// Makes every byte unwritten again.
    ///
    /// # Errors
    /// When bytes were brought here that nobody has read.
    pub(crate) fn forget(&mut self) -> Result<(), TrapKind> {
        self.end()?;
        self.bytes.fill(POISON);
        self.written.fill(0);
        self.writer.fill(0);
        self.reached.clear();
        Ok(())
    }

    /// Written bytes.
    pub(crate) fn read(&self, start: u64, len: u64) -> Result<&[u8], TrapKind> {
        let (from, to) = self.range(start, len)?;
        match self.first_unwritten(from, to) {
            None => {
                for_words(from, to, |word, mask| {
                    self.unread[word].set(self.unread[word].get() & !mask);
                    true
                });
                Ok(&self.bytes[from..to])
            }
            Some(first) => Err(TrapKind::Unwritten { space: self.space, start, end: to as u64, first: first as u64 }),
        }
    }

    /// Writes bytes.
    pub(crate) fn write(&mut self, start: u64, data: &[u8]) -> Result<(), TrapKind> {
        let (from, to) = self.range(start, data.len() as u64)?;
        self.ensure_read(from, to)?;
        self.bytes[from..to].copy_from_slice(data);
        self.mark(from, to);
        Ok(())
    }

    /// Writes what a command makes. What another command wrote is dead as a whole as soon as a part of it is written over: the rest is
    /// unwritten again, so that a transfer that is too short does not leave old bytes in sight.
    ///
    /// `command` is a number above 0.
    pub(crate) fn put(&mut self, start: u64, data: &[u8], command: u32) -> Result<(), TrapKind> {
        self.write(start, data)?;
        self.own(start as usize..start as usize + data.len(), command);
        Ok(())
    }

    /// As [`Memory::put`], of bytes that somebody must read before they are written over.
    pub(crate) fn bring(&mut self, start: u64, data: &[u8], command: u32) -> Result<(), TrapKind> {
        self.put(start, data, command)?;
        let from = start as usize;
        for_words(from, from + data.len(), |word, mask| {
            self.unread[word].set(self.unread[word].get() | mask);
            true
        });
        Ok(())
    }

    fn own(&mut self, range: Range<usize>, command: u32) {
        let mut at = range.start;
        while at < range.end {
            let old = self.writer[at];
            if old != 0 && old != command {
                self.bury(old, &range);
            }
            self.writer[at] = command;
            at += 1;
        }
        let reached = self.reached.entry(command).or_insert(range.clone());
        *reached = reached.start.min(range.start)..reached.end.max(range.end);
    }

    /// Makes what a command wrote unwritten, but for the bytes of a range.
    fn bury(&mut self, command: u32, but: &Range<usize>) {
        for at in self.reached.remove(&command).into_iter().flatten() {
            if self.writer[at] == command && !but.contains(&at) {
                self.writer[at] = 0;
                self.written[at / 64] &= !(1 << (at % 64));
            }
        }
    }

    fn ensure_read(&self, from: usize, to: usize) -> Result<(), TrapKind> {
        match first(from, to, |word| self.unread[word].get()) {
            None => Ok(()),
            Some(first) => Err(TrapKind::Unread { space: self.space, first: first as u64 }),
        }
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
        first(from, to, |word| !self.written[word])
    }
}

/// The first of the bits `from..to` that is set.
fn first(from: usize, to: usize, bits: impl Fn(usize) -> u64) -> Option<usize> {
    let mut found = None;
    for_words(from, to, |word, mask| {
        let set = mask & bits(word);
        if set != 0 {
            found = Some(word * 64 + set.trailing_zeros() as usize);
        }
        set == 0
    });
    found
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
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_brought_must_be_read() {
        let mut memory = Memory::poisoned("SRAM", 100);
        memory.bring(3, &[1; 70], 1).unwrap();
        memory.read(3, 69).unwrap();
        assert_eq!(memory.write(60, &[0; 20]), Err(TrapKind::Unread { space: "SRAM", first: 72 }));
        assert_eq!(memory.forget(), Err(TrapKind::Unread { space: "SRAM", first: 72 }));
        memory.read(72, 1).unwrap();
        assert_eq!((memory.write(60, &[0; 20]), memory.forget()), (Ok(()), Ok(())));
    }

    #[test]
    fn what_is_written_over_in_part_is_gone_as_a_whole() {
        let mut memory = Memory::poisoned("SRAM", 100);
        memory.bring(0, &[1; 50], 1).unwrap();
        memory.bring(50, &[1; 50], 2).unwrap();
        memory.read(0, 100).unwrap();
        memory.bring(10, &[3; 5], 3).unwrap();
        memory.bring(15, &[3; 5], 3).unwrap();
        assert_eq!(memory.read(10, 10).map(<[u8]>::to_vec), Ok(vec![3; 10]));
        assert!(memory.read(9, 1).is_err() && memory.read(20, 1).is_err() && memory.read(49, 1).is_err());
        assert!(memory.read(50, 50).is_ok());
    }

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
