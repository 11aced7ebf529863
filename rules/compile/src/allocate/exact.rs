//! The complete search: all canonical solutions, depth first, with bounds.
//!
//! A solution is canonical when its buffers, taken by (offset, position in the preorder), each lie at the lowest offset
//! that those before them leave free. Every set of buffers that fits has a canonical solution (let all buffers sink), so only these
//! are searched. A branch ends when
//! * a section of time has less room above its floor than its buffers still need, the floor being at least the last offset;
//! * a buffer is placed so high that another one would have fitted wholly below it.
//!
//! Buffers that are never in use together are separate problems. The idea follows M. D. Moffitt, "MiniMalloc: A
//! Lightweight Memory Allocator for Hardware-Accelerated Machine Learning", ASPLOS 2023.

use super::Life;
use std::cmp::Reverse;

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

/// Searches for offsets, placing at most `budget` buffers along the way.
pub fn exact(lives: &[Life], capacity: u64, budget: u32) -> Exact {
    let mut offsets = vec![0; lives.len()];
    let mut gave_up = false;
    for part in parts(lives) {
        let own: Vec<Life> = part.iter().map(|&i| lives[i]).collect();
        match solve(&own, capacity, budget) {
            Exact::Found(found) => part.iter().zip(found).for_each(|(&i, at)| offsets[i] = at),
            Exact::Impossible => return Exact::Impossible,
            Exact::GaveUp => gave_up = true,
        }
    }
    if gave_up { Exact::GaveUp } else { Exact::Found(offsets) }
}

/// Groups of buffers whose times do not meet each other's.
fn parts(lives: &[Life]) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..lives.len()).collect();
    order.sort_by_key(|&i| lives[i].first);
    let mut out: Vec<Vec<usize>> = Vec::new();
    let mut end = 0;
    for i in order {
        match out.last_mut() {
            Some(part) if lives[i].first < end => part.push(i),
            _ => out.push(vec![i]),
        }
        end = end.max(lives[i].end);
    }
    out
}

/// Tries several preorders, each with its share of the budget.
fn solve(lives: &[Life], capacity: u64, budget: u32) -> Exact {
    let length = |l: &Life| (l.end - l.first) as u64;
    let sections = Sections::new(lives);
    let crowd: Vec<u64> =
        (0..lives.len()).map(|i| sections.of[i].clone().map(|s| sections.need[s]).max().unwrap_or(0)).collect();
    let area = |i: usize| lives[i].bytes.saturating_mul(length(&lives[i]));
    let keys: [&dyn Fn(usize) -> [u64; 3]; 3] =
        [&|i| [length(&lives[i]), area(i), crowd[i]], &|i| [crowd[i], area(i), length(&lives[i])], &|i| {
            [crowd[i], length(&lives[i]), area(i)]
        }];
    for key in keys {
        let mut order: Vec<usize> = (0..lives.len()).collect();
        order.sort_by_key(|&i| Reverse(key(i)));
        let mut search = Search::new(lives, &order, &sections, capacity, budget / keys.len() as u32);
        match search.descend(0, None) {
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
    of: Vec<std::ops::Range<usize>>,
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

/// Depth-first search; buffers are numbered by the preorder.
struct Search {
    bytes: Vec<u64>,
    sections: Vec<std::ops::Range<usize>>,
    /// Who meets whom.
    meets: Vec<Vec<u32>>,
    /// Height of what is placed in each section, and bytes still to place there.
    floor: Vec<u64>,
    need: Vec<u64>,
    /// Lowest free offset of each buffer.
    lowest: Vec<u64>,
    placed: Vec<Option<u64>>,
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
            floor: vec![0; sections.need.len()],
            need: sections.need.clone(),
            lowest: vec![0; lives.len()],
            placed: vec![None; lives.len()],
            capacity,
            budget,
        }
    }

    fn offsets(&self, order: &[usize]) -> Vec<u64> {
        let mut out = vec![0; order.len()];
        order.iter().zip(&self.placed).for_each(|(&i, at)| out[i] = at.unwrap_or(0));
        out
    }

    /// Whether the rest can be placed behind the last (offset, buffer); `None` when the budget is used up.
    fn descend(&mut self, done: usize, last: Option<(u64, usize)>) -> Option<bool> {
        if done == self.bytes.len() {
            return Some(true);
        }
        let from = last.map_or(0, |(at, _)| at);
        if self.floor.iter().zip(&self.need).any(|(&f, &n)| n > 0 && f.max(from) + n > self.capacity) {
            return Some(false);
        }
        let left = || (0..self.bytes.len()).filter(|&b| self.placed[b].is_none());
        // Nobody may lie so high that another fits wholly below.
        let limit = left().map(|b| self.lowest[b] + self.bytes[b]).min().unwrap_or(0);
        let mut candidates: Vec<(u64, usize)> =
            left().map(|b| (self.lowest[b], b)).filter(|&c| c.0 < limit && last.is_none_or(|l| c > l)).collect();
        candidates.sort_unstable();
        for (at, b) in candidates {
            self.budget = self.budget.checked_sub(1)?;
            let undo = self.place(b, at);
            let found = self.descend(done + 1, Some((at, b)))?;
            if found {
                return Some(true);
            }
            self.lift(b, undo);
        }
        Some(false)
    }

    /// Places a buffer; returns what `lift` needs.
    fn place(&mut self, b: usize, at: u64) -> (Vec<u64>, Vec<(u32, u64)>) {
        let top = at + self.bytes[b];
        let range = self.sections[b].clone();
        let floors = self.floor[range.clone()].to_vec();
        self.floor[range.clone()].fill(top);
        self.need[range].iter_mut().for_each(|n| *n -= self.bytes[b]);
        self.placed[b] = Some(at);
        let mut raised = Vec::new();
        for &other in &self.meets[b] {
            let lowest = &mut self.lowest[other as usize];
            if self.placed[other as usize].is_none() && *lowest < top {
                raised.push((other, std::mem::replace(lowest, top)));
            }
        }
        (floors, raised)
    }

    fn lift(&mut self, b: usize, (floors, raised): (Vec<u64>, Vec<(u32, u64)>)) {
        let range = self.sections[b].clone();
        self.floor[range.clone()].copy_from_slice(&floors);
        self.need[range].iter_mut().for_each(|n| *n += self.bytes[b]);
        self.placed[b] = None;
        raised.into_iter().for_each(|(other, was)| self.lowest[other as usize] = was);
    }
}
