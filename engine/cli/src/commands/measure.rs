//! Frames on threads of their own, timed. Called by `ptq run` and `ptq perf`.

use ptq_ir::Tensor;
use ptq_report::{ProfileReport, simulated};
use ptq_runtime::{Model, Profile, RunOptions, RuntimeError};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// What was measured.
pub(super) struct Measured {
    profile: Profile,
    /// Nanoseconds from the first frame's start to the last one's end.
    wall: u64,
}

/// Runs `frames` frames of these inputs, `threads` at a time, after one that is not counted.
pub(super) fn measure(
    model: &Model,
    inputs: &[Tensor],
    options: &RunOptions,
    frames: u64,
    threads: usize,
) -> Result<Measured, RuntimeError> {
    let epoch = Instant::now();
    let clock = || epoch.elapsed().as_nanos() as u64;
    let mut warm = Profile::default();
    warm.run(model, inputs, options, &clock)?;
    let empty = warm.cleared();
    let next = AtomicU64::new(0);
    let worker = || {
        let mut profile = empty.clone();
        while next.fetch_add(1, Ordering::Relaxed) < frames {
            profile.run(model, inputs, options, &clock)?;
        }
        Ok(profile)
    };
    let start = clock();
    let all: Vec<Result<Profile, RuntimeError>> = std::thread::scope(|scope| {
        let started: Vec<_> = (1..threads).map(|_| scope.spawn(worker)).collect();
        let own = worker();
        let joined = started.into_iter().map(|t| t.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        std::iter::once(own).chain(joined).collect()
    });
    let wall = clock() - start;
    let mut profile = empty.clone();
    for one in all {
        profile.merge(&one?);
    }
    Ok(Measured { profile, wall })
}

impl Measured {
    /// Times by row.
    pub(super) fn profile(&self) -> &Profile {
        &self.profile
    }

    /// Nanoseconds from the first frame's start to the last one's end.
    pub(super) fn wall(&self) -> u64 {
        self.wall
    }

    /// What to tell of it.
    pub(super) fn report<'a>(
        &'a self,
        model: &'a Model,
        options: &RunOptions,
        threads: usize,
        preparation: Vec<(String, f64)>,
    ) -> ProfileReport<'a> {
        ProfileReport {
            model,
            profile: &self.profile,
            threads,
            kernel_threads: options.threads,
            wall: self.wall,
            preparation,
            simulated: simulated(model),
        }
    }
}
