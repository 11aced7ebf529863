//! What a team's cache saves, and what a dead one costs: the root manifest and a sweep of a thousand variants with a warm server
//! on this machine, and cold builds with servers that refuse, hang or swallow what they get.

use crate::engine::{manifest, model, sample, timed, write};
use crate::figure::Figure;
use crate::options::Options;
use ptq_tests::hostile::{Fault, HttpServer, ReapiServer};
use ptq_tests::ptq::program;
use ptq_tests::workspace_root;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

/// Variants of the sweep.
const VARIANTS: usize = 1_000;

pub(crate) fn run(options: &Options) -> Result<(), String> {
    let base = workspace_root().join("target/bench/remote");
    let _ = std::fs::remove_dir_all(&base);
    if options.wants("root") {
        root(&base, options.rounds.min(3))?;
    }
    if options.wants("sweep") {
        sweep(&base)?;
    }
    if options.wants("dead") {
        dead(&base, options.rounds)?;
    }
    Ok(())
}

/// A fresh checkout of the root manifest and what it names, with this cache.
fn checkout(dir: &Path, remote: Option<&str>) -> Result<(), String> {
    let _ = std::fs::remove_dir_all(dir);
    for folder in ["examples/fashion-classifier", "examples/shape-segmenter"] {
        copy(&workspace_root().join(folder), &dir.join(folder))?;
    }
    let text = std::fs::read_to_string(workspace_root().join("ptq.toml")).map_err(|e| e.to_string())?;
    let cache = remote.map(|r| format!("[cache]\nremote = {r}\n")).unwrap_or_default();
    write(
        &dir.join("ptq.toml"),
        text.replacen("[cache]\n", if cache.is_empty() { "[cache]\n" } else { &cache }, 1).as_bytes(),
    )
}

fn copy(from: &Path, to: &Path) -> Result<(), String> {
    for entry in std::fs::read_dir(from).map_err(|e| format!("{}: {e}", from.display()))?.flatten() {
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy(&path, &target)?;
        } else {
            write(&target, &std::fs::read(&path).map_err(|e| e.to_string())?)?;
        }
    }
    Ok(())
}

fn table(url: &str, mode: &str) -> String {
    format!("{{ url = \"{url}\", mode = \"{mode}\" }}")
}

fn build(dir: &Path) -> Result<f64, String> {
    timed(dir, program(), &["build", "-q"])
}

fn root(base: &Path, rounds: usize) -> Result<(), String> {
    let (grpc, http) = (ReapiServer::start(), HttpServer::start());
    let dir = base.join("root");
    let mut cold = f64::INFINITY;
    for _ in 0..rounds {
        checkout(&dir, None)?;
        cold = cold.min(build(&dir)?);
    }
    for (what, url) in [("gRPC", &grpc.url), ("HTTP", &http.url)] {
        checkout(&dir, Some(&table(url, "read-write")))?;
        let filling = build(&dir)?;
        let mut warm = f64::INFINITY;
        for _ in 0..rounds.max(3) {
            checkout(&dir, Some(&table(url, "read")))?;
            warm = warm.min(build(&dir)?);
        }
        eprintln!("root manifest over {what}: cold {cold:.2} s, filling the cache {filling:.2} s, warm {warm:.3} s");
        Figure::time(&format!("root manifest, clean checkout, warm cache over {what}, beside cold"), warm, cold);
    }
    Ok(())
}

fn sweep(base: &Path) -> Result<(), String> {
    let (grpc, http) = (ReapiServer::start(), HttpServer::start());
    for (what, url) in [("gRPC", &grpc.url), ("HTTP", &http.url)] {
        let make = |name: &str, mode: &str| -> Result<PathBuf, String> {
            let dir = base.join(name);
            let _ = std::fs::remove_dir_all(&dir);
            write(&dir.join("m.onnx"), &model())?;
            for i in 0..4 {
                write(&dir.join(format!("calib/{i}.npy")), &sample(i)?)?;
            }
            let text = format!("[cache]\nremote = {}\n{}", table(url, mode), manifest(VARIANTS, "O0"));
            write(&dir.join("ptq.toml"), text.as_bytes())?;
            Ok(dir)
        };
        let cold = build(&make("sweep-first", "read-write")?)?;
        let mut warm = f64::INFINITY;
        for _ in 0..3 {
            warm = warm.min(build(&make("sweep-second", "read")?)?);
        }
        let dir = base.join("sweep-second");
        let _ = std::fs::remove_dir_all(dir.join(".ptq"));
        let _ = std::fs::remove_dir_all(dir.join("out"));
        let pull = timed(&dir, program(), &["cache", "pull", "-q"])?;
        eprintln!("{VARIANTS} variants over {what}: first {cold:.2} s, pull alone {pull:.2} s");
        Figure::time(&format!("{VARIANTS} variants, other machine, warm cache over {what}, beside 5 s"), warm, 5.0);
    }
    Ok(())
}

/// Cold builds with and without a dead server, in turns; the best of each counts.
fn dead(base: &Path, rounds: usize) -> Result<(), String> {
    let hangs = ReapiServer::start();
    for method in ["GetCapabilities", "GetActionResult", "FindMissingBlobs"] {
        hangs.fail(method, Fault::Hang, usize::MAX);
    }
    let hangs_http = HttpServer::start();
    hangs_http.fail("GET /ac", Fault::Hang, usize::MAX);
    let swallows = TcpListener::bind("127.0.0.1:0").map_err(|e| e.to_string())?;
    let swallowing = format!("grpc://{}", swallows.local_addr().map_err(|e| e.to_string())?);
    let servers = [
        ("refuses", "grpc://127.0.0.1:1".to_owned()),
        ("refuses HTTP", "http://127.0.0.1:1".to_owned()),
        ("hangs", hangs.url.clone()),
        ("hangs HTTP", hangs_http.url.clone()),
        ("swallows what it gets", swallowing),
        // TEST-NET-1: packets to it are answered by nobody.
        ("is unreachable", "grpc://192.0.2.1:9092".to_owned()),
    ];
    let dir = base.join("dead");
    for (what, url) in &servers {
        let (mut alone, mut with) = (f64::INFINITY, f64::INFINITY);
        for _ in 0..rounds.clamp(3, 5) {
            checkout(&dir, None)?;
            alone = alone.min(build(&dir)?);
            checkout(&dir, Some(&table(url, "read-write")))?;
            with = with.min(build(&dir)?);
        }
        let (more, allowed) = (with - alone, (alone * 0.05).max(0.3));
        eprintln!("a server that {what}: {alone:.2} s alone, {with:.2} s with it: {:+.0} ms", more * 1e3);
        Figure::time(
            &format!("cold build with a server that {what}: extra time beside the allowed"),
            more.max(1e-4),
            allowed,
        );
    }
    Ok(())
}
