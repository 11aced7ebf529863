//! Shared pieces of the behaviour suites: where things are, when a test may be skipped, how to ask outside oracles.
//!
//! Suites are one test binary a theme under `tests/tests/`; programs (`fetch`) are under `tests/src/bin/`.

pub mod cache_machine;
pub mod conformance;
pub mod goldens;
pub mod hostile;
pub mod model_project;
pub mod oracle;
pub mod project;
pub mod ptq;
pub mod random_graph;
pub mod servers;
pub mod skip;
pub mod sweep;

use ptq_ir::{Tensor, numel};
use std::path::PathBuf;

/// Root folder of the workspace.
pub fn workspace_root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().map_or_else(|| PathBuf::from("."), PathBuf::from)
}

/// Reproducible numbers between -1 and 1.
///
/// # Panics
/// When the shape holds more elements than a count can say.
pub fn numbers(shape: &[usize], seed: u64) -> Tensor {
    let mut state = seed;
    let data = (0..numel(shape).expect("small")).map(|_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u32 << 23) as f32 - 1.0
    });
    Tensor::from_f32(shape, data.collect()).expect("as many numbers as elements")
}

/// The operator page of a built-in march, as `docs/ops/<march>.md` holds it.
///
/// # Panics
/// When the march is not built in.
pub fn operator_page(march: &str) -> String {
    let text = ptq_march::source(march).expect("a built-in march");
    let march = ptq_march::March::from_toml(&text).expect("a valid march");
    ptq_report::operators_markdown(&march, &ptq_report::operators(&march, []))
}

/// Folder of fetched models and data: `PTQ_ASSETS`, or `assets/` in the workspace. Fetched with
/// `cargo run -p ptq-tests --bin fetch`.
pub fn assets() -> PathBuf {
    std::env::var_os("PTQ_ASSETS").map_or_else(|| workspace_root().join("assets"), PathBuf::from)
}
