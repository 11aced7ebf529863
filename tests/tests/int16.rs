//! 16-bit activations through the whole chain: by node, by operator, for the whole model, on marches `cpu` and `bayes`.
//! Types are those asked for, `model.bin` equals the integer program bit for bit, stock ONNX Runtime's run of
//! `quantized.onnx` stays within steps of it, and the loss shrinks as the finer steps promise.

#![allow(clippy::print_stdout)] // Figures for the log of a run with --nocapture.

use ptq_engine::{BuildOptions, Event, EventSink, Loaded, Project};
use ptq_exec::FloatPlan;
use ptq_ir::{Attr, Attrs, DType, Graph, GraphBuilder, QOp, Tensor, ValueId};
use ptq_runtime::{Model, RunOptions};
use ptq_tests::goldens::Built;
use ptq_tests::model_project::verified;
use ptq_tests::numbers;
use ptq_tests::project::TestProject;
use ptq_tests::skip::need;
use ptq_tests::{assets, oracle, workspace_root};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

const SHAPE: [usize; 4] = [1, 8, 12, 10];

fn conv(b: &mut GraphBuilder, name: &str, x: ValueId, [from, to]: [usize; 2], kernel: usize, out: &[usize]) -> ValueId {
    let seed = name.bytes().fold(7u64, |s, c| s.wrapping_mul(31).wrapping_add(c.into()));
    let w = b.constant(&format!("{name}_w"), numbers(&[to, from, kernel, kernel], seed));
    let c = b.constant(&format!("{name}_b"), numbers(&[to], seed + 1));
    let pad = (kernel / 2) as i64;
    let attrs = Attrs::of([("pads", Attr::Ints(vec![pad; 4])), ("kernel_shape", Attr::Ints(vec![kernel as i64; 2]))]);
    b.node("Conv", name, &[x, w, c], attrs, out)
}

/// A block with everything that 16 bits go through: Convs with and without Relu, a residual sum, a product with a constant, a
/// table, a Concat of both widths, a pool, a squeeze-and-excite gate over a global mean, and moves.
fn network() -> Graph {
    let mut b = GraphBuilder::new("g");
    let x = b.input("x", &SHAPE);
    let a = conv(&mut b, "stem", x, [8, 8], 3, &SHAPE);
    let a = b.node("Relu", "stem_relu", &[a], Attrs::default(), &SHAPE);
    let y = conv(&mut b, "body", a, [8, 8], 3, &SHAPE);
    let s = b.node("Add", "skip", &[y, a], Attrs::default(), &SHAPE);
    let t = b.node("Sigmoid", "table", &[s], Attrs::default(), &SHAPE);
    let k = b.constant("gains", numbers(&[8, 1, 1], 5));
    let m = b.node("Mul", "gain", &[t, k], Attrs::default(), &SHAPE);
    let mean = b.node("GlobalAveragePool", "mean", &[m], Attrs::default(), &[1, 8, 1, 1]);
    let gate = conv(&mut b, "gate", mean, [8, 8], 1, &[1, 8, 1, 1]);
    let gate = b.node("Sigmoid", "gate_table", &[gate], Attrs::default(), &[1, 8, 1, 1]);
    let g = b.node("Mul", "gated", &[m, gate], Attrs::default(), &SHAPE);
    let attrs = Attrs::of([("axis", Attr::Int(1))]);
    let c = b.node("Concat", "both", &[g, a], attrs, &[1, 16, 12, 10]);
    let pool = Attrs::of([("kernel_shape", Attr::Ints(vec![2, 2])), ("strides", Attr::Ints(vec![2, 2]))]);
    let p = b.node("MaxPool", "pool", &[c], pool, &[1, 16, 6, 5]);
    let turn = Attrs::of([("perm", Attr::Ints(vec![0, 1, 3, 2]))]);
    let r = b.node("Transpose", "turn", &[p], turn, &[1, 16, 5, 6]);
    let out = conv(&mut b, "tail", r, [16, 12], 1, &[1, 12, 5, 6]);
    b.output(out);
    b.finish()
}

