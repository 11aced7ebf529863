//! Waits between queues: which commands must have finished before another may start, and whether a program says so.
//!
//! A record's wait for a queue is 0, or `k`: the command starts only when at most `k - 1` of the commands that stand
//! before it in that queue are unfinished. Waits only look back, so no program can lock itself up. What a command must
//! wait for follows from the bytes that it touches: the last writer of what it reads, and the last writer and readers
//! of what it writes. Compile adds the waits ([`add_waits`], [`serialize`]); whoever loads a program checks them
//! ([`check_waits`]), because the functional simulator runs commands in order and would not notice a missing one.

use crate::access::Access;
use crate::queue::{QUEUES, Queue};
use crate::{Command, Record};
use std::collections::BTreeMap;
use std::ops::Range;

/// For each queue, how many of its commands have finished.
type Clock = [u32; QUEUES];

/// A command that may start before another that it depends on has finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Race {
    /// Position of the command.
    pub index: usize,
    /// The queue of its core that it should wait for; none when it depends on another core.
    pub queue: Option<Queue>,
}

/// Gives every command exactly the waits that it needs.
pub fn add_waits(commands: &mut [Record]) {
    let mut cores = Cores::default();
    for record in commands.iter_mut() {
        record.wait = [0; QUEUES];
        let order = cores.of(record);
        let needs = order.needs(&record.command);
        record.wait = order.waits_for(&record.command, needs);
        cores.enter(record);
    }
}

/// Makes every command wait for all before it.
pub fn serialize(commands: &mut [Record]) {
    let mut seen = false;
    for record in commands {
        let waits = record.command.queue().is_some() && seen;
        record.wait = if waits { [1; QUEUES] } else { [0; QUEUES] };
        seen |= record.command.queue().is_some();
        seen &= record.command != Command::Sync;
    }
}

/// Finds the first command that may start too early.
pub(crate) fn check_waits(commands: &[Record]) -> Option<Race> {
    let mut cores = Cores::default();
    let several = commands.iter().any(|r| r.core > 0);
    for (index, record) in commands.iter().enumerate() {
        let needs = cores.of(record).needs(&record.command);
        if several && cores.disturbs(record) {
            return Some(Race { index, queue: None });
        }
        let known = cores.enter(record);
        if let Some(queue) = Queue::ALL.into_iter().find(|q| needs[q.index()] > known[q.index()]) {
            return Some(Race { index, queue: Some(queue) });
        }
    }
    None
}

/// The order of every core, and what they share: DDR since the last SYNC. Cores meet at SYNC only, so between two of them
/// no core may touch what another writes.
#[derive(Default)]
struct Cores {
    orders: Vec<Order>,
    /// DDR ranges since the last SYNC that a core read or wrote, by start: end, core, written.
    since: BTreeMap<u64, Vec<(u64, u8, bool)>>,
    /// The longest of them.
    longest: u64,
}

impl Cores {
    fn of(&mut self, record: &Record) -> &mut Order {
        let core = usize::from(record.core);
        if self.orders.len() <= core {
            // Nothing of a core that begins here is unfinished.
            self.orders.resize_with(core + 1, Order::default);
        }
        &mut self.orders[core]
    }

    /// Whether a command touches what another core has written since the last SYNC, or writes what another has touched.
    fn disturbs(&mut self, record: &Record) -> bool {
        if record.command == Command::Sync {
            (self.since, self.longest) = (BTreeMap::new(), 0);
        }
        let access = Access::of(&record.command);
        let touched = access.ddr_read.map(|r| (r, false)).into_iter().chain(access.ddr_write.map(|r| (r, true)));
        let mut found = false;
        for (range, writes) in touched {
            let near = self.since.range(range.start.saturating_sub(self.longest)..range.end);
            let others =
                near.flat_map(|(_, uses)| uses).filter(|(end, core, _)| *core != record.core && *end > range.start);
            found |= others.into_iter().any(|&(_, _, written)| writes || written);
            self.longest = self.longest.max(range.end - range.start);
            self.since.entry(range.start).or_default().push((range.end, record.core, writes));
        }
        found
    }

    /// Enters a command at its core, SYNC at all of them; gives what it knows to be finished when it starts.
    fn enter(&mut self, record: &Record) -> Clock {
        if record.command == Command::Sync {
            self.orders.iter_mut().skip(1).for_each(|order| {
                order.enter(record);
            });
        }
        self.of(record).enter(record)
    }
}

