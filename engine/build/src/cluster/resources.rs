//! What one action needs of a worker: threads that help it, and memory.

/// Smallest request, MiB: the program, the graph's structure, what the system counts.
const LEAST: u64 = 256;
/// Memory of a rule beside each byte of its inputs, for decoded tensors, plans and values of a sample: on the safe side.
const TIMES: u64 = 8;
/// Most threads that a worker's command line takes.
const MOST: usize = 255;
/// Rules whose work splits over threads.
const PARALLEL: [&str; 11] = [
    "inspect",
    "observe",
    "channels",
    "reference",
    "score",
    "sensitivity",
    "moments",
    "compile",
    "measure",
    "predict",
    "evaluate",
];

/// What to ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Resources {
    /// Processors.
    pub(crate) threads: usize,
    /// Memory, MiB.
    pub(crate) memory: u64,
}

/// For a rule on inputs of that many bytes, where a worker gives at most `threads`. Memory is rounded up to a power of two, so
/// that equal work asks for equal workers.
pub(crate) fn of(rule: &str, bytes: u64, threads: usize) -> Resources {
    let threads = if PARALLEL.contains(&rule) { threads.clamp(1, MOST) } else { 1 };
    let memory = LEAST + (bytes.saturating_mul(TIMES) >> 20);
    Resources { threads, memory: memory.checked_next_power_of_two().unwrap_or(memory) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_that_splits_gets_threads_and_larger_inputs_more_memory() {
        assert_eq!(of("observe", 0, 4), Resources { threads: 4, memory: 256 });
        assert_eq!(of("fuse", 20 << 20, 4), Resources { threads: 1, memory: 512 });
        assert_eq!(of("compile", 200 << 20, 0), Resources { threads: 1, memory: 2048 });
    }
}
