//! Tasks and gates: figures of every artifact against counts made here, remembered like stages, and what a gate says.

use ptq_tests::goldens::{Built, EXAMPLES};
use ptq_tests::project::TestProject;
use ptq_tests::ptq::ptq;
use ptq_tests::workspace_root;
use serde_json::Value;
use std::path::Path;

/// The classifier of the examples, with evaluation data and more lines for its model's table.
fn classifier(more: &str) -> TestProject {
    let from = "examples/fashion-classifier";
    let manifest = std::fs::read_to_string(workspace_root().join(from).join("ptq.toml")).expect("the example");
    let eval = "[model.fashion.eval]\ndata = \"data/eval\"\n";
    let project =
        TestProject::new(&manifest.replace(
            "[[variant]]\nname = \"fashion-cpu\"",
            &format!("{eval}{more}[[variant]]\nname = \"fashion-cpu\""),
        ));
    project.copy(&format!("{from}/model.onnx"), "model.onnx");
    project.copy(&format!("{from}/data"), "data");
    project
}

fn evaluated(dir: &Path, args: &[&str]) -> Value {
    let session = ptq(dir, &[&["eval", "fashion-cpu", "--json"], args].concat());
    assert_eq!(session.code, 0, "{}", session.stderr);
    serde_json::from_str(&session.stdout).unwrap_or_else(|e| panic!("{e}: {}", session.stdout))
}

#[test]
fn classes_are_counted_as_here_for_every_artifact_and_only_once() {
    let p = classifier("labels = \"data/eval.csv\"\n");
    let found = evaluated(p.path(), &["--artifact", "all"]);
    let artifacts = found["artifacts"].as_array().expect("artifacts");
    let names: Vec<&str> = artifacts.iter().filter_map(|a| a["artifact"].as_str()).collect();
    assert_eq!(names, ["original", "optimized", "calibrated", "quantized", "bin"]);
    // The count of the golden suite's own loop, from decoded stages.
    let built = Built::open(TestProject::at(p.path(), &std::fs::read_to_string(p.file("ptq.toml")).expect("read")))
        .expect("built");
    let loaded = built.load("fashion-cpu").expect("loaded");
    let float = ptq_exec::FloatPlan::new(&loaded.original).expect("a plan");
    let csv = std::fs::read_to_string(p.file("data/eval.csv")).expect("labels");
    let labels: Vec<(&str, usize)> =
        csv.lines().filter_map(|l| l.split_once(',')).filter_map(|(f, l)| Some((f, l.parse().ok()?))).collect();
    let right = labels.iter().filter(|(file, label)| {
        let output = float.run(&[built.image(&loaded, &p.file("data/eval").join(file))], &mut |_, _| {}).expect("runs");
        let scores = output[0].f32s().expect("float").to_vec();
        scores.iter().all(|s| *s <= scores[*label])
    });
    let share = right.count() as f64 / labels.len() as f64;
    assert_eq!(artifacts[0]["evaluation"]["figures"]["top1"].as_f64(), Some(share));
    assert_eq!(artifacts[0]["evaluation"]["samples"].as_u64(), Some(labels.len() as u64));
    assert_eq!(artifacts[3]["evaluation"], artifacts[4]["evaluation"], "the integer program and its compilation");
    // Again, and without the samples' models running: everything is remembered.
    let again = ptq(p.path(), &["eval", "fashion-cpu", "-v"]);
    assert!(!again.stderr.contains("predict") && !again.stderr.contains("evaluate"), "{}", again.stderr);
    let labels = csv.replace("000.png,9", "000.png,8");
    p.write("data/eval.csv", labels.as_bytes());
    let edited = ptq(p.path(), &["eval", "fashion-cpu", "-v"]);
    assert!(edited.stderr.contains("evaluate") && !edited.stderr.contains("predict"), "{}", edited.stderr);
    assert_ne!(edited.stdout, again.stdout);
    let _ = EXAMPLES;
}

#[test]
fn a_program_of_the_manifest_measures_and_is_remembered_by_its_content() {
    let p = classifier("command = [\"sh\", \"count.sh\"]\n");
    p.write("count.sh", b"ls $1 | wc -l\n");
    let found = evaluated(p.path(), &["--artifact", "bin"]);
    let count = std::fs::read_dir(p.file("data/eval")).expect("data").count();
    assert_eq!(found["artifacts"][0]["evaluation"]["value"].as_f64(), Some(count as f64), "{found}");
    let again = ptq(p.path(), &["eval", "fashion-cpu", "--artifact", "bin", "-v"]);
    assert!(!again.stderr.contains("evaluate-command"), "{}", again.stderr);
    p.write("count.sh", b"echo '{\"value\": 0.5, \"more\": 2}'\n");
    let edited = evaluated(p.path(), &["--artifact", "bin"]);
    assert_eq!(edited["artifacts"][0]["evaluation"]["figures"]["more"].as_f64(), Some(2.0), "{edited}");
    p.write("count.sh", b"echo no number here; exit 0\n");
    let wrong = ptq(p.path(), &["eval", "fashion-cpu", "--artifact", "bin"]);
    assert!(wrong.code == 1 && wrong.stderr.contains("no number here"), "{}", wrong.stderr);
    p.write("count.sh", b"echo broken >&2; exit 3\n");
    let wrong = ptq(p.path(), &["eval", "fashion-cpu", "--artifact", "bin"]);
    assert!(wrong.code == 1 && wrong.stderr.contains("broken"), "{}", wrong.stderr);
}

