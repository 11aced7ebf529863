//! The invariants of ARCHITECTURE.md that a machine can check.

use ptq_tests::workspace_root;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Layer of every crate: a crate may depend on crates of lower layers only, so arrows point down and no stage knows
/// another. `ptq-cache` stands beside the rules: it knows bytes, not graphs.
const LAYERS: &[(u8, &[&str])] = &[
    (0, &["ptq-ir", "ptq-cache"]),
    (1, &["ptq-rule", "ptq-march", "ptq-kernels", "ptq-sample"]),
    (2, &["ptq-onnx", "ptq-exec", "ptq-place", "ptq-sim"]),
    (3, &["ptq-parse", "ptq-fuse", "ptq-calibrate", "ptq-partition", "ptq-compile", "ptq-runtime"]),
    (4, &["ptq-report"]),
    (5, &["ptq-engine"]),
    (6, &["ptq"]),
    (7, &["ptq-tests"]),
];

/// Hand-written files above this many lines are two things.
const MAX_LINES: usize = 500;

fn dependencies() -> BTreeMap<String, Vec<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(workspace_root())
        .output()
        .expect("cargo metadata runs");
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    let name = |v: &serde_json::Value| v["name"].as_str().expect("a name").to_owned();
    packages
        .iter()
        .map(|p| {
            let normal = p["dependencies"].as_array().expect("dependencies").iter().filter(|d| d["kind"].is_null());
            (name(p), normal.map(name).filter(|d| d == "ptq" || d.starts_with("ptq-")).collect())
        })
        .collect()
}

#[test]
fn arrows_between_crates_point_down() {
    let layer = |name: &str| LAYERS.iter().find(|(_, crates)| crates.contains(&name)).map(|(l, _)| *l);
    let mut wrong = Vec::new();
    for (from, targets) in dependencies() {
        let Some(own) = layer(&from) else { panic!("{from} has no layer: add it to LAYERS and ARCHITECTURE.md") };
        for to in targets {
            let rules_reach_cache = to == "ptq-cache" && own < 5;
            if layer(&to).is_none_or(|l| l >= own) || rules_reach_cache {
                wrong.push(format!("{from} -> {to}"));
            }
        }
    }
    assert!(wrong.is_empty(), "arrows that point up or sideways: {wrong:?}");
}

fn sources() -> Vec<PathBuf> {
    fn walk(dir: &Path, out: &mut Vec<PathBuf>) {
        let entries = std::fs::read_dir(dir).into_iter().flatten().flatten().map(|e| e.path());
        for path in entries {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() && name != "target" && !name.starts_with('.') {
                walk(&path, out);
            } else if name.ends_with(".rs") {
                out.push(path);
            }
        }
    }
    let mut out = Vec::new();
    for dir in ["engine", "rules", "cache", "tests"] {
        walk(&workspace_root().join(dir), &mut out);
    }
    assert!(out.len() > 50, "the walk found only {} files", out.len());
    out
}

#[test]
fn every_source_file_says_what_it_is_and_is_one_thing() {
    let mut wrong = Vec::new();
    for path in sources() {
        let text = std::fs::read_to_string(&path).expect("readable");
        let shown = path.strip_prefix(workspace_root()).unwrap_or(&path).display().to_string();
        if !text.starts_with("//!") {
            wrong.push(format!("{shown}: no module documentation on the first line"));
        }
        let lines = text.lines().count();
        if lines > MAX_LINES {
            wrong.push(format!("{shown}: {lines} lines, the limit is {MAX_LINES}"));
        }
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if ["utils", "util", "helpers", "common", "misc", "mod"].contains(&stem.as_str()) {
            wrong.push(format!("{shown}: a file is named for what it holds"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Folders whose code must not see the clock, the environment or the file system: rules are pure.
#[test]
fn rules_do_not_reach_outside() {
    let forbidden =
        ["std::fs", "std::env", "std::time", "SystemTime", "Instant::now", "std::net", "HashMap", "HashSet"];
    let mut wrong = Vec::new();
    for path in sources() {
        let shown = path.strip_prefix(workspace_root()).unwrap_or(&path).display().to_string();
        if !shown.starts_with("rules/") || shown.contains("/tests/") {
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("readable");
        let code = text.split("#[cfg(test)]").next().unwrap_or("");
        for (n, line) in code.lines().enumerate() {
            let line = line.split("//").next().unwrap_or("");
            wrong.extend(forbidden.iter().filter(|f| line.contains(**f)).map(|f| format!("{shown}:{}: {f}", n + 1)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn generated_pages_are_fresh() {
    let page = std::fs::read_to_string(workspace_root().join("docs/manifest.md")).expect("docs/manifest.md");
    assert!(page == ptq_engine::manifest::reference(), "run: cargo run -p ptq-tests --bin docs");
    let page = std::fs::read_to_string(workspace_root().join("docs/ptq.schema.json")).unwrap_or_default();
    assert!(page == ptq_engine::manifest::schema(), "the schema is stale; run: cargo run -p ptq-tests --bin docs");
    let page = std::fs::read_to_string(workspace_root().join("docs/import.md")).unwrap_or_default();
    assert!(page == ptq_engine::import::reference(), "docs/import.md is stale; run: cargo run -p ptq-tests --bin docs");
    let page = std::fs::read_to_string(workspace_root().join("docs/inputs.md")).unwrap_or_default();
    assert!(page == ptq_report::inputs_markdown(), "run: cargo run -p ptq-tests --bin docs");
    for march in ptq_march::names() {
        let path = format!("docs/ops/{march}.md");
        let page = std::fs::read_to_string(workspace_root().join(&path)).unwrap_or_default();
        assert!(page == ptq_tests::operator_page(march), "{path} is stale; run: cargo run -p ptq-tests --bin docs");
    }
}

#[test]
fn changed_rule_sources_are_reviewed() {
    let committed = std::fs::read_to_string(workspace_root().join("rules/SOURCES")).expect("rules/SOURCES");
    assert!(
        committed.trim() == ptq_engine::RULES_SOURCES,
        "sources of rules changed: give every rule whose results change a new version (see the golden digests), \
         then run: cargo run -p ptq-tests --bin docs"
    );
}
