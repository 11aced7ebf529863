//! How a range is chosen from a histogram, one file a method.

mod behind;
mod kl;
mod mse;
mod percentile;
mod weights;

pub use behind::{Function, behind};
pub use kl::kl;
pub use mse::mse;
pub use percentile::percentile;
pub use weights::{max_scale, mse_scale};
