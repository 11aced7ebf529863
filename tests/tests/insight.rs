//! What the program says about builds is what builds do: dry runs, reasons, differences, graphs, logs, comparisons.

use ptq_tests::ptq::{ptq, ran};
use ptq_tests::sweep::{edit, sweep};
use serde_json::Value;
use std::path::Path;

fn json(dir: &Path, args: &[&str]) -> Value {
    let session = ptq(dir, args);
    assert_eq!(session.code, 0, "{}", session.stderr);
    serde_json::from_str(&session.stdout).unwrap_or_else(|e| panic!("{e}: {}", session.stdout))
}

fn said(dir: &Path, args: &[&str]) -> String {
    let session = ptq(dir, args);
    assert_eq!(session.code, 0, "{}", session.stderr);
    session.stdout
}

#[test]
fn a_dry_run_says_what_the_build_then_does_and_why() {
    let p = sweep();
    ran(p.path(), &[]);
    edit(&p, "optimize_level = \"O0\"", "optimize_level = \"O1\"");
    let dry = said(p.path(), &["build", "--dry-run", "-v"]);
    let mut would: Vec<String> = dry
        .lines()
        .filter_map(|l| l.strip_prefix("would run  "))
        .map(|l| l.split(": ").next().unwrap_or(l).replace(' ', ":"))
        .collect();
    would.sort();
    assert!(dry.contains("optimize_level \"O0\" → \"O1\" (ptq.toml:"), "{dry}");
    let explained = said(p.path(), &["explain", "net-cpu-max:compile"]);
    assert!(explained.contains("compile would run now: optimize_level"), "{explained}");
    let did = ran(p.path(), &[]);
    assert_eq!(would, did);
    assert!(did.len() == 4 && did.iter().all(|d| d.ends_with(":compile")), "{did:?}");
    assert!(!said(p.path(), &["explain", "net-cpu-max"]).contains("would run"));
}

#[test]
fn two_variants_and_two_builds_differ_by_what_was_set() {
    let p = sweep();
    ran(p.path(), &[]);
    let variants = said(p.path(), &["why-differs", "net-cpu-max", "net-bayes-kl"]);
    assert!(
        variants.contains("calibration.type \"max\" → \"kl\" (ptq.toml:") && variants.contains("changed: march"),
        "{variants}"
    );
    assert!(variants.contains("parse     the same"), "{variants}");
    edit(&p, "optimize_level = \"O0\"", "optimize_level = \"O2\"");
    ran(p.path(), &[]);
    let builds = said(p.path(), &["why-differs", "net-cpu-max@1", "net-cpu-max"]);
    assert!(builds.contains("compile   optimize_level \"O0\" → \"O2\" (ptq.toml:"), "{builds}");
    let log = json(p.path(), &["log", "net-cpu-max", "--json"]);
    let builds = log["builds"].as_array().expect("builds");
    assert_eq!(builds.len(), 2, "a null build adds nothing: {log}");
    assert_eq!(builds[1]["stages"][0][0], "compile");
    assert_eq!(ptq(p.path(), &["why-differs", "net-cpu-max@9", "net-cpu-max"]).code, 1);
}

#[test]
fn the_graph_shows_shared_actions_and_what_is_missing() {
    let p = sweep();
    let before = json(p.path(), &["graph", "--format", "json"]);
    let states = |graph: &Value, state: &str| {
        graph["nodes"].as_array().expect("nodes").iter().filter(|n| n["state"] == state).count()
    };
    assert_eq!((states(&before, "missing"), states(&before, "done")), (1, 0), "one parse, the rest waits: {before}");
    ran(p.path(), &[]);
    let graph = json(p.path(), &["graph", "--format", "json"]);
    let nodes = graph["nodes"].as_array().expect("nodes");
    let of = |stage: &str| nodes.iter().filter(|n| n["stage"] == stage).count();
    assert_eq!((of("parse"), of("fuse"), of("calibrate"), of("compile")), (1, 1, 4, 4), "{graph}");
    assert_eq!(states(&graph, "done"), nodes.len());
    assert_eq!(nodes[0]["variants"].as_array().map(Vec::len), Some(4));
    for (format, has) in [("dot", "digraph"), ("mermaid", "flowchart LR"), ("html", "<svg")] {
        let text = said(p.path(), &["graph", "--format", format]);
        assert!(text.contains(has) && text.contains("compile"), "{text}");
    }
}