#[derive(Default)]
struct Warnings(Mutex<Vec<String>>);

impl EventSink for Warnings {
    fn event(&self, event: Event) {
        if let (Event::Warning { message, .. }, Ok(mut all)) = (event, self.0.lock()) {
            all.push(message);
        }
    }
}

struct Case {
    project: TestProject,
    warnings: Vec<String>,
    samples: Vec<Tensor>,
}

impl Case {
    fn new(graph: &Graph, settings: &str) -> Case {
        let manifest = format!(
            "[model.m]\npath = \"model.onnx\"\n{settings}\n[model.m.calibration]\ndata = \"data\"\ntype = \"max\"\n\
             [matrix.all]\nname = \"{{march}}\"\nmodel = [\"m\"]\nmarch = [\"cpu\", \"bayes\"]\n"
        );
        let project = TestProject::new(&manifest);
        project.write("model.onnx", &ptq_onnx::export_float(graph, &ptq_onnx::ExportMeta::default()));
        let shape = &graph.value(graph.inputs[0]).shape;
        let samples: Vec<Tensor> = (0..4).map(|k| numbers(shape, 70 + k)).collect();
        for (i, sample) in samples.iter().enumerate() {
            project.write(&format!("data/{i}.npy"), &ptq_sample::write_npy(sample).expect("an array"));
        }
        let opened = Project::open(&project.file("ptq.toml"), &[]).expect("opens");
        let warnings = Warnings::default();
        let report = opened.build(&BuildOptions::default(), &warnings).expect("builds");
        let errors: Vec<String> = report.variants.iter().flat_map(|v| v.errors()).map(ToString::to_string).collect();
        assert!(errors.is_empty(), "{settings}: {errors:?}");
        Case { project, warnings: warnings.0.into_inner().expect("whole"), samples }
    }

    fn load(&self, march: &str) -> Loaded {
        let opened = Project::open(&self.project.file("ptq.toml"), &[]).expect("opens");
        opened.load(march, &ptq_engine::NoEvents).expect("built")
    }
}

/// `a -> b` types of a node's first input and its result.
fn types(loaded: &Loaded, name: &str) -> String {
    let node = loaded.integer.nodes.iter().find(|n| n.covers.iter().any(|c| c == name)).expect("runs as integers");
    let of = |id: ptq_ir::TensorId| loaded.integer.tensor(id).dtype.name();
    format!("{} -> {}", of(node.inputs[0]), of(node.outputs[0]))
}

fn run(loaded: &Loaded, input: &Tensor) -> Tensor {
    let model = Model::load(&loaded.bin).expect("loads");
    model.run(std::slice::from_ref(input), &RunOptions { threads: 2 }).expect("runs").swap_remove(0)
}

fn cosine(a: &Tensor, b: &Tensor) -> f64 {
    ptq_exec::metrics::cosine(&a.to_f64s(), &b.to_f64s())
}

/// 1 - cosine to the float model on a sample that calibration has seen and one that it has not.
fn loss(loaded: &Loaded, inputs: &[Tensor]) -> f64 {
    let plan = FloatPlan::new(&loaded.original).expect("a plan");
    let one = |x: &Tensor| {
        let truth = plan.run(std::slice::from_ref(x), &mut |_, _| {}).expect("runs").swap_remove(0);
        1.0 - cosine(&run(loaded, x), &truth)
    };
    inputs.iter().map(one).fold(0.0, f64::max)
}

