//! When each command starts and ends.

use super::cost::cost;
use crate::queue::{QUEUES, Queue};
use crate::{Command, Record};
use ptq_march::Hardware;

/// Times of one command in cycles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Its queue; none for SYNC and END.
    pub queue: Option<Queue>,
    /// When its unit begins, or its transfer gets the connection.
    pub start: u64,
    /// When its result is there.
    pub end: u64,
    /// Cycles in which its unit or the connection is busy with it; the rest is issuing, latency or synchronizing.
    pub busy: u64,
}

/// Times every command of a program.
pub fn schedule(commands: &[Record], hardware: &Hardware) -> Vec<Span> {
    let queues = QUEUES * (1 + commands.iter().map(|r| usize::from(r.core)).max().unwrap_or(0));
    let mut clock = Clock::new(hardware, commands.len(), queues);
    let mut section: Vec<Vec<Waiting>> = vec![Vec::new(); queues];
    let mut counts = vec![0u32; queues];
    for (index, record) in commands.iter().enumerate() {
        match record.command.queue() {
            Some(queue) => {
                let core = QUEUES * usize::from(record.core);
                let after = |q: usize| match record.wait[q] {
                    0 => 0,
                    k => counts[core + q].saturating_sub(u32::from(k) - 1),
                };
                section[core + queue.index()].push(Waiting { index, after: std::array::from_fn(after) });
                counts[core + queue.index()] += 1;
            }
            None => {
                clock.run(commands, &mut section);
                clock.barrier(index, &record.command);
            }
        }
    }
    clock.run(commands, &mut section);
    clock.spans
}

/// A command that has not started.
#[derive(Clone, Copy)]
struct Waiting {
    index: usize,
    /// How many commands of each queue of its core must have finished.
    after: [u32; QUEUES],
}

struct Clock<'a> {
    hardware: &'a Hardware,
    spans: Vec<Span>,
    /// When each command of a queue finished; the queues of core 0, then those of core 1, and so on.
    done: Vec<Vec<u64>>,
    /// When each queue takes its next command.
    free: Vec<u64>,
    /// When the connection to DDR is free.
    ddr: u64,
}

impl<'a> Clock<'a> {
    fn new(hardware: &'a Hardware, commands: usize, queues: usize) -> Clock<'a> {
        let idle = Span { queue: None, start: 0, end: 0, busy: 0 };
        Clock { hardware, spans: vec![idle; commands], done: vec![Vec::new(); queues], free: vec![0; queues], ddr: 0 }
    }

    /// When a command can start; `None` while a command that it waits for has not started.
    fn ready(&self, queue: usize, waiting: &Waiting) -> Option<u64> {
        let mut ready = self.free[queue];
        let core = queue / QUEUES * QUEUES;
        for (q, &n) in waiting.after.iter().enumerate() {
            if let Some(last) = (n as usize).checked_sub(1) {
                ready = ready.max(*self.done[core + q].get(last)?);
            }
        }
        Some(ready)
    }

    /// Runs all waiting commands. Waits only look back, so the first in program order is always ready.
    fn run(&mut self, commands: &[Record], section: &mut [Vec<Waiting>]) {
        let mut heads = vec![0; section.len()];
        loop {
            let next = (0..section.len()).filter_map(|q| {
                let waiting = *section[q].get(heads[q])?;
                self.ready(q, &waiting).map(|ready| (ready, q, waiting.index))
            });
            let Some((ready, q, index)) = next.min() else { break };
            heads[q] += 1;
            self.start(q, ready, index, &commands[index].command);
        }
        section.iter_mut().for_each(Vec::clear);
    }

    fn start(&mut self, q: usize, ready: u64, index: usize, command: &Command) {
        let hw = self.hardware;
        let busy = cost(command, hw).cycles;
        let queue = Queue::ALL[q % QUEUES];
        let (start, end) = match queue {
            Queue::Load | Queue::Store => {
                let start = (ready + u64::from(hw.dma_issue_cycles)).max(self.ddr);
                self.ddr = start + busy;
                self.free[q] = start;
                (start, self.ddr + u64::from(hw.ddr_latency_cycles))
            }
            Queue::Mac | Queue::Vector => {
                let start = ready + u64::from(hw.cmd_issue_cycles);
                self.free[q] = start + busy;
                (start, start + busy)
            }
        };
        self.done[q].push(end);
        self.spans[index] = Span { queue: Some(queue), start, end, busy };
    }

    fn barrier(&mut self, index: usize, command: &Command) {
        let all = self.done.iter().filter_map(|d| d.last()).chain(&self.free).copied().max().unwrap_or(0);
        let sync = if *command == Command::Sync { u64::from(self.hardware.sync_cycles) } else { 0 };
        let end = all + sync;
        self.spans[index] = Span { queue: None, start: all, end, busy: 0 };
        self.free.fill(end);
        self.ddr = self.ddr.max(end);
    }
}
