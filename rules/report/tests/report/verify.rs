//! Verification: what agrees passes, and the first node that does not is named.

use crate::support::{X, change_constant, float, integer, quant, seeded};
use ptq_exec::Interpreter;
use ptq_ir::{Attr, Attrs, DType, Graph, GraphBuilder, QConv, QGraph, QOp, Requant, Tensor};
use ptq_report::verify::{BinRun, LIMITS, Port, Stage, TensorSink, Verdict, VerifyReport, VerifyStages, verify};

fn ports(graph: &QGraph) -> [Vec<Port>; 2] {
    let port = |t: &ptq_ir::TensorId| {
        let t = graph.tensor(*t);
        Port { name: t.name.clone(), dtype: t.dtype, shape: t.shape.clone() }
    };
    [graph.inputs.iter().map(port).collect(), graph.outputs.iter().map(port).collect()]
}

/// Verifies with an interpreter in the place of the compiled program; `spoil` may change its tensors.
fn check(
    original: &Graph,
    optimized: &Graph,
    program: &QGraph,
    spoil: impl Fn(&str, &Tensor) -> Tensor,
) -> VerifyReport {
    let [inputs, outputs] = ports(program);
    let run = |x: &[Tensor], sink: TensorSink<'_>| {
        let plan = Interpreter::new(program).map_err(|e| e.to_string())?;
        let out = plan.run(x, &mut |id, t| {
            let name = &program.tensor(id).name;
            sink(name, &spoil(name, t));
        });
        out.map_err(|e| e.to_string())
    };
    let quant = quant();
    let stages = VerifyStages {
        original,
        optimized,
        quant: &quant,
        integer: program,
        bin: Some(BinRun { inputs, outputs, run: Box::new(run) }),
        threads: 1,
    };
    verify(&stages, &[seeded(&X, 1)], &LIMITS).expect("runs")
}

fn same(_: &str, t: &Tensor) -> Tensor {
    t.clone()
}

#[test]
fn equal_stages_pass_and_every_limit_is_printed() {
    let report = check(&float(), &float(), &integer(), same);
    assert!(report.passed, "{report}");
    let verdicts: Vec<Verdict> = report.pairs.iter().map(|p| p.verdict).collect();
    assert_eq!(verdicts, [Verdict::Passed; 4]);
    assert!(report.pairs.iter().all(|p| p.compared > 0), "{report}");
    assert!(report.first_divergence().is_none());
    let text = report.to_string();
    for limit in ["max|a-b| / max|b| <= 1e-4", "cosine >= 0.99 ", "at most 1 step of difference", "bit-equal"] {
        assert!(text.contains(limit), "{limit} is not in\n{text}");
    }
    let json = serde_json::to_string(&report).expect("encodes");
    let back: VerifyReport = serde_json::from_str(&json).expect("decodes");
    assert_eq!(back.to_string(), text);
}

#[test]
fn a_changed_weight_is_found_at_its_node() {
    let mut wrong = float();
    change_constant(&mut wrong, "w", |w| w[0] += 0.01);
    let report = check(&float(), &wrong, &integer(), same);
    let (pair, at) = report.first_divergence().expect("diverges");
    assert_eq!((pair.after, at.expect("a node").node.as_str()), (Stage::Optimized, "conv"));
    assert!(!report.passed);
    assert!(report.to_string().contains("optimized first differs from original at node conv"), "{report}");
}

#[test]
fn a_wrong_integer_constant_is_found_at_its_node() {
    let mut wrong = integer();
    let QOp::Conv(QConv { requant: Some(Requant::Float(m)), .. }) = &mut wrong.nodes[1].op else { panic!("a Conv") };
    m[1] *= 2.0;
    let report = check(&float(), &float(), &wrong, same);
    let (pair, at) = report.first_divergence().expect("diverges");
    assert_eq!((pair.before, pair.after), (Stage::Calibrated, Stage::Quantized));
    let at = at.expect("a node");
    assert_eq!((at.node.as_str(), at.value.as_str()), ("conv", "relu_out_quantized"));
}

#[test]
fn one_bit_in_the_compiled_program_is_found_at_its_node() {
    let report = check(&float(), &float(), &integer(), |name, t| match name {
        "relu_out_quantized" => {
            let mut q = t.i8s().expect("int8").to_vec();
            q[17] ^= 1;
            Tensor::from_i8(t.shape(), q).expect("count")
        }
        _ => t.clone(),
    });
    let (pair, at) = report.first_divergence().expect("diverges");
    let at = at.expect("a node");
    assert_eq!((pair.after, at.node.as_str(), at.figure.0), (Stage::Bin, "conv", 1.0));
}