#[test]
fn what_an_evaluation_lacks_is_said() {
    let p = classifier("");
    let session = ptq(p.path(), &["eval", "fashion-cpu", "-D", "eval.labels=nowhere.csv"]);
    assert!(session.code == 1 && session.stderr.contains("nowhere.csv"), "{}", session.stderr);
    let session = ptq(p.path(), &["eval", "fashion-cpu", "-D", "eval.data=nowhere"]);
    assert!(session.code == 1 && session.stderr.contains("there are no samples at nowhere"), "{}", session.stderr);
    let session = ptq(p.path(), &["eval", "fashion-cpu", "-D", "eval.output=nothing"]);
    assert!(session.code == 1 && session.stderr.contains("outputs: "), "{}", session.stderr);
    let session = ptq(p.path(), &["eval", "fashion-cpu", "-D", "eval.metric=map"]);
    assert!(session.code == 2 && session.stderr.contains("set eval.labels"), "{}", session.stderr);
}

#[test]
fn a_gate_fails_the_variant_names_the_stage_and_keeps_the_work() {
    let p = classifier("labels = \"data/eval.csv\"\n");
    let manifest = std::fs::read_to_string(p.file("ptq.toml")).expect("read");
    let gated = |gate: &str| p.write("ptq.toml", format!("[gate]\n{gate}\n{manifest}").as_bytes());
    gated("min_cosine = 0.9\nmin_sqnr_db = 5\nmax_top1_drop = 0.2\n");
    let held = ptq(p.path(), &["build", "fashion-cpu"]);
    assert_eq!(held.code, 0, "{}", held.stderr);
    assert!(held.stdout.contains("calibrated") && held.stdout.contains("SQNR"), "{}", held.stdout);
    let json = |name: &str| -> Value {
        serde_json::from_slice(&std::fs::read(p.file("out/fashion-cpu").join(name)).expect("a file")).expect("JSON")
    };
    let matrix = json("gate.json");
    let stages = matrix["stages"].as_array().expect("stages");
    assert_eq!(stages.len(), 5);
    assert_eq!(stages[3]["cosine"], stages[4]["cosine"], "compilation changes no bit");
    assert_eq!(matrix["missed"].as_array().map(Vec::len), Some(0));
    assert!(std::fs::read_to_string(p.file("out/fashion-cpu/gate.html")).expect("a page").contains("<table>"));

    gated("min_cosine = 0.99999999\nmin_sqnr_db = 200\nmin_metric = 1.0\n");
    let lost = ptq(p.path(), &["build", "fashion-cpu"]);
    assert_eq!(lost.code, 1, "{}", lost.stdout);
    for said in
        ["gate.min_cosine 0.99999999: lost by the stage calibrated", "gate.min_sqnr_db 200", "gate.min_metric 1"]
    {
        assert!(lost.stderr.contains(said), "{}", lost.stderr);
    }
    assert!(lost.stderr.contains("ptq.toml:2"), "{}", lost.stderr);
    assert!(p.file("out/fashion-cpu/model.bin").exists() && p.file("out/fashion-cpu/report.md").exists());
    let missed = json("gate.json");
    assert!(missed["missed"].as_array().is_some_and(|m| m.len() == 3), "{missed}");
    assert!(missed["stages"][2]["metric"].as_f64().is_some(), "all stages are evaluated where a limit is missed");
    assert_eq!(ptq(p.path(), &["build", "fashion-cpu"]).code, 1, "a gate that fails goes on failing");
    assert_eq!(ptq(p.path(), &["eval", "fashion-cpu"]).code, 0, "what is built can be looked at");

    gated("");
    assert_eq!(ptq(p.path(), &["build", "fashion-cpu"]).code, 0);
    assert!(!p.file("out/fashion-cpu/gate.json").exists(), "no gate, no report of one");
    let unfit = ptq(p.path(), &["build", "-D", "gate.max_top1_drop=0.1", "-D", "eval.metric=mask_iou"]);
    assert!(unfit.code == 2 && unfit.stderr.contains("gate.min_metric holds any metric"), "{}", unfit.stderr);
}
