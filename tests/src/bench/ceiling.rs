//! What several threads could gain at best on this machine: loops that share nothing, on one thread and on several.

use crate::clock;
use crate::figure::Figure;
use crate::options::Options;
use ptq_kernels::{Isa, multiply_add_loop};
use std::hint::black_box;
use std::sync::Barrier;
use std::time::Instant;

/// Rounds of the loop on registers.
const ROUNDS: usize = 400_000;
/// Numbers of the block that each thread reads: too many for its caches.
const LARGE: usize = 1 << 24;
/// Numbers of the block that each thread reads again and again: few enough for its second-level cache.
const SMALL: usize = 1 << 16;

/// What a thread does with its block.
type Work<'a> = dyn Fn(&[f32]) + Sync + 'a;

/// Prints for each wanted number of threads how many times as much they do as one: multiplications on registers, sums
/// of a block in the cache, sums of a block in memory.
///
/// # Errors
/// When the cores may not be used.
pub(crate) fn run(options: &Options) -> Result<(), String> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    for &threads in options.threads.iter().filter(|&&t| t > 1) {
        let isa = Isa::best();
        let registers = |_: &[f32]| {
            black_box(multiply_add_loop(isa, ROUNDS));
        };
        let read = |block: &[f32]| {
            for _ in 0..LARGE / block.len() {
                black_box(black_box(block).iter().map(|v| v.to_bits()).fold(0u32, u32::wrapping_add));
            }
        };
        let loops: [(&str, usize, &Work<'_>); 3] =
            [("multiply-add", 1, &registers), ("cache", SMALL, &read), ("memory", LARGE, &read)];
        for (name, numbers, work) in loops {
            let one = wall(1, cores, numbers, work)?;
            let many = wall(threads, cores, numbers, work)?;
            // Each thread does as much as the one did alone.
            Figure::time(&format!("ceiling: {name}, {threads} threads against 1"), many / threads as f64, one);
        }
    }
    Ok(())
}

/// Shortest wall time of `work` done once by each thread, all at once.
fn wall(threads: usize, cores: usize, numbers: usize, work: &Work<'_>) -> Result<f64, String> {
    let barrier = Barrier::new(threads);
    let one = |t: usize| -> Result<f64, String> {
        clock::pin(&[t % cores])?;
        let block = vec![1.0f32; numbers];
        let mut best = f64::INFINITY;
        for _ in 0..7 {
            barrier.wait();
            let start = Instant::now();
            work(&block);
            barrier.wait();
            best = best.min(start.elapsed().as_secs_f64());
        }
        Ok(best)
    };
    std::thread::scope(|scope| {
        let all: Vec<_> = (0..threads).map(|t| scope.spawn(move || one(t))).collect();
        let joined = all.into_iter().map(|h| h.join().map_err(|_| "a measuring thread failed".to_owned())?);
        joined.collect::<Result<Vec<f64>, String>>().map(|times| times.into_iter().fold(0.0, f64::max))
    })
}
