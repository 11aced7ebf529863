//! `remove_node_type` and `remove_node_name` of the borders that a build itself adds: the program and its files carry integers there,
//! which stand for the very numbers that the same build with borders takes and gives.

use ptq_ir::{Attr, Attrs, DType, Graph, GraphBuilder, Tensor, ValueId};
use ptq_onnx::{ExportMeta, export_float};
use ptq_runtime::{Model, RunOptions};
use ptq_tests::goldens::EXAMPLES;
use ptq_tests::model_project::{MARCHES, ModelProject, verified};
use ptq_tests::numbers;
use ptq_tests::oracle;
use ptq_tests::project::TestProject;
use ptq_tests::ptq::ptq;
use ptq_tests::skip::need;
use ptq_tests::workspace_root;
use serde_json::Value;

const BOTH: &str = "remove_node_type = [\"Quantize\", \"Dequantize\"]\n";

/// Without it the tail rule keeps the pool, whose result is an output, on the CPU.
const POOL: &str = "run_on_bpu = [\"pool\"]\n";

fn conv(b: &mut GraphBuilder, name: &str, x: ValueId, channels: [usize; 2], side: usize, seed: u64) -> ValueId {
    let [from, to] = channels;
    let w = b.constant(&format!("{name}_w"), numbers(&[to, from, 3, 3], seed));
    let bias = b.constant(&format!("{name}_b"), numbers(&[to], seed + 1));
    let attrs = Attrs::of([("pads", Attr::Ints(vec![1; 4]))]);
    b.node("Conv", name, &[x, w, bias], attrs, &[1, to, side, side])
}

/// image → Conv → MaxPool → Conv tail (int32 where the march keeps it); the pool's result is an output of its own.
/// rows → Erf, on the CPU of every march without a border.
fn net() -> Graph {
    let mut b = GraphBuilder::new("net");
    let image = b.input("image", &[1, 3, 8, 8]);
    let rows = b.input("rows", &[1, 6]);
    let first = conv(&mut b, "first", image, [3, 8], 8, 11);
    let window = || Attr::Ints(vec![2, 2]);
    let pool = Attrs::of([("kernel_shape", window()), ("strides", window())]);
    let pooled = b.node("MaxPool", "pool", &[first], pool, &[1, 8, 4, 4]);
    let tail = conv(&mut b, "tail", pooled, [8, 5], 4, 29);
    let root = b.node("Erf", "erf", &[rows], Attrs::default(), &[1, 6]);
    b.output(tail);
    b.output(pooled);
    b.output(root);
    b.finish()
}

fn samples() -> Vec<(String, Vec<Tensor>)> {
    let of = |shape: &[usize], from: u64| (0..6).map(|i| numbers(shape, from + i)).collect();
    vec![("image".to_owned(), of(&[1, 3, 8, 8], 100)), ("rows".to_owned(), of(&[1, 6], 200))]
}

fn built(settings: &str) -> ModelProject {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("net.onnx");
    std::fs::write(&file, export_float(&net(), &ExportMeta::default())).expect("written");
    ModelProject::build(&file, &samples(), &format!("{POOL}{settings}"), &MARCHES).unwrap_or_else(|e| panic!("{e}"))
}

fn inputs() -> Vec<Tensor> {
    samples().into_iter().map(|(_, arrays)| arrays[2].clone()).collect()
}

#[test]
fn integers_stand_for_what_the_build_with_borders_takes_and_gives() {
    let (plain, bare) = (built(""), built(BOTH));
    for march in MARCHES {
        let (with, without) = (plain.load(march), bare.load(march));
        let (with, model) = (Model::load(&with.bin).expect("reads"), Model::load(&without.bin).expect("reads"));
        let names =
            |m: &Model| -> Vec<String> { m.inputs().iter().chain(&m.outputs()).map(|p| p.name.to_owned()).collect() };
        assert_eq!(names(&with), names(&model), "{march}");
        let types: Vec<DType> = model.inputs().iter().chain(&model.outputs()).map(|p| p.dtype).collect();
        assert!(types[0].quant_range().is_some() && types[1] == DType::F32, "{march}: {types:?}");
        assert_eq!(types[2], DType::I32, "{march}: the tail keeps its accumulators");
        assert!(types[3].quant_range().is_some() && types[4] == DType::F32, "{march}: {types:?}");
        let count = |m: &Model, op: &str| {
            let text = format!("{:?}", m.artifact().segments);
            text.matches(&format!("op: {op},")).count()
        };
        assert!(count(&with, "Quantize") == 1 && count(&with, "Dequantize") == 2, "{march}");
        assert_eq!([count(&model, "Quantize"), count(&model, "Dequantize")], [0, 0], "{march}");
        for threads in [1, 2] {
            let options = RunOptions { threads };
            let expected = with.run(&inputs(), &options).expect("runs");
            assert_eq!(model.run_real(&inputs(), &options).expect("runs"), expected, "{march}");
        }
        let report = verified(&without, &inputs(), 2).expect("a report");
        assert!(report.passed, "{march}: {report}");
    }
}

