//! Graph rewrites of a manifest: exactly what an edit affects runs again, every report names them, exact ones agree with ONNX
//! Runtime, one that changes results is found, and what is wrong with one is said with its place.

use ptq_ir::{Attrs, Graph, GraphBuilder, Tensor};
use ptq_onnx::{ExportMeta, export_float};
use ptq_tests::oracle;
use ptq_tests::project::TestProject;
use ptq_tests::ptq::{Session, files, ptq, ran};
use ptq_tests::skip::need;
use ptq_tests::sweep::{edit, samples};
use ptq_tests::workspace_root;

const MANIFEST: &str = r#"
[model.net]
path = "model.onnx"
calibration.data = "calib"
[model.net.input.input]
shape = [1, 1, 28, 28]
type_train = "gray"
mean = [72.94]
scale = [0.0111086]

[matrix.sweep]
name = "{model}-{march}"
model = "net"
march = ["bayes", "cpu"]

[[rewrite]]
name = "pool"
summary = "A mean over the whole image is an average pool of its size."
match = [{ op = "GlobalAveragePool", inputs = ["x"], outputs = ["y"] }]
where.x.shape = ["N", "C", "H", "W"]
dimensions.H.max = 16
replace = [{ op = "AveragePool", inputs = ["x"], outputs = ["y"], attributes = { kernel_shape = ["$H", "$W"] } }]
"#;

fn project() -> TestProject {
    let p = TestProject::new(MANIFEST);
    p.copy("examples/fashion-classifier/model.onnx", "model.onnx");
    for (i, sample) in samples().iter().take(2).enumerate() {
        p.copy(sample, &format!("calib/{i}.png"));
    }
    p
}

fn said(p: &TestProject, args: &[&str]) -> String {
    let session = ptq(p.path(), args);
    assert_eq!(session.code, 0, "{}{}", session.stdout, session.stderr);
    session.stdout
}

fn stages(ran: &[String]) -> Vec<&str> {
    let mut out: Vec<&str> = ran.iter().filter_map(|r| Some(r.split_once(':')?.1)).collect();
    out.sort_unstable();
    out.dedup();
    out
}

#[test]
fn an_edit_of_a_rewrite_runs_from_fuse_on_and_other_edits_run_nothing() {
    let p = project();
    ran(p.path(), &[]);
    edit(&p, "dimensions.H.max = 16\n", "");
    edit(&p, "name = \"pool\"\n", "# where the image is small\ndimensions.H.max = 16\nname = \"pool\"\n");
    edit(&p, "summary = \"A mean", "summary = \"The mean");
    edit(&p, "where.x.shape = [", "where.x.shape = [  ");
    assert_eq!(ran(p.path(), &[]), Vec::<String>::new(), "neither comments, order, spaces nor words for people count");

    edit(&p, "dimensions.H.max = 16", "dimensions.H.max = 15");
    assert_eq!(stages(&ran(p.path(), &[])), ["fuse"], "the graph is the same, so it ends there");
    edit(&p, "dimensions.H.max = 15", "dimensions.H.max = 3");
    let did = ran(p.path(), &[]);
    assert!(!stages(&did).contains(&"parse") && stages(&did).contains(&"partition"), "{did:?}");
    assert!(!stages(&did).contains(&"compile"), "both spellings are the same integer program: {did:?}");
    assert_eq!(did.iter().filter(|d| d.ends_with(":fuse")).count(), 1, "both variants share it: {did:?}");

    edit(&p, "model = \"net\"\nmarch", "model = \"net\"\nrewrites = [[]]\nmarch");
    assert_eq!(stages(&ran(p.path(), &[])), ["fuse"], "without it the graph is the same again");
}

