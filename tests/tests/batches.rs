//! Batches: which models take one, what a calibration sample then holds, and that each item gets what it gets alone.

use ptq_ir::{Attr, Attrs, GraphBuilder, Tensor};
use ptq_tests::oracle;
use ptq_tests::project::TestProject;
use ptq_tests::ptq::{Session, ptq};
use ptq_tests::skip::need;
use serde_json::Value;

const MARCHES: [&str; 2] = ["cpu", "bayes"];

/// Projects of an example with these keys for its input, one variant a march.
fn project(example: &str, input: &str, keys: &str) -> TestProject {
    let mut text = format!(
        "[model.net]\npath = \"model.onnx\"\n[model.net.input.{input}]\n{keys}\n[model.net.calibration]\ndata = \"calib\"\n"
    );
    for march in MARCHES {
        text += &format!("[[variant]]\nname = {march:?}\nmodel = \"net\"\nmarch = {march:?}\n");
    }
    let p = TestProject::new(&text);
    p.copy(&format!("examples/{example}/model.onnx"), "model.onnx");
    p
}

/// An item with values of its own.
fn item(shape: &[usize], seed: usize) -> Tensor {
    let n: usize = shape.iter().product();
    let value = |i: usize| ((i * (7 + 2 * seed) + seed * 31) % 256) as f32;
    Tensor::from_f32(shape, (0..n).map(value).collect()).expect("counted")
}

fn npy(p: &TestProject, name: &str, tensor: &Tensor) {
    p.write(name, &ptq_sample::write_npy(tensor).expect("npy"));
}

fn build(p: &TestProject) -> Session {
    ptq(p.path(), &["build"])
}

fn built(p: &TestProject) {
    let session = build(p);
    assert_eq!(session.code, 0, "{}{}", session.stdout, session.stderr);
}

fn run(p: &TestProject, march: &str, inputs: &[&str], output: &str) -> Tensor {
    let bin = format!("out/{march}/model.bin");
    let mut args = vec!["run", &bin, "--output", "results"];
    inputs.iter().for_each(|i| args.extend(["--input", i]));
    let session = ptq(p.path(), &args);
    assert_eq!(session.code, 0, "{march}: {}", session.stderr);
    let bytes = std::fs::read(p.file(&format!("results/{output}.npy"))).expect("an output");
    ptq_sample::read_npy(&bytes).expect("npy")
}

fn joined(items: &[Tensor]) -> Tensor {
    let mut shape = items[0].shape().to_vec();
    shape[0] = items.iter().map(|t| t.shape()[0]).sum();
    ptq_sample::joined(items, &shape).expect("equal shapes")
}

/// Builds with and without a batch from the same samples; what the batch gives is what each item gives alone.
fn each_item_gets_what_it_gets_alone(example: &str, input: &str, output: &str, shape: &[usize; 4], keys: &str) {
    let dims = format!("shape = {shape:?}\n{keys}");
    let items: Vec<Tensor> = (0..3).map(|i| item(shape, i)).collect();
    let single = project(example, input, &dims);
    let batched = project(example, input, &format!("{dims}\nbatch = 3"));
    for p in [&single, &batched] {
        (0..4).for_each(|i| npy(p, &format!("calib/{i}.npy"), &item(shape, i + 10)));
        items.iter().enumerate().for_each(|(i, t)| npy(p, &format!("item{i}.npy"), t));
        npy(p, "all.npy", &joined(&items));
        built(p);
    }
    for march in MARCHES {
        let scales = |p: &TestProject| {
            let text = std::fs::read(p.file(&format!("out/{march}/quant_info.json"))).expect("scales");
            serde_json::from_slice::<Value>(&text).expect("JSON")["tensors"].clone()
        };
        assert!(scales(&single).is_object() && scales(&single) == scales(&batched), "{march}: other thresholds");
        let alone: Vec<Tensor> =
            (0..3).map(|i| run(&single, march, &[&format!("{input}=item{i}.npy")], output)).collect();
        let together = run(&batched, march, &[&format!("{input}=all.npy")], output);
        assert_eq!(together, joined(&alone), "{example} {march}");
        // One item fills the batch.
        let same = run(&batched, march, &[&format!("{input}=item1.npy")], output);
        assert_eq!(same, joined(&[alone[1].clone(), alone[1].clone(), alone[1].clone()]), "{example} {march}");
        let verified = ptq(batched.path(), &["verify", march]);
        assert_eq!(verified.code, 0, "{march}: {}{}", verified.stdout, verified.stderr);
        if need(oracle::python()).is_some() {
            let file = batched.file(&format!("out/{march}/quantized.onnx"));
            let theirs = oracle::run(&file, input, &joined(&items), "exact").expect("ONNX Runtime runs it");
            let (a, b) = (together.to_f64s(), theirs.to_f64s());
            let apart = a.iter().zip(&b).map(|(a, b)| (a - b).abs()).fold(0f64, f64::max);
            let largest = b.iter().fold(0f64, |m, v| m.max(v.abs()));
            // March bayes rounds products with a multiplier of 31 bits, which ONNX has not.
            let limit = if march == "cpu" { 1e-5 } else { 1e-2 };
            assert!(apart <= largest * limit, "{example} {march}: {apart} of {largest}");
        }
    }
}

