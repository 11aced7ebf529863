//! A bounded, seeded fuzz run over the path from an ONNX file to a fused graph: `fuzz -- parse --seconds 20 --seed 1`.
//!
//! Seeds are the small models in `tests/fuzz/corpus`. Each case damages one of them: flipped bits, cut ends, bytes of another
//! model, lengths and dimensions made extreme. A panic, or more memory than the budget allows, saves the case and ends
//! the run with an error.
#![allow(clippy::print_stdout, clippy::print_stderr)]
#![allow(unsafe_code)]

use ptq_rule::{Blobs, BuildRule, Context, Memo, Silent, Step};
use std::alloc::{GlobalAlloc, Layout, System};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Budget of each case: small, so that a file that asks for more is noticed.
const BUDGET: usize = 16 << 20;
/// Memory of a case: the file's constants, the copy that conversion works on and the encoded result are each at most the
/// budget, and the largest activation is never held; the rest is tables of the graph.
const MOST: usize = 4 * BUDGET + (64 << 20);
/// Slowest case.
const SLOWEST: Duration = Duration::from_secs(20);

/// Counts the bytes in use and their peak.
struct Counting;

static USED: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: every call is handed to the system's allocator with the caller's own arguments.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        PEAK.fetch_max(USED.fetch_add(layout.size(), Relaxed) + layout.size(), Relaxed);
        // SAFETY: the caller's contract is that of the system's allocator.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        PEAK.fetch_max(USED.fetch_add(layout.size(), Relaxed) + layout.size(), Relaxed);
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        USED.fetch_sub(layout.size(), Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// A small generator of pseudo-random numbers (xorshift64*), so that a seed names a run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }
}

fn main() -> Result<(), String> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |name: &str, default: u64| {
        let value = args.iter().position(|a| a == name).and_then(|i| args.get(i + 1));
        value.map_or(Ok(default), |v| v.parse().map_err(|e| format!("{name}: {e}")))
    };
    if args.first().map(String::as_str) != Some("parse") {
        return Err("usage: fuzz parse [--seconds N] [--seed N]".to_owned());
    }
    let (seconds, seed) = (number("--seconds", 20)?, number("--seed", 1)?);
    let folder = ptq_tests::workspace_root().join("tests/fuzz/corpus");
    let corpus = corpus(&folder)?;
    std::panic::set_hook(Box::new(|_| {}));
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let end = Instant::now() + Duration::from_secs(seconds);
    let (mut cases, mut good, mut peak) = (0u64, 0u64, 0usize);
    while Instant::now() < end {
        let case = damaged(&corpus, &mut random);
        let quantized = ["refuse", "requantize", "keep"][random.below(3)];
        match run(&case, quantized) {
            Ok((parsed, bytes)) => {
                good += u64::from(parsed);
                peak = peak.max(bytes);
            }
            Err(why) => {
                let path = save(&case, seed, cases)?;
                return Err(format!("{why}; quantized = {quantized}; saved as {}", path.display()));
            }
        }
        cases += 1;
    }
    println!("parse: seed {seed}, {cases} cases, {good} still valid, peak {} KiB", peak >> 10);
    Ok(())
}

