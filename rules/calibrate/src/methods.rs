//! How a threshold is chosen from a histogram, one file a method.

mod kl;
mod percentile;

pub use kl::kl;
pub use percentile::percentile;
