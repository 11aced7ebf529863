//! Rewrites of a manifest: patterns found and replaced, guards with their reasons, ends that are refused.

use crate::support::{conv, covers, ints, seeded};
use ptq_exec::FloatPlan;
use ptq_fuse::{FuseLog, FuseParams, Rewrite, fuse_with};
use ptq_ir::{Attr, Attrs, Graph, GraphBuilder, Tensor};
use serde_json::{Value, json};
use std::collections::BTreeMap;

fn node(op: &str, inputs: Value, outputs: Value) -> Value {
    json!({ "op": op, "domain": "", "inputs": inputs, "outputs": outputs, "attributes": {} })
}

fn any() -> Value {
    json!({ "one_of": [], "min": null, "max": null, "default": null, "capture": null })
}

/// A guard of a tensor: these keys, the others free.
fn guard(keys: Value) -> Value {
    let mut out = json!({
        "constant": null, "equals": null, "min": null, "max": null, "tolerance": 0.0, "type": null, "rank": null,
        "shape": null, "elements": null, "single_consumer": null, "output": null,
    });
    keys.as_object().into_iter().flatten().for_each(|(k, v)| out[k] = v.clone());
    out
}

fn rewrite(pattern: Value, replacement: Value) -> Value {
    json!({
        "when": "before", "order": 0, "pattern": pattern, "tensors": {}, "dimensions": {}, "constants": {},
        "replacement": replacement,
    })
}

fn run(graph: &mut Graph, rewrite: &Value) -> Result<FuseLog, String> {
    let rewrite: Rewrite = serde_json::from_value(rewrite.clone()).expect("a rewrite");
    let rewrites = BTreeMap::from([("own".to_owned(), rewrite)]);
    fuse_with(graph, &FuseParams { rewrites, ..FuseParams::default() }).map_err(|f| f.to_string())
}

fn ops(graph: &Graph) -> Vec<&str> {
    graph.nodes.iter().map(|n| n.op.as_str()).collect()
}

fn results(graph: &Graph, shape: &[usize]) -> Vec<Tensor> {
    FloatPlan::new(graph).expect("plan").run(&[seeded(shape, 7)], &mut |_, _| {}).expect("runs")
}

/// y = x·sigmoid(x), with the factor on either side.
fn swish(swapped: bool) -> Graph {
    let mut b = GraphBuilder::new("g");
    let x = b.input("x", &[1, 8]);
    let s = b.node("Sigmoid", "s", &[x], Attrs::default(), &[1, 8]);
    let factors = if swapped { [s, x] } else { [x, s] };
    let y = b.node("Mul", "y", &factors, Attrs::default(), &[1, 8]);
    b.output(y);
    b.finish()
}

fn swish_mirrored() -> Value {
    // x·sigmoid(x) = x - x·sigmoid(-x)
    rewrite(
        json!([node("Sigmoid", json!(["x"]), json!(["s"])), node("Mul", json!(["x", "s"]), json!(["y"]))]),
        json!([
            node("Neg", json!(["x"]), json!(["n"])),
            node("Sigmoid", json!(["n"]), json!(["t"])),
            node("Mul", json!(["x", "t"]), json!(["u"])),
            node("Sub", json!(["x", "u"]), json!(["y"])),
        ]),
    )
}

#[test]
fn a_pattern_is_found_on_either_side_of_a_product_and_replaced() {
    for swapped in [false, true] {
        let before = swish(swapped);
        let mut after = before.clone();
        let log = run(&mut after, &swish_mirrored()).expect("fuses");
        assert_eq!(log.fired["rewrite:own"], 1, "{log:?}");
        assert!(after.to_string().contains("Neg("), "{after}");
        let (a, b) = (results(&before, &[1, 8]), results(&after, &[1, 8]));
        let far = a[0].to_f64s().iter().zip(b[0].to_f64s()).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(far < 1e-6, "{far}");
    }
}