fn corpus(folder: &Path) -> Result<Vec<Vec<u8>>, String> {
    let entries = std::fs::read_dir(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let mut paths: Vec<PathBuf> = entries.flatten().map(|e| e.path()).collect();
    paths.retain(|p| p.extension().is_some_and(|e| e == "onnx"));
    paths.sort();
    paths.iter().map(|p| std::fs::read(p).map_err(|e| format!("{}: {e}", p.display()))).collect()
}

/// One of the models with one to four kinds of damage.
fn damaged(corpus: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut file = corpus[random.below(corpus.len())].clone();
    for _ in 0..=random.below(4) {
        let at = random.below(file.len());
        match random.below(7) {
            0 => {
                if let Some(byte) = file.get_mut(at) {
                    *byte ^= 1 << random.below(8);
                }
            }
            1 if random.below(8) == 0 => file.truncate(at),
            2 => {
                // A piece of another model, at any place.
                let other = &corpus[random.below(corpus.len())];
                let from = random.below(other.len());
                let piece = &other[from..(from + random.below(64)).min(other.len())];
                file.splice(at..at, piece.iter().copied());
            }
            3 => {
                // A number made extreme; where it is a length, the rest of its message moves.
                let extremes: [&[u8]; 5] =
                    [&[0xff, 0xff, 0xff, 0xff, 0x07], &[0], &[0x7f], &[0x80, 0x80, 0x80, 0x10], &[0xff; 9]];
                let with = extremes[random.below(extremes.len())];
                file.splice(at..(at + 1).min(file.len()), with.iter().copied());
            }
            4 => {
                // Same length: a byte of another value, which keeps lengths valid and changes dims, types and names.
                if let Some(byte) = file.get_mut(at) {
                    *byte = [0, 1, 2, 7, 16, 64, 127, 255][random.below(8)];
                }
            }
            5 => dimension(&mut file, random),
            _ => {
                // A piece of the model again, in place of another: repeated and swapped fields.
                let length = random.below(32).min(file.len() - at.min(file.len()));
                let from = random.below(file.len().saturating_sub(length));
                let piece: Vec<u8> = file[from..from + length].to_vec();
                file.splice(at..at + length, piece);
            }
        }
        if file.is_empty() {
            file.push(0);
        }
    }
    file
}

/// Sets an 8-byte little-endian number (how int64 constants are stored) to something large.
fn dimension(file: &mut [u8], random: &mut Random) {
    let zeros: Vec<usize> = (1..file.len().saturating_sub(8)).filter(|&i| file[i..i + 7] == [0; 7]).collect();
    if zeros.is_empty() {
        return;
    }
    let at = zeros[random.below(zeros.len())] - 1;
    let value = [1i64 << 20, 1 << 31, i64::MAX, i64::MIN, -1, 0, 4096][random.below(7)];
    file[at..at + 8].copy_from_slice(&value.to_le_bytes());
}

/// Parses and fuses; whether it was a model, and the memory that it took.
fn run(file: &[u8], quantized: &str) -> Result<(bool, usize), String> {
    let before = USED.load(Relaxed);
    PEAK.store(before, Relaxed);
    let start = Instant::now();
    let done = catch_unwind(AssertUnwindSafe(|| {
        let model = Blobs::from([("model".to_owned(), file.to_vec().into())]);
        let params = format!(r#"{{"memory_budget":{BUDGET},"quantized":"{quantized}"}}"#);
        let Some(parsed) = step(&ptq_parse::ParseRule, &model, &params) else { return false };
        drop(step(&ptq_fuse::FuseRule, &parsed, "{}"));
        true
    }));
    let bytes = PEAK.load(Relaxed).saturating_sub(before);
    let parsed = done.map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()));
        format!("a panic: {}", text.unwrap_or_default())
    })?;
    if bytes > MOST {
        return Err(format!("{bytes} bytes of memory, {MOST} are allowed"));
    }
    if start.elapsed() > SLOWEST {
        return Err(format!("{} seconds", start.elapsed().as_secs()));
    }
    Ok((parsed, bytes))
}

fn step(rule: &dyn BuildRule, inputs: &Blobs, params: &str) -> Option<Blobs> {
    match rule.step(&Context { inputs, params, progress: &Silent, threads: 1, memo: &Memo::default() }, &[]) {
        Ok(Step::Done(blobs)) => Some(blobs),
        _ => None,
    }
}

fn save(case: &[u8], seed: u64, number: u64) -> Result<PathBuf, String> {
    let folder = ptq_tests::workspace_root().join("target/fuzz");
    let path = folder.join(format!("parse-{seed}-{number}.onnx"));
    std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(&path, case)).map_err(|e| e.to_string())?;
    Ok(path)
}
