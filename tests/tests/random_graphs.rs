//! Random graphs through the whole chain on both marches, against stock ONNX Runtime and against themselves.
//!
//! Each graph: the float graph equals ONNX Runtime's results; the optimized graph equals the float graph; every integer node is
//! within a step of the float nodes it stands for; the compiled model equals the integer program bit for bit, on one thread
//! and two. `PTQ_RANDOM_GRAPHS=N` runs N graphs instead of the usual few, `PTQ_RANDOM_SEED=S` others.

use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};
use ptq_engine::{BuildOptions, NoEvents, Project};
use ptq_exec::FloatPlan;
use ptq_ir::{Graph, Tensor};
use ptq_tests::model_project::verified;
use ptq_tests::oracle::Server;
use ptq_tests::project::TestProject;
use ptq_tests::random_graph::graph;
use ptq_tests::skip::need;
use std::cell::RefCell;

/// Graphs of a usual run.
const GRAPHS: u32 = 60;
/// Graphs of a usual run in 16 bits.
const WORD_GRAPHS: u32 = 25;
/// Largest difference from ONNX Runtime, relative to the largest output.
const FLOAT_ERROR: f64 = 1e-4;
const SAMPLES: usize = 2;

const MANIFEST: &str = "
[model.m]
path = \"model.onnx\"
SETTINGS
[model.m.calibration]
data = \"data\"
[matrix.all]
name = \"{march}\"
model = [\"m\"]
march = [\"cpu\", \"bayes\"]
";

#[test]
fn random_graphs_agree_with_onnx_runtime_and_with_themselves() {
    run(GRAPHS, "");
}

#[test]
fn random_graphs_in_16_bits_agree_with_onnx_runtime_and_with_themselves() {
    run(WORD_GRAPHS, "optimization = [\"set_all_nodes_int16\"]");
}

fn run(graphs: u32, settings: &str) {
    let Some(server) = need(Server::start()) else { return };
    let server = RefCell::new(server);
    let number = |name: &str| std::env::var(name).ok().and_then(|v| v.parse::<u32>().ok());
    let cases = number("PTQ_RANDOM_GRAPHS").unwrap_or(graphs);
    let mut seed = [7u8; 32];
    seed[..4].copy_from_slice(&number("PTQ_RANDOM_SEED").unwrap_or(1).to_le_bytes());
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 400, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &seed));
    let choices = proptest::collection::vec(proptest::num::u32::ANY, 8..90);
    let result = runner.run(&choices, |choices| {
        let graph = graph(&choices);
        check(&graph, settings, &mut server.borrow_mut()).map_err(|why| TestCaseError::fail(format!("{why}\n{graph}")))
    });
    if let Err(e) = result {
        panic!("{e}");
    }
}

fn check(graph: &Graph, settings: &str, server: &mut Server) -> Result<(), String> {
    let project = TestProject::new(&MANIFEST.replace("SETTINGS", settings));
    project.write("model.onnx", &ptq_onnx::export_float(graph, &ptq_onnx::ExportMeta::default()));
    let samples: Vec<Tensor> = (0..SAMPLES).map(|k| sample(graph, k)).collect();
    for (k, sample) in samples.iter().enumerate() {
        project.write(&format!("data/{k}.npy"), &ptq_sample::write_npy(sample)?);
    }
    let theirs = server.run(&[&project.file("model.onnx")], &[("x", &project.file("data/0.npy"))])?;
    let opened = Project::open(&project.file("ptq.toml"), &[]).map_err(|e| e.to_string())?;
    let report = opened.build(&BuildOptions::default(), &NoEvents).map_err(|e| e.to_string())?;
    let errors: Vec<String> = report.variants.iter().flat_map(|v| v.errors()).map(ToString::to_string).collect();
    if !errors.is_empty() {
        return Err(errors.join("\n"));
    }
    for march in ["cpu", "bayes"] {
        let loaded = opened.load(march, &NoEvents).map_err(|e| e.to_string())?;
        let plan = FloatPlan::new(&loaded.original).map_err(|e| e.to_string())?;
        let ours = plan.run(&samples[..1], &mut |_, _| {}).map_err(|e| e.to_string())?;
        for (i, (ours, theirs)) in ours.iter().zip(&theirs[0]).enumerate() {
            near(&ours.to_f64s(), theirs).map_err(|why| format!("{march}: float output {i}: {why}"))?;
        }
        for threads in [1, 2] {
            let report = verified(&loaded, &samples[..1], threads).map_err(|e| format!("{march}: {e}"))?;
            if !report.passed {
                return Err(format!("{march}, {threads} threads:\n{report}"));
            }
        }
    }
    Ok(())
}

fn near(ours: &[f64], theirs: &[f64]) -> Result<(), String> {
    if ours.len() != theirs.len() {
        return Err(format!("{} elements, ONNX Runtime has {}", ours.len(), theirs.len()));
    }
    let reach = theirs.iter().filter(|v| v.is_finite()).fold(0.0f64, |m, v| m.max(v.abs()));
    for (i, (a, b)) in ours.iter().zip(theirs).enumerate() {
        let same = (a - b).abs() <= FLOAT_ERROR * reach + 1e-6 || (!a.is_finite() && b.is_nan());
        if !same {
            return Err(format!("element {i} is {a}, ONNX Runtime has {b} (largest {reach})"));
        }
    }
    Ok(())
}

/// Reproducible numbers for the graph's input.
fn sample(graph: &Graph, k: usize) -> Tensor {
    let shape = &graph.value(graph.inputs[0]).shape;
    let mut state = k as u64 + 11;
    let data = (0..shape.iter().product::<usize>()).map(|_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u32 << 22) as f32 - 2.0
    });
    Tensor::from_f32(shape.clone(), data.collect()).expect("as many numbers as elements")
}