#[test]
fn explanations_name_the_rewrite_and_its_line() {
    let p = project();
    ran(p.path(), &[]);
    let line = MANIFEST.lines().position(|l| l == "[[rewrite]]").expect("its table") + 1;
    let explained = said(&p, &["explain", "net-cpu"]);
    assert!(explained.contains(&format!("rewrite pool (ptq.toml:{line}) fired once")), "{explained}");

    edit(&p, "dimensions.H.max = 16", "dimensions.H.max = 3");
    let next = said(&p, &["explain", "net-cpu:fuse"]);
    let edited = MANIFEST.lines().position(|l| l.starts_with("dimensions")).expect("its guard") + 1;
    let why = format!("rewrite pool: dimensions.H.max 16 → 3 (ptq.toml:{edited})");
    assert!(next.contains(&format!("fuse would run now: {why}")), "{next}");
    ran(p.path(), &[]);
    let differs = said(&p, &["why-differs", "net-cpu@1", "net-cpu"]);
    assert!(differs.contains(&why), "{differs}");
    let explained = said(&p, &["explain", "net-cpu"]);
    assert!(explained.contains("did not fire; not at /8/GlobalAveragePool: H is 7, outside ..3"), "{explained}");

    let page = said(&p, &["rule", "pool"]);
    for part in
        ["rewrite:pool (ptq.toml:", "The mean", "y = GlobalAveragePool(x)", "at most 3", "kernel_shape [$H, $W]"]
    {
        let part = if part == "The mean" { "A mean over the whole image" } else { part };
        assert!(page.contains(part), "{part} in {page}");
    }
    assert!(said(&p, &["rule"]).contains("rewrite:pool"));
    let checked = said(&p, &["check", "--variant", "net-cpu", "--json"]);
    assert!(checked.contains("GlobalAveragePool"), "check fuses as the build does: {checked}");
}

#[test]
fn rewrites_may_lie_in_a_file_of_their_own() {
    let p = project();
    ran(p.path(), &[]);
    let text = std::fs::read_to_string(p.file("ptq.toml")).expect("manifest");
    let (head, own) = text.split_once("[[rewrite]]").expect("its table");
    p.write("rules/own.toml", format!("[[rewrite]]{own}").as_bytes());
    p.write("ptq.toml", format!("{head}[[rewrite]]\nfile = \"rules/own.toml\"\n").as_bytes());
    assert_eq!(ran(p.path(), &[]), Vec::<String>::new(), "where a rewrite stands does not count");
    let now = std::fs::read_to_string(p.file("rules/own.toml")).expect("rewrites");
    p.write("rules/own.toml", now.replace("max = 16", "max = 3").as_bytes());
    assert!(stages(&ran(p.path(), &[])).contains(&"fuse"));
    let explained = said(&p, &["explain", "net-cpu"]);
    assert!(explained.contains("rewrite pool (rules/own.toml:1) did not fire"), "{explained}");
    p.write(
        "rules/own.toml",
        now.replace("AveragePool\", inputs = [\"x\"]", "AveragePol\", inputs = [\"z\"]").as_bytes(),
    );
    let wrong = ptq(p.path(), &["build"]);
    assert!(wrong.code == 2 && wrong.stderr.contains("rules/own.toml:") && wrong.stderr.contains("z"), "{wrong:?}");
}

#[test]
fn verify_names_the_rewrite_that_changes_results() {
    let p = project();
    let lossy = "\n[[rewrite]]\nname = \"no-six\"\n\
        match = [{ op = \"Clip\", inputs = [\"x\", 0.0, 6.0], outputs = [\"y\"] }]\n\
        replace = [{ op = \"LeakyRelu\", inputs = [\"x\"], outputs = [\"y\"], attributes = { alpha = 0.1 } }]\n";
    p.write("ptq.toml", format!("{MANIFEST}{lossy}").as_bytes());
    let verified = ptq(p.path(), &["verify", "net-cpu"]);
    assert_eq!(verified.code, 1, "{}{}", verified.stdout, verified.stderr);
    let line = MANIFEST.lines().count() + 2;
    assert!(
        verified.stdout.contains(&format!("rewrite no-six (ptq.toml:{line}) changes results")),
        "{}",
        verified.stdout
    );
    assert!(!verified.stdout.contains("rewrite pool"), "the exact one is not blamed: {}", verified.stdout);
    p.write("ptq.toml", MANIFEST.as_bytes());
    assert_eq!(ptq(p.path(), &["verify", "net-cpu"]).code, 0);
}