#[test]
fn requests_by_node_by_operator_and_for_the_model_are_fulfilled() {
    let graph = network();
    let int8 = Case::new(&graph, "");
    for march in ["cpu", "bayes"] {
        let loaded = int8.load(march);
        assert!(loaded.integer.tensors.iter().all(|t| t.dtype != DType::I16), "{march}: nothing was asked for");
    }
    let cases = [
        (
            "[model.m.nodes.body]\nOutputType = \"int16\"",
            vec![("body", "8 -> 16"), ("skip", "16 -> 8"), ("table", "8 -> 8")],
        ),
        ("[model.m.nodes.skip]\nInputType0 = \"int16\"", vec![("body", "8 -> 16"), ("skip", "16 -> 8")]),
        ("[model.m.nodes.stem_relu]\nOutputType = \"int16\"", vec![("stem", "8 -> 16"), ("body", "16 -> 8")]),
        ("optimization = [\"set_Sigmoid_output_int16\"]", vec![("table", "8 -> 16"), ("gain", "16 -> 8")]),
        (
            "optimization = [\"set_Add_input_int16\"]",
            vec![("stem", "8 -> 16"), ("body", "16 -> 16"), ("skip", "16 -> 8"), ("table", "8 -> 8")],
        ),
        (
            "optimization = [\"set_all_nodes_int16\"]",
            vec![
                ("body", "16 -> 16"),
                ("skip", "16 -> 16"),
                ("table", "16 -> 16"),
                ("gated", "16 -> 16"),
                ("pool", "16 -> 16"),
            ],
        ),
        (
            "optimization = [\"set_all_nodes_int16\"]\n[model.m.nodes.table]\nOutputType = \"int8\"\nInputType = \"int8\"",
            vec![("skip", "16 -> 16"), ("table", "8 -> 8")],
        ),
    ];
    for (settings, expected) in &cases {
        let case = Case::new(&graph, settings);
        for march in ["cpu", "bayes"] {
            let loaded = case.load(march);
            let name = |bits: &str| {
                let byte = if march == "cpu" { "uint8" } else { "int8" };
                bits.split(" -> ").map(|b| if b == "16" { "int16" } else { byte }).collect::<Vec<_>>().join(" -> ")
            };
            for (node, bits) in expected {
                assert_eq!(types(&loaded, node), name(bits), "{march}: {node} under {settings}");
            }
            for threads in [1, 2] {
                let report = verified(&loaded, &case.samples[..1], threads).expect("runs");
                assert!(report.passed, "{march}, {settings}:\n{report}");
            }
        }
    }
}

#[test]
fn what_a_march_cannot_give_is_said_and_gets_a_requantized_copy() {
    let case = Case::new(&network(), "optimization = [\"set_all_nodes_int16\"]");
    let bayes = case.load("bayes");
    assert_eq!(types(&bayes, "mean"), "int8 -> int8", "bayes has no GlobalAveragePool in 16 bits");
    let copies = bayes.integer.nodes.iter().filter(|n| matches!(n.op, QOp::Requantize(_))).count();
    assert_eq!(copies, 1, "one value is read in both widths");
    let said = |what: &str| case.warnings.iter().any(|w| w.contains("set_all_nodes_int16") && w.contains(what));
    assert!(
        said("mean (int8 is used: march bayes has no output of GlobalAveragePool in 16 bits)"),
        "{:?}",
        case.warnings
    );
    assert_eq!(types(&case.load("cpu"), "mean"), "int16 -> int16");
    let x3 = Case::new(&network(), "[model.m.nodes.mean]\nOutputType = \"int16\"");
    let warned = x3.warnings.iter().any(|w| w.contains("OutputType int16 was asked for, int8 is used: march bayes"));
    assert!(warned, "{:?}", x3.warnings);
}