#[test]
fn a_comparison_has_accuracy_size_nodes_and_the_front() {
    let p = sweep();
    let c = json(p.path(), &["compare", "--json", "--html", "page.html"]);
    let variants = c["variants"].as_array().expect("variants");
    assert_eq!(variants.len(), 4, "built on the way: {c}");
    assert!(variants.iter().any(|v| v["pareto"] == true), "{c}");
    for v in variants {
        let bin =
            std::fs::metadata(p.file(&format!("out/{}/model.bin", v["name"].as_str().expect("name")))).expect("bin");
        assert_eq!(v["bin_bytes"], bin.len());
        assert!(v["min_cosine"].as_f64().is_some_and(|c| c > 0.9), "{v}");
        let settings: Vec<&String> = v["settings"].as_object().expect("settings").keys().collect();
        assert_eq!(settings, ["calibration.type", "march"]);
    }
    let page = std::fs::read_to_string(p.file("page.html")).expect("page");
    assert!(page.contains("<svg") && page.contains("net-bayes-kl"));
    let table = said(p.path(), &["compare", "net-cpu-*"]);
    assert!(table.contains("nodes whose similarity differs most"), "{table}");
}

#[test]
fn selectors_narrow_everywhere() {
    let p = sweep();
    let names = |args: &[&str]| {
        let listed = json(p.path(), &[&["variants", "--json"], args].concat());
        let list = listed["variants"].as_array().expect("variants").clone();
        list.iter().map(|v| v["name"].as_str().expect("name").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(&["*-kl", "--march", "bayes"]), ["net-bayes-kl"]);
    assert_eq!(names(&["-O0", "calibration.type=max"]), ["net-bayes-max", "net-cpu-max"]);
    assert_eq!(names(&["--profile", "hard", "-O3"]).len(), 4);
    let none = ptq(p.path(), &["build", "-O3"]);
    assert_eq!(none.code, 2);
    assert!(none.stderr.contains("here: O0"), "{}", none.stderr);
}

#[test]
fn a_selector_of_one_variant_or_of_all_works_with_every_command() {
    let p = sweep();
    ran(p.path(), &[]);
    let all = said(p.path(), &["explain", "net-*"]);
    assert!(all.contains("net-cpu-max: what each") && all.contains("net-bayes-kl: what each"), "{all}");
    let log = json(p.path(), &["log", "net-cpu-*", "--json"]);
    assert_eq!(log["variants"].as_object().map(serde_json::Map::len), Some(2), "{log}");
    assert!(said(p.path(), &["why-differs", "net-cpu-m*", "net-bayes-k*"]).contains("changed: march"));
    for command in [&["verify", "net-*"][..], &["perf", "net-*"], &["why-differs", "net-*", "net-cpu-max"]] {
        let several = ptq(p.path(), command);
        assert_eq!(several.code, 2, "{command:?}: {}{}", several.stdout, several.stderr);
        assert!(several.stderr.contains("selects 4 variants"), "{command:?}: {}", several.stderr);
    }
    let one = said(p.path(), &["explain", "net-cpu-max"]);
    assert!(one.contains("remembered now:") && one.contains("  compile   ran"), "{one}");
}

#[test]
fn a_reader_that_goes_away_ends_no_work() {
    let p = sweep();
    for args in [&["build", "-v"][..], &["variants"]] {
        let mut command = std::process::Command::new(ptq_tests::ptq::program());
        command.args(args).current_dir(p.path()).stdout(std::process::Stdio::piped());
        let mut child = command.stderr(std::process::Stdio::null()).spawn().expect("ptq starts");
        drop(child.stdout.take());
        assert!(child.wait().expect("ends").success(), "{args:?}");
    }
    assert_eq!(ran(p.path(), &[]), Vec::<String>::new(), "the build went on to its end");
}

#[test]
fn fields_outside_variants_can_be_defined() {
    let p = sweep();
    let built = ptq(p.path(), &["build", "net-cpu-max", "-D", "project.out=elsewhere", "-D", "cache.dir=.other"]);
    assert_eq!(built.code, 0, "{}", built.stderr);
    assert!(p.file("elsewhere/net-cpu-max/model.bin").is_file() && p.file(".other/cas").is_dir());
    assert!(!p.file("out").exists() && !p.file(".ptq").exists());
    let wrong = ptq(p.path(), &["variants", "-D", "project.uot=x"]);
    assert_eq!(wrong.code, 2);
    assert!(wrong.stderr.contains("uot"), "{}", wrong.stderr);
    std::fs::rename(p.file("model.onnx"), p.file("moved.onnx")).expect("moved");
    assert_eq!(ptq(p.path(), &["build", "net-cpu-max", "-D", "model.net.path=moved.onnx"]).code, 0);
}

#[test]
fn every_event_and_field_is_documented() {
    let p = sweep();
    ran(p.path(), &[]);
    let page = std::fs::read_to_string(ptq_tests::workspace_root().join("docs/events.md")).expect("docs/events.md");
    let text = std::fs::read_to_string(p.file("events.jsonl")).expect("events");
    for line in text.lines() {
        let event: Value = serde_json::from_str(line).expect("JSON");
        let name = event["event"].as_str().expect("a name");
        let row = page.lines().find(|l| l.starts_with(&format!("| `{name}` |"))).unwrap_or_else(|| panic!("no {name}"));
        for field in event.as_object().expect("an object").keys().filter(|k| *k != "event") {
            assert!(row.contains(&format!("`{field}`")), "{name} lacks {field}");
        }
    }
}

#[test]
fn only_chosen_files_are_written() {
    let p = sweep();
    ran(p.path(), &[]);
    edit(&p, "[defaults]", "[defaults]\nartifacts = [\"report.md\", \"model.bin\"]");
    assert_eq!(ran(p.path(), &[]), Vec::<String>::new(), "files are no business of a stage");
    let mut names: Vec<String> = ptq_tests::ptq::files(&p.file("out")).into_keys().collect();
    names.retain(|n| n.starts_with("net-cpu-max/"));
    assert_eq!(names, ["net-cpu-max/model.bin", "net-cpu-max/report.md"]);
    assert_eq!(ptq(p.path(), &["verify", "net-cpu-max"]).code, 0);
    edit(&p, "report.md", "raport.md");
    let wrong = ptq(p.path(), &["build"]);
    assert_eq!(wrong.code, 2);
    assert!(wrong.stderr.contains("did you mean report.md?"), "{}", wrong.stderr);
}

#[test]
fn every_source_counts_beside_the_settings() {
    let p = sweep();
    p.copy("rules/march/data/cpu.toml", "mine.toml");
    edit(&p, "march = [\"cpu\", \"bayes\"]", "march = \"mine.toml\"");
    edit(&p, "{model}-{march}-", "{model}-");
    let given = ["calibration.type = \"load\"", "calibration.thresholds = \"given.json\""];
    ran(p.path(), &[]);
    std::fs::copy(p.file("out/net-max/quant_info.json"), p.file("given.json")).expect("copied");
    edit(&p, "calibration.type = [\"max\", \"kl\"]", &given.join("\n"));
    ran(p.path(), &[]);
    for source in ["given.json", "mine.toml", "calib/001.png"] {
        let mut bytes = std::fs::read(p.file(source)).expect("readable");
        bytes.push(b'\n');
        p.write(source, &bytes);
        let did = ran(p.path(), &[]);
        assert!(!did.is_empty() || source.ends_with(".png"), "an edit of {source} is seen: {did:?}");
        assert_eq!(ran(p.path(), &[]), Vec::<String>::new());
    }
}
