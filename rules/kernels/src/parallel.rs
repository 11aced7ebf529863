//! Work split over threads by output rows; a sum is never split, so results do not depend on the number of threads.
//!
//! Threads are rayon's: they are started once and sleep between calls, because a layer takes less time than starting one.

/// Fewer multiplications than this are not worth a thread.
const MIN_WORK: usize = 1 << 18;

/// Calls `f(first unit, units)` on disjoint runs of whole units of `out`, each run on a thread of its own.
/// `work` is the number of multiplications of the whole call.
pub(crate) fn split<T: Send>(
    threads: usize,
    work: usize,
    out: &mut [T],
    unit: usize,
    f: impl Fn(usize, &mut [T]) + Sync,
) {
    let units = out.len().div_ceil(unit.max(1));
    let threads = threads.min(units).min(work / MIN_WORK).max(1);
    if threads == 1 {
        f(0, out);
        return;
    }
    let per_thread = units.div_ceil(threads);
    let (own, others) = out.split_at_mut((per_thread * unit).min(out.len()));
    rayon_core::in_place_scope(|scope| {
        for (t, run) in others.chunks_mut(per_thread * unit).enumerate() {
            let f = &f;
            scope.spawn(move |_| f((t + 1) * per_thread, run));
        }
        f(0, own);
    });
}
