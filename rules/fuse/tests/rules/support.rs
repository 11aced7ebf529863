//! Seeded tensors, small graphs, and the checks that every test of a rule makes.

use ptq_exec::FloatPlan;
use ptq_fuse::{FuseLog, fuse};
use ptq_ir::{Attr, Attrs, DType, Graph, GraphBuilder, Tensor, ValueId, numel};

/// Allowed `max|a - b| / max|b|` between the graphs before and after fusion.
const MAX_ERROR: f64 = 1e-5;

/// Values in -1..1 (splitmix64).
pub(crate) fn seeded(shape: &[usize], seed: u64) -> Tensor {
    let mut state = seed;
    let values = (0..numel(shape).expect("small"))
        .map(|_| {
            state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut z = state;
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            ((z ^ (z >> 31)) >> 40) as f32 / 8_388_608.0 - 1.0
        })
        .collect();
    Tensor::from_f32(shape, values).expect("count")
}

pub(crate) fn ints(name: &str, values: &[i64]) -> Attrs {
    Attrs::of([(name, Attr::Ints(values.to_vec()))])
}

/// A Conv with seeded weights and bias.
pub(crate) fn conv(
    b: &mut GraphBuilder,
    name: &str,
    x: ValueId,
    weights: [usize; 4],
    attrs: Attrs,
    out: &[usize],
) -> ValueId {
    let w = b.constant(&format!("{name}_w"), seeded(&weights, 11));
    let bias = b.constant(&format!("{name}_b"), seeded(&weights[..1], 12));
    b.node("Conv", name, &[x, w, bias], attrs, out)
}

/// A BatchNormalization with seeded parameters and positive variance.
pub(crate) fn batch_norm(b: &mut GraphBuilder, name: &str, x: ValueId, channels: usize, out: &[usize]) -> ValueId {
    let params: Vec<ValueId> = ["scale", "bias", "mean", "var"]
        .iter()
        .enumerate()
        .map(|(i, what)| {
            let t = seeded(&[channels], 20 + i as u64);
            let values = t.f32s().expect("float").iter().map(|v| if *what == "var" { 0.3 + v * v } else { *v });
            b.constant(&format!("{name}_{what}"), Tensor::from_f32([channels], values.collect()).expect("count"))
        })
        .collect();
    b.node("BatchNormalization", name, &[x, params[0], params[1], params[2], params[3]], Attrs::default(), out)
}

/// Fuses a copy and checks what must hold for every rule: the graph is valid, names and order of inputs and outputs are
/// kept, results on seeded inputs are equal, and a second run finds nothing to do.
pub(crate) fn fused(before: &Graph) -> (Graph, FuseLog) {
    assert!(before.verify().is_empty(), "{:?}", before.verify());
    let mut after = before.clone();
    let log = fuse(&mut after).expect("fuses");
    assert!(after.verify().is_empty(), "{:?}", after.verify());
    let ports = |g: &Graph| {
        [g.inputs.clone(), g.outputs.clone()].map(|l| l.iter().map(|v| g.value(*v).clone()).collect::<Vec<_>>())
    };
    assert_eq!(ports(before), ports(&after));
    assert_equal_results(before, &after);
    let mut again = after.clone();
    let second = fuse(&mut again).expect("fuses again");
    assert!(second.fired.is_empty(), "a second run fired {:?}", second.fired);
    assert_eq!(again, after);
    (after, log)
}

pub(crate) fn assert_equal_results(before: &Graph, after: &Graph) {
    let inputs: Vec<Tensor> = before
        .inputs
        .iter()
        .enumerate()
        .map(|(i, v)| match before.value(*v) {
            value if value.dtype == DType::F32 => seeded(&value.shape, 100 + i as u64),
            value => Tensor::zeros(value.dtype, value.shape.clone()),
        })
        .collect();
    let run = |g: &Graph| FloatPlan::new(g).expect("plan").run(&inputs, &mut |_, _| {}).expect("runs");
    for ((a, b), v) in run(after).iter().zip(&run(before)).zip(&before.outputs) {
        assert_eq!(a.shape(), b.shape());
        let (a, b) = (a.to_f64s(), b.to_f64s());
        let difference = a.iter().zip(&b).map(|(x, y)| (x - y).abs()).fold(0.0, f64::max);
        let reach = b.iter().map(|y| y.abs()).fold(0.0, f64::max);
        assert!(reach > 0.0, "output {} is all zero: the test shows nothing", before.value(*v).name);
        assert!(difference <= MAX_ERROR * reach, "output {}: {difference} of {reach}", before.value(*v).name);
    }
}

/// The node lines of a graph's text form.
pub(crate) fn lines(graph: &Graph) -> String {
    let text = graph.to_string();
    let nodes: Vec<&str> = text.lines().filter(|l| l.starts_with("  ") && !l.starts_with("  return")).collect();
    nodes.iter().map(|l| &l[2..]).collect::<Vec<_>>().join("\n")
}

/// Checks that a rule's example shows exactly these two graphs.
pub(crate) fn assert_example(code: &str, before: &Graph, after: &Graph) {
    let rule = ptq_fuse::rules().iter().find(|r| r.code == code).expect("a rule");
    assert_eq!(format!("{}\n=>\n{}", lines(before), lines(after)), rule.example);
}

/// The reason for which a rule did not fire at a node.
pub(crate) fn reason<'l>(log: &'l FuseLog, code: &str, node: &str) -> &'l str {
    match log.skipped.iter().find(|s| s.code == code && s.node == node) {
        Some(skip) => &skip.reason,
        None => panic!("no skip of {code} at {node} in {log:?}"),
    }
}

pub(crate) fn fired(log: &FuseLog, code: &str) -> usize {
    log.fired.get(code).copied().unwrap_or(0)
}

pub(crate) fn covers<'g>(graph: &'g Graph, node: &str) -> &'g [String] {
    &graph.node(graph.find_node(node).expect("node")).covers
}
