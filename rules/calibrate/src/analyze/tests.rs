//! An analysis against plain runs of a small graph.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::score::weights;
use crate::testing::run;
use ptq_exec::{FakeQuantPlan, FloatPlan, metrics};
use ptq_ir::{Attr, Attrs, Device, GraphBuilder};
use ptq_rule::put_graph;

fn numbers(seed: u64, n: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2) + 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u32 << 23) as f32 - 1.0
    };
    (0..n).map(|_| next()).collect()
}

/// x → Conv a → Relu → Conv b (one weight far above the others) → Relu → Conv c → output, and b → Conv d → a second output.
fn graph() -> Graph {
    let mut b = GraphBuilder::new("g");
    let x = b.input("x", &[1, 4, 6, 6]);
    let conv = |b: &mut GraphBuilder, name: &str, from, seed: u64, outlier: f32| {
        let mut w = numbers(seed, 4 * 4 * 9);
        w[5] = outlier;
        let w = b.constant(&format!("w_{name}"), Tensor::from_f32([4, 4, 3, 3], w).unwrap());
        let c = b.constant(&format!("c_{name}"), Tensor::from_f32([4], numbers(seed + 50, 4)).unwrap());
        let attrs = Attrs::of([("pads", Attr::Ints(vec![1; 4]))]);
        b.node("Conv", name, &[from, w, c], attrs, &[1, 4, 6, 6])
    };
    let a = conv(&mut b, "a", x, 1, 0.5);
    let ra = b.node("Relu", "ra", &[a], Attrs::default(), &[1, 4, 6, 6]);
    let bb = conv(&mut b, "b", ra, 2, 40.0);
    let rb = b.node("Relu", "rb", &[bb], Attrs::default(), &[1, 4, 6, 6]);
    let c = conv(&mut b, "c", rb, 3, 0.5);
    let d = conv(&mut b, "d", rb, 4, 0.5);
    b.output(c);
    b.output(d);
    let mut graph = b.finish();
    // As fuse marks them.
    for (node, conv) in [("ra", "a"), ("rb", "b")] {
        let id = graph.find_node(node).unwrap();
        graph.nodes[id.0 as usize].fusible_into = Some(conv.to_owned());
    }
    graph
}

fn sample(i: u64) -> Tensor {
    Tensor::from_f32([1, 4, 6, 6], numbers(100 + i, 144)).unwrap()
}

fn inputs() -> Blobs {
    let mut out = Blobs::new();
    put_graph(&mut out, &graph()).unwrap();
    out.insert("march".into(), ptq_march::source("cpu").unwrap().into_owned().into());
    for i in 0..6 {
        let npy = ptq_sample::write_npy(&sample(i)).unwrap();
        out.insert(ptq_sample::sample_name(ptq_sample::ONLY_INPUT, &format!("{i}.npy")), npy.into());
    }
    out
}

fn table(params: &CalibrateParams) -> QuantTable {
    let params = serde_json::to_string(params).unwrap();
    ptq_ir::from_bytes(&run("calibrate", &inputs(), &params, 1, &mut Vec::new()).unwrap()[QUANT]).unwrap()
}

fn analysis(threads: usize, asked: &mut Vec<&'static str>) -> Analysis {
    let mut inputs = inputs();
    let params = AnalyzeParams { top: 3, ..AnalyzeParams::default() };
    inputs.insert(QUANT.into(), ptq_ir::to_bytes(&table(&params.calibrate)).unwrap());
    let out = run("analyze", &inputs, &serde_json::to_string(&params).unwrap(), threads, asked).unwrap();
    serde_json::from_slice(&out[ANALYSIS]).unwrap()
}

/// For each output the mean cosine over the samples, and the mean squared error, under a table.
fn plain(table: &QuantTable) -> Vec<(f64, f64)> {
    let g = graph();
    let (float, quantized) = (FloatPlan::new(&g).unwrap(), FakeQuantPlan::new(&g, table, &weights(&g, table)).unwrap());
    let mut out = vec![(0.0, 0.0); 2];
    for i in 0..6 {
        let f = float.run(&[sample(i)], &mut |_, _| {}).unwrap();
        let q = quantized.run(&[sample(i)], &mut |_, _| {}).unwrap();
        for (sum, (f, q)) in out.iter_mut().zip(f.iter().zip(&q)) {
            let (f, q) = (f.to_f64s(), q.to_f64s());
            sum.0 += metrics::cosine(&q, &f) / 6.0;
            sum.1 += f.iter().zip(&q).map(|(a, b)| (a - b) * (a - b)).sum::<f64>() / f.len() as f64 / 6.0;
        }
    }
    out
}

