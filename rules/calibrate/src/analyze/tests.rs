//! An analysis against plain runs of a small graph.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::testing::{inputs, results, run, score, table};
use ptq_exec::metrics;
use ptq_ir::Device;

fn analysis(threads: usize, asked: &mut Vec<&'static str>) -> Analysis {
    let mut inputs = inputs(6);
    let params = AnalyzeParams { top: 3, ..AnalyzeParams::default() };
    inputs.insert(QUANT.into(), ptq_ir::to_bytes(&table(&params.calibrate, 6)).unwrap());
    let out = run("analyze", &inputs, &serde_json::to_string(&params).unwrap(), threads, asked).unwrap();
    serde_json::from_slice(&out[ANALYSIS]).unwrap()
}

/// For each output the mean cosine over the samples, and the mean squared error, under a table.
fn plain(table: &QuantTable) -> Vec<(f64, f64)> {
    let mut out = vec![(0.0, 0.0); 2];
    for [f, q] in results(table, 6) {
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
    let all = table(&CalibrateParams::default(), 6);
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
    let score = |params: &CalibrateParams| score(&table(params, 6), 6);
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

#[test]
fn threads_cannot_be_seen() {
    let one = analysis(1, &mut Vec::new());
    assert_eq!(one, analysis(2, &mut Vec::new()));
    assert_eq!(one, analysis(8, &mut Vec::new()));
}