/// What is known while walking a program in order.
#[derive(Default)]
struct Order {
    /// Commands so far in each queue.
    counts: Clock,
    /// What the last command of each queue knew to be finished when it started.
    last: [Clock; QUEUES],
    /// The same of every command, by queue.
    all: [Vec<Clock>; QUEUES],
    sram: Uses,
    ddr: Uses,
}

impl Order {
    /// How many commands of each queue must have finished before this one starts; its own queue is in order anyway.
    fn needs(&self, command: &Command) -> Clock {
        let mut needs = Clock::default();
        let Some(queue) = command.queue() else { return needs };
        let access = Access::of(command);
        access.sram_reads.iter().for_each(|r| self.sram.read_needs(r, &mut needs));
        access.sram_write.iter().for_each(|r| self.sram.write_needs(r, &mut needs));
        access.ddr_read.iter().for_each(|r| self.ddr.read_needs(r, &mut needs));
        access.ddr_write.iter().for_each(|r| self.ddr.write_needs(r, &mut needs));
        needs[queue.index()] = 0;
        needs
    }

    /// The shortest waits that cover `needs`.
    fn waits_for(&self, command: &Command, needs: Clock) -> [u8; QUEUES] {
        let Some(queue) = command.queue() else { return [0; QUEUES] };
        let mut known = self.last[queue.index()];
        let mut wait = [0; QUEUES];
        // A store knows most about what came before it, so it is asked first.
        for q in (0..QUEUES).rev() {
            if needs[q] > known[q] {
                // A wait too far back to be written is replaced by a stricter one.
                let unfinished = (self.counts[q] - needs[q]).min(u32::from(u8::MAX) - 1);
                wait[q] = unfinished as u8 + 1;
                self.learn(&mut known, q, self.counts[q] - unfinished);
            }
        }
        wait
    }

    /// Takes over that `finished` commands of a queue have finished, and what they had waited for.
    fn learn(&self, known: &mut Clock, queue: usize, finished: u32) {
        known[queue] = known[queue].max(finished);
        if let Some(theirs) = (finished as usize).checked_sub(1).and_then(|i| self.all[queue].get(i)) {
            known.iter_mut().zip(theirs).for_each(|(k, t)| *k = (*k).max(*t));
        }
    }

    /// Enters a command; gives what it knows to be finished when it starts.
    fn enter(&mut self, record: &Record) -> Clock {
        let Some(queue) = record.command.queue() else {
            if record.command == Command::Sync {
                self.last = [self.counts; QUEUES];
            }
            return self.counts;
        };
        let q = queue.index();
        let mut known = self.last[q];
        for (other, &wait) in record.wait.iter().enumerate() {
            if wait > 0 {
                let finished = self.counts[other].saturating_sub(u32::from(wait) - 1);
                self.learn(&mut known, other, finished);
            }
        }
        self.last[q] = known;
        self.all[q].push(known);
        self.counts[q] += 1;
        let access = Access::of(&record.command);
        let done = self.counts[q];
        access.sram_reads.iter().for_each(|r| self.sram.read(r, q, done));
        access.sram_write.iter().for_each(|r| self.sram.write(r, q, done));
        access.ddr_read.iter().for_each(|r| self.ddr.read(r, q, done));
        access.ddr_write.iter().for_each(|r| self.ddr.write(r, q, done));
        known
    }
}

/// A range's last writer and readers: positions in their queues, counted from 1.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Use {
    end: u64,
    written: Clock,
    read: Clock,
}

/// Uses of one memory, by ranges that do not overlap.
#[derive(Default)]
struct Uses(BTreeMap<u64, Use>);

impl Uses {
    /// Ranges that overlap `range`.
    fn over<'a>(&'a self, range: &'a Range<u64>) -> impl Iterator<Item = &'a Use> {
        let before = self.0.range(..range.start).next_back().filter(|(_, u)| u.end > range.start);
        before.into_iter().chain(self.0.range(range.clone())).map(|(_, u)| u)
    }

    fn read_needs(&self, range: &Range<u64>, needs: &mut Clock) {
        self.over(range).for_each(|u| raise(needs, &u.written));
    }