#[test]
fn errors_alone_and_accumulated_are_those_of_plain_runs() {
    let a = analysis(2, &mut Vec::new());
    let all = table(&CalibrateParams::default());
    let names: Vec<&str> = a.nodes.iter().map(|n| n.node.as_str()).collect();
    assert_eq!((names.len(), names[0]), (4, "b"), "{names:?}: the one with the coarse filter leads");
    let close = |x: Option<f64>, y: f64| assert!((x.unwrap() - y).abs() <= 1e-9 * y.abs(), "{x:?} {y}");
    for n in &a.nodes {
        let weights_only = QuantTable {
            weights: all
                .weights
                .iter()
                .filter(|(w, _)| **w == format!("w_{}", n.node))
                .map(|(w, p)| (w.clone(), p.clone()))
                .collect(),
            ..QuantTable::default()
        };
        let found = plain(&weights_only);
        let worst = found.iter().fold((1.0f64, 0.0f64), |w, f| (w.0.min(f.0), w.1.max(f.1)));
        close(n.alone.weights.cosine, worst.0);
        close(n.alone.weights.mse, worst.1);
    }
    let whole = plain(&all);
    close(a.whole.both.mse, whole[0].1.max(whole[1].1));
    assert_eq!(a.compared, ["c_out", "d_out"]);
    let b = &a.nodes[0];
    assert_eq!((b.output.as_str(), b.inputs.as_slice()), ("rb_out", ["ra_out".to_owned()].as_slice()));
    assert!(b.alone.weights.cosine < b.alone.activations.cosine, "its weights are to blame");
    assert!(b.weights.as_ref().unwrap().channels.iter().any(|c| c.1 == 40.0));
    let drawn: Vec<(&str, Option<&str>)> =
        a.graph.iter().map(|g| (g.node.as_str(), g.absorbed_by.as_deref())).collect();
    assert_eq!(drawn[1], ("ra", Some("a")));
    let ra = a.values.iter().find(|v| v.name == "ra_out").unwrap();
    assert_eq!((ra.count, ra.clipped, ra.channels.len()), (6 * 144, 0.0, 4));
}

#[test]
fn proposals_score_what_their_settings_bring() {
    let mut asked = Vec::new();
    let a = analysis(1, &mut asked);
    let count = |rule: &str| asked.iter().filter(|r| **r == rule).count();
    assert_eq!((count("reference"), count("isolated"), count("accumulated")), (1, 1, 3));
    assert!(count("calibrate") >= 5, "settings are really tried: {asked:?}");
    let score = |params: &CalibrateParams| plain_score(&table(params));
    let own = score(&CalibrateParams::default());
    assert!((a.score.unwrap() - own).abs() < 1e-12, "{:?} {own}", a.score);
    assert!(a.proposals.windows(2).all(|p| p[0].score >= p[1].score) && !a.proposals.is_empty());
    for p in &a.proposals {
        assert!(p.gain > 0.0 && (p.score - own - p.gain).abs() < 1e-12, "{p:?}");
    }
    let found = a.proposals.iter().find(|p| p.node.as_deref() == Some("b")).expect("the worst node helps");
    assert_eq!(found.settings, [("nodes.b.on".to_owned(), "\"CPU\"".to_owned())]);
    let mut params = CalibrateParams::default();
    params.requests.on.insert("b".into(), Device::Cpu);
    assert!((score(&params) - found.score).abs() < 1e-12, "{} {}", score(&params), found.score);
}

/// The score as the searches define it.
fn plain_score(table: &QuantTable) -> f64 {
    let g = graph();
    let (float, quantized) = (FloatPlan::new(&g).unwrap(), FakeQuantPlan::new(&g, table, &weights(&g, table)).unwrap());
    let one = |i: u64| {
        let f = float.run(&[sample(i)], &mut |_, _| {}).unwrap();
        let q = quantized.run(&[sample(i)], &mut |_, _| {}).unwrap();
        f.iter().zip(&q).map(|(f, q)| metrics::cosine(&q.to_f64s(), &f.to_f64s())).fold(1.0, f64::min)
    };
    (0..6).map(one).sum::<f64>() / 6.0
}

#[test]
fn threads_cannot_be_seen() {
    let one = analysis(1, &mut Vec::new());
    assert_eq!(one, analysis(2, &mut Vec::new()));
    assert_eq!(one, analysis(8, &mut Vec::new()));
}
