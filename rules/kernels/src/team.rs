//! Threads that help with a kernel's parts. They are started when first needed and live as long as the process. After
//! a job a helper watches for the next one for about as long as a layer's serial work takes, then sleeps: a sleeping
//! thread takes tens of microseconds to come, more than many layers last, and a watching one takes a fraction of one.
//!
//! One job runs at a time. Whoever finds the team busy, or is itself a helper, does its parts alone.
#![allow(unsafe_code)]

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, TryLockError};
use std::thread::{self, Thread};

/// Most threads of one job.
const MAX_THREADS: usize = 32;
/// How often a helper looks for a job before it sleeps: 100 to 300 microseconds.
const LOOKS: usize = 6_000;
/// How often a caller looks whether a helper is done before it lets others run on its core.
const PATIENCE: usize = 20_000;

/// A call of [`run`].
struct Job<'f> {
    work: &'f (dyn Fn(usize) + Sync),
    /// For each thread the next part of its own run of parts; the runs end where the next ones start.
    next: [AtomicUsize; MAX_THREADS],
    threads: usize,
    parts: usize,
    /// What a helper's work panicked with.
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

/// What a helper does: nothing (null), this job (the caller put it), or busy ([`BUSY`]).
struct Slot {
    job: AtomicPtr<Job<'static>>,
    sleeps: AtomicBool,
}

/// Marks a slot whose helper has taken the job. Its address is not that of any job.
fn busy() -> *mut Job<'static> {
    ptr::without_provenance_mut(1)
}

struct Helper {
    slot: Arc<Slot>,
    thread: Thread,
}

static TEAM: Mutex<Vec<Helper>> = Mutex::new(Vec::new());

/// Calls `work` with every number below `parts`, on up to `threads` threads, and returns when all are done.
pub(crate) fn run(threads: usize, parts: usize, work: &(dyn Fn(usize) + Sync)) {
    let threads = threads.min(parts).min(MAX_THREADS);
    let team = match TEAM.try_lock() {
        _ if threads <= 1 => None,
        Ok(team) => Some(team),
        Err(TryLockError::Poisoned(team)) => Some(team.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    };
    let Some(mut team) = team else { return (0..parts).for_each(work) };
    while team.len() + 1 < threads {
        match helper() {
            Some(helper) => team.push(helper),
            None => break,
        }
    }
    let threads = threads.min(team.len() + 1);
    let job = Job {
        work,
        next: std::array::from_fn(|t| AtomicUsize::new(t.min(threads) * parts / threads)),
        threads,
        parts,
        panic: Mutex::new(None),
    };
    let called = Called { job: ptr::from_ref(&job).cast_mut().cast(), team: &team[..threads - 1] };
    called.call();
    job.work_from(0);
    drop(called);
    let panic = job.panic.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(panic) = panic {
        drop(team);
        resume_unwind(panic);
    }
}

impl Job<'_> {
    /// Does the parts of thread `own`, then what is left of the others'.
    fn work_from(&self, own: usize) {
        for t in (own..self.threads).chain(0..own) {
            let end = (t + 1) * self.parts / self.threads;
            loop {
                let part = self.next[t].fetch_add(1, Ordering::Relaxed);
                if part >= end {
                    break;
                }
                (self.work)(part);
            }
        }
    }
}

/// Helpers that were called to a job. Dropping it takes the job back from those that have not come and waits for the
/// others, also when the caller's own part panics: the job lies on the caller's stack.
struct Called<'t> {
    job: *mut Job<'static>,
    team: &'t [Helper],
}

impl Called<'_> {
    fn call(&self) {
        for helper in self.team {
            helper.slot.job.store(self.job, Ordering::SeqCst);
            if helper.slot.sleeps.load(Ordering::SeqCst) {
                helper.thread.unpark();
            }
        }
    }
}

impl Drop for Called<'_> {
    fn drop(&mut self) {
        for helper in self.team {
            let job = &helper.slot.job;
            let taken_back = job.compare_exchange(self.job, ptr::null_mut(), Ordering::AcqRel, Ordering::Acquire);
            let mut looks = 0;
            while taken_back.is_err() && !job.load(Ordering::Acquire).is_null() {
                looks += 1;
                if looks < PATIENCE { std::hint::spin_loop() } else { thread::yield_now() }
            }
        }
    }
}

/// Starts a helper; `None` when the system has no thread left.
fn helper() -> Option<Helper> {
    let slot = Arc::new(Slot { job: AtomicPtr::new(ptr::null_mut()), sleeps: AtomicBool::new(false) });
    static STARTED: AtomicUsize = AtomicUsize::new(1);
    let number = STARTED.fetch_add(1, Ordering::Relaxed);
    let own = Arc::clone(&slot);
    let handle = thread::Builder::new().name(format!("ptq-kernel-{number}")).spawn(move || help(&own, number)).ok()?;
    Some(Helper { slot, thread: handle.thread().clone() })
}

/// A helper's life.
fn help(slot: &Slot, number: usize) {
    loop {
        let job = wait(slot);
        if slot.job.compare_exchange(job, busy(), Ordering::AcqRel, Ordering::Acquire).is_err() {
            // The caller took it back.
            continue;
        }
        // SAFETY: the job lives until its caller sees this slot empty, which it is only after the last use.
        let work = unsafe { &*job };
        let own = number % work.threads;
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| work.work_from(own))) {
            *work.panic.lock().unwrap_or_else(PoisonError::into_inner) = Some(panic);
        }
        slot.job.store(ptr::null_mut(), Ordering::Release);
    }
}

/// The next job that is put into the slot.
fn wait(slot: &Slot) -> *mut Job<'static> {
    loop {
        for _ in 0..LOOKS {
            let job = slot.job.load(Ordering::Acquire);
            if !job.is_null() {
                return job;
            }
            std::hint::spin_loop();
        }
        slot.sleeps.store(true, Ordering::SeqCst);
        while slot.job.load(Ordering::SeqCst).is_null() {
            thread::park();
        }
        slot.sleeps.store(false, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_of_any_part_reaches_the_caller_and_the_team_lives_on() {
        for bad in 0..8 {
            let failing = |part: usize| assert!(part != bad, "part {part}");
            assert!(catch_unwind(|| run(4, 8, &failing)).is_err());
            let done = AtomicUsize::new(0);
            run(4, 8, &|part| {
                // A job inside a job is done by its own thread.
                run(4, 3, &|inner| _ = done.fetch_add(part + inner, Ordering::Relaxed));
            });
            assert_eq!(done.into_inner(), 3 * 28 + 3 * 8);
        }
    }

    #[test]
    fn callers_at_once_all_finish() {
        let all: Vec<_> = (0..6)
            .map(|_| {
                thread::spawn(|| {
                    (0..300).for_each(|n| {
                        let done = AtomicUsize::new(0);
                        run(3, n, &|part| _ = done.fetch_add(part + 1, Ordering::Relaxed));
                        assert_eq!(done.into_inner(), n * (n + 1) / 2);
                    })
                })
            })
            .collect();
        assert!(all.into_iter().all(|t| t.join().is_ok()));
    }
}
