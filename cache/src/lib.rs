//! What a build remembers: blobs by digest, results by action key, file digests by file stamp, small named notes.
//!
//! Knows bytes, not graphs. Several processes may use one folder at once: large blobs are files that appear by rename;
//! everything small lives in one index that is locked only for the length of a transaction. Every blob is verified
//! against its digest when read; a wrong one is removed, counted and treated as missing. Used by the engine only.

mod action_result;
mod blobs;
mod digest;
mod error;
mod gc;
mod index;
mod journal;
mod parts;
#[cfg(feature = "remote")]
pub mod remote;
mod stamp;
mod store;

pub use action_result::{ActionResult, Output, tree_bytes, tree_entries};
pub use digest::Digest;
pub use error::StoreError;
pub use gc::{Collected, Verified};
pub use stamp::FileStamp;
pub use store::{Stats, Store};