#[test]
fn a_batch_over_an_open_dimension() {
    each_item_gets_what_it_gets_alone("fashion-classifier", "input", "logits", &[1, 1, 28, 28], "");
}

#[test]
fn a_batch_over_a_fixed_dimension_of_one() {
    let keys = "type_train = \"rgb\"\nmean = [127.5, 127.5, 127.5]\nscale = [0.0078, 0.0078, 0.0078]";
    each_item_gets_what_it_gets_alone("shape-segmenter", "image", "mask", &[1, 3, 64, 64], keys);
}

#[test]
fn shapes_decide_whether_a_batch_may_be_laid_over_and_what_a_sample_holds() {
    // Whether it is the segmenter, keys, shape of the samples, words of the refusal.
    let table: [(bool, &str, [usize; 4], &[&str]); 8] = [
        // Open batch: shape 1 takes a batch, samples hold one item.
        (false, "shape = [1, 1, 28, 28]\nbatch = 2", [1, 1, 28, 28], &[]),
        (false, "shape = [1, 1, 28, 28]\nbatch = 2", [2, 1, 28, 28], &["SAMPLE03", "[1, 1, 28, 28]"]),
        // A first dimension above 1 is the model's own batch: no batch over it, samples hold all of it.
        (false, "shape = [2, 1, 28, 28]", [2, 1, 28, 28], &[]),
        (false, "shape = [2, 1, 28, 28]", [1, 1, 28, 28], &["SAMPLE03", "[2, 1, 28, 28]"]),
        (false, "shape = [2, 1, 28, 28]\nbatch = 2", [2, 1, 28, 28], &["MANIFEST17", "begins with 2"]),
        // Fixed dimensions: 1 takes a batch, without a word about the shape too.
        (true, "batch = 2", [1, 3, 64, 64], &[]),
        (true, "batch = 2", [2, 3, 64, 64], &["SAMPLE03"]),
        (true, "batch = 5000", [1, 3, 64, 64], &["MANIFEST17", "4096"]),
    ];
    for (is_segmenter, keys, sample, refusal) in table {
        let (example, input) =
            if is_segmenter { ("shape-segmenter", "image") } else { ("fashion-classifier", "input") };
        let p = project(example, input, keys);
        npy(&p, "calib/0.npy", &item(&sample, 0));
        let session = build(&p);
        assert_eq!(session.code != 0, !refusal.is_empty(), "{keys} {sample:?}: {}", session.stderr);
        for word in refusal {
            assert!(session.stderr.contains(word), "{keys} {sample:?}: {word} in {}", session.stderr);
        }
    }
}

