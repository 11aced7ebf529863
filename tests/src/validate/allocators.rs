//! Allocators beside each other: first fit, the climb, the complete search.
//!
//! Instances: some with a known solution that fills 95% of the memory at every moment, and MiniMalloc's public ones
//! (`id,lower,upper,size`, capacity 1,048,576) where a folder of them is given; those are not part of this project.

use ptq_compile::allocate::{Exact, Life, exact, first_fit, hill_climb, is_valid, peak};
use std::fmt::Write;
use std::path::Path;
use std::time::Instant;

/// Bytes of the memory.
const CAPACITY: u64 = 1 << 20;

/// Changed orders that the climb tries.
const CLIMBS: u32 = 3_000;

/// Buffers that the complete search may place.
const PLACED: u32 = 6_000_000;

/// The table.
///
/// # Errors
/// When an instance cannot be read, or an answer is not a solution.
pub(crate) fn run(folder: Option<&Path>) -> Result<String, String> {
    let mut out = "| instance | buffers | most in use | first fit by time / by size | climb | complete search |\n\
                   | --- | --- | --- | --- | --- | --- |\n"
        .to_owned();
    let made = [(40, 1), (80, 2), (120, 3), (160, 4), (240, 5), (320, 6)];
    for (buffers, seed) in made {
        row(&mut out, &format!("cut {buffers}"), &cut(buffers, seed))?;
    }
    if let Some(folder) = folder {
        let mut files: Vec<_> = std::fs::read_dir(folder)
            .map_err(|e| format!("{}: {e}", folder.display()))?
            .flatten()
            .map(|f| f.path())
            .filter(|p| p.extension().is_some_and(|e| e == "csv"))
            .collect();
        files.sort();
        for file in files {
            let text = std::fs::read_to_string(&file).map_err(|e| format!("{}: {e}", file.display()))?;
            let lives = parse(&text).ok_or_else(|| format!("{} is no list of buffers", file.display()))?;
            let name = file.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
            row(&mut out, &format!("MiniMalloc {}", name.split('.').next().unwrap_or_default()), &lives)?;
        }
    }
    Ok(out)
}

fn row(out: &mut String, name: &str, lives: &[Life]) -> Result<(), String> {
    let percent = |bytes: u64| format!("{:.1}%", 100.0 * bytes as f64 / CAPACITY as f64);
    let height = |by: &dyn Fn(&Life) -> u64| {
        let mut order: Vec<usize> = (0..lives.len()).collect();
        order.sort_by_key(|&i| by(&lives[i]));
        let offsets = first_fit(lives, &order, u64::MAX).unwrap_or_default();
        percent(lives.iter().zip(offsets).map(|(l, o)| o + l.bytes).max().unwrap_or(0))
    };
    let start = Instant::now();
    let climb = hill_climb(lives, CAPACITY, CLIMBS);
    let climbed = start.elapsed();
    let start = Instant::now();
    let complete = exact(lives, CAPACITY, PLACED);
    eprintln!("{name}: climb {climbed:.2?}, complete search {:.2?}", start.elapsed());
    let answers = [climb.as_deref(), if let Exact::Found(found) = &complete { Some(&found[..]) } else { None }];
    if answers.into_iter().flatten().any(|a| !is_valid(lives, a, CAPACITY)) {
        return Err(format!("{name}: an answer is no solution"));
    }
    let complete = match complete {
        Exact::Found(_) => "fits",
        Exact::Impossible => "cannot fit",
        Exact::GaveUp => "gave up",
    };
    let _ = writeln!(
        out,
        "| {name} | {} | {} | {} / {} | {} | {complete} |",
        lives.len(),
        percent(peak(lives)),
        height(&|l| l.first as u64),
        height(&|l| u64::MAX - l.bytes),
        if climb.is_some() { "fits" } else { "gave up" },
    );
    Ok(())
}

fn parse(text: &str) -> Option<Vec<Life>> {
    let line = |l: &str| {
        let cells: Vec<&str> = l.split(',').collect();
        let [_, first, end, bytes] = cells[..] else { return None };
        Some(Life { first: first.parse().ok()?, end: end.parse().ok()?, bytes: bytes.parse().ok()? })
    };
    text.lines().skip(1).map(line).collect()
}

/// A rectangle of time and memory, cut in two again and again, and one of 20 pieces left out: a solution is known.
fn cut(buffers: usize, seed: u64) -> Vec<Life> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = |n: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % n.max(1)
    };
    let unit = 512;
    // Pieces: first moment, moments, units.
    let mut pieces = vec![(0u64, 400u64, CAPACITY / unit)];
    while pieces.len() < buffers + buffers / 20 {
        let at = next(pieces.len() as u64) as usize;
        let (first, length, units) = pieces[at];
        let by_time = next(100) < 60;
        if by_time && length > 4 {
            let part = 1 + next(length - 1);
            pieces[at].1 = part;
            pieces.push((first + part, length - part, units));
        } else if !by_time && units > 4 {
            let part = 1 + next(units - 1);
            pieces[at].2 = part;
            pieces.push((first, length, units - part));
        }
    }
    while pieces.len() > buffers {
        let at = next(pieces.len() as u64) as usize;
        pieces.swap_remove(at);
    }
    let life = |(first, length, units): (u64, u64, u64)| Life {
        first: first as usize,
        end: (first + length) as usize,
        bytes: units * unit,
    };
    pieces.into_iter().map(life).collect()
}
