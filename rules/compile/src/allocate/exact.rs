//! The complete search: all canonical solutions, depth first, with bounds.
//!
//! A solution is canonical when its buffers, taken by (offset, position in the preorder), each lie at the lowest offset
//! that those before them leave free. Every set of buffers that fits has a canonical solution (let all buffers sink), so only these
//! are searched. A branch ends when
//! * a section of time has less room above its floor than its buffers still need; the floor is the lowest offset that any of them can
//!   still have there, at least the last offset;
//! * a buffer is placed so high that another one would have fitted wholly below it.
//!
//! Buffers that are never in use together are separate problems, from the start and whenever what is left falls apart: a part that
//! cannot be placed ends the branch whatever the others would have tried. The ideas follow M. D. Moffitt, "MiniMalloc: A
//! Lightweight Memory Allocator for Hardware-Accelerated Machine Learning", ASPLOS 2023.

use super::Life;
use std::cmp::Reverse;
use std::ops::Range;

/// What the complete search found out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exact {
    /// Offsets.
    Found(Vec<u64>),
    /// There are none.
    Impossible,
    /// The budget ended first.
    GaveUp,
}

/// Most buffers that are searched: each is a level of the recursion.
const MOST: usize = 1_000;

/// Searches for offsets, placing at most `budget` buffers along the way, a share for each of several preorders; gives up on more than
/// a thousand buffers.
pub fn exact(lives: &[Life], capacity: u64, budget: u32) -> Exact {
    if lives.len() > MOST {
        return Exact::GaveUp;
    }
    let length = |i: usize| (lives[i].end - lives[i].first) as u64;
    let sections = Sections::new(lives);
    let crowd: Vec<u64> =
        (0..lives.len()).map(|i| sections.of[i].clone().map(|s| sections.need[s]).max().unwrap_or(0)).collect();
    let area = |i: usize| lives[i].bytes.saturating_mul(length(i));
    let early = |i: usize| u64::MAX - lives[i].first as u64;
    let keys: [&dyn Fn(usize) -> [u64; 3]; 4] = [
        &|i| [crowd[i], length(i), area(i)],
        &|i| [crowd[i], early(i), lives[i].bytes],
        &|i| [crowd[i], area(i), length(i)],
        &|i| [length(i), area(i), crowd[i]],
    ];
    let shares = keys.len() as u32;
    for key in keys {
        let mut order: Vec<usize> = (0..lives.len()).collect();
        order.sort_by_key(|&i| Reverse(key(i)));
        let mut search = Search::new(lives, &order, &sections, capacity, budget / shares);
        match search.all() {
            Some(true) => return Exact::Found(search.offsets(&order)),
            Some(false) => return Exact::Impossible,
            None => {}
        }
    }
    Exact::GaveUp
}

/// Times between which nothing begins or ends.
struct Sections {
    /// Sections of each buffer.
    of: Vec<Range<usize>>,
    /// Bytes in use in each section.
    need: Vec<u64>,
}

impl Sections {
    fn new(lives: &[Life]) -> Sections {
        let mut times: Vec<usize> = lives.iter().flat_map(|l| [l.first, l.end]).collect();
        times.sort_unstable();
        times.dedup();
        let at = |t: usize| times.partition_point(|&x| x < t);
        let of: Vec<_> = lives.iter().map(|l| at(l.first)..at(l.end)).collect();
        let mut need = vec![0; times.len()];
        for (range, life) in of.iter().zip(lives) {
            need[range.clone()].iter_mut().for_each(|n| *n += life.bytes);
        }
        Sections { of, need }
    }
}

/// No buffer that is left covers a section.
const NOBODY: u64 = u64::MAX;

/// Depth-first search; buffers are numbered by the preorder.
struct Search {
    bytes: Vec<u64>,
    sections: Vec<Range<usize>>,
    /// Who meets whom.
    meets: Vec<Vec<u32>>,
    /// Bytes still to place in each section.
    need: Vec<u64>,
    /// Lowest free offset of each buffer.
    lowest: Vec<u64>,
    placed: Vec<Option<u64>>,
    /// Buffers in the order in which they were placed, with what they raised.
    trail: Vec<(u32, Vec<(u32, u64)>)>,
    /// Lowest offset of any buffer in each section; [`NOBODY`] between two uses.
    floor: Vec<u64>,
    capacity: u64,
    budget: u32,
}

