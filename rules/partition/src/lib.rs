//! The partition stage: float graph + scales + placement → integer program with segments.
//!
//! [`PartitionRule`] is the stage; [`partition`] the function behind it. Inserts quantize and dequantize borders, turns
//! every accelerated node into integer constants (`lower/`, one file an operator family), and orders nodes by segment.
//! Not here: where nodes run (`ptq-place`) and which scales they have (`ptq-calibrate`).

mod builder;
mod constants;
mod lower;
mod program;
mod rule;

pub use program::partition;
pub use rule::{PartitionParams, PartitionRule};
