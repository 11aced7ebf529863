//! The search `auto` on a small graph: what it scores on, what it returns, what it runs.
#![allow(clippy::unwrap_used)]

use super::SearchReport;
use crate::rule::CalibrateParams;
use crate::score::{QUANT, weights};
use crate::testing::{graph, inputs, run, sample};
use crate::{Calibration, Method};
use ptq_exec::{FakeQuantPlan, FloatPlan, metrics};
use ptq_ir::QuantTable;

fn search(method: Method, samples: u64, threads: usize, asked: &mut Vec<&'static str>) -> (QuantTable, SearchReport) {
    let calibration = Calibration { method, ..Calibration::default() };
    let params = serde_json::to_string(&CalibrateParams { calibration, ..CalibrateParams::default() }).unwrap();
    let out = run("calibrate", &inputs(samples), &params, threads, asked).unwrap();
    (ptq_ir::from_bytes(&out[QUANT]).unwrap(), serde_json::from_slice(&out["search.json"]).unwrap())
}

/// The score by its definition.
fn score(table: &QuantTable, samples: u64) -> f64 {
    let g = graph();
    let (float, quantized) = (FloatPlan::new(&g).unwrap(), FakeQuantPlan::new(&g, table, &weights(&g, table)).unwrap());
    let one = |i: u64| {
        let f = float.run(&[sample(i)], &mut |_, _| {}).unwrap();
        let q = quantized.run(&[sample(i)], &mut |_, _| {}).unwrap();
        f.iter().zip(&q).map(|(f, q)| metrics::cosine(&q.to_f64s(), &f.to_f64s())).fold(1.0, f64::min)
    };
    (0..samples).map(one).sum::<f64>() / samples as f64
}

#[test]
fn what_wins_was_judged_by_samples_that_did_not_make_it_and_is_no_worse_than_default_on_all() {
    for samples in [1, 6, 20, 48] {
        let (table, report) = search(Method::Auto, samples, 1, &mut Vec::new());
        assert_eq!(report.samples as u64, samples, "all are scored on");
        let (default, plain) = search(Method::Default, samples, 1, &mut Vec::new());
        let (ours, least) = (score(&table, samples), score(&default, samples));
        assert!(ours >= least, "{samples} samples: {ours} against {least} of {}", plain.chosen);
        let of = |name: &str| report.tried.iter().find(|t| t.name == name).and_then(|t| t.score).unwrap();
        let told = of(&report.chosen);
        let rounded = report.chosen.contains("rounding");
        assert!(rounded || report.tried.iter().all(|t| t.score.is_none_or(|s| s <= told)), "{report:?}");
        // A table that does not depend on what is held back has the score of its definition.
        let max = search_one(samples);
        assert!((of("max") - score(&max, samples)).abs() < 1e-12, "{report:?}");
    }
}

fn search_one(samples: u64) -> QuantTable {
    let params = serde_json::to_string(&CalibrateParams::default()).unwrap();
    ptq_ir::from_bytes(&run("calibrate", &inputs(samples), &params, 1, &mut Vec::new()).unwrap()[QUANT]).unwrap()
}

#[test]
fn corrections_are_made_for_each_part_and_once_more_of_all_samples() {
    let mut asked = Vec::new();
    let (_, report) = search(Method::Auto, 20, 1, &mut asked);
    let count = |rule: &str| asked.iter().filter(|a| **a == rule).count();
    assert_eq!(count("reference"), 4, "one a part");
    let is_corrected = |name: &str| name.contains("bias") || name.contains("rounding");
    let corrected = report.tried.iter().filter(|t| is_corrected(&t.name)).count();
    assert_eq!(corrected, 3, "{report:?}");
    // Four layers are four groups, and each part corrects all of them; then the winner's are corrected once more.
    assert_eq!(count("correct") % 4, 0);
    let whole = count("correct") / 4 - 4 * corrected;
    assert!(is_corrected(&report.chosen) && (1..=corrected).contains(&whole), "{whole} of all samples: {report:?}");
}

#[test]
fn threads_change_nothing() {
    assert_eq!(search(Method::Auto, 16, 1, &mut Vec::new()).0, search(Method::Auto, 16, 2, &mut Vec::new()).0);
}