/// `[1, 2, 4, 4]` → a middle → output.
fn check_of(middle: &dyn Fn(&mut GraphBuilder, ptq_ir::ValueId) -> ptq_ir::ValueId, more: bool) -> Session {
    let mut b = GraphBuilder::new("net");
    let x = b.input("x", &[1, 2, 4, 4]);
    if more {
        b.input("other", &[1, 2]);
    }
    let relu = b.node("Relu", "relu", &[x], Attrs::default(), &[1, 2, 4, 4]);
    let y = middle(&mut b, relu);
    b.output(y);
    let text = "[model.m]\npath = \"model.onnx\"\ncalibration.type = \"skip\"\ninput.x.batch = 4\n\
                [[variant]]\nname = \"v\"\nmodel = \"m\"\nmarch = \"cpu\"\n";
    let p = TestProject::new(text);
    p.write("model.onnx", &ptq_onnx::export_float(&b.finish(), &ptq_onnx::ExportMeta::default()));
    ptq(p.path(), &["check", "--variant", "v"])
}

#[test]
fn the_node_that_prevents_a_batch_is_named() {
    let shape = |b: &mut GraphBuilder, dims: Vec<i64>| b.constant("dims", Tensor::vec_i64(dims));
    let reshaped = |dims: Vec<i64>| {
        check_of(
            &move |b, x| {
                let s = shape(b, dims.clone());
                b.node("Reshape", "flat", &[x, s], Attrs::default(), &[1, 32])
            },
            false,
        )
    };
    assert_eq!(reshaped(vec![-1, 32]).code, 0);
    for (dims, word) in [(vec![1, 32], "flat"), (vec![1, -1], "flat (Reshape) gives [1, 64] for two items")] {
        let session = reshaped(dims);
        assert_eq!(session.code, 1, "{}", session.stdout);
        for word in ["PARSE14", "batch = 4", word] {
            assert!(session.stderr.contains(word), "{word} in {}", session.stderr);
        }
    }
    // Shapes grow as they should, but items are mixed.
    let mixed = check_of(
        &|b, x| {
            let axes = Attrs::of([("axis", Attr::Int(0))]);
            b.node("Softmax", "over_items", &[x], axes, &[1, 2, 4, 4])
        },
        false,
    );
    assert!(mixed.stderr.contains("over_items (Softmax)"), "{}", mixed.stderr);
    let several = check_of(&|_, x| x, true);
    assert!(several.stderr.contains("goes with one input, the model has 2"), "{}", several.stderr);
}

#[test]
fn items_arrive_as_inputs_of_their_own() {
    let keys = "shape = [1, 1, 28, 28]\nbatch = 2";
    let [whole, apart] = ["", "\nseparate_batch = true"].map(|more| {
        let p = project("fashion-classifier", "input", &format!("{keys}{more}"));
        npy(&p, "calib/0.npy", &item(&[1, 1, 28, 28], 5));
        let items = [item(&[1, 1, 28, 28], 0), item(&[1, 1, 28, 28], 1)];
        npy(&p, "a.npy", &items[0]);
        npy(&p, "b.npy", &items[1]);
        npy(&p, "both.npy", &joined(&items));
        built(&p);
        p
    });
    let wanted = run(&whole, "cpu", &["input=both.npy"], "logits");
    assert_eq!(run(&apart, "cpu", &["input_0=a.npy", "input_1=b.npy"], "logits"), wanted);
    let info = ptq(apart.path(), &["info", "out/cpu/model.bin", "--json"]);
    let info: Value = serde_json::from_str(&info.stdout).expect("JSON");
    let inputs = info["ports"].as_array().expect("ports").iter().filter(|p| p["kind"] == "input");
    let shown: Vec<_> = inputs.map(|p| (p["name"].as_str().unwrap_or(""), p["valid_shape"].to_string())).collect();
    assert_eq!(shown, [("input_0", "[1,1,28,28]".to_owned()), ("input_1", "[1,1,28,28]".to_owned())]);
    let missing = ptq(apart.path(), &["run", "out/cpu/model.bin", "--input", "input_0=a.npy", "--output", "r"]);
    assert!(missing.code == 2 && missing.stderr.contains("input_1"), "{}", missing.stderr);
}
