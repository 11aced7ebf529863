//! Results of actions, and trees of named blobs.

use crate::Digest;
use prost::Message;

/// One named output of an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Name, unique in its tree.
    pub name: String,
    /// Digest of the bytes.
    pub digest: Digest,
    /// Size in bytes.
    pub size: u64,
}

/// What is remembered of an action that succeeded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActionResult {
    /// Digest of the tree of outputs ([`tree_bytes`]), itself a blob.
    pub tree: Digest,
}

#[derive(Clone, PartialEq, Message)]
struct WireEntry {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(bytes = "vec", tag = "2")]
    digest: Vec<u8>,
    #[prost(uint64, tag = "3")]
    size: u64,
}

#[derive(Clone, PartialEq, Message)]
struct WireTree {
    #[prost(message, repeated, tag = "1")]
    entries: Vec<WireEntry>,
}

#[derive(Clone, PartialEq, Message)]
struct WireResult {
    #[prost(bytes = "vec", tag = "1")]
    tree: Vec<u8>,
}

/// Canonical bytes of a tree: entries sorted by name.
pub fn tree_bytes(outputs: &[Output]) -> Vec<u8> {
    let mut entries: Vec<WireEntry> =
        outputs.iter().map(|o| WireEntry { name: o.name.clone(), digest: o.digest.0.to_vec(), size: o.size }).collect();
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    WireTree { entries }.encode_to_vec()
}

/// The entries of a tree; `None` when the bytes are not one.
pub fn tree_entries(bytes: &[u8]) -> Option<Vec<Output>> {
    WireTree::decode(bytes)
        .ok()?
        .entries
        .into_iter()
        .map(|e| Some(Output { name: e.name, digest: Digest(e.digest.try_into().ok()?), size: e.size }))
        .collect()
}

impl ActionResult {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        WireResult { tree: self.tree.0.to_vec() }.encode_to_vec()
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<ActionResult> {
        let wire = WireResult::decode(bytes).ok()?;
        Some(ActionResult { tree: Digest(wire.tree.try_into().ok()?) })
    }
}
