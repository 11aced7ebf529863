//! Custom operators: declared with shapes and a command, computed by it in every stage and at run time, written as they are, and
//! refused with clear words where something about them does not hold.

use ptq_ir::{Attr, Attrs, Graph, GraphBuilder, Tensor};
use ptq_onnx::{ExportMeta, export_float};
use ptq_tests::project::TestProject;
use ptq_tests::ptq::{ptq, ran};
use ptq_tests::skip::need;
use ptq_tests::sweep::edit;
use std::path::Path;

/// Doubles its input: the header of the array is kept.
const PROGRAM: &str = r#"
use strict; local $/;
open(my $in, '<:raw', 'input0.npy') or die; my $all = <$in>;
my $start = 10 + unpack('v', substr($all, 8, 2));
open(my $node, '<', 'node.json') or die; my $said = <$node>;
die "no factor" unless $said =~ /"factor":(\d+)/;
my $factor = $1;
open(my $out, '>:raw', 'output0.npy') or die;
print $out substr($all, 0, $start), pack('f<*', map { $factor * $_ } unpack('f<*', substr($all, $start)));
"#;

const MANIFEST: &str = r#"
[custom_op.scale]
op = "Times"
domain = "my.ops"
inputs = [{ type = "float32", shape = ["N", "C", "H", "W"] }]
outputs = [{ like = 0 }]
command = ["perl", "ops/times.pl"]
files = ["ops/times.pl"]
tools = [["perl", "-v"]]

[model.net]
path = "net.onnx"
calibration.data = "data"
[model.plain]
path = "plain.onnx"
calibration.data = "data"

[matrix.all]
name = "{model}-{march}"
model = ["net", "plain"]
march = ["bayes", "cpu"]
"#;

/// Conv, an operator in the middle, Conv.
fn graph(op: &str, domain: &str) -> Graph {
    let mut b = GraphBuilder::new("g");
    let x = b.input("x", &[1, 2, 6, 6]);
    let weights = |seed: usize| {
        let values = (0..8).map(|i| ((i * 5 + seed) % 7) as f32 / 7.0 - 0.4).collect();
        Tensor::from_f32([4, 2, 1, 1], values).expect("count")
    };
    let (w, v) = (b.constant("w", weights(1)), b.constant("v", weights(3).reshaped([2, 4, 1, 1]).expect("count")));
    let a = b.node("Conv", "first", &[x, w], Attrs::default(), &[1, 4, 6, 6]);
    let m = b.node(op, "middle", &[a], Attrs::default(), &[1, 4, 6, 6]);
    let y = b.node("Conv", "last", &[m, v], Attrs::default(), &[1, 2, 6, 6]);
    b.output(y);
    let mut graph = b.finish();
    if !domain.is_empty() {
        graph.nodes[1].domain = domain.to_owned();
        graph.nodes[1].attrs.set("factor", Attr::Int(2));
    }
    graph
}

fn project() -> TestProject {
    let p = TestProject::new(MANIFEST);
    p.write("ops/times.pl", PROGRAM.as_bytes());
    for (file, op, domain) in [("net.onnx", "Times", "my.ops"), ("plain.onnx", "Relu", "")] {
        p.write(file, &export_float(&graph(op, domain), &ExportMeta::default()));
    }
    for i in 0..3 {
        let values = (0..72).map(|k| ((k * 13 + i * 29) % 47) as f32 / 23.0 - 1.0).collect();
        let x = Tensor::from_f32([1, 2, 6, 6], values).expect("count");
        p.write(&format!("data/{i}.npy"), &ptq_sample::write_npy(&x).expect("encodes"));
    }
    p
}

fn perl() -> bool {
    need(Path::new("/usr/bin/perl").exists().then_some(()).ok_or_else(|| "perl".to_owned())).is_some()
}

fn said(p: &TestProject, args: &[&str]) -> String {
    let session = ptq(p.path(), args);
    assert_eq!(session.code, 0, "{args:?} {}{}", session.stdout, session.stderr);
    session.stdout
}

#[test]
fn a_declared_operator_is_computed_by_its_command_from_calibration_to_run_time() {
    if !perl() {
        return;
    }
    let p = project();
    ran(p.path(), &[]);
    for march in ["bayes", "cpu"] {
        let variant = format!("net-{march}");
        assert!(said(&p, &["verify", &variant]).contains("verified"));
        let checked = said(&p, &["check", "--variant", &variant]);
        assert!(
            checked.contains("my.ops.Times is a custom operator, which the command of [custom_op.scale]"),
            "{checked}"
        );
        let bin = format!("out/{variant}/model.bin");
        assert!(said(&p, &["info", &bin]).contains("custom operator my.ops.Times: [custom_op.scale]"));
        said(&p, &["run", &bin, "--input", "x=data/0.npy", "--output", "result"]);
        let y = ptq_sample::read_npy(
            &std::fs::read(p.file("result/y.npy"))
                .or_else(|_| std::fs::read(p.file("result/last_out.npy")))
                .expect("a result"),
        )
        .expect("an array");
        // What the same net gives with a factor of two in its second weights.
        let mut same = graph("Identity", "");
        let v = same.find_value("v").expect("weights");
        let doubled = same.constants[&v].f32s().expect("float").iter().map(|w| 2.0 * w).collect();
        same.constants.insert(v, Tensor::from_f32([2, 4, 1, 1], doubled).expect("count"));
        let x = ptq_sample::read_npy(&std::fs::read(p.file("data/0.npy")).expect("data")).expect("an array");
        let plan = ptq_exec::FloatPlan::new(&same).expect("plan");
        let wanted = plan.run(&[x], &mut |_, _| {}).expect("runs").remove(0);
        let cosine = ptq_exec::metrics::cosine(&y.to_f64s(), &wanted.to_f64s());
        assert!(cosine > 0.999, "{march}: {cosine}");
        for file in ["original_float.onnx", "optimized_float.onnx", "calibrated.onnx", "quantized.onnx"] {
            let bytes = std::fs::read(p.file(&format!("out/{variant}/{file}"))).expect("a file");
            let ops = ptq_onnx::foreign_ops(&bytes, &ptq_onnx::Limits::default()).expect("ONNX");
            assert!(ops.contains("my.ops.Times"), "{file} of {march}: {ops:?}");
            assert!(!String::from_utf8_lossy(&bytes).contains("ptq.custom"), "{file} keeps our mark to itself");
        }
    }
}

