//! Sums and corrections against plain loops over a small graph.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::testing::{numbers, run};
use proptest::prelude::*;
use ptq_exec::{FakeQuantPlan, FloatPlan};
use ptq_ir::{ActivationQuant, Attr, Attrs, GraphBuilder, ValueId};
use ptq_rule::put_graph;

const IMAGE: [usize; 4] = [1, 4, 6, 5];

/// x → Conv a (6 filters, 3×3, a bias) → Relu → Conv b (depthwise, stride 2, no bias).
fn graph(seed: u64) -> Graph {
    let mut b = GraphBuilder::new("g");
    let x = b.input("x", &IMAGE);
    let constant = |b: &mut GraphBuilder, name: &str, shape: &[usize], seed| {
        b.constant(name, Tensor::from_f32(shape, numbers(seed, shape.iter().product())).unwrap())
    };
    let (wa, ba) = (constant(&mut b, "wa", &[6, 4, 3, 3], seed), constant(&mut b, "ba", &[6], seed + 1));
    let wb = constant(&mut b, "wb", &[6, 1, 3, 3], seed + 2);
    let pads = |group: i64, stride: i64| {
        let ints = |v: i64, n: usize| Attr::Ints(vec![v; n]);
        Attrs::of([("pads", ints(1, 4)), ("strides", ints(stride, 2)), ("group", Attr::Int(group))])
    };
    let a = b.node("Conv", "a", &[x, wa, ba], pads(1, 1), &[1, 6, 6, 5]);
    let relu = b.node("Relu", "relu", &[a], Attrs::default(), &[1, 6, 6, 5]);
    let y = b.node("Conv", "b", &[relu, wb], pads(6, 2), &[1, 6, 3, 3]);
    b.output(y);
    b.finish()
}

/// Coarse grids, so that there is something to correct.
fn table() -> QuantTable {
    let activation = |scale: f32| ActivationQuant {
        params: QuantParams::per_tensor(DType::I8, scale, 0),
        lo: -127.0 * scale,
        hi: 127.0 * scale,
        method: "max".into(),
    };
    let weights = |n: usize| QuantParams::per_channel(DType::I8, vec![0.11; n], 0);
    QuantTable {
        activations: BTreeMap::from([("x".to_owned(), activation(0.04)), ("relu_out".to_owned(), activation(0.1))]),
        weights: BTreeMap::from([("wa".to_owned(), weights(6)), ("wb".to_owned(), weights(6))]),
        ..QuantTable::default()
    }
}

fn sample(i: u64) -> Tensor {
    Tensor::from_f32(IMAGE, numbers(100 + i, 120)).unwrap()
}

fn inputs(seed: u64, samples: u64) -> Blobs {
    let mut out = Blobs::new();
    put_graph(&mut out, &graph(seed)).unwrap();
    out.insert(QUANT.into(), ptq_ir::to_bytes(&table()).unwrap());
    for i in 0..samples {
        let npy = ptq_sample::write_npy(&sample(i)).unwrap();
        out.insert(ptq_sample::sample_name(ptq_sample::ONLY_INPUT, &format!("{i}.npy")), npy.into());
    }
    out
}

fn moments(threads: usize) -> Blobs {
    let params = MomentParams { nodes: vec!["a".into(), "b".into()], products: true, ..MomentParams::default() };
    run("moments", &inputs(7, 3), &serde_json::to_string(&params).unwrap(), threads, &mut Vec::new()).unwrap()
}

/// The table with the corrections of these Convs.
fn corrected(seed: u64, nodes: &[&str], rounding: bool) -> QuantTable {
    let nodes = nodes.iter().map(|n| (*n).to_owned()).collect();
    let params = serde_json::to_string(&CorrectParams { nodes, rounding, ..CorrectParams::default() }).unwrap();
    let mut asked = Vec::new();
    let out = run("correct", &inputs(seed, 3), &params, 2, &mut asked).unwrap();
    assert_eq!(asked, vec!["moments"; if rounding { 2 } else { 1 }]);
    let correction: QuantTable = ptq_ir::from_bytes(&out[CORRECTION]).unwrap();
    let mut table = table();
    table.weights.extend(correction.weights);
    table.constants.extend(correction.constants);
    table
}

