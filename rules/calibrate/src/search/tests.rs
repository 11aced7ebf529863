//! The search `auto` on a small graph: what it scores on, what it returns, what it runs.
#![allow(clippy::unwrap_used)]

use super::SearchReport;
use crate::params::WeightRounding;
use crate::rule::{CalibrateParams, parts};
use crate::samples::samples;
use crate::score::QUANT;
use crate::testing::{graph, inputs, run, score, table};
use crate::{Calibration, Method};
use ptq_ir::QuantTable;
use ptq_rule::Inputs;

fn search(method: Method, samples: u64, threads: usize, asked: &mut Vec<&'static str>) -> (QuantTable, SearchReport) {
    let calibration = Calibration { method, ..Calibration::default() };
    let params = serde_json::to_string(&CalibrateParams { calibration, ..CalibrateParams::default() }).unwrap();
    let out = run("calibrate", &inputs(samples), &params, threads, asked).unwrap();
    (ptq_ir::from_bytes(&out[QUANT]).unwrap(), serde_json::from_slice(&out["search.json"]).unwrap())
}

#[test]
fn what_wins_was_judged_by_samples_that_did_not_make_it_and_is_no_worse_than_default_on_all() {
    for samples in [1, 6, 20, 48] {
        let (ours, report) = search(Method::Auto, samples, 1, &mut Vec::new());
        assert_eq!(report.samples as u64, samples, "all are scored on");
        let (default, plain) = search(Method::Default, samples, 1, &mut Vec::new());
        let (ours, least) = (score(&ours, samples), score(&default, samples));
        assert!(ours >= least, "{samples} samples: {ours} against {least} of {}", plain.chosen);
        let of = |name: &str| report.tried.iter().find(|t| t.name == name).and_then(|t| t.score).unwrap();
        let told = of(&report.chosen);
        let rounded = report.chosen.contains("rounding");
        assert!(rounded || report.tried.iter().all(|t| t.score.is_none_or(|s| s <= told)), "{report:?}");
        // A table that does not depend on what is held back has the score of its definition.
        let max = table(&CalibrateParams::default(), samples);
        assert!((of("max") - score(&max, samples)).abs() < 1e-12, "{report:?}");
    }
}

#[test]
fn parts_judge_what_other_samples_make_and_each_sample_judges_once() {
    let calibration = |method| CalibrateParams {
        calibration: Calibration { method, ..Calibration::default() },
        ..CalibrateParams::default()
    };
    let graph = graph();
    for (count, expected) in [(1, 1), (15, 1), (16, 4), (47, 4), (48, 2), (100, 2)] {
        let files = samples(&graph, &inputs(count).names()).unwrap();
        let parts = parts(&calibration(Method::Auto), &graph, &files).unwrap();
        assert_eq!(parts.len(), expected, "{count} samples");
        let mut held: Vec<_> = parts.iter().flat_map(|p| &p.held).collect();
        held.sort();
        held.dedup();
        assert_eq!(held.len() as u64, count.min(64), "each once, up to the most that are scored on");
        for p in &parts {
            let apart = p.others.iter().all(|o| !p.held.contains(o));
            assert_eq!(
                (apart, p.others.len() as u64),
                (expected > 1, if expected > 1 { count - p.held.len() as u64 } else { count })
            );
        }
    }
    // Horizon's searches hold back where there are twice as many.
    for (count, others) in [(15, 15), (16, 8)] {
        let files = samples(&graph, &inputs(count).names()).unwrap();
        let parts = parts(&calibration(Method::Default), &graph, &files).unwrap();
        assert_eq!((parts.len(), parts[0].held.len(), parts[0].others.len()), (1, 8, others));
    }
}

#[test]
fn corrections_are_made_for_each_part_and_once_more_of_all_samples() {
    let mut asked = Vec::new();
    let (found, report) = search(Method::Auto, 20, 1, &mut asked);
    let count = |rule: &str| asked.iter().filter(|a| **a == rule).count();
    assert_eq!(count("reference"), 4, "one a part");
    let is_corrected = |name: &str| name.contains("bias") || name.contains("rounding");
    let corrected = report.tried.iter().filter(|t| is_corrected(&t.name)).count();
    assert_eq!(corrected, 3, "{report:?}");
    // What settings can ask for too is what they give: corrected by all samples.
    let rounding = WeightRounding::Compensated;
    let calibration = Calibration { method: Method::Max, rounding, ..Calibration::default() };
    assert_eq!(report.chosen, "max + compensated rounding");
    assert_eq!(found.constants, table(&CalibrateParams { calibration, ..CalibrateParams::default() }, 20).constants);
    // Four layers are four groups, and each part corrects all of them; then the winner's are corrected once more.
    assert_eq!(count("correct") % 4, 0);
    let whole = count("correct") / 4 - 4 * corrected;
    assert!(is_corrected(&report.chosen) && (1..=corrected).contains(&whole), "{whole} of all samples: {report:?}");
}

#[test]
fn threads_change_nothing() {
    assert_eq!(search(Method::Auto, 16, 1, &mut Vec::new()).0, search(Method::Auto, 16, 2, &mut Vec::new()).0);
}
