//! `ptq analyze`: what it says holds when its advice is followed, and what it has measured is remembered.

use ptq_tests::project::TestProject;
use ptq_tests::ptq::{Session, ptq};
use ptq_tests::workspace_root;
use serde_json::Value;
use std::path::Path;

fn classifier() -> TestProject {
    let from = "examples/fashion-classifier";
    let manifest = std::fs::read_to_string(workspace_root().join(from).join("ptq.toml")).expect("the example");
    let project = TestProject::new(&manifest);
    project.copy(&format!("{from}/model.onnx"), "model.onnx");
    project.copy(&format!("{from}/data"), "data");
    project
}

fn analyzed(dir: &Path, args: &[&str]) -> (Value, Session) {
    let session = ptq(dir, &[&["analyze", "fashion-cpu", "--json", "-v"], args].concat());
    assert_eq!(session.code, 0, "{}", session.stderr);
    let found = serde_json::from_str(&session.stdout).unwrap_or_else(|e| panic!("{e}: {}", session.stdout));
    (found, session)
}

/// How many actions of this rule a session ran.
fn runs(session: &Session, rule: &str) -> usize {
    session.stderr.lines().filter(|l| l.split_whitespace().any(|w| w == rule)).count()
}

#[test]
fn advice_holds_when_it_is_followed_and_nothing_is_measured_twice() {
    let p = classifier();
    let page = p.file("analysis.html");
    let (first, session) = analyzed(p.path(), &["--html", &page.display().to_string()]);
    assert!(runs(&session, "isolated") >= 2, "{}", session.stderr);
    let html = std::fs::read_to_string(page).expect("the page");
    assert!(html.contains("<svg") && html.contains("What would help") && !html.contains("http"), "a page of its own");
    let a = &first["analysis"];
    let nodes = a["nodes"].as_array().expect("nodes");
    let cosines: Vec<f64> = nodes.iter().filter_map(|n| n["alone"]["both"]["cosine"].as_f64()).collect();
    assert!(cosines.len() == nodes.len() && cosines.is_sorted(), "the costliest first: {cosines:?}");

    let (again, session) = analyzed(p.path(), &[]);
    assert_eq!(again, first);
    for rule in ["analyze", "isolated", "accumulated", "score", "observe"] {
        assert_eq!(runs(&session, rule), 0, "{rule} again: {}", session.stderr);
    }

    let proposal = a["proposals"].as_array().and_then(|p| p.first()).expect("something helps");
    let define: Vec<String> = proposal["settings"]
        .as_array()
        .expect("settings")
        .iter()
        .map(|s| format!("{}={}", s[0].as_str().expect("a key"), s[1].as_str().expect("a value").trim_matches('"')))
        .collect();
    let followed: Vec<&str> = define.iter().flat_map(|d| ["-D", d.as_str()]).collect();
    let (after, _) = analyzed(p.path(), &followed);
    assert_eq!(after["analysis"]["score"], proposal["score"], "{define:?}");
}

#[test]
fn a_change_at_the_end_measures_only_the_nodes_around_it_again() {
    let p = classifier();
    let (first, session) = analyzed(p.path(), &[]);
    let all = runs(&session, "isolated");
    let graph = first["analysis"]["graph"].as_array().expect("a graph");
    let last = graph.iter().rev().find(|n| n["op"] == "Conv").and_then(|n| n["node"].as_str()).expect("a Conv");
    let (_, session) = analyzed(p.path(), &["-D", &format!("nodes.\"{last}\".on=CPU")]);
    let some = runs(&session, "isolated");
    assert!((1..all).contains(&some), "{some} of {all} groups: {}", session.stderr);
    assert_eq!(runs(&session, "observe"), 0, "no inference but what is compared: {}", session.stderr);
}

#[test]
fn a_variant_without_samples_is_refused_with_advice() {
    let p = classifier();
    let session = ptq(p.path(), &["analyze", "fashion-cpu", "-D", "calibration.type=skip"]);
    assert_eq!(session.code, 1, "{}", session.stdout);
    assert!(session.stderr.contains("CALIB06") && session.stderr.contains("calibration.data"), "{}", session.stderr);
}
