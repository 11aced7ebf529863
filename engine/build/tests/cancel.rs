//! A build under watch ends when an input changes, and keeps what was finished.

use ptq_engine::manifest::Overlay;
use ptq_engine::watch::{WatchOptions, Watched, watch};
use ptq_engine::{BuildOptions, NoEvents, Project};
use ptq_ir::Diagnostic;
use ptq_rule::{Blobs, BuildRule, Context, Failure, Step};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Fails at once, except for a file that says `slow`: that one takes a minute.
struct Slow;

static STARTED: AtomicUsize = AtomicUsize::new(0);

impl BuildRule for Slow {
    fn name(&self) -> &'static str {
        "parse"
    }
    fn version(&self) -> u32 {
        1
    }
    fn step(&self, ctx: &Context<'_>, _: &[Blobs]) -> Result<Step, Failure> {
        let start = Instant::now();
        let slow = ctx.inputs.read("model").is_some_and(|b| b.starts_with(b"slow"));
        // Counted once the model is read: the edit that waits for it must not come in between.
        STARTED.fetch_add(1, Ordering::Relaxed);
        while slow && start.elapsed() < Duration::from_secs(60) {
            std::thread::sleep(Duration::from_millis(5));
            ctx.progress.tick(0, 1);
        }
        Err(Diagnostic::error("TEST01", "ends").into())
    }
}

fn write(path: &Path, text: &str) {
    std::fs::write(path, text).expect("written");
}

#[test]
fn a_running_action_is_ended_by_an_edit() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let model = dir.path().join("m.onnx");
    write(&model, "slow");
    let manifest =
        "[model.m]\npath = \"m.onnx\"\ncalibration.type = \"skip\"\n[[variant]]\nname = \"v\"\nmodel = \"m\"\n";
    write(&dir.path().join("ptq.toml"), manifest);
    let project = Project::open_with(&dir.path().join("ptq.toml"), &Overlay::default(), &[&Slow]).expect("opens");
    let editor = std::thread::spawn(move || {
        while STARTED.load(Ordering::Relaxed) == 0 {
            std::thread::sleep(Duration::from_millis(5));
        }
        write(&model, "fast");
    });
    let start = Instant::now();
    let mut seen = Vec::new();
    let mut tell = |what: Watched<'_>| match what {
        Watched::Built(report, _, _) => {
            seen.extend(report.variants.iter().flat_map(|v| v.errors().into_iter().map(|d| d.code.clone())));
            false
        }
        _ => true,
    };
    let options = BuildOptions::default();
    watch(project, &options, WatchOptions::default(), &NoEvents, &mut tell).expect("watches");
    editor.join().expect("edited");
    assert!(start.elapsed() < Duration::from_secs(30), "the first build was not ended");
    assert_eq!(seen, ["TEST01"], "only the second build is told, with its own failure");
    assert_eq!(STARTED.load(Ordering::Relaxed), 2);
}
