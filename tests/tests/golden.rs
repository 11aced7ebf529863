//! The example models against committed outputs of stock ONNX Runtime, needing nothing but Rust.

use ptq_cache::Digest;
use ptq_engine::{FILES, Loaded};
use ptq_exec::{FloatPlan, Interpreter};
use ptq_ir::Tensor;
use ptq_runtime::{Model, RunOptions};
use ptq_tests::goldens::{Built, EXAMPLES, Example, Golden, path};
use std::path::Path;
use std::sync::LazyLock;

static BUILT: LazyLock<Vec<(&'static Example, Built, Golden)>> = LazyLock::new(|| {
    let load = |e: &'static Example| {
        let text = std::fs::read_to_string(path(e)).expect("golden outputs are committed");
        let golden = serde_json::from_str(&text).expect("golden outputs parse");
        let below = Path::new(env!("CARGO_TARGET_TMPDIR")).join("golden");
        (e, Built::new(e, &below).unwrap_or_else(|why| panic!("{}: {why}", e.folder)), golden)
    };
    EXAMPLES.iter().map(load).collect()
});

fn each(mut check: impl FnMut(&Example, &Built, &Golden)) {
    for (example, built, golden) in BUILT.iter() {
        check(example, built, golden);
    }
}

fn error(ours: &[f32], theirs: &[f32]) -> f64 {
    assert_eq!(ours.len(), theirs.len());
    let largest = theirs.iter().fold(0f64, |m, v| m.max(f64::from(v.abs())));
    let differs = ours.iter().zip(theirs).fold(0f64, |m, (a, b)| m.max(f64::from((a - b).abs())));
    differs / largest
}

fn run_bin(loaded: &Loaded, input: &Tensor) -> Vec<f32> {
    let model = Model::load(&loaded.bin).expect("the artifact loads");
    let outputs = model.run(std::slice::from_ref(input), &RunOptions::default()).expect("the artifact runs");
    outputs[0].f32s().expect("float output").to_vec()
}

#[test]
fn float_stages_agree_with_onnx_runtime() {
    each(|example, built, golden| {
        let loaded = built.load(example.cpu).expect("built");
        for (image, theirs) in &golden.float {
            let input = built.image(&loaded, &built.folder.file("data/eval").join(image));
            for graph in [&loaded.original, &loaded.optimized] {
                let plan = FloatPlan::new(graph).expect("plan");
                let ours = plan.run(std::slice::from_ref(&input), &mut |_, _| {}).expect("run");
                let e = error(ours[0].f32s().expect("float"), theirs);
                assert!(e <= 1e-4, "{} {image}: {e}", example.folder);
            }
        }
    });
}

#[test]
fn the_compiled_model_agrees_with_onnx_runtimes_integers() {
    each(|example, built, golden| {
        let loaded = built.load(example.cpu).expect("built");
        for (image, theirs) in &golden.quantized {
            let input = built.image(&loaded, &built.folder.file("data/eval").join(image));
            let ours = run_bin(&loaded, &input);
            let (dot, a, b) = ours.iter().zip(theirs).fold((0f64, 0f64, 0f64), |(d, a, b), (x, y)| {
                let (x, y) = (f64::from(*x), f64::from(*y));
                (d + x * y, a + x * x, b + y * y)
            });
            let cosine = dot / (a.sqrt() * b.sqrt());
            assert!(cosine > 0.9999, "{} {image}: cosine {cosine}", example.folder);
        }
    });
}

#[test]
fn the_compiled_model_equals_the_integer_interpreter_bit_for_bit() {
    each(|example, built, _| {
        for variant in [example.cpu, example.bayes] {
            let loaded = built.load(variant).expect("built");
            let model = Model::load(&loaded.bin).expect("the artifact loads");
            let interpreter = Interpreter::new(&loaded.integer).expect("the program is valid");
            for image in example.images {
                let input = [built.image(&loaded, &built.folder.file("data/eval").join(image))];
                let golden = interpreter.run(&input, &mut |_, _| {}).expect("interpreted");
                for threads in [1, 2] {
                    assert_eq!(model.run(&input, &RunOptions { threads }).expect("run"), golden, "{variant} {image}");
                }
            }
        }
    });
}

#[test]
fn artifacts_have_the_recorded_bytes() {
    each(|example, built, golden| {
        let mut wrong = Vec::new();
        for variant in [example.cpu, example.bayes] {
            for file in FILES {
                let bytes = std::fs::read(built.out(variant, file)).expect("an artifact");
                let name = format!("{variant}/{file}");
                if golden.artifacts.get(&name) != Some(&Digest::of(&bytes).hex()) {
                    wrong.push(name);
                }
            }
        }
        assert!(wrong.is_empty(), "bytes changed: {wrong:?}; after an intended change run the golden program");
    });
}

#[test]
fn quantization_keeps_the_classifiers_accuracy() {
    let (example, built, _) = &BUILT[0];
    let labels = std::fs::read_to_string(built.folder.file("data/eval.csv")).expect("labels");
    let rows: Vec<(&str, usize)> = labels
        .lines()
        .skip(1)
        .filter_map(|l| l.split_once(','))
        .map(|(f, l)| (f, l.parse().expect("a label")))
        .collect();
    assert_eq!(rows.len(), 200);
    let best = |v: &[f32]| (0..v.len()).max_by(|&a, &b| v[a].total_cmp(&v[b]));
    for variant in [example.cpu, example.bayes] {
        let loaded = built.load(variant).expect("built");
        let plan = FloatPlan::new(&loaded.original).expect("plan");
        let (mut float, mut int8) = (0, 0);
        for (file, label) in &rows {
            let input = built.image(&loaded, &built.folder.file("data/eval").join(file));
            let out = plan.run(std::slice::from_ref(&input), &mut |_, _| {}).expect("run");
            float += usize::from(best(out[0].f32s().expect("float")) == Some(*label));
            int8 += usize::from(best(&run_bin(&loaded, &input)) == Some(*label));
        }
        assert!(float >= 180, "float {float} of 200");
        assert!(int8 + 3 >= float, "{variant}: int8 {int8}, float {float} of 200");
    }
}