    fn write_needs(&self, range: &Range<u64>, needs: &mut Clock) {
        for u in self.over(range) {
            raise(needs, &u.written);
            raise(needs, &u.read);
        }
    }

    fn read(&mut self, range: &Range<u64>, queue: usize, done: u32) {
        self.split(range.start);
        self.split(range.end);
        let mut at = range.start;
        while at < range.end {
            let next = self.0.range(at..range.end).next().map_or(range.end, |(&start, _)| start);
            if next > at {
                // Bytes without a writer: inputs and constants.
                let mut fresh = Use { end: next, ..Use::default() };
                fresh.read[queue] = done;
                self.0.insert(at, fresh);
                at = next;
            } else if let Some(u) = self.0.get_mut(&at) {
                u.read[queue] = done;
                at = u.end;
            }
        }
    }

    fn write(&mut self, range: &Range<u64>, queue: usize, done: u32) {
        self.split(range.start);
        self.split(range.end);
        let gone: Vec<u64> = self.0.range(range.clone()).map(|(&start, _)| start).collect();
        for start in gone {
            self.0.remove(&start);
        }
        let mut fresh = Use { end: range.end, ..Use::default() };
        fresh.written[queue] = done;
        self.0.insert(range.start, fresh);
    }

    /// Makes `at` a border.
    fn split(&mut self, at: u64) {
        if let Some((_, u)) = self.0.range_mut(..at).next_back()
            && u.end > at
        {
            let upper = *u;
            u.end = at;
            self.0.insert(at, upper);
        }
    }
}

fn raise(needs: &mut Clock, to: &Clock) {
    needs.iter_mut().zip(to).for_each(|(n, t)| *n = (*n).max(*t));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Ddr, Elem, Lut, Sram, Transfer};

    fn transfer(ddr: u32, sram: u32, bytes: u32) -> Transfer {
        Transfer { ddr: Ddr(ddr), sram: Sram(sram), outer: [1, 1], bytes, ddr_strides: [0; 2], sram_strides: [0; 2] }
    }

    fn lut(ifm: u32, ofm: u32) -> Command {
        Command::Lut(Lut { ifm: Sram(ifm), table: Sram(512), ofm: Sram(ofm), count: 64, x_type: Elem::I8, words: 0 })
    }

    /// Two stripes through a table, with two input tiles and one output tile.
    fn program() -> Vec<Record> {
        let commands = [
            Command::Load(transfer(0, 512, 256)),
            Command::Load(transfer(256, 0, 64)),
            lut(0, 128),
            Command::Store(transfer(1024, 128, 64)),
            Command::Load(transfer(320, 64, 64)),
            lut(64, 128),
            Command::Store(transfer(1088, 128, 64)),
            Command::Load(transfer(1024, 0, 64)),
        ];
        commands.map(|command| Record { layer: 0, wait: [0; QUEUES], core: 0, command }).to_vec()
    }

    #[test]
    fn waits_are_what_memory_asks_for_and_no_more() {
        let mut records = program();
        add_waits(&mut records);
        assert_eq!(check_waits(&records), None);
        let waits: Vec<[u8; 4]> = records.iter().map(|r| r.wait).collect();
        let expect = [
            [0, 0, 0, 0], // table
            [0, 0, 0, 0], // first tile
            [1, 0, 0, 0], // both loads
            [0, 0, 1, 0], // first result
            [0, 0, 0, 0], // the other tile is free
            [1, 0, 0, 1], // its load, and the store that reads the output tile
            [0, 0, 1, 0],
            [0, 0, 0, 2], // the first store; it knows the first look-up to be finished
        ];
        assert_eq!(waits, expect);
    }

    #[test]
    fn a_missing_wait_is_found_and_a_barrier_replaces_it() {
        let mut records = program();
        add_waits(&mut records);
        for (i, q) in [(2, 0), (3, 2), (5, 0), (5, 3), (7, 3)] {
            let mut broken = records.clone();
            broken[i].wait[q] = 0;
            assert_eq!(check_waits(&broken).map(|r| r.index), Some(i), "wait {q} of {i}");
        }
        let mut barriers: Vec<Record> = Vec::new();
        for r in program() {
            barriers.extend([r, Record { command: Command::Sync, ..r }]);
        }
        assert_eq!(check_waits(&barriers), None);
        serialize(&mut records);
        assert_eq!(check_waits(&records), None);
    }
}