#[test]
fn finer_steps_lose_less_and_onnx_runtime_agrees() {
    if need(oracle::python()).is_none() {
        return;
    }
    let (int8, int16) = (Case::new(&network(), ""), Case::new(&network(), "optimization = [\"set_all_nodes_int16\"]"));
    let fresh = [int8.samples[0].clone(), numbers(&SHAPE, 900)];
    for march in ["cpu", "bayes"] {
        let (before, after) = (loss(&int8.load(march), &fresh), loss(&int16.load(march), &fresh));
        println!("{march}: 1 - cosine {before:.2e} in 8 bits, {after:.2e} in 16");
        // Weights keep 8 bits, so that their loss stays.
        assert!(after < before, "{march}: {before} in 8 bits, {after} in 16");
        let loaded = int16.load(march);
        let file = int16.project.file(&format!("out/{march}/quantized.onnx"));
        for x in &fresh {
            let theirs = oracle::run(&file, "x", x, "unfused").expect("ONNX Runtime runs the file");
            let (ours, theirs) = (run(&loaded, x).to_f64s(), theirs.to_f64s());
            let reach = theirs.iter().fold(0.0f64, |m, v| m.max(v.abs()));
            let apart = ours.iter().zip(&theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            println!("{march}: {:.1} steps of 16 bits from ONNX Runtime", apart / reach * 32_767.0);
            let steps = if march == "cpu" { 16.0 } else { 512.0 };
            assert!(apart <= reach * steps / 32_767.0, "{march}: {apart} of {reach}");
        }
    }
}

/// EfficientNet-Lite0 with its own manifest and these settings, on its evaluation photos.
fn lite0(settings: &str) -> Result<(Built, Vec<PathBuf>), String> {
    let model = assets().join("models/efficientnet_lite0.onnx");
    let photos = assets().join("data/photos_eval");
    if !model.exists() || !photos.is_dir() {
        return Err(format!("no {}: cargo run -p ptq-tests --bin fetch", model.display()));
    }
    let manifest = std::fs::read_to_string(workspace_root().join("examples/efficientnet-lite0/ptq.toml"))
        .map_err(|e| e.to_string())?;
    let manifest = manifest.replace("../../assets", &assets().display().to_string());
    // Clipping gains nothing where steps are this fine.
    let manifest = manifest.replace("[defaults]", &format!("[defaults]\n{settings}")).replace("0.99995", "1.0");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("int16/efficientnet-lite0");
    let built = Built::open(TestProject::at(&folder, &manifest))?;
    let mut images: Vec<PathBuf> =
        std::fs::read_dir(photos).map_err(|e| e.to_string())?.flatten().map(|e| e.path()).collect();
    images.sort();
    images.truncate(4);
    Ok((built, images))
}

/// The float model with the weights of its Convs rounded to 8 bits a filter, scales by the largest: what 16-bit activations
/// cannot win back.
fn with_rounded_weights(graph: &Graph) -> Graph {
    let mut rounded = graph.clone();
    for node in graph.nodes.iter().filter(|n| n.op == "Conv") {
        let Some(v) = node.inputs[1] else { continue };
        let Some(weights) = graph.constant(v) else { continue };
        let (shape, mut values) = (weights.shape().to_vec(), weights.to_f64s());
        for filter in values.chunks_mut(shape[1..].iter().product()) {
            let scale = filter.iter().fold(0.0f64, |m, v| m.max(v.abs())) / 127.0;
            filter.iter_mut().filter(|_| scale > 0.0).for_each(|v| *v = (*v / scale).round() * scale);
        }
        let values = values.into_iter().map(|v| v as f32).collect();
        rounded.constants.insert(v, Tensor::from_f32(shape, values).expect("as many numbers as before"));
    }
    rounded
}

#[test]
fn efficientnet_in_16_bits_loses_what_its_weights_lose() {
    let Some((built, images)) = need(lite0("optimization = [\"set_all_nodes_int16\"]")) else { return };
    for (march, variant) in [("cpu", "lite0-cpu"), ("bayes", "lite0-bayes")] {
        let loaded = built.load(variant).expect("built");
        let float = FloatPlan::new(&loaded.optimized).expect("a plan");
        let rounded = with_rounded_weights(&loaded.optimized);
        let rounded = FloatPlan::new(&rounded).expect("a plan");
        for image in &images {
            let x = built.image(&loaded, image);
            let of =
                |plan: &FloatPlan| plan.run(std::slice::from_ref(&x), &mut |_, _| {}).expect("runs").swap_remove(0);
            let (truth, weights) = (of(&float), of(&rounded));
            let (lost, least) = (1.0 - cosine(&run(&loaded, &x), &truth), 1.0 - cosine(&weights, &truth));
            println!(
                "{march}: 1 - cosine of EfficientNet-Lite0 in 16 bits {lost:.2e}, by its weights alone {least:.2e}"
            );
            assert!(lost < 1.1 * least + 2e-4, "{march}: {lost}, its weights alone {least}");
        }
    }
}