impl Search {
    fn new(lives: &[Life], order: &[usize], sections: &Sections, capacity: u64, budget: u32) -> Search {
        let meets = order.iter().enumerate().map(|(a, &i)| {
            let others = order.iter().enumerate().filter(|&(b, &j)| a != b && lives[i].meets(&lives[j]));
            others.map(|(b, _)| b as u32).collect()
        });
        Search {
            bytes: order.iter().map(|&i| lives[i].bytes).collect(),
            sections: order.iter().map(|&i| sections.of[i].clone()).collect(),
            meets: meets.collect(),
            need: sections.need.clone(),
            lowest: vec![0; lives.len()],
            placed: vec![None; lives.len()],
            trail: Vec::with_capacity(lives.len()),
            floor: vec![NOBODY; sections.need.len()],
            capacity,
            budget,
        }
    }

    fn offsets(&self, order: &[usize]) -> Vec<u64> {
        let mut out = vec![0; order.len()];
        order.iter().zip(&self.placed).for_each(|(&i, at)| out[i] = at.unwrap_or(0));
        out
    }

    /// Whether all buffers can be placed; `None` when the budget is used up.
    fn all(&mut self) -> Option<bool> {
        let mut all: Vec<u32> = (0..self.bytes.len() as u32).collect();
        all.sort_by_key(|&b| self.sections[b as usize].start);
        self.each_part(&all, None)
    }

    /// Whether each part of these buffers can be placed behind the last (offset, buffer), small parts first. Buffers come by their begin.
    fn each_part(&mut self, rest: &[u32], last: Option<(u64, u32)>) -> Option<bool> {
        let mut parts: Vec<Range<usize>> = Vec::new();
        let mut end = 0;
        for (i, &b) in rest.iter().enumerate() {
            let range = &self.sections[b as usize];
            match parts.last_mut() {
                Some(part) if range.start < end => part.end = i + 1,
                _ => parts.push(i..i + 1),
            }
            end = end.max(range.end);
        }
        parts.sort_by_key(ExactSizeIterator::len);
        for part in parts {
            if !self.part(&rest[part], last)? {
                return Some(false);
            }
        }
        Some(true)
    }

    /// Whether buffers that hang together can be placed behind the last (offset, buffer).
    fn part(&mut self, left: &[u32], last: Option<(u64, u32)>) -> Option<bool> {
        if !self.has_room(left, last.map_or(0, |(at, _)| at)) {
            return Some(false);
        }
        // Nobody may lie so high that another fits wholly below.
        let limit = left.iter().map(|&b| self.lowest[b as usize] + self.bytes[b as usize]).min().unwrap_or(0);
        let each = left.iter().map(|&b| (self.lowest[b as usize], b));
        let mut candidates: Vec<(u64, u32)> = each.filter(|&c| c.0 < limit && last.is_none_or(|l| c > l)).collect();
        candidates.sort_unstable();
        for (at, b) in candidates {
            self.budget = self.budget.checked_sub(1)?;
            let mark = self.trail.len();
            self.place(b, at);
            let rest: Vec<u32> = left.iter().copied().filter(|&other| other != b).collect();
            if self.each_part(&rest, Some((at, b)))? {
                return Some(true);
            }
            self.lift_to(mark);
        }
        Some(false)
    }

    /// Whether every section has room for what these buffers need there, none of them below `from`.
    fn has_room(&mut self, left: &[u32], from: u64) -> bool {
        let (mut begin, mut end) = (usize::MAX, 0);
        let mut fits = true;
        for &b in left {
            let (range, low) = (self.sections[b as usize].clone(), self.lowest[b as usize].max(from));
            fits &= low + self.bytes[b as usize] <= self.capacity;
            (begin, end) = (begin.min(range.start), end.max(range.end));
            self.floor[range].iter_mut().for_each(|f| *f = low.min(*f));
        }
        let span = begin.min(end)..end;
        for (floor, need) in self.floor[span.clone()].iter_mut().zip(&self.need[span]) {
            let floor = std::mem::replace(floor, NOBODY);
            fits &= floor == NOBODY || floor + need <= self.capacity;
        }
        fits
    }

    fn place(&mut self, b: u32, at: u64) {
        let at_b = b as usize;
        let top = at + self.bytes[at_b];
        self.need[self.sections[at_b].clone()].iter_mut().for_each(|n| *n -= self.bytes[at_b]);
        self.placed[at_b] = Some(at);
        let mut raised = Vec::new();
        for &other in &self.meets[at_b] {
            let lowest = &mut self.lowest[other as usize];
            if self.placed[other as usize].is_none() && *lowest < top {
                raised.push((other, std::mem::replace(lowest, top)));
            }
        }
        self.trail.push((b, raised));
    }

    /// Takes back all but the first `mark` buffers of the trail.
    fn lift_to(&mut self, mark: usize) {
        for (b, raised) in self.trail.drain(mark..).rev() {
            let b = b as usize;
            self.need[self.sections[b].clone()].iter_mut().for_each(|n| *n += self.bytes[b]);
            self.placed[b] = None;
            raised.into_iter().for_each(|(other, was)| self.lowest[other as usize] = was);
        }
    }
}
