//! Runs the rules of this crate as the engine does, and has a graph for that. For tests.
#![allow(clippy::unwrap_used)]

use crate::rule::CalibrateParams;
use crate::score::{QUANT, weights};
use crate::{
    AccumulatedRule, AnalyzeRule, CalibrateRule, ChannelRule, CorrectRule, InspectRule, IsolatedRule, MergeRule,
    MomentRule, ObserveRule, ReferenceRule, ScoreRule, SensitivityRule,
};
use ptq_exec::{FakeQuantPlan, FloatPlan, metrics};
use ptq_ir::{Attr, Attrs, Graph, GraphBuilder, QuantTable, Tensor};
use ptq_rule::{ActionRequest, Blobs, BuildRule, Context, Failure, InputRef, Memo, Silent, Step, put_graph};

const RULES: [&dyn BuildRule; 13] = [
    &AccumulatedRule,
    &AnalyzeRule,
    &IsolatedRule,
    &CalibrateRule,
    &ChannelRule,
    &CorrectRule,
    &InspectRule,
    &MomentRule,
    &ObserveRule,
    &ReferenceRule,
    &MergeRule,
    &ScoreRule,
    &SensitivityRule,
];

/// The outputs of the rule of this name; `asked` gets the names of all rules that were asked for.
pub(crate) fn run(
    rule: &str,
    inputs: &Blobs,
    params: &str,
    threads: usize,
    asked: &mut Vec<&'static str>,
) -> Result<Blobs, Failure> {
    let rule = RULES.iter().find(|r| r.name() == rule).expect("a rule of this crate");
    let memo = Memo::default();
    let ctx = Context { inputs, params, progress: &Silent, threads, memo: &memo };
    let mut results = Vec::new();
    loop {
        let requests = match rule.step(&ctx, &results)? {
            Step::Done(blobs) => {
                let fresh = Context { memo: &Memo::default(), ..ctx };
                assert!(
                    matches!(rule.step(&fresh, &results)?, Step::Done(again) if again == blobs),
                    "{} depends on what an earlier step kept",
                    rule.name()
                );
                return Ok(blobs);
            }
            Step::Need(requests) => requests,
        };
        for request in requests {
            asked.push(request.rule);
            results.push(run(request.rule, &handed(&request, inputs), &request.params, threads, asked)?);
        }
    }
}

fn handed(request: &ActionRequest, own: &Blobs) -> Blobs {
    let mut out = Blobs::new();
    for (name, from) in &request.inputs {
        match from {
            InputRef::Own(n) => drop(out.insert(name.clone(), own[n].clone())),
            InputRef::OwnPrefix(p) => {
                out.extend(own.iter().filter(|(n, _)| n.starts_with(p.as_str())).map(|(n, b)| (n.clone(), b.clone())));
            }
            InputRef::Inline(bytes) => drop(out.insert(name.clone(), bytes.clone())),
        }
    }
    out
}

/// Numbers between -1 and 1.
pub(crate) fn numbers(seed: u64, n: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2) + 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u32 << 23) as f32 - 1.0
    };
    (0..n).map(|_| next()).collect()
}

/// x → Conv a → Relu → Conv b (one weight far above the others) → Relu → Conv c → output, and b → Conv d → a second output.
pub(crate) fn graph() -> Graph {
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

/// A sample of [`graph`].
pub(crate) fn sample(i: u64) -> Tensor {
    Tensor::from_f32([1, 4, 6, 6], numbers(100 + i, 144)).unwrap()
}

/// What calibrate reads of [`graph`], march `cpu` and so many samples.
pub(crate) fn inputs(samples: u64) -> Blobs {
    let mut out = Blobs::new();
    put_graph(&mut out, &graph()).unwrap();
    out.insert("march".into(), ptq_march::source("cpu").unwrap().into_owned().into());
    for i in 0..samples {
        let npy = ptq_sample::write_npy(&sample(i)).unwrap();
        out.insert(ptq_sample::sample_name(ptq_sample::ONLY_INPUT, &format!("{i:02}.npy")), npy.into());
    }
    out
}

/// The table of [`graph`] that calibrate makes of so many samples.
pub(crate) fn table(params: &CalibrateParams, samples: u64) -> QuantTable {
    let params = serde_json::to_string(params).unwrap();
    ptq_ir::from_bytes(&run("calibrate", &inputs(samples), &params, 1, &mut Vec::new()).unwrap()[QUANT]).unwrap()
}

/// Results of [`graph`] in float and under a table, for each sample.
pub(crate) fn results(table: &QuantTable, samples: u64) -> Vec<[Vec<Tensor>; 2]> {
    let g = graph();
    let (float, quantized) = (FloatPlan::new(&g).unwrap(), FakeQuantPlan::new(&g, table, &weights(&g, table)).unwrap());
    let of = |i| {
        let x = [sample(i)];
        [float.run(&x, &mut |_, _| {}).unwrap(), quantized.run(&x, &mut |_, _| {}).unwrap()]
    };
    (0..samples).map(of).collect()
}

/// The score of a table by its definition.
pub(crate) fn score(table: &QuantTable, samples: u64) -> f64 {
    let cosine = |(f, q): (&Tensor, &Tensor)| metrics::cosine(&q.to_f64s(), &f.to_f64s());
    let least = |[f, q]: &[Vec<Tensor>; 2]| f.iter().zip(q).map(cosine).fold(1.0, f64::min);
    results(table, samples).iter().map(least).sum::<f64>() / samples as f64
}
