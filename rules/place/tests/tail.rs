//! Expected placement of model tails, passive chains and requests, one behaviour a test.

use ptq_ir::{Attr, Attrs, Graph, GraphBuilder, Tensor, ValueId};
use ptq_march::March;
use ptq_place::{Placement, Requests, place};

fn bayes() -> March {
    March::from_toml(&ptq_march::source("bayes").expect("built in")).expect("valid")
}

fn cpu() -> March {
    March::from_toml(&ptq_march::source("cpu").expect("built in")).expect("valid")
}

fn conv(b: &mut GraphBuilder, name: &str, x: ValueId) -> ValueId {
    let w = b.constant(&format!("{name}_w"), Tensor::from_f32([4, 4, 1, 1], vec![0.1; 16]).expect("count"));
    b.node("Conv", name, &[x, w], Attrs::default(), &[1, 4, 2, 2])
}

fn relu(b: &mut GraphBuilder, name: &str, x: ValueId, into: &str) -> (ValueId, (String, String)) {
    (b.node("Relu", name, &[x], Attrs::default(), &[1, 4, 2, 2]), (name.into(), into.into()))
}

fn mark(mut g: Graph, marks: &[(String, String)]) -> Graph {
    for (node, into) in marks {
        let id = g.find_node(node).expect("node");
        g.nodes[id.0 as usize].fusible_into = Some(into.clone());
    }
    assert!(g.verify().is_empty(), "{:?}", g.verify());
    g
}

/// `name:device[:int32][:in absorber]`, in node order.
fn shown(p: &Placement) -> Vec<String> {
    p.nodes
        .iter()
        .map(|n| {
            let int32 = if n.int32 { ":int32" } else { "" };
            let absorbed = n.absorbed_by.as_ref().map(|a| format!(":in {a}")).unwrap_or_default();
            format!("{}:{}{int32}{absorbed}", n.name, n.on)
        })
        .collect()
}

fn conv_relu_tail() -> Graph {
    let mut b = GraphBuilder::new("g");
    let x = b.input("x", &[1, 4, 2, 2]);
    let c1 = conv(&mut b, "conv1", x);
    let (r1, m1) = relu(&mut b, "relu1", c1, "conv1");
    let c2 = conv(&mut b, "conv2", r1);
    let (r2, m2) = relu(&mut b, "relu2", c2, "conv2");
    b.output(r2);
    mark(b.finish(), &[m1, m2])
}

#[test]
fn a_tail_conv_gives_int32_and_its_relu_runs_on_the_cpu() {
    let p = place(&conv_relu_tail(), &bayes(), &Requests::default()).placement;
    assert_eq!(shown(&p), ["conv1:BPU", "relu1:BPU:in conv1", "conv2:BPU:int32", "relu2:CPU"]);
    let reason = p.nodes[3].reason.as_ref().expect("reason");
    assert_eq!(reason.code, "PLACE07");
    assert_eq!(reason.remedy, "run_on_bpu = [\"relu2\"], which makes the output int8");
    assert!(p.nodes[1].reason.is_none());
}

#[test]
fn asking_for_the_tail_relu_brings_int8_output() {
    let requests = Requests { run_on_bpu: vec!["relu2".into()], ..Requests::default() };
    let result = place(&conv_relu_tail(), &bayes(), &requests);
    assert_eq!(shown(&result.placement), ["conv1:BPU", "relu1:BPU:in conv1", "conv2:BPU", "relu2:BPU:in conv2"]);
    let [cost] = &result.warnings[..] else { panic!("{:?}", result.warnings) };
    assert_eq!((cost.code.as_str(), cost.place.node.as_deref()), ("PLACE22", Some("relu2")));
    assert!(cost.message.contains("conv2 gives int8 instead of int32"), "{cost}");
}

#[test]
fn march_cpu_keeps_the_accumulators_of_its_tail() {
    let p = place(&conv_relu_tail(), &cpu(), &Requests::default()).placement;
    assert_eq!(shown(&p), ["conv1:BPU", "relu1:BPU:in conv1", "conv2:BPU:int32", "relu2:CPU"]);
}

#[test]
fn passive_nodes_behind_the_tail_keep_int32() {
    let mut b = GraphBuilder::new("g");
    let x = b.input("x", &[1, 4, 2, 2]);
    let c = conv(&mut b, "conv", x);
    let perm = Attrs::of([("perm", Attr::Ints(vec![0, 2, 3, 1]))]);
    let t = b.node("Transpose", "transpose", &[c], perm, &[1, 2, 2, 4]);
    b.output(t);
    let p = place(&b.finish(), &bayes(), &Requests::default()).placement;
    assert_eq!(shown(&p), ["conv:BPU:int32", "transpose:BPU:int32"]);
}

#[test]
fn a_reshape_before_softmax_stays_with_the_softmax() {
    let mut b = GraphBuilder::new("g");
    let x = b.input("x", &[1, 4, 2, 2]);
    let c = conv(&mut b, "conv", x);
    let shape = b.constant("shape", Tensor::vec_i64(vec![1, 16]));
    let r = b.node("Reshape", "reshape", &[c, shape], Attrs::default(), &[1, 16]);
    let s = b.node("Softmax", "softmax", &[r], Attrs::default(), &[1, 16]);
    b.output(s);
    let p = place(&b.finish(), &bayes(), &Requests::default()).placement;
    assert_eq!(shown(&p), ["conv:BPU:int32", "reshape:CPU", "softmax:CPU"]);
    assert_eq!(p.nodes[1].reason.as_ref().expect("reason").code, "PLACE08");
}

