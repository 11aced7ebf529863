//! Samples over threads. Called by observe and by the rules of a search.

use ptq_ir::Diagnostic;
use ptq_rule::{Context, Failure};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Runs `count` samples on the context's threads and returns their results in the order of the samples, so that the
/// number of threads cannot be seen in them.
///
/// # Errors
/// The first failure of a sample.
pub fn spread<T: Send>(
    count: usize,
    ctx: &Context<'_>,
    run: impl Fn(usize) -> Result<T, Failure> + Sync,
) -> Result<Vec<T>, Failure> {
    let mut all: Vec<(usize, T)> = Vec::with_capacity(count);
    let fold = |mine: &mut Vec<(usize, T)>, i: usize| {
        mine.push((i, run(i)?));
        Ok(())
    };
    for part in spread_fold(count, ctx, fold)? {
        all.extend(part);
    }
    all.sort_by_key(|(i, _)| *i);
    Ok(all.into_iter().map(|(_, t)| t).collect())
}

/// Runs `count` samples on the context's threads, each thread folding its samples into a value of its own; one value a
/// thread is returned, in no order that may matter.
pub(crate) fn spread_fold<A: Default + Send>(
    count: usize,
    ctx: &Context<'_>,
    run: impl Fn(&mut A, usize) -> Result<(), Failure> + Sync,
) -> Result<Vec<A>, Failure> {
    let threads = ctx.threads.clamp(1, count.max(1));
    let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let work = || {
        let mut mine = A::default();
        loop {
            let i = next.fetch_add(1, Ordering::Relaxed);
            if i >= count {
                return Ok(mine);
            }
            run(&mut mine, i)?;
            ctx.progress.tick(done.fetch_add(1, Ordering::Relaxed) + 1, count);
        }
    };
    let parts: Vec<Result<A, Failure>> = std::thread::scope(|scope| {
        let handles: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let own = work();
        let others = handles.into_iter().map(|h| {
            h.join().unwrap_or_else(|_| Err(Failure::from(Diagnostic::error("CALIB04", "a worker thread panicked"))))
        });
        std::iter::once(own).chain(others).collect()
    });
    parts.into_iter().collect()
}
