//! The build rule and the list of rules.

use crate::support::{conv, reason};
use ptq_fuse::{FuseLog, FuseParams, FuseRule, rules};
use ptq_ir::{Attrs, Graph, GraphBuilder};
use ptq_rule::{Blobs, BuildRule, Context, Failure, Memo, Silent, Step, put_graph, read_graph};
use std::collections::BTreeSet;

fn graph() -> Graph {
    let mut b = GraphBuilder::new("g");
    let x = b.input("x", &[1, 32, 4, 4]);
    let c = conv(&mut b, "conv", x, [64, 32, 1, 1], Attrs::default(), &[1, 64, 4, 4]);
    let y = b.node("Relu", "relu", &[c], Attrs::default(), &[1, 64, 4, 4]);
    b.output(y);
    b.output(c);
    b.finish()
}

fn run(inputs: &Blobs, params: &str) -> Result<Blobs, Failure> {
    let ctx = Context { inputs, params, progress: &Silent, threads: 1, memo: &Memo::default() };
    match FuseRule.step(&ctx, &[])? {
        Step::Done(blobs) => Ok(blobs),
        Step::Need(_) => panic!("fuse needs nothing"),
    }
}

#[test]
fn blobs_in_and_out_are_deterministic() {
    let mut inputs = Blobs::new();
    put_graph(&mut inputs, &graph()).expect("encodes");
    let params = serde_json::to_string(&FuseParams::default()).expect("encodes");
    let out = run(&inputs, &params).expect("runs");
    assert_eq!(out, run(&inputs, &params).expect("runs"));
    assert!(read_graph(&out).expect("decodes").verify().is_empty());
    let log: FuseLog = serde_json::from_slice(&out["rules.json"]).expect("decodes");
    assert_eq!(reason(&log, "FUSE08", "relu"), "the output of conv is the model output conv_out");
}

#[test]
fn a_rule_that_is_switched_off_does_not_look() {
    let mut inputs = Blobs::new();
    let mut graph = graph();
    graph.outputs.pop();
    put_graph(&mut inputs, &graph).expect("encodes");
    let marks = |params: &str| {
        let out = run(&inputs, params).expect("runs");
        let log: FuseLog = serde_json::from_slice(&out["rules.json"]).expect("decodes");
        (log.fired.contains_key("FUSE08"), read_graph(&out).expect("decodes").nodes[1].fusible_into.clone())
    };
    assert_eq!(marks("{}"), (true, Some("conv".to_owned())));
    assert_eq!(marks("{\"without\":[\"FUSE08\"]}"), (false, None));
    assert_eq!(serde_json::to_string(&FuseParams::default()).expect("encodes"), "{}", "keys stay as they were");
}

#[test]
fn unknown_parameters_and_broken_graphs_are_errors() {
    let mut inputs = Blobs::new();
    assert!(run(&inputs, "{}").is_err(), "no graph");
    put_graph(&mut inputs, &graph()).expect("encodes");
    assert!(run(&inputs, "{\"level\":1}").is_err(), "unknown key");
    let mut broken = graph();
    broken.nodes.swap(0, 1);
    put_graph(&mut inputs, &broken).expect("encodes");
    let failure = run(&inputs, "{}").expect_err("not in order");
    assert_eq!(failure.diagnostics[0].message, "the graph to fuse is invalid");
    assert!(failure.diagnostics.iter().any(|d| d.place.node.as_deref() == Some("relu")));
}

#[test]
fn every_rule_is_documented_once() {
    let codes: BTreeSet<&str> = rules().iter().map(|r| r.code).collect();
    let names: BTreeSet<&str> = rules().iter().map(|r| r.name).collect();
    assert_eq!((codes.len(), names.len()), (rules().len(), rules().len()));
    for rule in rules() {
        assert!(rule.code.starts_with("FUSE") && rule.summary.ends_with('.') && rule.why.ends_with('.'), "{rule:?}");
        assert!(rule.example.contains("\n=>\n"), "{}", rule.code);
    }
}