#[test]
fn a_merge_ends_the_tail() {
    let mut b = GraphBuilder::new("g");
    let x = b.input("x", &[1, 4, 2, 2]);
    let skip = conv(&mut b, "conv1", x);
    let c = conv(&mut b, "conv2", skip);
    let a = b.node("Add", "add", &[c, skip], Attrs::default(), &[1, 4, 2, 2]);
    let (r, m) = relu(&mut b, "relu", a, "add");
    b.output(r);
    let p = place(&mark(b.finish(), &[m]), &bayes(), &Requests::default()).placement;
    assert_eq!(shown(&p), ["conv1:BPU", "conv2:BPU", "add:BPU", "relu:BPU:in add"]);
}

#[test]
fn a_conv_that_feeds_an_output_and_a_consumer_gives_int8() {
    let mut b = GraphBuilder::new("g");
    let x = b.input("x", &[1, 4, 2, 2]);
    let c1 = conv(&mut b, "conv1", x);
    let c2 = conv(&mut b, "conv2", c1);
    b.output(c1);
    b.output(c2);
    let p = place(&b.finish(), &bayes(), &Requests::default()).placement;
    assert_eq!(shown(&p), ["conv1:BPU", "conv2:BPU:int32"]);
}

#[test]
fn a_passive_node_is_on_the_bpu_only_between_bpu_nodes() {
    let build = |middle: &str| {
        let mut b = GraphBuilder::new("g");
        let x = b.input("x", &[1, 4, 2, 2]);
        let c1 = conv(&mut b, "conv1", x);
        let before = b.node(middle, "middle", &[c1], Attrs::default(), &[1, 4, 2, 2]);
        let perm = Attrs::of([("perm", Attr::Ints(vec![0, 1, 3, 2]))]);
        let t = b.node("Transpose", "transpose", &[before], perm, &[1, 4, 2, 2]);
        let c2 = conv(&mut b, "conv2", t);
        b.output(c2);
        place(&b.finish(), &bayes(), &Requests::default()).placement
    };
    let between = build("Relu");
    assert_eq!(shown(&between), ["conv1:BPU", "middle:BPU", "transpose:BPU", "conv2:BPU:int32"]);
    assert_eq!(between.subgraphs(), 1);
    let beside_cpu = build("Erf");
    assert_eq!(shown(&beside_cpu), ["conv1:BPU", "middle:CPU", "transpose:CPU", "conv2:BPU:int32"]);
    assert_eq!(beside_cpu.subgraphs(), 2);
    let reason = beside_cpu.nodes[2].reason.as_ref().expect("reason");
    assert!(reason.text.contains("producer middle runs on the CPU because Erf"), "{}", reason.text);
}

#[test]
fn a_limit_is_reported_with_property_range_and_value() {
    let mut b = GraphBuilder::new("g");
    let x = b.input("x", &[1, 1, 40, 40]);
    let w = b.constant("w", Tensor::zeros(ptq_ir::DType::F32, [1, 1, 33, 33]));
    let y = b.node("Conv", "conv", &[x, w], Attrs::default(), &[1, 1, 8, 8]);
    b.output(y);
    let p = place(&b.finish(), &bayes(), &Requests::default()).placement;
    let reason = p.nodes[0].reason.as_ref().expect("reason");
    assert_eq!(reason.code, "PLACE02");
    assert_eq!(reason.text, "kernel 33 > 31, the limit of Conv on march bayes");
    assert!(reason.remedy.starts_with("change the model so that the kernel is at most 31"), "{}", reason.remedy);
}

#[test]
fn a_request_for_an_unknown_node_is_an_error_with_the_nearest_name() {
    let requests = Requests { run_on_bpu: vec!["rellu2".into()], ..Requests::default() };
    let result = place(&conv_relu_tail(), &bayes(), &requests);
    let [problem] = &result.problems[..] else { panic!("{:?}", result.problems) };
    assert_eq!((problem.code.as_str(), problem.place.node.as_deref()), ("PLACE20", Some("rellu2")));
    assert!(problem.hint.as_deref().is_some_and(|h| h.contains("did you mean relu2?")), "{problem}");
    assert!(result.checked().is_err());
}

#[test]
fn a_request_that_the_march_cannot_fulfil_is_warned_about_with_the_reason() {
    let requests = Requests { run_on_bpu: vec!["middle".into()], ..Requests::default() };
    let mut b = GraphBuilder::new("g");
    let x = b.input("x", &[1, 4, 2, 2]);
    let e = b.node("Erf", "middle", &[x], Attrs::default(), &[1, 4, 2, 2]);
    b.output(e);
    let result = place(&b.finish(), &bayes(), &requests);
    assert_eq!(result.warnings.len(), 1);
    let text = result.warnings[0].to_string();
    assert!(text.contains("Erf") && text.contains("PLACE01"), "{text}");
}

#[test]
fn operators_that_are_only_replaced_or_not_yet_computed_say_so() {
    let mut b = GraphBuilder::new("g");
    let x = b.input("x", &[1, 4]);
    let w = b.input("w", &[4, 4]);
    let ops = [("Gemm", [x, w]), ("TopK", [x, w]), ("Einsum", [x, x])];
    for (op, inputs) in ops {
        let y = b.node(op, op, &inputs, Attrs::default(), &[1, 4]);
        b.output(y);
    }
    let placement = place(&b.finish(), &bayes(), &Requests::default()).placement;
    let reasons: Vec<&str> =
        placement.nodes.iter().filter_map(|n| n.reason.as_ref()).map(|r| r.text.as_str()).collect();
    assert_eq!(
        reasons,
        [
            "Gemm is accelerated only as Conv, and no rule could replace this one",
            "march bayes accelerates TopK, this version of ptq does not (no unit of its simulator sorts a line and keeps the \
             places of its elements): it runs in float on the CPU",
            "Einsum is refused by the vendor's converter on march bayes",
        ]
    );
}
