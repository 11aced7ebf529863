//! `ptq check` says what a build does: the same placement under the same settings, and for each CPU node a reason with a
//! remedy.

use ptq_tests::project::TestProject;
use ptq_tests::ptq::ptq;
use serde_json::Value;

const MARCHES: [&str; 5] = ["bayes", "bayes-e", "bernoulli2", "cpu", "nash-e"];

/// Random graphs of a run.
const GRAPHS: u32 = 6;

const MATRIX: &str = "calibration.type = \"skip\"\n[matrix.all]\nname = \"{march}\"\nmodel = [\"m\"]\nmarch = \
                      [\"bayes\", \"bayes-e\", \"bernoulli2\", \"cpu\", \"nash-e\"]\n";

fn example(name: &str, input: &str, dims: &str) -> TestProject {
    let project =
        TestProject::new(&format!("[model.m]\npath = \"model.onnx\"\ninput.{input}.shape = {dims}\n{MATRIX}"));
    project.copy(&format!("examples/{name}/model.onnx"), "model.onnx");
    project
}

fn random(seed: u32) -> TestProject {
    let mut state = seed;
    let choices: Vec<u32> = (0..48)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state
        })
        .collect();
    let graph = ptq_tests::random_graph::graph(&choices);
    let project = TestProject::new(&format!("[model.m]\npath = \"model.onnx\"\n{MATRIX}"));
    project.write("model.onnx", &ptq_onnx::export_float(&graph, &ptq_onnx::ExportMeta::default()));
    project
}

fn subjects() -> Vec<TestProject> {
    let mut all = vec![
        example("fashion-classifier", "input", "[1, 1, 28, 28]"),
        example("shape-segmenter", "image", "[1, 3, 64, 64]"),
    ];
    all.extend((1..=GRAPHS).map(random));
    all
}

/// What `ptq check --variant` finds.
fn checked(project: &TestProject, march: &str, more: &[&str]) -> Value {
    let session = ptq(project.path(), &[&["check", "--variant", march, "--json"], more].concat());
    assert_eq!(session.code, 0, "{march}: {}", session.stderr);
    serde_json::from_str(&session.stdout).expect("JSON")
}

/// Node, device and subgraph of each row, as tables show them.
fn rows(found: &Value) -> Vec<[String; 3]> {
    let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
    let nodes = found["nodes"].as_array().expect("nodes");
    let subgraph = |n: &Value| n["subgraph"].as_u64().map_or_else(|| "--".to_owned(), |id| format!("id({id})"));
    nodes.iter().map(|n| [text(&n["name"]), text(&n["on"]), subgraph(n)]).collect()
}

/// The same of a build's `node_info.csv`.
fn built(project: &TestProject, march: &str) -> Vec<[String; 3]> {
    let path = project.file(&format!("out/{march}/node_info.csv"));
    let text = std::fs::read_to_string(path).expect("node_info.csv");
    let cells = |line: &str| {
        let mut cells = line.split(',').map(str::to_owned);
        [cells.next(), cells.next(), cells.next()].map(Option::unwrap_or_default)
    };
    text.lines().skip(1).map(cells).collect()
}

#[test]
fn check_places_every_node_where_the_build_does() {
    for project in subjects() {
        let first = rows(&checked(&project, "bayes", &[]))[0][0].clone();
        let request = format!("run_on_cpu=[\"{first}\"]");
        for more in [&[][..], &["-D", &request]] {
            let session = ptq(project.path(), &[&["build"], more].concat());
            assert_eq!(session.code, 0, "{}{}", session.stdout, session.stderr);
            for march in MARCHES {
                assert_eq!(rows(&checked(&project, march, more)), built(&project, march), "{march} {more:?}");
            }
        }
    }
}

#[test]
fn every_cpu_node_has_a_reason_and_a_remedy() {
    let mut seen = 0;
    for project in subjects() {
        for march in MARCHES {
            let found = checked(&project, march, &[]);
            for node in found["nodes"].as_array().expect("nodes").iter().filter(|n| n["on"] == "CPU") {
                let reason = &node["reason"];
                assert!(reason["code"].as_str().is_some_and(|c| c.starts_with("PLACE")), "{march}: {node}");
                for part in ["text", "remedy"] {
                    assert!(reason[part].as_str().is_some_and(|t| !t.is_empty()), "{march}: no {part}: {node}");
                }
                seen += 1;
            }
        }
    }
    assert!(seen > 20, "{seen} CPU nodes are too few to show anything");
}

#[test]
fn check_refuses_unknown_nodes_and_variants_with_a_suggestion() {
    let project = example("fashion-classifier", "input", "[1, 1, 28, 28]");
    let found = checked(&project, "bayes", &[]);
    let name = rows(&found)[0][0].clone();
    let typo = format!("{name}x");
    let session = ptq(project.path(), &["check", "--variant", "bayes", "--run-on-cpu", &typo]);
    assert_eq!(session.code, 1, "{}", session.stdout);
    assert!(session.stderr.contains(&format!("did you mean {name}?")), "{}", session.stderr);
    let session = ptq(project.path(), &["check", "--variant", "bays"]);
    assert_eq!(session.code, 2, "{}", session.stdout);
    assert!(session.stderr.contains("did you mean bayes?"), "{}", session.stderr);
}
