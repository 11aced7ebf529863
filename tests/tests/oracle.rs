//! Our artifacts against stock ONNX Runtime: the example models, and EfficientNet-Lite0 on real photos.
//!
//! Needs the oracle's virtual environment and fetched assets; see `ptq_tests::skip`.

#![allow(clippy::print_stdout)] // Figures for the log of a run with --nocapture.

use ptq_engine::Loaded;
use ptq_ir::{QOp, Tensor};
use ptq_runtime::{Model, RunOptions};
use ptq_tests::goldens::{Built, EXAMPLES};
use ptq_tests::project::TestProject;
use ptq_tests::skip::need;
use ptq_tests::{assets, oracle, workspace_root};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// A built model with inputs that it has not been calibrated on.
struct Subject {
    name: &'static str,
    built: Built,
    input: String,
    cpu: &'static str,
    bayes: &'static str,
    images: Vec<PathBuf>,
}

fn examples() -> Vec<Subject> {
    EXAMPLES
        .iter()
        .map(|e| {
            let built = Built::new(e, &folder()).unwrap_or_else(|why| panic!("{}: {why}", e.folder));
            let images = e.images.iter().map(|i| built.folder.file("data/eval").join(i)).collect();
            Subject { name: e.folder, built, input: e.input.to_owned(), cpu: e.cpu, bayes: e.bayes, images }
        })
        .collect()
}

/// EfficientNet-Lite0 with its own manifest, its paths pointed at the fetched assets.
fn lite0() -> Result<Subject, String> {
    let model = assets().join("models/efficientnet_lite0.onnx");
    let photos = assets().join("data/photos_eval");
    if !model.exists() || !photos.is_dir() {
        return Err(format!("no {}: cargo run -p ptq-tests --bin fetch", model.display()));
    }
    let manifest = std::fs::read_to_string(workspace_root().join("examples/efficientnet-lite0/ptq.toml"))
        .map_err(|e| e.to_string())?;
    let manifest = manifest.replace("../../assets", &assets().display().to_string());
    let built = Built::open(TestProject::at(&folder().join("efficientnet-lite0"), &manifest))?;
    let mut images: Vec<PathBuf> =
        std::fs::read_dir(photos).map_err(|e| e.to_string())?.flatten().map(|e| e.path()).collect();
    images.sort();
    images.truncate(6);
    Ok(Subject {
        name: "efficientnet-lite0",
        built,
        input: "input".into(),
        cpu: "lite0-cpu",
        bayes: "lite0-bayes",
        images,
    })
}

/// Every subject, built once for all tests.
static SUBJECTS: LazyLock<Result<Vec<Subject>, String>> = LazyLock::new(|| {
    oracle::python()?;
    let mut all = examples();
    all.extend(need(lite0()));
    Ok(all)
});

fn subjects() -> &'static [Subject] {
    need(SUBJECTS.as_ref().map(Vec::as_slice).map_err(Clone::clone)).unwrap_or_default()
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("oracle")
}

fn f64s(t: &Tensor) -> Vec<f64> {
    t.to_f64s()
}

fn cosine(a: &Tensor, b: &Tensor) -> f64 {
    ptq_exec::metrics::cosine(&f64s(a), &f64s(b))
}

/// `max|a - b| / max|b|`.
fn error(a: &Tensor, b: &Tensor) -> f64 {
    ptq_exec::metrics::max_relative_error(&f64s(a), &f64s(b))
}

fn run_bin(loaded: &Loaded, input: &Tensor) -> Tensor {
    let model = Model::load(&loaded.bin).expect("the artifact loads");
    model.run(std::slice::from_ref(input), &RunOptions { threads: 2 }).expect("the artifact runs").remove(0)
}