#[test]
fn a_survivor_keeps_the_name_and_covers_the_rest() {
    let mut b = GraphBuilder::new("g");
    let x = b.input("x", &[1, 2, 4, 4]);
    let c = conv(&mut b, "conv", x, [3, 2, 1, 1], Attrs::default(), &[1, 3, 4, 4]);
    let f = b.constant("f", seeded(&[1, 3, 1, 1], 5));
    let y = b.node("Mul", "scaled", &[c, f], Attrs::default(), &[1, 3, 4, 4]);
    b.output(y);
    let before = b.finish();
    let mut scaled = rewrite(
        json!([node("Conv", json!(["x", "w", "b"]), json!(["c"])), node("Mul", json!(["c", "f"]), json!(["y"]))]),
        json!([
            node("Reshape", json!(["f", "column"]), json!(["g"])),
            node("Mul", json!(["w", "g"]), json!(["w2"])),
            node("Reshape", json!(["f", "row"]), json!(["r"])),
            node("Mul", json!(["b", "r"]), json!(["b2"])),
            node("Conv", json!(["x", "w2", "b2"]), json!(["y"])),
        ]),
    );
    scaled["tensors"] = json!({ "f": guard(json!({ "constant": true, "shape": [1, "O", 1, 1] })) });
    scaled["constants"] = json!({
        "column": { "value": ["$O", 1.0, 1.0, 1.0], "type": "int64", "shape": null },
        "row": { "value": ["$O"], "type": "int64", "shape": null },
    });
    let mut after = before.clone();
    let log = run(&mut after, &scaled).expect("fuses");
    assert_eq!(log.fired["rewrite:own"], 1, "{log:?}");
    assert_eq!(ops(&after), ["Conv"], "weights are folded: {after}");
    assert_eq!(after.nodes[0].name, "scaled");
    assert!(covers(&after, "scaled").contains(&"conv".to_owned()));
    let (a, b) = (results(&before, &[1, 2, 4, 4]), results(&after, &[1, 2, 4, 4]));
    let far = a[0].to_f64s().iter().zip(b[0].to_f64s()).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(far < 1e-6, "{far}");
}

/// y = LeakyRelu(x) · 2, and a second reader of the LeakyRelu where asked.
fn leaky(alpha: f32, read_twice: bool) -> Graph {
    let mut b = GraphBuilder::new("g");
    let x = b.input("x", &[1, 6, 2, 2]);
    let l = b.node("LeakyRelu", "l", &[x], Attrs::of([("alpha", Attr::Float(alpha))]), &[1, 6, 2, 2]);
    let two = b.constant("two", Tensor::from_f32([1], vec![2.0]).expect("count"));
    let y = b.node("Mul", "y", &[l, two], Attrs::default(), &[1, 6, 2, 2]);
    b.output(y);
    if read_twice {
        let z = b.node("Abs", "z", &[l], Attrs::default(), &[1, 6, 2, 2]);
        b.output(z);
    }
    b.finish()
}

fn leaky_rewrite() -> Value {
    let mut first = node("LeakyRelu", json!(["x"]), json!(["l"]));
    first["attributes"] = json!({ "alpha": any() });
    first["attributes"]["alpha"]["capture"] = json!("a");
    let mut new = node("LeakyRelu", json!(["d"]), json!(["y"]));
    new["attributes"] = json!({ "alpha": "$a" });
    rewrite(
        json!([first, node("Mul", json!(["l", 2.0]), json!(["y"]))]),
        json!([node("Add", json!(["x", "x"]), json!(["d"])), new]),
    )
}

fn reason(graph: &Graph, rewrite: &Value) -> String {
    let mut after = graph.clone();
    let log = run(&mut after, rewrite).expect("fuses");
    assert!(!log.fired.contains_key("rewrite:own"), "{log:?}");
    log.skipped.iter().find(|s| s.code == "rewrite:own").map(|s| s.reason.clone()).unwrap_or_default()
}

#[test]
fn captured_attributes_reach_the_replacement() {
    let before = leaky(0.25, false);
    let mut after = before.clone();
    assert_eq!(run(&mut after, &leaky_rewrite()).expect("fuses").fired["rewrite:own"], 1);
    assert!(after.to_string().contains("Add(x, x); LeakyRelu(%0, alpha=0.25)"), "one table of both: {after}");
    assert_eq!(results(&before, &[1, 6, 2, 2]), results(&after, &[1, 6, 2, 2]), "doubling is exact");
}