#[test]
fn bad_scales_are_a_warning_not_a_failure() {
    let mut coarse = quant();
    coarse.activations.get_mut("relu_out").expect("entry").params.scale[0] = 2.0;
    let (f, q) = (float(), integer());
    let stages = VerifyStages { original: &f, optimized: &f, quant: &coarse, integer: &q, bin: None, threads: 1 };
    let limits = &LIMITS[..2];
    let report = verify(&stages, &[seeded(&X, 1)], limits).expect("runs");
    assert!(report.passed);
    assert_eq!(report.pairs.len(), 2);
    assert_eq!(report.pairs[1].worst.as_ref().expect("compared").node, "relu");
    assert!(report.pairs[1].worst.as_ref().expect("compared").figure.0 < 0.95);
}

#[test]
fn other_names_or_types_at_the_borders_fail() {
    let mut renamed = float();
    let out = renamed.outputs[0];
    renamed.values[out.0 as usize].name = "other".into();
    let report = check(&float(), &renamed, &integer(), same);
    assert!(!report.passed);
    assert_eq!(
        report.contract,
        ["outputs of optimized are (other:float32[1, 4, 8, 8]), of the original (sigmoid_out:float32[1, 4, 8, 8])"]
    );
    let mut typed = integer();
    typed.tensors[0].dtype = DType::U8;
    let f = float();
    let quant = quant();
    let stages = VerifyStages { original: &f, optimized: &f, quant: &quant, integer: &typed, bin: None, threads: 1 };
    match verify(&stages, &[seeded(&X, 1)], &LIMITS) {
        Ok(report) => assert!(report.contract[0].starts_with("inputs of quantized are (x:uint8")),
        Err(e) => assert!(e.to_string().starts_with("quantized does not run"), "{e}"),
    }
}

/// A variance as the mean of squares minus the square of the mean, of values around 50: most digits are lost.
fn one_pass() -> Graph {
    let mut b = GraphBuilder::new("g");
    let (x, row) = (b.input("x", &X), [1, 3, 8, 1]);
    let [far, epsilon] = [("far", 50.0), ("epsilon", 1e-5)].map(|(n, v)| b.constant(n, Tensor::scalar_f32(v)));
    let mean_of = || Attrs::of([("axes", Attr::Ints(vec![3])), ("keepdims", Attr::Int(1))]);
    let a = b.node("Add", "a", &[x, far], Attrs::default(), &X);
    let mean = b.node("ReduceMean", "mean", &[a], mean_of(), &row);
    let square = b.node("Mul", "square", &[a, a], Attrs::default(), &X);
    let squares = b.node("ReduceMean", "squares", &[square], mean_of(), &row);
    let mean2 = b.node("Mul", "mean2", &[mean, mean], Attrs::default(), &row);
    let variance = b.node("Sub", "variance", &[squares, mean2], Attrs::default(), &row);
    let sum = b.node("Add", "sum", &[variance, epsilon], Attrs::default(), &row);
    let root = b.node("Sqrt", "root", &[sum], Attrs::default(), &row);
    let centred = b.node("Sub", "centred", &[a, mean], Attrs::default(), &X);
    let y = b.node("Div", "y", &[centred, root], Attrs::default(), &X);
    b.output(y);
    b.finish()
}

fn normalized(factor: f32) -> Graph {
    let mut b = GraphBuilder::new("g");
    let x = b.input("x", &X);
    let far = b.constant("far", Tensor::scalar_f32(50.0));
    let scale = b.constant("scale", Tensor::from_f32([8], vec![factor; 8]).expect("count"));
    let a = b.node("Add", "a", &[x, far], Attrs::default(), &X);
    let attrs = Attrs::of([("axis", Attr::Int(3)), ("epsilon", Attr::Float(1e-5))]);
    let y = b.node("LayerNormalization", "y", &[a, scale], attrs, &X);
    b.output(y);
    b.finish()
}

#[test]
fn what_the_models_own_rounding_explains_is_no_difference() {
    for (factor, verdict) in [(1.0, Verdict::Passed), (1.05, Verdict::Failed)] {
        let (original, optimized, integer, quant) = (one_pass(), normalized(factor), integer(), quant());
        let stages = VerifyStages {
            original: &original,
            optimized: &optimized,
            quant: &quant,
            integer: &integer,
            bin: None,
            threads: 1,
        };
        let report = verify(&stages, &[seeded(&X, 1)], &LIMITS[..1]).expect("runs");
        let pair = &report.pairs[0];
        assert_eq!(pair.verdict, verdict, "{report}");
        assert!(pair.worst.as_ref().expect("compared").figure.0 > 1e-4, "{report}");
    }
}