fn ort(path: &Path, s: &Subject, input: &Tensor, mode: &str) -> Tensor {
    oracle::run(path, &s.input, input, mode).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

#[test]
fn float_and_optimized_outputs_agree() {
    for s in subjects() {
        let loaded = s.built.load(s.cpu).expect("built");
        let plan = |g: &ptq_ir::Graph| ptq_exec::FloatPlan::new(g).expect("plan");
        let (original, optimized) = (plan(&loaded.original), plan(&loaded.optimized));
        for image in &s.images {
            let input = s.built.image(&loaded, image);
            let truth = ort(&s.built.out(s.cpu, "original_float.onnx"), s, &input, "default");
            let theirs = ort(&s.built.out(s.cpu, "optimized_float.onnx"), s, &input, "default");
            let run =
                |p: &ptq_exec::FloatPlan| p.run(std::slice::from_ref(&input), &mut |_, _| {}).expect("run").remove(0);
            for (what, e) in [
                ("optimized_float.onnx", error(&theirs, &truth)),
                ("our original", error(&run(&original), &truth)),
                ("our optimized", error(&run(&optimized), &truth)),
            ] {
                assert!(e <= 1e-4, "{} {what}: error {e}", s.name);
            }
            println!("{}: float error {:.2e}", s.name, error(&run(&optimized), &truth));
        }
    }
}

#[test]
fn the_original_float_file_is_the_source_model_behind_its_preprocessing() {
    for s in subjects() {
        let loaded = s.built.load(s.cpu).expect("built");
        let source = s.built.folder.file(&loaded.config.path);
        let spec = loaded.config.inputs.values().next().expect("an input").clone();
        for image in &s.images {
            let raw = s.built.image(&loaded, image);
            let normal = raw.f32s().expect("pixels").iter().map(|v| (v - spec.mean[0]) * spec.scale[0]).collect();
            let normal = Tensor::from_f32(raw.shape(), normal).expect("same count");
            let truth = ort(&source, s, &normal, "default");
            let ours = ort(&s.built.out(s.cpu, "original_float.onnx"), s, &raw, "default");
            assert!(error(&ours, &truth) <= 1e-4, "{}: {}", s.name, error(&ours, &truth));
        }
    }
}

#[test]
fn every_onnx_file_of_both_marches_runs_in_stock_onnx_runtime() {
    for s in subjects() {
        for variant in [s.cpu, s.bayes] {
            let loaded = s.built.load(variant).expect("built");
            let input = s.built.image(&loaded, &s.images[0]);
            let bin = run_bin(&loaded, &input);
            for (file, least) in [
                ("original_float.onnx", 0.95),
                ("optimized_float.onnx", 0.95),
                ("calibrated.onnx", 0.98),
                ("quantized.onnx", 0.99),
            ] {
                let theirs = ort(&s.built.out(variant, file), s, &input, "exact");
                let near = cosine(&bin, &theirs);
                println!("{variant} {file}: cosine to model.bin {near:.6}");
                assert!(near >= least, "{variant} {file}: {near}");
            }
        }
    }
}

#[test]
fn every_conv_but_those_with_int32_output_runs_as_an_integer_kernel_on_march_cpu() {
    for s in subjects() {
        let loaded = s.built.load(s.cpu).expect("built");
        let tails =
            loaded.integer.nodes.iter().filter(|n| matches!(&n.op, QOp::Conv(c) if c.requant.is_none())).count() as u64;
        let file = s.built.out(s.cpu, "quantized.onnx");
        let answer = oracle::ask(&["ops", "--model", &file.display().to_string()]).expect("the oracle answers");
        let convs = answer["in_file"]["Conv"].as_u64().expect("a count of Conv");
        let executed = &answer["executed"];
        println!("{}: {executed}", s.name);
        assert!((1..convs).contains(&tails), "{}: {tails} of {convs} with int32 output", s.name);
        assert_eq!(executed["QLinearConv"].as_u64(), Some(convs - tails), "{}: {executed}", s.name);
        let float: u64 = ["Conv", "FusedConv", "Gemm"].iter().filter_map(|op| executed[op].as_u64()).sum();
        assert_eq!(float, tails, "{}: {executed}", s.name);
    }
}

#[test]
fn layers_agree_within_one_step_in_a_thousandth_of_the_elements() {
    for s in subjects() {
        let loaded = s.built.load(s.cpu).expect("built");
        let model = Model::load(&loaded.bin).expect("loads");
        let mut total = 0;
        for image in s.images.iter().take(2) {
            let dir = tempfile::tempdir().expect("a folder");
            let input = s.built.image(&loaded, image);
            let save = |name: &str, t: &Tensor| {
                let file = dir.path().join(format!("{}.npy", encoded(name)));
                std::fs::write(file, ptq_sample::write_npy(t).expect("npy")).expect("written");
            };
            save(&s.input, &input);
            model.run_with(std::slice::from_ref(&input), &RunOptions::default(), &mut |n, t| save(n, t)).expect("runs");
            let (quantized, report) = (s.built.out(s.cpu, "quantized.onnx"), dir.path().join("report.json"));
            let args = [
                "layers",
                "--model",
                &quantized.display().to_string(),
                "--tensors",
                &dir.path().display().to_string(),
                "--out",
                &report.display().to_string(),
                "--mode",
                "exact",
            ]
            .map(str::to_owned);
            let answer = oracle::ask(&args).expect("the oracle answers");
            assert_eq!(answer["missing"].as_array().map(Vec::len), Some(0), "{}: {}", s.name, answer["missing"]);
            let layers = answer["layers"].as_array().expect("layers");
            total += layers.len();
            for layer in layers {
                let n = |key: &str| layer[key].as_u64().unwrap_or(u64::MAX);
                assert_eq!(n("off_by_more"), 0, "{}: {layer}", s.name);
                assert!(n("off_by_one") * 1000 <= n("elements").max(1000), "{}: {layer}", s.name);
            }
        }
        println!("{}: {total} layers agree", s.name);
        assert!(total > 20, "{}: only {total} layers", s.name);
    }
}

#[test]
fn end_to_end_is_as_near_as_onnx_runtime_is_to_itself() {
    for s in subjects() {
        let loaded = s.built.load(s.cpu).expect("built");
        let file = s.built.out(s.cpu, "quantized.onnx");
        let step = output_step(&loaded);
        let (mut ours, mut own) = (0f64, 0f64);
        for image in &s.images {
            let input = s.built.image(&loaded, image);
            let (fused, unfused) = (ort(&file, s, &input, "exact"), ort(&file, s, &input, "unfused"));
            let bin = run_bin(&loaded, &input);
            ours += 1.0 - cosine(&bin, &fused);
            own += 1.0 - cosine(&fused, &unfused);
            if bin.len() <= 1000 {
                same_top1(s, &bin, &fused, step);
            }
        }
        let n = s.images.len() as f64;
        println!("{}: 1 - cosine {:.3e}, ONNX Runtime's own {:.3e}", s.name, ours / n, own / n);
        // Where both differences are below a hundred-millionth, the ratio is noise of single ties.
        assert!(ours <= 2.0 * own + 1e-8 * n, "{}: {ours:.3e} against {own:.3e}", s.name);
    }
}

/// Size of one output step: the scale of the tensor that the last dequantization reads.
fn output_step(loaded: &Loaded) -> f64 {
    let last = loaded.integer.nodes.iter().rev().find(|n| matches!(n.op, ptq_ir::QOp::Dequantize)).expect("a border");
    let quant = loaded.integer.tensor(last.inputs[0]).quant.as_ref().expect("quantized");
    f64::from(quant.scale0())
}

fn same_top1(s: &Subject, ours: &Tensor, theirs: &Tensor, step: f64) {
    let (a, b) = (f64s(ours), f64s(theirs));
    let best = |v: &[f64]| (0..v.len()).max_by(|&i, &j| v[i].total_cmp(&v[j])).expect("not empty");
    let (x, y) = (best(&a), best(&b));
    assert!(x == y || b[y] - b[x] < 2.0 * step, "{}: top-1 {x} against {y}, margin {}", s.name, b[y] - b[x]);
}

#[test]
fn the_simulated_accelerator_equals_the_interpreter_bit_for_bit() {
    for s in subjects() {
        let loaded = s.built.load(s.bayes).expect("built");
        let input = s.built.image(&loaded, &s.images[0]);
        let interpreter = ptq_exec::Interpreter::new(&loaded.integer).expect("valid");
        let golden = interpreter.run(std::slice::from_ref(&input), &mut |_, _| {}).expect("interpreted").remove(0);
        assert_eq!(run_bin(&loaded, &input), golden, "{}", s.name);
    }
}

#[test]
fn field_numbers_are_those_of_the_official_schema() {
    if need(oracle::python()).is_none() {
        return;
    }
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("tags.json");
    std::fs::write(&file, serde_json::to_vec(&ptq_onnx::proto::tags()).expect("JSON")).expect("written");
    let answer = oracle::ask(&["freshness", "--tags", &file.display().to_string()]).expect("the oracle answers");
    assert_eq!(answer["differences"].as_array().map(Vec::len), Some(0), "{answer}");
    assert!(answer["checked"].as_u64() > Some(50), "{answer}");
}

/// File name of a tensor: everything but letters, digits and `._-` percent-encoded.
fn encoded(name: &str) -> String {
    name.bytes()
        .map(|b| {
            if b.is_ascii_alphanumeric() || b"._-".contains(&b) {
                char::from(b).to_string()
            } else {
                format!("%{b:02X}")
            }
        })
        .collect()
}