#[test]
fn each_guard_says_what_does_not_hold() {
    let graph = leaky(0.25, false);
    let with = |edit: &dyn Fn(&mut Value)| {
        let mut r = leaky_rewrite();
        edit(&mut r);
        reason(&graph, &r)
    };
    let tensor = |name: &str, keys: Value| {
        let (name, keys) = (name.to_owned(), guard(keys));
        move |r: &mut Value| r["tensors"] = json!({ name.clone(): keys.clone() })
    };
    assert_eq!(with(&|r| r["pattern"][1]["inputs"][1] = json!(3.0)), "two holds 2, not 3");
    assert_eq!(
        with(&|r| r["pattern"][0]["attributes"]["alpha"]["max"] = json!(0.2)),
        "l: alpha is 0.25, outside ..0.2"
    );
    assert_eq!(with(&|r| r["pattern"][0]["attributes"]["alpha"]["one_of"] = json!([0.5])), "l: alpha is 0.25, not 0.5");
    assert_eq!(with(&tensor("x", json!({ "rank": 2 }))), "x has rank 4, not 2");
    assert_eq!(with(&tensor("x", json!({ "type": "int8" }))), "x is float32, not int8");
    assert_eq!(with(&tensor("x", json!({ "constant": true }))), "x is not constant");
    assert_eq!(with(&tensor("x", json!({ "shape": [1, 5, "*", "*"] }))), "x has shape [1, 6, 2, 2], not [1, 5, *, *]");
    assert_eq!(with(&tensor("y", json!({ "output": false }))), "y_out is a model output");
    let dimension = |r: &mut Value| {
        tensor("x", json!({ "shape": ["N", "C", "H", "H"] }))(r);
        r["dimensions"] = json!({ "C": { "min": null, "max": null, "multiple_of": 4 } });
    };
    assert_eq!(with(&dimension), "C is 6, no multiple of 4");
    assert_eq!(reason(&leaky(0.25, true), &leaky_rewrite()), "l_out is also read by z");
}

#[test]
fn a_node_that_others_read_stays_where_that_is_allowed() {
    let mut shared = leaky_rewrite();
    shared["tensors"] = json!({ "l": guard(json!({ "single_consumer": false })) });
    let before = leaky(0.25, true);
    let mut after = before.clone();
    assert_eq!(run(&mut after, &shared).expect("fuses").fired["rewrite:own"], 1);
    assert_eq!(after.to_string().matches("LeakyRelu(").count(), 2, "{after}");
    assert_eq!(results(&before, &[1, 6, 2, 2]), results(&after, &[1, 6, 2, 2]));
}

#[test]
fn a_replacement_of_another_shape_is_refused_with_both() {
    let mut flat = leaky_rewrite();
    flat["replacement"] = json!([node("Flatten", json!(["x"]), json!(["y"]))]);
    flat["pattern"] = json!([node("LeakyRelu", json!(["x"]), json!(["y"]))]);
    let said = reason(&leaky(0.25, false), &flat);
    assert!(said.contains("makes float32[1, 24]") && said.contains("which is float32[1, 6, 2, 2]"), "{said}");
}

#[test]
fn a_rewrite_that_makes_its_own_work_is_an_error() {
    let more = rewrite(
        json!([node("Abs", json!(["x"]), json!(["y"]))]),
        json!([node("Abs", json!(["x"]), json!(["a"])), node("Abs", json!(["a"]), json!(["y"]))]),
    );
    let said = run(&mut leaky(0.25, true), &more).expect_err("no end");
    assert!(said.contains("FUSE92") && said.contains("rewrite own does not come to an end"), "{said}");
}

#[test]
fn what_built_in_rules_make_is_seen_after_them_only() {
    let mut b = GraphBuilder::new("g");
    let x = b.input("x", &[1, 6, 4, 4]);
    let mut attrs = ints("axes", &[2, 3]);
    attrs.set("keepdims", Attr::Int(1));
    let y = b.node("ReduceMean", "mean", &[x], attrs, &[1, 6, 1, 1]);
    b.output(y);
    let graph = b.finish();
    let mut pool = rewrite(
        json!([node("GlobalAveragePool", json!(["x"]), json!(["y"]))]),
        json!([node("AveragePool", json!(["x"]), json!(["y"]))]),
    );
    pool["tensors"] = json!({ "x": guard(json!({ "shape": ["*", "*", "H", "W"] })) });
    pool["replacement"][0]["attributes"] = json!({ "kernel_shape": ["$H", "$W"] });
    pool["when"] = json!("after");
    let mut after = graph.clone();
    assert_eq!(run(&mut after, &pool).expect("fuses").fired["rewrite:own"], 1);
    assert_eq!(after.nodes[0].attrs.ints("kernel_shape"), Some(&[4, 4][..]));
}