#[test]
fn everything_wrong_is_said_at_once_with_a_mark() {
    let p = project();
    let wrong = r#"
[[rewrite]]
name = "bad one"
match = [
  { op = "Convv", inputs = ["x", "w"], outputs = ["c"] },
  { op = "Clip", inputs = ["c", "late"], outputs = ["y"], attributes = { aplha = 1.0 } },
  { op = "Abs", inputs = ["late_in"], outputs = ["late"] },
]
where.q.constant = true
where.x.typ = "float32"
dimensions.Z.min = 2
replace = [{ op = "Relu", inputs = ["nothing"], outputs = ["z"], attributes = { a = "$b" } }]
wen = "after"

[[rewrite]]
summary = "no name"
"#;
    p.write("ptq.toml", format!("{MANIFEST}{wrong}").as_bytes());
    let Session { code, stderr, .. } = ptq(p.path(), &["build"]);
    assert_eq!(code, 2, "{stderr}");
    for part in [
        "\"bad one\" is not the name",
        "unknown key typ",
        "did you mean type?",
        "unknown key wen",
        "a [[rewrite]] needs name",
    ] {
        assert!(stderr.contains(part), "{part} in {stderr}");
    }
    let fixed = wrong.replace("bad one", "bad").replace("where.x.typ", "where.x.type").replace("wen =", "when =");
    p.write("ptq.toml", format!("{MANIFEST}{}", fixed.replace("[[rewrite]]\nsummary = \"no name\"\n", "")).as_bytes());
    let Session { code, stderr, .. } = ptq(p.path(), &["build"]);
    assert_eq!(code, 2, "{stderr}");
    for part in [
        "there is no operator Convv",
        "did you mean Conv?",
        "Clip has no attribute aplha",
        "reads late before it is made",
        "where names q",
        "dimensions names Z",
        "reads nothing, which is neither in match nor made here",
        "nothing captures $b",
        "y is a result of match that replace does not make",
        "  { op = \"Convv\", inputs",
        "^^^^^^^",
    ] {
        assert!(stderr.contains(part), "{part} in {stderr}");
    }
}

/// x·(clip(x + 3, 0, 6) / 6), y + y, and their difference to a mean, on images.
fn graph() -> Graph {
    let mut b = GraphBuilder::new("g");
    let shape = [1, 4, 6, 6];
    let x = b.input("x", &shape);
    let number = |v: f32| Tensor::from_f32([1], vec![v]).expect("count");
    let (three, six, zero) = (b.constant("three", number(3.0)), b.constant("six", number(6.0)), number(0.0));
    let low = b.constant("low", zero.reshaped(Vec::<usize>::new()).expect("one"));
    let high = b.constant("high", number(6.0).reshaped(Vec::<usize>::new()).expect("one"));
    let shifted = b.node("Add", "shifted", &[three, x], Attrs::default(), &shape);
    let clipped = b.node("Clip", "clipped", &[shifted, low, high], Attrs::default(), &shape);
    let product = b.node("Mul", "product", &[clipped, x], Attrs::default(), &shape);
    let swish = b.node("Div", "swish", &[product, six], Attrs::default(), &shape);
    let mean = b.node("GlobalAveragePool", "mean", &[swish], Attrs::default(), &[1, 4, 1, 1]);
    let y = b.node("Sub", "y", &[swish, mean], Attrs::default(), &shape);
    b.output(y);
    b.finish()
}

/// The examples of the page.
fn examples() -> Vec<String> {
    let page = std::fs::read_to_string(workspace_root().join("docs/custom-rules.md")).expect("the page");
    let blocks = page.split("```toml\n").skip(1).filter_map(|rest| Some(rest.split_once("```")?.0.to_owned()));
    blocks.filter(|b| b.contains("[[rewrite]]")).collect()
}

#[test]
fn the_examples_of_the_page_fire_and_agree_with_onnx_runtime() {
    let examples = examples();
    assert!(examples.len() >= 3, "the page has examples");
    let p = TestProject::new("");
    p.write("model.onnx", &export_float(&graph(), &ExportMeta::default()));
    let values: Vec<f32> = (0..144).map(|i| (i as f32 * 0.73).sin() * 5.0).collect();
    let x = Tensor::from_f32([1, 4, 6, 6], values).expect("count");
    p.write("data/0.npy", &ptq_sample::write_npy(&x).expect("encodes"));
    let head =
        "[model.m]\npath = \"model.onnx\"\ncalibration.data = \"data\"\n[[variant]]\nname = \"v\"\nmodel = \"m\"\n";
    let mut fired = 0;
    for example in examples {
        p.write("ptq.toml", format!("{head}{example}").as_bytes());
        ran(p.path(), &[]);
        let explained = said(&p, &["explain", "v"]);
        fired += explained.matches("fired once").count();
        assert_eq!(ptq(p.path(), &["verify", "v"]).code, 0, "{example}");
        let Some(_) = need(oracle::python()) else { continue };
        let run = |file: &str| oracle::run(&p.file(file), "x", &x, "default").expect("runs").to_f64s();
        let (source, ours) = (run("model.onnx"), run("out/v/optimized_float.onnx"));
        let far = source.iter().zip(&ours).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        let reach = source.iter().map(|v| v.abs()).fold(0.0, f64::max);
        assert!(reach > 1.0 && far <= 1e-6 * reach, "{far} of {reach} under {example}");
    }
    assert!(fired >= 3, "only {fired} examples did something");
    assert!(!files(&p.file("out")).is_empty());
}