#[test]
fn onnx_runtime_takes_and_gives_the_same_integers() {
    if need(oracle::python()).is_none() {
        return;
    }
    let bare = built(BOTH);
    for march in MARCHES {
        let model = Model::load(&bare.load(march).bin).expect("reads");
        let ports = model.inputs();
        let given: Vec<Tensor> = inputs().into_iter().zip(&ports).map(|(x, p)| p.integers(x).expect("fits")).collect();
        let ours = model.run(&given, &RunOptions { threads: 1 }).expect("runs");
        let theirs = bare.ort(&bare.out(march, "quantized.onnx"), &given, "exact").expect("ONNX Runtime runs it");
        // Float sums of products below 2^24 are exact; what is left is the rounding of the scales.
        for ((ours, theirs), apart) in ours.iter().zip(&theirs).zip([2, 1, 0]) {
            assert_eq!((ours.dtype(), ours.shape()), (theirs.dtype(), theirs.shape()), "{march}");
            let differences = ours.to_f64s().into_iter().zip(theirs.to_f64s()).map(|(a, b)| (a - b).abs());
            let worst = differences.fold(0.0, f64::max);
            assert!(worst <= f64::from(apart) + 1e-5, "{march}: {worst}");
            assert!(ours.to_f64s().iter().any(|v| *v != 0.0), "{march}: nothing was computed");
        }
    }
}

/// The net with a manifest of its own, built by the program.
fn project(model: &Graph, settings: &str) -> TestProject {
    let mut text = format!("[model.m]\npath = \"model.onnx\"\ncalibration.type = \"skip\"\n{settings}");
    for march in MARCHES {
        text += &format!("[[variant]]\nname = {march:?}\nmodel = \"m\"\nmarch = {march:?}\n");
    }
    let p = TestProject::new(&text);
    p.write("model.onnx", &export_float(model, &ExportMeta::default()));
    p
}

fn json(p: &TestProject, args: &[&str]) -> Value {
    let session = ptq(p.path(), args);
    assert_eq!(session.code, 0, "{args:?}: {}{}", session.stdout, session.stderr);
    serde_json::from_str(&session.stdout).unwrap_or_else(|e| panic!("{args:?}: {e}"))
}

#[test]
fn every_command_knows_the_ports() {
    let p = project(&net(), &format!("{POOL}{BOTH}"));
    let session = ptq(p.path(), &["build"]);
    assert_eq!(session.code, 0, "{}", session.stderr);
    for said in ["PART21", "input image carries", "output tail", "zero point"] {
        assert!(session.stderr.contains(said), "{said}: {}", session.stderr);
    }
    for march in MARCHES {
        assert_eq!(json(&p, &["verify", march, "--json"])["passed"], true, "{march}");
        let info = |file: &str| json(&p, &["info", &format!("out/{march}/{file}"), "--json"])["ports"].clone();
        let (bin, onnx) = (info("model.bin"), info("quantized.onnx"));
        for port in [0, 2, 3] {
            for key in ["name", "type", "scale", "zero_point", "axis"] {
                assert_eq!(bin[port][key], onnx[port][key], "{march} {port} {key}");
            }
            assert!(bin[port]["scale"].is_array(), "{march} {port}: {bin}");
        }
        let found = json(&p, &["check", "--variant", march, "--json"]);
        assert_eq!(found["borders"].as_array().map(Vec::len), Some(0), "{march}: {}", found["borders"]);
        assert_eq!(found["integer_ports"], serde_json::json!(["image", "pool_out", "tail_out"]), "{march}");
        // Real numbers and the integers that stand for them are taken alike.
        let model =
            Model::load(&std::fs::read(p.file(&format!("out/{march}/model.bin"))).expect("a file")).expect("reads");
        let mut given = vec!["run".to_owned(), format!("out/{march}/model.bin")];
        let mut integers = given.clone();
        for (port, real) in model.inputs().iter().zip(inputs()) {
            let write = |kind: &str, t: &Tensor| {
                let file = format!("{march}-{}-{kind}.npy", port.name);
                p.write(&file, &ptq_sample::write_npy(t).expect("npy"));
                ["--input".to_owned(), format!("{}={file}", port.name)]
            };
            given.extend(write("real", &real));
            integers.extend(write("integers", &port.integers(real.clone()).expect("fits")));
        }
        let answer = |args: &[String], to: &str| {
            let args: Vec<&str> = args.iter().map(String::as_str).chain(["--output", to]).collect();
            let session = ptq(p.path(), &args);
            assert_eq!(session.code, 0, "{}", session.stderr);
            ["tail_out", "pool_out"].map(|o| std::fs::read(p.file(&format!("{to}/{o}.npy"))).expect("an output"))
        };
        let real = answer(&given, &format!("{march}-a"));
        assert_eq!(real, answer(&integers, &format!("{march}-b")), "{march}");
        let perf = ptq(p.path(), &["perf", march, "--json"]);
        assert_eq!(perf.code, 0, "{}", perf.stderr);
    }
}

