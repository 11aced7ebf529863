//! A simulated cluster: workers that take the next execution as soon as they are free, fetch what they lack of its inputs, run it,
//! and send its outputs.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

/// Seconds that an execution costs beside its work: the request, the queue, preparing the root. buildbox-casd took 0.03 to 0.25
/// on a busy machine of two cores; `bench workers` prints it.
pub(super) const OVERHEAD: f64 = 0.1;
/// Bytes a second between a worker and the storage.
const LINK: f64 = 1.25e8;
/// Bytes a second of the storage, for all workers together.
const STORAGE: f64 = 2.5e9;

/// One kind of execution.
#[derive(Clone, Debug)]
pub(super) struct Job {
    /// Seconds of work.
    pub(super) seconds: f64,
    /// Bytes that it makes.
    pub(super) outputs: f64,
    /// Bytes that only this one reads.
    pub(super) own: f64,
    /// Bytes that others read too, by name: a worker keeps them.
    pub(super) shared: Vec<(&'static str, f64)>,
}

impl Job {
    /// Seconds on a worker that has nothing yet.
    pub(super) fn alone(&self) -> f64 {
        let inputs: f64 = self.own + self.shared.iter().map(|(_, bytes)| bytes).sum::<f64>();
        OVERHEAD + self.seconds + (inputs + self.outputs) / LINK
    }
}

/// What a simulation gave.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outcome {
    /// From begin to end.
    pub(super) seconds: f64,
    /// Bytes from the storage to workers.
    pub(super) fetched: f64,
}

/// The cluster.
pub(super) struct Cluster {
    has: Vec<BTreeSet<&'static str>>,
    now: f64,
    fetched: f64,
}

impl Cluster {
    pub(super) fn new(workers: usize) -> Cluster {
        Cluster { has: vec![BTreeSet::new(); workers], now: 0.0, fetched: 0.0 }
    }

    /// Runs all executions of a wave; it begins when the one before it is done.
    pub(super) fn wave(&mut self, jobs: &[(usize, &Job)]) {
        let all: usize = jobs.iter().map(|(count, _)| count).sum();
        // As many as run at a time share the storage.
        let link = LINK.min(STORAGE / self.has.len().min(all).max(1) as f64);
        // Nanoseconds order like the seconds that they are.
        let key = |seconds: f64| (seconds * 1e9) as u64;
        let mut free: BinaryHeap<Reverse<(u64, usize)>> =
            (0..self.has.len()).map(|worker| Reverse((key(self.now), worker))).collect();
        let mut end = self.now;
        for (count, job) in jobs {
            for _ in 0..*count {
                let Some(Reverse((at, worker))) = free.pop() else { return };
                let lacks = job.shared.iter().filter(|(name, _)| !self.has[worker].contains(name));
                let bytes = job.own + lacks.map(|(_, bytes)| bytes).sum::<f64>();
                self.has[worker].extend(job.shared.iter().map(|(name, _)| *name));
                self.fetched += bytes;
                let done = at as f64 / 1e9 + OVERHEAD + job.seconds + (bytes + job.outputs) / link;
                end = end.max(done);
                free.push(Reverse((key(done), worker)));
            }
        }
        self.now = end;
    }

    pub(super) fn outcome(&self) -> Outcome {
        Outcome { seconds: self.now, fetched: self.fetched }
    }
}
