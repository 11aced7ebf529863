//! CPU time of this process, wall time, and the cores that may be used.

use rustix::thread::{CpuSet, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};
use std::time::Instant;

/// Time that one repeat took, in seconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Time {
    /// CPU time of all threads of the process.
    pub(crate) cpu: f64,
    /// Wall time.
    pub(crate) wall: f64,
}

/// CPU seconds of this process since it started.
pub(crate) fn cpu() -> f64 {
    let t = clock_gettime(ClockId::ProcessCPUTime);
    t.tv_sec as f64 + t.tv_nsec as f64 * 1e-9
}

/// Time of `work`.
pub(crate) fn time(work: impl FnOnce()) -> Time {
    let (before, start) = (cpu(), Instant::now());
    work();
    Time { wall: start.elapsed().as_secs_f64(), cpu: cpu() - before }
}

/// Restricts this thread, and those that it will start, to these cores.
///
/// # Errors
/// What the system says.
pub(crate) fn pin(cores: &[usize]) -> Result<(), String> {
    let mut set = CpuSet::new();
    cores.iter().for_each(|&c| set.set(c));
    sched_setaffinity(None, &set).map_err(|e| format!("cannot use cores {cores:?}: {e}"))
}

/// Minimum and median of many repeats, in seconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Summary {
    /// CPU time: minimum, median.
    pub(crate) cpu: [f64; 2],
    /// Wall time: minimum, median.
    pub(crate) wall: [f64; 2],
}

impl Summary {
    /// Of at least one repeat.
    pub(crate) fn of(times: &[Time]) -> Summary {
        let pick = |key: fn(&Time) -> f64| {
            let mut all: Vec<f64> = times.iter().map(key).collect();
            all.sort_by(f64::total_cmp);
            [all.first().copied().unwrap_or(f64::NAN), all.get(all.len() / 2).copied().unwrap_or(f64::NAN)]
        };
        Summary { cpu: pick(|t| t.cpu), wall: pick(|t| t.wall) }
    }
}
