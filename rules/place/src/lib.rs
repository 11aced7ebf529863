//! Placement: where would every node run, and why.
//!
//! One pure function, [`place`], from (graph, march, requests) to a device, class, type and reason for each node.
//! `ptq check`, calibrate and partition call the same function, so they cannot disagree. Each decision is a rule of its
//! own under `rules/`, with a code that reasons carry. Not here: scales (calibrate) and integer code (partition).

mod answer;
mod borders;
mod cuts;
mod entry;
mod heads;
mod int32;
mod levels;
mod limits;
mod origin;
mod place;
mod placement;
mod remedy;
mod removal;
mod requests;
pub mod rules;
mod scales;
mod suggest;
mod types;
mod widths;

pub use borders::{Border, borders};
pub use cuts::{Cut, Place, cuts};
pub use int32::channel_axis_after;
pub use limits::{PROPERTIES, Property};
pub use place::{PlaceResult, place};
pub use placement::{NodePlacement, Placement, Reason};
pub use removal::{Removal, Removed, removed};
pub use requests::{Optimization, Requests, Side};
pub use scales::{Scale, absorbed_output, scales, words};
pub use suggest::nearest;
pub use widths::{follow, is_uniform};
