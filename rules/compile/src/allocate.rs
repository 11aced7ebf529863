//! Addresses for buffers of known lives in a memory of known size: dynamic storage allocation.
//!
//! Three ways, from quick to complete: first fit in a given order ([`first_fit`]), a climb over orders
//! ([`hill_climb`]), and a search of all canonical solutions ([`exact`]). `arrange` calls them in this order as far as a
//! level allows (`Effort`); the benchmark of allocators calls them one by one. Budgets are steps, never seconds.
//!
//! Sizes have to be multiples of the memory's alignment; then so are all offsets.

mod climb;
mod exact;

pub use climb::hill_climb;
pub use exact::{Exact, exact};

/// When a buffer is in use, and its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    /// First moment of use.
    pub first: usize,
    /// The moment behind the last use; greater than `first`.
    pub end: usize,
    /// Bytes.
    pub bytes: u64,
}

impl Life {
    /// Whether two buffers are in use at one moment.
    pub fn meets(&self, other: &Life) -> bool {
        self.first < other.end && other.first < self.end
    }
}

/// How hard to look for addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Effort {
    /// First fit in order of time and of size.
    #[default]
    First,
    /// A climb over orders.
    Climb,
    /// All canonical solutions.
    Exact,
}

/// Steps of a climb inside a search for plans.
const CLIMBS: u32 = 60;

/// Buffers that the complete search places inside a search for plans.
const PLACED: u32 = 6_000;

/// Offsets for all buffers by the way that this effort adds to those below, or `None` when none were found.
pub(crate) fn offsets(lives: &[Life], capacity: u64, effort: Effort) -> Option<Vec<u64>> {
    match effort {
        Effort::First => in_time(lives, capacity).or_else(|| {
            let mut order: Vec<usize> = (0..lives.len()).collect();
            order.sort_by_key(|&i| std::cmp::Reverse(lives[i].bytes));
            first_fit(lives, &order, capacity)
        }),
        _ if peak(lives) > capacity => None,
        Effort::Climb => hill_climb(lives, capacity, CLIMBS),
        Effort::Exact => match exact(lives, capacity, PLACED) {
            Exact::Found(offsets) => Some(offsets),
            Exact::Impossible | Exact::GaveUp => None,
        },
    }
}

/// First fit in order of time, which only has to look at what is in use.
fn in_time(lives: &[Life], capacity: u64) -> Option<Vec<u64>> {
    let mut order: Vec<usize> = (0..lives.len()).collect();
    order.sort_by_key(|&i| lives[i].first);
    let mut offsets = vec![0; lives.len()];
    // Buffers in use by offset: (start, end, moment behind the last use).
    let mut active: Vec<(u64, u64, usize)> = Vec::new();
    for i in order {
        let life = &lives[i];
        active.retain(|a| a.2 > life.first);
        let mut at = 0;
        let slot = active.iter().position(|a| {
            let fits = a.0 >= at + life.bytes;
            at = if fits { at } else { a.1 };
            fits
        });
        if at + life.bytes > capacity {
            return None;
        }
        active.insert(slot.unwrap_or(active.len()), (at, at + life.bytes, life.end));
        offsets[i] = at;
    }
    Some(offsets)
}

/// Most bytes that are in use at one moment: what every memory needs at least.
pub fn peak(lives: &[Life]) -> u64 {
    let mut events: Vec<(usize, bool, u64)> =
        lives.iter().flat_map(|l| [(l.end, false, l.bytes), (l.first, true, l.bytes)]).collect();
    // What ends at a moment is gone before what starts there.
    events.sort_unstable();
    let (mut now, mut most) = (0u64, 0);
    for (_, starts, bytes) in events {
        now = if starts { now + bytes } else { now - bytes };
        most = most.max(now);
    }
    most
}

/// Places buffers in this order, each at the lowest offset that is free during its life. `None` when one does not fit.
pub fn first_fit(lives: &[Life], order: &[usize], capacity: u64) -> Option<Vec<u64>> {
    let mut offsets = vec![0; lives.len()];
    // Placed buffers by offset.
    let mut placed: Vec<usize> = Vec::with_capacity(lives.len());
    for &i in order {
        let life = &lives[i];
        let mut at = 0;
        for &p in placed.iter().filter(|&&p| lives[p].meets(life)) {
            if offsets[p] >= at + life.bytes {
                break;
            }
            at = at.max(offsets[p] + lives[p].bytes);
        }
        if at + life.bytes > capacity {
            return None;
        }
        offsets[i] = at;
        placed.insert(placed.partition_point(|&p| offsets[p] <= at), i);
    }
    Some(offsets)
}

/// Whether no two buffers share a byte at one moment and all are inside the memory.
pub fn is_valid(lives: &[Life], offsets: &[u64], capacity: u64) -> bool {
    let inside = lives.iter().zip(offsets).all(|(l, o)| o + l.bytes <= capacity);
    let apart = |i: usize, j: usize| {
        !lives[i].meets(&lives[j])
            || offsets[i] + lives[i].bytes <= offsets[j]
            || offsets[j] + lives[j].bytes <= offsets[i]
    };
    inside && (0..lives.len()).all(|i| (0..i).all(|j| apart(i, j)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn lives() -> impl Strategy<Value = Vec<Life>> {
        let life = (0usize..12, 1usize..8, 1u64..9).prop_map(|(first, n, bytes)| Life { first, end: first + n, bytes });
        proptest::collection::vec(life, 1..8)
    }

    /// The smallest memory that these buffers fit, by trying every order: some first fit is best.
    fn smallest(lives: &[Life], order: &mut Vec<usize>, left: &[usize]) -> u64 {
        if left.is_empty() {
            let offsets = first_fit(lives, order, u64::MAX).unwrap();
            return lives.iter().zip(offsets).map(|(l, o)| o + l.bytes).max().unwrap();
        }
        let each = left.iter().map(|&i| {
            order.push(i);
            let rest: Vec<usize> = left.iter().copied().filter(|&j| j != i).collect();
            let found = smallest(lives, order, &rest);
            order.pop();
            found
        });
        each.min().unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn the_complete_search_fits_what_can_fit_and_nothing_else(lives in lives()) {
            let all: Vec<usize> = (0..lives.len()).collect();
            let least = smallest(&lives, &mut Vec::new(), &all);
            prop_assert!(peak(&lives) <= least);
            let Exact::Found(offsets) = exact(&lives, least, 1 << 20) else { panic!("{lives:?} fit {least}") };
            prop_assert!(is_valid(&lives, &offsets, least));
            prop_assert_eq!(exact(&lives, least - 1, 1 << 20), Exact::Impossible);
        }

        #[test]
        fn every_answer_is_valid(lives in lives(), room in 0u64..12) {
            let capacity = peak(&lives) + room;
            for effort in [Effort::First, Effort::Climb, Effort::Exact] {
                if let Some(found) = offsets(&lives, capacity, effort) {
                    prop_assert!(is_valid(&lives, &found, capacity));
                }
            }
            prop_assert_eq!(hill_climb(&lives, capacity, 50), hill_climb(&lives, capacity, 50));
        }
    }
}