#[test]
fn a_border_that_somebody_needs_stays_and_says_for_whom() {
    // The image is read on the CPU too; the pool's result as well.
    let mut b = GraphBuilder::new("net");
    let image = b.input("image", &[1, 3, 8, 8]);
    let first = conv(&mut b, "first", image, [3, 8], 8, 11);
    let own = b.node("Erf", "reads_image", &[image], Attrs::default(), &[1, 3, 8, 8]);
    let second = b.node("Erf", "reads_first", &[first], Attrs::default(), &[1, 8, 8, 8]);
    b.output(first);
    b.output(own);
    b.output(second);
    let p = project(&b.finish(), BOTH);
    let session = ptq(p.path(), &["build"]);
    assert_eq!(session.code, 0, "{}", session.stderr);
    for said in ["PLACE28", "image_quantize stays: reads_image", "first_out_dequantize stays: reads_first"] {
        assert!(session.stderr.contains(said), "{said}: {}", session.stderr);
    }
    let loaded = json(&p, &["info", "out/bayes/model.bin", "--json"]);
    assert_eq!(loaded["ports"][0]["type"], "float32", "{loaded}");
}

#[test]
fn pictures_names_and_requests_without_a_border_are_told() {
    let picture = "[model.m.input.image]\ntype_train = \"rgb\"\ntype_rt = \"nv12\"\n";
    let p = project(&net(), &format!("{BOTH}{picture}"));
    let session = ptq(p.path(), &["build"]);
    assert_eq!(session.code, 0, "{}", session.stderr);
    assert!(!session.stderr.contains("pool_out"), "a border between segments is nobody's port: {}", session.stderr);
    assert!(session.stderr.contains("image is filled by a picture"), "{}", session.stderr);
    assert_eq!(json(&p, &["verify", "bayes", "--json"])["passed"], true);
    // One border by its name: the others stay.
    let p = project(&net(), "remove_node_name = [\"image_quantize\", \"rows_quantize\"]\n");
    let session = ptq(p.path(), &["build"]);
    assert_eq!(session.code, 0, "{}", session.stderr);
    assert!(
        session.stderr.contains("remove_node_name rows_quantize: the build puts no such border"),
        "{}",
        session.stderr
    );
    let types = |at: usize| json(&p, &["info", "out/cpu/quantized.onnx", "--json"])["ports"][at]["type"].clone();
    assert!(
        types(0).as_str().is_some_and(|t| t.ends_with("int8")) && types(2) == "float32",
        "{} {}",
        types(0),
        types(2)
    );
    let session = ptq(p.path(), &["build", "-D", "remove_node_name=[\"nobody_quantize\"]"]);
    assert!(session.code == 1 && session.stderr.contains("PARSE12"), "{}", session.stderr);
}

#[test]
fn a_task_is_judged_by_the_numbers_behind_the_integers() {
    let from = format!("examples/{}", EXAMPLES[0].folder);
    let manifest = std::fs::read_to_string(workspace_root().join(&from).join("ptq.toml")).expect("the example");
    let eval = "[model.fashion.eval]\ndata = \"data/eval\"\nlabels = \"data/eval.csv\"\n";
    let head = "[[variant]]\nname = \"fashion-cpu\"";
    let figures = |more: &str| {
        let p = TestProject::new(&manifest.replace(head, &format!("{eval}{head}\n{more}")));
        p.copy(&format!("{from}/model.onnx"), "model.onnx");
        p.copy(&format!("{from}/data"), "data");
        let found = json(&p, &["eval", "fashion-cpu", "--artifact", "all", "--json"]);
        let types = json(&p, &["info", "out/fashion-cpu/model.bin", "--json"])["ports"].clone();
        (found["artifacts"].clone(), types)
    };
    let (plain, _) = figures("");
    let (bare, ports) = figures(BOTH);
    assert_ne!(ports[1]["type"], "float32", "{ports}");
    assert_eq!(plain.as_array().map(Vec::len), Some(5));
    assert_eq!(plain, bare);
}
