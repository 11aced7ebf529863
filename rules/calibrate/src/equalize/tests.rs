//! Factors against weights rewritten step by step, and what they promise.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::params::Pick;
use proptest::prelude::*;
use ptq_ir::{Attr, Attrs, GraphBuilder};
use ptq_march::March;
use ptq_place::{Requests, place};

/// x → Conv a (4 filters) → Relu → Conv d (depthwise) → Clip 0..6 → Conv b → output.
fn graph(wa: Vec<f32>, wd: Vec<f32>, wb: Vec<f32>) -> Graph {
    let mut b = GraphBuilder::new("g");
    let x = b.input("x", &[1, 3, 4, 4]);
    let constant = |b: &mut GraphBuilder, name: &str, shape: &[usize], w: Vec<f32>| {
        b.constant(name, Tensor::from_f32(shape, w).unwrap())
    };
    let wa = constant(&mut b, "wa", &[4, 3, 1, 1], wa);
    let wd = constant(&mut b, "wd", &[4, 1, 1, 1], wd);
    let wb = constant(&mut b, "wb", &[2, 4, 1, 1], wb);
    let a = b.node("Conv", "a", &[x, wa], Attrs::default(), &[1, 4, 4, 4]);
    let ra = b.node("Relu", "ra", &[a], Attrs::default(), &[1, 4, 4, 4]);
    let d = b.node("Conv", "d", &[ra, wd], Attrs::of([("group", Attr::Int(4))]), &[1, 4, 4, 4]);
    let lo = b.constant("lo", Tensor::scalar_f32(0.0));
    let hi = b.constant("hi", Tensor::scalar_f32(6.0));
    let rd = b.node("Clip", "rd", &[d, lo, hi], Attrs::default(), &[1, 4, 4, 4]);
    let y = b.node("Conv", "b", &[rd, wb], Attrs::default(), &[1, 2, 4, 4]);
    b.output(y);
    b.finish()
}

fn found(graph: &Graph) -> Factors {
    let march = March::from_toml(&ptq_march::source("cpu").unwrap()).unwrap();
    let mut graph = graph.clone();
    // As fuse marks them.
    for (node, conv) in [("ra", "a"), ("rd", "d")] {
        let id = graph.find_node(node).unwrap();
        graph.nodes[id.0 as usize].fusible_into = Some(conv.to_owned());
    }
    let (placement, _) = place(&graph, &march, &Requests::default()).checked().unwrap();
    factors(&graph, &placement)
}

/// The paper's procedure: weights are really divided and multiplied, pair by pair.
fn rewritten(mut wa: Vec<f64>, mut wd: Vec<f64>, mut wb: Vec<f64>) -> [Vec<f64>; 2] {
    let (mut first, mut second) = (vec![1.0; 4], vec![1.0; 4]);
    for _ in 0..SWEEPS {
        for c in 0..4 {
            let r1 = wa[c * 3..c * 3 + 3].iter().fold(0f64, |m, w| m.max(w.abs()));
            let s = (r1 / wd[c].abs()).sqrt();
            wa[c * 3..c * 3 + 3].iter_mut().for_each(|w| *w /= s);
            wd[c] *= s;
            first[c] *= s;
        }
        for c in 0..4 {
            let r2 = wb[c].abs().max(wb[4 + c].abs());
            let s = (wd[c].abs() / r2).sqrt();
            wd[c] /= s;
            wb[c] *= s;
            wb[4 + c] *= s;
            second[c] *= s;
        }
    }
    [first, second]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn factors_are_those_of_weights_rewritten_pair_by_pair(
        wa in prop::collection::vec(0.05f32..2.0, 12),
        wd in prop::collection::vec(0.05f32..2.0, 4),
        wb in prop::collection::vec(0.05f32..2.0, 8),
    ) {
        let f = found(&graph(wa.clone(), wd.clone(), wb.clone()));
        let wide = |v: Vec<f32>| v.into_iter().map(f64::from).collect::<Vec<f64>>();
        let [first, second] = rewritten(wide(wa), wide(wd), wide(wb));
        for (name, slow) in [("ra_out", first), ("rd_out", second)] {
            for (fast, slow) in f[name].iter().zip(&slow) {
                prop_assert!((fast / slow - 1.0).abs() < 0.02, "{}: {} {}", name, fast, slow);
            }
        }
    }
}

fn whole(lo: f32, hi: f32, scheme: ActScheme) -> ActivationQuant {
    ActivationQuant { params: from_range(lo, hi, scheme), lo, hi, method: "max".into() }
}

#[test]
fn scales_cover_each_channel_and_never_pass_the_whole_tensors() {
    let way = Way { equalized: true, ..Way::of(Pick::Max) };
    for scheme in [ActScheme::AffineUint8, ActScheme::SymmetricInt8] {
        let whole = whole(0.0, 6.0, scheme);
        let ranges = [(0.0, 6.0), (0.0, 1.5), (0.0, 0.0), (0.0, 3.0)];
        let q = equalized(&whole, &ranges, &[1.0, 1.0, 1.0, 0.1], way, scheme);
        let top = if scheme == ActScheme::AffineUint8 { 255.0 } else { 127.0 };
        assert_eq!((q.params.axis, q.params.scale.len()), (Some(1), 4));
        for (s, r) in q.params.scale.iter().zip(&ranges) {
            assert!(*s <= whole.params.scale0() && f64::from(*s) * top >= f64::from(r.1) * (1.0 - 1e-6), "{s} {r:?}");
        }
        // Over a factor of 0.1 it asks for the coarsest grid: all others are at their limit.
        assert_eq!(q.params.scale[0], whole.params.scale0());
        // The geometric mean of 3 and 6.
        assert!((f64::from(q.params.scale[3]) * top - 18f64.sqrt()).abs() < 1e-4);
    }
}

#[test]
fn without_factors_or_with_mixed_zero_points_one_scale_stays() {
    let way = Way { equalized: true, ..Way::of(Pick::Max) };
    let whole = whole(-1.0, 6.0, ActScheme::AffineUint8);
    assert_eq!(equalized(&whole, &[(-1.0, 6.0); 2], &[1.0], way, ActScheme::AffineUint8), whole);
    let mixed = equalized(&whole, &[(-1.0, 6.0), (0.0, 3.0)], &[1.0, 2.0], way, ActScheme::AffineUint8);
    assert_eq!(mixed, whole);
}
