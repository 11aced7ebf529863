//! Where the tensors of an integer segment lie in one block of memory: laid out when the model is loaded, so that a run
//! allocates nothing for them.

use ptq_ir::TensorId;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Mutex;

/// Tensors start at multiples of a cache line.
const LINE: usize = 64;

/// A tensor's size in bytes and the steps, first and last, during which it is needed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Life {
    pub(crate) id: TensorId,
    pub(crate) bytes: usize,
    pub(crate) first: usize,
    pub(crate) last: usize,
}

/// Places of tensors, and blocks of memory that runs use in turn.
#[derive(Debug, Default)]
pub(crate) struct Arena {
    places: BTreeMap<TensorId, Range<usize>>,
    size: usize,
    free: Mutex<Vec<Vec<u8>>>,
}

impl Arena {
    /// Gives each tensor the lowest place that no tensor of an overlapping life has. Lives are in order of `first`.
    pub(crate) fn plan(lives: &[Life]) -> Arena {
        let mut arena = Arena::default();
        let mut placed: Vec<(Range<usize>, usize)> = Vec::new();
        for life in lives {
            placed.retain(|(_, last)| *last >= life.first);
            placed.sort_by_key(|(place, _)| place.start);
            let mut start = 0;
            for (place, _) in &placed {
                if place.start >= start + life.bytes {
                    break;
                }
                start = start.max(place.end.next_multiple_of(LINE));
            }
            let place = start..start + life.bytes;
            arena.size = arena.size.max(place.end);
            placed.push((place.clone(), life.last));
            arena.places.insert(life.id, place);
        }
        arena
    }

    /// Place of a tensor.
    pub(crate) fn place(&self, id: TensorId) -> Option<Range<usize>> {
        self.places.get(&id).cloned()
    }

    /// A block of memory that holds all places; what it contains is left from earlier runs.
    pub(crate) fn take(&self) -> Vec<u8> {
        let left = self.free.lock().ok().and_then(|mut free| free.pop());
        left.unwrap_or_else(|| vec![0; self.size])
    }

    /// Returns a block for the next run.
    pub(crate) fn give(&self, memory: Vec<u8>) {
        if let Ok(mut free) = self.free.lock() {
            free.push(memory);
        }
    }
}

/// What can be read while one place is written.
pub(crate) struct Others<'m> {
    before: &'m [u8],
    after: &'m [u8],
    /// Where `after` starts.
    end: usize,
}

/// Parts a block of memory into the place that is written and the others.
pub(crate) fn part(memory: &mut [u8], place: Range<usize>) -> (&mut [u8], Others<'_>) {
    let end = place.end;
    let (before, rest) = memory.split_at_mut(place.start);
    let (out, after) = rest.split_at_mut(place.len());
    (out, Others { before, after, end })
}

impl<'m> Others<'m> {
    /// The bytes of a place; `None` when it overlaps the one that is written.
    pub(crate) fn get(&self, place: Range<usize>) -> Option<&'m [u8]> {
        if place.end <= self.before.len() {
            return self.before.get(place);
        }
        self.after.get(place.start.checked_sub(self.end)?..place.end - self.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tensors_that_live_together_lie_apart_and_memory_is_used_again() {
        // A chain a -> b -> c with a longer life d.
        let life = |id: u32, bytes: usize, first: usize, last: usize| Life { id: TensorId(id), bytes, first, last };
        let lives = [life(0, 100, 0, 0), life(1, 70, 0, 3), life(2, 50, 0, 1), life(3, 100, 1, 2), life(4, 10, 2, 3)];
        let arena = Arena::plan(&lives);
        for (a, b) in lives.iter().flat_map(|a| lives.iter().map(move |b| (a, b))) {
            let together = a.id != b.id && a.first <= b.last && b.first <= a.last;
            let (p, q) = (arena.place(a.id).expect("placed"), arena.place(b.id).expect("placed"));
            assert!(!together || p.end <= q.start || q.end <= p.start, "{a:?} {b:?}");
        }
        assert_eq!(arena.place(TensorId(3)).expect("placed").start, 0);
    }
}