/// A value of a float run, and of the fake-quantized one under a table.
fn values(seed: u64, table: &QuantTable, name: &str, i: u64) -> [Vec<f32>; 2] {
    let g = graph(seed);
    let wanted = g.find_value(name).unwrap();
    let mut found = Vec::new();
    let mut keep = |v: ValueId, t: &Tensor| {
        if v == wanted {
            found.push(t.f32s().unwrap().to_vec());
        }
    };
    FloatPlan::new(&g).unwrap().run(&[sample(i)], &mut keep).unwrap();
    let plan = FakeQuantPlan::new(&g, table, &crate::score::weights(&g, table)).unwrap();
    plan.run(&[sample(i)], &mut keep).unwrap();
    found.try_into().unwrap()
}

fn close(a: f64, b: f64) {
    assert!((a - b).abs() <= 1e-4 * b.abs().max(1.0), "{a} {b}");
}

#[test]
fn sums_are_those_of_plain_loops() {
    let all: AllMoments = ptq_ir::from_bytes(&moments(1)[MOMENTS]).unwrap();
    let at = |v: &[f32], c: usize, y: i64, x: i64| -> f64 {
        if (0..6).contains(&y) && (0..5).contains(&x) { f64::from(v[c * 30 + (y * 5 + x) as usize]) } else { 0.0 }
    };
    let window = |v: &[f32], channels: &[usize], y: i64, x: i64| -> Vec<f64> {
        let taps = channels.iter().flat_map(|&c| (0..9).map(move |k| at(v, c, y + k / 3 - 1, x + k % 3 - 1)));
        std::iter::once(1.0).chain(taps).collect()
    };
    let (mut gram, mut cross, mut power, mut deep) = (0.0, 0.0, 0.0, 0.0);
    for i in 0..3 {
        let [_, read] = values(7, &table(), "x", i);
        let [wanted, _] = values(7, &table(), "a_out", i);
        let [_, behind] = values(7, &table(), "relu_out", i);
        for (y, x) in (0..6).flat_map(|y| (0..5).map(move |x| (y, x))) {
            let v = window(&read, &[0, 1, 2, 3], y, x);
            let made = at(&wanted, 4, y, x);
            gram += v[11] * v[30];
            cross += made * v[20];
            power += made * made;
            if y % 2 == 0 && x % 2 == 0 {
                let v = window(&behind, &[3], y, x);
                deep += v[2] * v[6];
            }
        }
    }
    close(all["a"].read[0][0], 90.0);
    close(all["a"].gram[0][11 * 37 + 30], gram);
    close(all["a"].cross[4][20], cross);
    close(all["a"].power[4], power);
    assert_eq!((all["b"].read.len(), all["b"].read[3][0]), (6, 27.0));
    close(all["b"].gram[3][2 * 10 + 6], deep);
    assert!(all["b"].made.is_empty(), "only the first Conv is held to the float graph");
}

#[test]
fn threads_are_not_seen() {
    let one = moments(1);
    assert!(one == moments(2) && one == moments(8));
}

#[test]
fn corrected_biases_leave_no_mean_error() {
    let mean_error = |table: &QuantTable, filter: usize| -> f64 {
        let of = |i| {
            let [float, quantized] = values(7, table, "a_out", i);
            let own = filter * 30..(filter + 1) * 30;
            float[own.clone()].iter().zip(&quantized[own]).map(|(f, q)| f64::from(f - q)).sum::<f64>()
        };
        (0..3).map(of).sum::<f64>() / 90.0
    };
    let after = corrected(7, &["a"], false);
    for filter in 0..6 {
        assert!(mean_error(&after, filter).abs() < 1e-5, "{filter}: {}", mean_error(&after, filter));
    }
    assert!((0..6).any(|f| mean_error(&table(), f).abs() > 1e-3), "there was nothing to correct");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn compensated_weights_lie_on_their_grid_and_lose_less_where_they_are_kept(seed in 0u64..1000) {
        let after = corrected(seed, &["a", "b"], true);
        let lost = |table: &QuantTable| -> f64 {
            let of = |i| {
                let [float, quantized] = values(seed, table, "a_out", i);
                float.iter().zip(&quantized).map(|(f, q)| f64::from(f - q).powi(2)).sum::<f64>()
            };
            (0..3).map(of).sum()
        };
        // So little data may leave a layer as it is.
        prop_assert!(lost(&after) <= 1.02 * lost(&table()), "{} {}", lost(&after), lost(&table()));
        prop_assert!(!after.constants.contains_key("wa") || lost(&after) < lost(&table()));
        for (name, taps) in [("wa", 36), ("wb", 9)] {
            let Some(weights) = after.constants.get(name) else { continue };
            for (i, w) in weights.f32s().unwrap().iter().enumerate() {
                let q = f64::from(*w) / f64::from(after.weights[name].scale[i / taps]);
                prop_assert!((q - q.round()).abs() < 1e-4 && q.abs() < 127.5, "{} {}: {}", name, i, q);
            }
        }
    }
}

