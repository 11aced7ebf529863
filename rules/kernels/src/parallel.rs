//! Work split over threads by runs of whole units of the result; a sum is never split, so results do not depend on the
//! number of threads. Kernels, the float executor and the runtime call [`split`].
#![allow(unsafe_code)]

use crate::team;
use std::marker::PhantomData;
use std::ops::Range;

/// Time of the smallest part that is worth handing to another thread, in nanoseconds.
const PART: usize = 1_000;
/// Parts for each thread: a thread that comes late then finds less left to do.
const PARTS_A_THREAD: usize = 4;

/// Calls `f(first unit, units)` on disjoint runs of whole units of `out`, on up to `threads` threads.
/// `nanoseconds` is about what the whole call takes on one thread.
pub fn split<T: Send>(
    threads: usize,
    nanoseconds: usize,
    out: &mut [T],
    unit: usize,
    f: impl Fn(usize, &mut [T]) + Sync,
) {
    let unit = unit.max(1);
    let units = out.len().div_ceil(unit);
    let parts = units.min(nanoseconds / PART).min(threads * PARTS_A_THREAD);
    if threads <= 1 || parts <= 1 {
        return f(0, out);
    }
    let whole = Whole { first: out.as_mut_ptr(), len: out.len() };
    team::run(threads, parts, &|part| {
        let (from, to) = (part * units / parts, (part + 1) * units / parts);
        // SAFETY: parts are disjoint runs of units, each is handed out once, and `out` is borrowed until all are done.
        f(from, unsafe { whole.run(from * unit, to * unit) });
    });
}

/// Calls `f(tiles, columns)` on disjoint runs of tiles of columns of a matrix, on up to `threads` threads. Tile `t` has the
/// columns from `edges[t]` to `edges[t + 1]`; rows have as many as the last edge says.
pub(crate) fn split_columns(
    threads: usize,
    nanoseconds: usize,
    out: &mut [f32],
    edges: &[usize],
    f: impl Fn(Range<usize>, &mut Columns<'_>) + Sync,
) {
    let (tiles, width) = (edges.len().saturating_sub(1), edges.last().copied().unwrap_or(0).max(1));
    assert!(edges.is_sorted() && out.len().is_multiple_of(width), "edges do not part the columns of whole rows");
    let (rows, whole) = (out.len() / width, Whole { first: out.as_mut_ptr(), len: out.len() });
    let parts = tiles.min(nanoseconds / PART).min(threads * PARTS_A_THREAD);
    let parts = if threads <= 1 { 1 } else { parts.max(1) };
    let part = |part: usize| {
        let tiles = part * tiles / parts..(part + 1) * tiles / parts;
        let span = edges[tiles.start]..edges[tiles.end];
        f(tiles, &mut Columns { whole: whole.again(), rows, width, span, held: PhantomData });
    };
    if parts == 1 { part(0) } else { team::run(threads, parts, &part) }
}

/// Some columns of a matrix that one thread writes.
pub(crate) struct Columns<'a> {
    whole: Whole<f32>,
    rows: usize,
    width: usize,
    span: Range<usize>,
    held: PhantomData<&'a mut [f32]>,
}

impl<'a> Columns<'a> {
    /// All columns of a matrix of whole rows of `width`.
    #[cfg(target_arch = "x86_64")]
    pub(crate) fn whole(out: &'a mut [f32], width: usize) -> Columns<'a> {
        assert!(width > 0 && out.len().is_multiple_of(width), "rows are not whole");
        let whole = Whole { first: out.as_mut_ptr(), len: out.len() };
        Columns { whole, rows: out.len() / width, width, span: 0..width, held: PhantomData }
    }

    /// Columns `at..at + n` of row `row`; they must be among those that this thread writes.
    pub(crate) fn run(&mut self, row: usize, at: usize, n: usize) -> &mut [f32] {
        assert!(row < self.rows && self.span.start <= at && at + n <= self.span.end, "another thread's columns");
        // SAFETY: the columns are this thread's alone (edges ascend), and the row lies in the matrix.
        unsafe { self.whole.run(row * self.width + at, row * self.width + at + n) }
    }
}

#[cfg(target_arch = "x86_64")]
impl Columns<'_> {
    /// Distance of rows.
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// Where columns `at..at + n` of row `row` begin; those of this row and the `rows - 1` behind it must be among what this
    /// thread writes, and are its alone while `self` is borrowed.
    pub(crate) fn corner(&mut self, row: usize, rows: usize, at: usize, n: usize) -> *mut f32 {
        assert!(
            row + rows <= self.rows && self.span.start <= at && at + n <= self.span.end,
            "another thread's columns"
        );
        self.whole.first.wrapping_add(row * self.width + at)
    }
}

/// The result while its runs are written by several threads.
struct Whole<T> {
    first: *mut T,
    len: usize,
}

// SAFETY: a thread only gets runs that no other has (the promise of `run`'s caller), so elements must only be `Send`.
unsafe impl<T: Send> Sync for Whole<T> {}

impl<T> Whole<T> {
    /// The same for another holder of runs.
    fn again(&self) -> Whole<T> {
        Whole { ..*self }
    }

    /// Elements `from` to `to`, or to the end where that is nearer.
    ///
    /// # Safety
    /// `from` lies inside, and nobody else holds any of these elements.
    #[allow(clippy::mut_from_ref, reason = "runs are disjoint")]
    unsafe fn run(&self, from: usize, to: usize) -> &mut [T] {
        // SAFETY: the run lies in the slice that `first` and `len` were taken from.
        unsafe { std::slice::from_raw_parts_mut(self.first.add(from), to.min(self.len) - from) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_is_visited_once_for_any_number_of_threads() {
        for threads in [1, 2, 3, 8] {
            for (len, unit) in [(0, 1), (1, 1), (100, 7), (1000, 3), (64, 64)] {
                let mut out = vec![0usize; len];
                split(threads, 1 << 30, &mut out, unit, |first, run| {
                    run.iter_mut().enumerate().for_each(|(i, v)| *v += first * unit + i + 1);
                });
                assert!(out.iter().enumerate().all(|(i, &v)| v == i + 1), "{threads} {len} {unit}");
            }
        }
    }
}
