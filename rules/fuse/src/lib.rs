//! The stage `fuse`: rewrites a parsed graph into an equal one that quantizes better.
//!
//! What: graph rules, one file each under `rules/`, run in one documented order ([`rules()`]) to a fixed point
//! ([`fuse`]); each place where a rule looked and did not act is kept with its reason ([`FuseLog`]). Not here: which
//! node runs where (`ptq-place`), scales (`ptq-calibrate`). Model inputs and outputs keep their names and order, and a
//! surviving node lists what it absorbed in `covers`. Called by the engine as the build rule [`FuseRule`].

mod channel_affine;
mod edits;
mod fixed_point;
mod fuse_rule;
mod gemm_bias;
mod graph_rule;
mod known_function;
mod linear;
mod links;
mod log;
mod moving;
mod norm_region;
mod registry;
mod reshape;
pub mod rewrite;
mod rules;
mod scalar_region;

pub use fixed_point::{fuse, fuse_with};
pub use fuse_rule::{FuseParams, FuseRule};
pub use log::FuseLog;
pub use registry::{is_on_request, rules};
pub use rewrite::{REWRITE, Rewrite};
