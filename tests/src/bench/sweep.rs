//! What a sweep of a real model takes: memory, disk, time. `bench sweep --variants N` builds N variants of EfficientNet-Lite0 (methods
//! and percentiles, both marches) that write their reports, not their models.

use crate::engine::{best, timed, write};
use crate::figure::Figure;
use ptq_tests::ptq::program;
use ptq_tests::{assets, workspace_root};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What the store and `out/` together may take, GiB.
const DISK: f64 = 3.0;
/// Memory of one variant alone times this is what a sweep may take.
const MEMORY: f64 = 2.0;

fn manifest(count: usize) -> String {
    let percentiles: Vec<String> = (0..count.div_ceil(2)).map(|i| format!("{:.6}", 0.999 + i as f64 * 1e-6)).collect();
    let (model, data) = (assets().join("models/efficientnet_lite0.onnx"), assets().join("data/photos_calib"));
    format!(
        "[defaults]\noptimize_level = \"O0\"\nartifacts = [\"report.md\", \"quant_info.json\"]\n[model.lite0]\npath = {model:?}\n\
         calibration.data = {data:?}\n[model.lite0.input.input]\nshape = [1, 3, 224, 224]\ntype_train = \"rgb\"\nmean = [127.0, 127.0, \
         127.0]\nscale = [0.0078125, 0.0078125, 0.0078125]\n[matrix.sweep]\nname = \"{{model}}-{{march}}-{{calibration.max_percentile}}\"\n\
         model = \"lite0\"\nmarch = [\"cpu\", \"bayes\"]\ncalibration.max_percentile = [{}]\n",
        percentiles.join(", ")
    )
}

pub(crate) fn run(variants: usize) -> Result<(), String> {
    let one = build(2)?;
    let all = build(variants)?;
    let gib = |bytes: u64| bytes as f64 / f64::from(1 << 30);
    let mib = |kib: u64| kib as f64 / 1024.0;
    eprintln!(
        "{variants} variants: {:.0} s, {:.2} s each; peak memory {:.0} MiB (two variants: {:.0} MiB); store {:.2} GiB, out {:.2} GiB",
        all.seconds,
        all.seconds / variants as f64,
        mib(all.peak_kib),
        mib(one.peak_kib),
        gib(all.store),
        gib(all.out)
    );
    Figure::amount(&format!("disk of {variants} variants beside the limit"), gib(all.store + all.out), DISK, "GiB");
    Figure::amount(
        &format!("memory of {variants} variants beside {MEMORY} times that of two"),
        mib(all.peak_kib),
        MEMORY * mib(one.peak_kib),
        "MiB",
    );
    Figure::time(&format!("null build of {variants} variants beside 100 ms"), all.null, 0.1);
    Ok(())
}

struct Took {
    seconds: f64,
    peak_kib: u64,
    store: u64,
    out: u64,
    null: f64,
}

fn build(variants: usize) -> Result<Took, String> {
    let dir = workspace_root().join("target/bench").join(format!("scale-{variants}"));
    for made in [".ptq", "out"] {
        let _ = std::fs::remove_dir_all(dir.join(made));
    }
    write(&dir.join("ptq.toml"), manifest(variants).as_bytes())?;
    let start = Instant::now();
    let mut child = Command::new(program())
        .args(["build", "-q"])
        .current_dir(&dir)
        .stdin(Stdio::null())
        .spawn()
        .map_err(|e| e.to_string())?;
    let mut peak_kib = 0;
    let status = loop {
        peak_kib = peak(child.id()).max(peak_kib);
        if let Some(status) = child.try_wait().map_err(|e| e.to_string())? {
            break status;
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    if !status.success() {
        return Err(format!("the build of {variants} variants ended with {status}"));
    }
    let seconds = start.elapsed().as_secs_f64();
    std::thread::sleep(Duration::from_millis(2200));
    timed(&dir, program(), &["build", "-q"])?;
    let null = best(5, || timed(&dir, program(), &["build", "-q"]))?;
    Ok(Took { seconds, peak_kib, store: size(&dir.join(".ptq")), out: size(&dir.join("out")), null })
}

/// Most memory that a process has had, KiB; 0 when it has ended.
fn peak(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"));
    line.and_then(|l| l.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

/// Bytes that a folder's files take on disk.
fn size(dir: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let of = |entry: std::fs::DirEntry| match entry.file_type() {
        Ok(kind) if kind.is_dir() => size(&entry.path()),
        _ => entry.metadata().map_or(0, |m| m.blocks() * 512),
    };
    entries.map(of).sum()
}
