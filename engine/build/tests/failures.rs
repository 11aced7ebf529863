//! Rules that fail or panic: the build reports them, remembers nothing of them, and goes on.

use ptq_engine::manifest::Overlay;
use ptq_engine::{BuildOptions, NoEvents, Project};
use ptq_ir::Diagnostic;
use ptq_rule::{Blobs, BuildRule, Context, Failure, Step};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

struct Panics;

impl BuildRule for Panics {
    fn name(&self) -> &'static str {
        "parse"
    }
    fn version(&self) -> u32 {
        1
    }
    fn step(&self, _: &Context<'_>, _: &[Blobs]) -> Result<Step, Failure> {
        panic!("a mistake of ours")
    }
}

struct Fails;

static FAILED: AtomicUsize = AtomicUsize::new(0);

impl BuildRule for Fails {
    fn name(&self) -> &'static str {
        "parse"
    }
    fn version(&self) -> u32 {
        1
    }
    fn step(&self, _: &Context<'_>, _: &[Blobs]) -> Result<Step, Failure> {
        FAILED.fetch_add(1, Ordering::Relaxed);
        Err(Diagnostic::error("TEST01", "does not parse").into())
    }
}

fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a folder");
    let manifest =
        "[model.net]\npath = \"net.onnx\"\ncalibration.type = \"skip\"\n[[variant]]\nname = \"v\"\nmodel = \"net\"\n";
    std::fs::write(dir.path().join("ptq.toml"), manifest).expect("written");
    std::fs::write(dir.path().join("net.onnx"), b"anything").expect("written");
    dir
}

fn codes(dir: &Path, rules: ptq_engine::Registry) -> Vec<String> {
    let project = Project::open_with(&dir.join("ptq.toml"), &Overlay::default(), rules).expect("opens");
    let report = project.build(&BuildOptions::default(), &NoEvents).expect("reports");
    report.variants.iter().flat_map(|v| v.errors()).map(|d| d.code.clone()).collect()
}

#[test]
fn a_rule_that_panics_fails_its_action_and_not_the_program() {
    let dir = folder();
    assert_eq!(codes(dir.path(), &[&Panics]), ["BUG"]);
}

#[test]
fn failures_are_reported_and_never_remembered() {
    let dir = folder();
    assert_eq!(codes(dir.path(), &[&Fails]), ["TEST01"]);
    assert_eq!(codes(dir.path(), &[&Fails]), ["TEST01"]);
    assert_eq!(FAILED.load(Ordering::Relaxed), 2, "tried again, since failures are not stored");
}