#[test]
fn with_enough_to_judge_by_a_layer_is_compensated() {
    for seed in [1, 2, 7] {
        let after = corrected(seed, &["a", "b"], true);
        assert!(after.constants.contains_key("wa") || after.constants.contains_key("wb"), "{seed}");
    }
}

/// Sums of these samples.
fn moments_of(seed: u64, which: &[u64]) -> AllMoments {
    let mut inputs = inputs(seed, 0);
    for &i in which {
        let npy = ptq_sample::write_npy(&sample(i)).unwrap();
        inputs.insert(ptq_sample::sample_name(ptq_sample::ONLY_INPUT, &format!("{i}.npy")), npy.into());
    }
    let params = MomentParams { nodes: vec!["a".into(), "b".into()], products: true, ..MomentParams::default() };
    let out = run("moments", &inputs, &serde_json::to_string(&params).unwrap(), 1, &mut Vec::new()).unwrap();
    ptq_ir::from_bytes(&out[MOMENTS]).unwrap()
}

#[test]
fn sums_of_parts_are_the_sums_of_all() {
    let (all, one, two) = (moments_of(3, &[0, 1, 2]), moments_of(3, &[0, 2]), moments_of(3, &[1]));
    for name in ["a", "b"] {
        let sum = Moments::sum(&[&one[name], &two[name]]);
        let numbers = |m: &Moments| {
            let lists = [&m.read, &m.gram, &m.cross].map(|l| l.concat());
            [lists.concat(), m.made.clone(), m.power.clone()].concat()
        };
        let (sum, all) = (numbers(&sum), numbers(&all[name]));
        assert_eq!(sum.len(), all.len());
        sum.iter().zip(&all).for_each(|(a, b)| close(*a, *b));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]
    /// Against a slow reference: gradient descent on the same squares from the float weights on.
    #[test]
    fn adapted_weights_are_those_of_ridge_regression_but_for_their_grid(seed in 0u64..1000) {
        let (graph, mut table) = (graph(seed), table());
        // A grid so fine that rounding is not seen.
        table.weights.insert("wa".to_owned(), QuantParams::per_channel(DType::I8, vec![0.02; 6], 0));
        let moments = &moments_of(seed, &[0, 1, 2])["a"];
        let filters = Filters::of(&graph, &table, "a").unwrap();
        let system = System::of(&moments.gram[0], true).unwrap();
        let cost = |filter: usize, v: &[f64]| -> f64 {
            let float = filters.float(filter);
            let fit = quadratic(&moments.gram[0], v) - 2.0 * dot(&moments.cross[filter], v);
            let away: f64 = v.iter().zip(&float).skip(1).map(|(a, b)| (a - b).powi(2)).sum();
            fit / system.pixels + system.damping * away
        };
        let found = filters.solved(2, &system, &moments.cross[2], true);
        let ours: Vec<f64> =
            std::iter::once(&found.bias).chain(&found.weights).map(|&v| f64::from(v)).collect();
        let mut slow = filters.float(2);
        for _ in 0..4000 {
            let products = times(&moments.gram[0], &slow);
            let float = filters.float(2);
            for i in 0..slow.len() {
                let fit = (products[i] - moments.cross[2][i]) / system.pixels;
                let away = if i > 0 { system.damping * (slow[i] - float[i]) } else { 0.0 };
                slow[i] -= 0.3 * (fit + away);
            }
        }
        // Rounding costs at most half a step in every weight.
        let power: f64 = (1..37).map(|i| moments.gram[0][i * 37 + i] / system.pixels + system.damping).sum();
        prop_assert!(cost(2, &ours) - cost(2, &slow) <= 0.01f64.powi(2) * power);
        prop_assert!(cost(2, &ours) <= cost(2, &filters.float(2)) + 0.01f64.powi(2) * power);
    }

    /// What fits best to samples at random is judged by other samples: noise is not learnt.
    #[test]
    fn a_layer_loses_no_more_on_new_samples_than_with_weights_to_the_nearest(seed in 0u64..1000) {
        let after = corrected(seed, &["a"], true);
        let lost = |table: &QuantTable| -> f64 {
            let of = |i| {
                let [float, quantized] = values(seed, table, "a_out", i);
                float.iter().zip(&quantized).map(|(f, q)| f64::from(f - q).powi(2)).sum::<f64>()
            };
            (50..56).map(of).sum()
        };
        prop_assert!(lost(&after) < 1.15 * lost(&table()), "{} {}", lost(&after), lost(&table()));
    }
}
