//! Steps → commands: loads go ahead of their use as far as memory allows, buffers get addresses.

use crate::allocate::{Effort, Life, offsets};
use crate::ddr::Place;
use crate::flow::{Emitted, Flow, Step};
use ptq_sim::{Command, Sram, Target};
use std::collections::BTreeMap;

/// Shares of the SRAM, in tenths, that loads ahead of their use may fill; the next is tried when addresses do not fit.
const FILLS: [u64; 4] = [10, 9, 7, 0];

/// Places loads and buffers. `ahead`: how many computing commands a load may be ahead of its first use. `None` when the
/// buffers do not fit the SRAM. More effort only finds what less does not: where little is enough, the program is the same.
pub(crate) fn arrange(flow: &Flow, target: Target, ahead: usize, effort: Effort) -> Option<Vec<Emitted>> {
    let work = Work::new(flow, target);
    if work.live.iter().any(|&bytes| bytes > work.capacity) {
        return None;
    }
    let efforts = [Effort::First, Effort::Climb, Effort::Exact];
    efforts.into_iter().filter(|e| *e <= effort).find_map(|effort| {
        FILLS.iter().find_map(|fill| {
            let order = work.order(ahead, work.capacity * fill / 10);
            let addresses = addresses(flow, &order, target, effort)?;
            Some(order.iter().map(|&i| place(&flow.steps[i], &addresses)).collect())
        })
    })
}

fn place(step: &Step, addresses: &[u64]) -> Emitted {
    let at =
        |operand: &Option<(u32, u64)>| Sram(operand.map_or(0, |(b, offset)| (addresses[b as usize] + offset) as u32));
    let operands: Vec<Sram> = step.operands.iter().map(at).collect();
    let mut record = step.record;
    record.command = record.command.at_sram(&operands);
    (record, step.place)
}

/// A load: its step, the buffer that it fills, and the first and last computing step that reads it.
struct Load {
    step: usize,
    bytes: u64,
    first: usize,
    /// Position behind the store that it reads from, if any.
    after: usize,
}

/// Loads apart from everything else, whose order stays.
struct Work<'a> {
    flow: &'a Flow,
    capacity: u64,
    loads: Vec<Load>,
    /// All other steps.
    others: Vec<usize>,
    /// Live bytes at each of `others` when every load comes just before its first use.
    live: Vec<u64>,
}

impl<'a> Work<'a> {
    fn new(flow: &'a Flow, target: Target) -> Work<'a> {
        let is_load = |s: &Step| matches!(s.record.command, Command::Load(_));
        let others: Vec<usize> = (0..flow.steps.len()).filter(|&i| !is_load(&flow.steps[i])).collect();
        // First and last position in `others` at which each buffer is used.
        let mut uses: Vec<Option<(usize, usize)>> = vec![None; flow.buffers.len()];
        for (position, &i) in others.iter().enumerate() {
            for (buffer, _) in flow.steps[i].operands.iter().flatten() {
                let u = uses[*buffer as usize].get_or_insert((position, position));
                u.1 = position;
            }
        }
        let mut stores: Vec<(std::ops::Range<u64>, usize)> = Vec::new();
        let (mut loads, mut position) = (Vec::new(), 0);
        let mut latest = 0;
        for (i, step) in flow.steps.iter().enumerate() {
            if !is_load(step) {
                if let (Command::Store(_), Some(range)) = (&step.record.command, arena(step)) {
                    stores.push((range, position));
                }
                position += 1;
                continue;
            }
            let after = arena(step).map_or(0, |range| {
                let writes = stores.iter().rev().find(|(s, _)| s.start < range.end && range.start < s.end);
                writes.map_or(0, |(_, at)| at + 1)
            });
            let Some(&Some((buffer, _))) = step.operands.last() else { continue };
            // A load that nobody reads stays where it is; the queue keeps its order.
            let first = uses[buffer as usize].map_or(position, |u| u.0).max(latest);
            latest = first;
            loads.push(Load {
                step: i,
                bytes: flow.buffers[buffer as usize].next_multiple_of(target.align.into()),
                first,
                after,
            });
        }
        let mut change = vec![0i64; others.len() + 1];
        for (bytes, (first, last)) in flow.buffers.iter().zip(&uses).filter_map(|(b, u)| u.map(|u| (b, u))) {
            let bytes = bytes.next_multiple_of(target.align.into()) as i64;
            change[first] += bytes;
            change[last + 1] -= bytes;
        }
        let mut sum = 0;
        let live = change[..others.len()]
            .iter()
            .map(|c| {
                sum += c;
                sum as u64
            })
            .collect();
        Work { flow, capacity: target.sram_bytes.into(), loads, others, live }
    }

    /// The order of all steps: each load as early as the ones before it, its data and `fill` bytes of SRAM allow.
    fn order(&self, ahead: usize, fill: u64) -> Vec<usize> {
        let mut live = self.live.clone();
        let mut before: Vec<Vec<usize>> = vec![Vec::new(); self.others.len() + 1];
        let mut earliest = 0;
        for load in &self.loads {
            let floor = earliest.max(load.after).max(load.first.saturating_sub(ahead));
            let mut at = load.first;
            while at > floor && live[at - 1] + load.bytes <= fill {
                at -= 1;
                live[at] += load.bytes;
            }
            before[at].push(load.step);
            earliest = at;
        }
        let mut out = Vec::with_capacity(self.flow.steps.len());
        for (loads, position) in before.into_iter().zip(0..) {
            out.extend(loads);
            out.extend(self.others.get(position));
        }
        out
    }
}

/// The part of the arena that a transfer touches.
fn arena(step: &Step) -> Option<std::ops::Range<u64>> {
    let (Command::Load(t) | Command::Store(t), Some(Place::Arena(at))) = (&step.record.command, step.place) else {
        return None;
    };
    Some(at..at + t.ddr_bytes())
}

/// An address for every buffer.
fn addresses(flow: &Flow, order: &[usize], target: Target, effort: Effort) -> Option<Vec<u64>> {
    let mut uses: BTreeMap<u32, (usize, usize)> = BTreeMap::new();
    for (time, &i) in order.iter().enumerate() {
        for (buffer, _) in flow.steps[i].operands.iter().flatten() {
            uses.entry(*buffer).or_insert((time, time)).1 = time;
        }
    }
    let life = |(&buffer, &(first, last)): (&u32, &(usize, usize))| {
        let bytes = flow.buffers[buffer as usize].next_multiple_of(target.align.into());
        Life { first, end: last + 1, bytes }
    };
    let lives: Vec<Life> = uses.iter().map(life).collect();
    let found = offsets(&lives, target.sram_bytes.into(), effort)?;
    let mut out = vec![0; flow.buffers.len()];
    uses.keys().zip(found).for_each(|(&buffer, at)| out[buffer as usize] = at);
    Some(out)
}