#[test]
fn an_edit_of_the_program_makes_its_model_anew_and_no_other() {
    if !perl() {
        return;
    }
    let p = project();
    ran(p.path(), &[]);
    let text = std::fs::read_to_string(p.file("ptq.toml")).expect("manifest");
    p.write("ptq.toml", format!("# a comment\n{text}time_limit = 9\n").replace("time_limit = 9\n", "").as_bytes());
    edit(&p, "[custom_op.scale]\n", "[custom_op.scale]\ntime_limit = 60\n");
    assert_eq!(ran(p.path(), &[]), Vec::<String>::new(), "a comment and a limit decide nothing");
    p.write("ops/times.pl", format!("{PROGRAM}# an edit\n").as_bytes());
    let run = |args: &[&str]| {
        ptq(
            p.path(),
            &[&["run", "out/net-cpu/model.bin", "--input", "x=data/0.npy", "--output", "result"], args].concat(),
        )
    };
    let stale = run(&[]);
    assert!(stale.code == 1 && stale.stderr.contains("is another one than the model was built with"), "{stale:?}");
    let did = ran(p.path(), &[]);
    assert!(did.iter().any(|d| d == "net-bayes:parse") && did.iter().all(|d| d.starts_with("net-")), "{did:?}");
    assert_eq!(run(&[]).code, 0);
    std::fs::rename(p.file("ptq.toml"), p.file("elsewhere.toml")).expect("moved");
    let alone = run(&[]);
    assert!(alone.code == 1 && alone.stderr.contains("custom operator my.ops.Times has no program here"), "{alone:?}");
    assert!(alone.stderr.contains("there is no ptq.toml") && alone.stderr.contains("[custom_op.scale]"), "{alone:?}");
    assert_eq!(run(&["--manifest", "elsewhere.toml"]).code, 0);
}

#[test]
fn what_does_not_hold_is_said_with_its_place() {
    if !perl() {
        return;
    }
    let p = project();
    let refused = |from: &str, to: &str| {
        p.write("ptq.toml", MANIFEST.replacen(from, to, 1).as_bytes());
        let session = ptq(p.path(), &["build", "net-cpu"]);
        assert_ne!(session.code, 0, "{to}: {}", session.stdout);
        session.stderr
    };
    let undeclared = refused("op = \"Times\"", "op = \"Tims\"");
    assert!(
        undeclared.contains("operator my.ops.Times is not supported") && undeclared.contains("[custom_op.NAME]"),
        "{undeclared}"
    );
    let shape = refused("\"N\", \"C\", \"H\", \"W\"", "\"N\", 3, \"H\", \"W\"");
    assert!(
        shape.contains("input 0 has shape [1, 4, 6, 6], declared [N, 3, H, W]") && shape.contains("middle"),
        "{shape}"
    );
    let gives = refused("{ like = 0 }", "{ shape = [\"N\", \"C\", \"H * $factor\", \"W\"] }");
    assert!(gives.contains("float32[1, 4, 6, 6], declared") && gives.contains("12"), "{gives}");
    let file = refused("files = [\"ops/times.pl\"]", "files = [\"ops/tims.pl\"]");
    assert!(file.contains("custom_op scale: there is no input ops/tims.pl") && file.contains("ptq.toml:"), "{file}");
    p.write("ops/times.pl", b"die 'it is broken';");
    let broken = refused("# nothing", "");
    assert!(broken.contains("it is broken") && broken.contains("middle"), "{broken}");
    let wrong = "domain = \"\"\nshapes = 1\ninputs = [{ typ = \"float32\", shape = 3 }]\noutputs = [{ type = \"flot32\" }, { shape = [\"Q +\"], like = 1 }]\n";
    let all = refused(
        "domain = \"my.ops\"\ninputs = [{ type = \"float32\", shape = [\"N\", \"C\", \"H\", \"W\"] }]\noutputs = [{ like = 0 }]\n",
        wrong,
    );
    for part in [
        "needs the domain",
        "unknown key custom_op.shapes",
        "unknown key typ",
        "shape must be a list",
        "did you mean float32?",
    ] {
        assert!(all.contains(part), "{part} in {all}");
    }
    let words = refused("{ like = 0 }", "{ shape = [\"N\", \"K\"] }, { like = 3 }, { shape = [\"N +\"] }");
    for part in ["no input says what K is", "output 1 is like input 3, of 1 declared", "is missing before", "^^^^"] {
        assert!(words.contains(part), "{part} in {words}");
    }
}
