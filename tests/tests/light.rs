//! The nine light graphs of the `onnx` package, their weights replaced by seeded random values: every tensor that the float plan
//! computes against ONNX Runtime's without optimizations, within 1e-4 of the tensor's largest value.

#![allow(clippy::print_stdout)] // Figures for the log of a run with --nocapture.

use ptq_tests::conformance::light::{LIGHT, compare};
use ptq_tests::{oracle, skip::need};

/// Largest error of a tensor, relative to its largest value: sums of up to 25088 products in another order.
const TOLERANCE: f64 = 1e-4;

#[test]
fn all_intermediate_tensors_agree_with_onnx_runtime() {
    if need(oracle::python()).is_none() {
        return;
    }
    for name in LIGHT {
        let found = compare(name).unwrap_or_else(|why| panic!("{name}: {why}"));
        println!("{name}: {} weights, {} tensors, error {:.2e}", found.weights, found.tensors, found.worst.0);
        assert!(found.worst.0 <= TOLERANCE, "{name}: {:?}", found.worst);
        assert!(found.missing.is_empty(), "{name}: not in ONNX Runtime: {:?}", found.missing);
        assert!(found.tensors > 15 && found.weights > 15, "{name}: {found:?}");
    }
}
