//! A climb over orders of first fit: whoever ends highest, or meets it, changes places with somebody placed before.

use super::{Life, first_fit};

/// Looks for offsets within `steps` changed orders, from the same start each time. `None` when the buffers do not fit in
/// any order that was tried.
pub fn hill_climb(lives: &[Life], capacity: u64, steps: u32) -> Option<Vec<u64>> {
    let mut order: Vec<usize> = (0..lives.len()).collect();
    // The most crowded first: bytes that are in use at one moment of a buffer's life, then length of life.
    let crowd: Vec<u64> = lives
        .iter()
        .map(|l| lives.iter().filter(|o| l.meets(o) && o.first <= l.first).map(|o| o.bytes).sum())
        .collect();
    order.sort_by_key(|&i| std::cmp::Reverse((crowd[i], lives[i].end - lives[i].first, lives[i].bytes)));
    let (mut offsets, mut height) = heights(lives, &order);
    let mut random = 0x2545_f491_4f6c_dd1du64;
    let mut stuck = 0;
    for _ in 0..steps {
        if height <= capacity {
            break;
        }
        let mut changed = order.clone();
        // One change of places; two when a while has passed without a gain.
        for _ in 0..if stuck > 20 { 2 } else { 1 } {
            swap(lives, &offsets, height, &mut changed, &mut random);
        }
        let (new, new_height) = heights(lives, &changed);
        stuck = if new_height < height { 0 } else { stuck + 1 };
        if new_height <= height {
            (order, offsets, height) = (changed, new, new_height);
        }
    }
    (height <= capacity).then_some(offsets)
}

fn heights(lives: &[Life], order: &[usize]) -> (Vec<u64>, u64) {
    let offsets = first_fit(lives, order, u64::MAX).unwrap_or_default();
    let height = lives.iter().zip(&offsets).map(|(l, o)| o + l.bytes).max().unwrap_or(0);
    (offsets, height)
}

/// Puts one of the buffers around the highest one earlier in the order.
fn swap(lives: &[Life], offsets: &[u64], height: u64, order: &mut [usize], random: &mut u64) {
    let mut next = |n: usize| {
        *random ^= *random << 13;
        *random ^= *random >> 7;
        *random ^= *random << 17;
        (*random % n.max(1) as u64) as usize
    };
    let tops = |i: usize| offsets[i] + lives[i].bytes == height;
    let Some(highest) = order.iter().position(|&i| tops(i)) else { return };
    let around: Vec<usize> = (0..order.len()).filter(|&at| lives[order[at]].meets(&lives[order[highest]])).collect();
    let from = match next(10) {
        0..3 => next(order.len()),
        _ => around[next(around.len())],
    };
    let to = around[next(around.len())];
    order.swap(from, to);
}
