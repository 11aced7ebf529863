//! Tables that rules keep in the store: intermediate results that save time and change no result, such as what groups of
//! layers cost. The executor gives them to a rule's memo. Each is recorded like an action without inputs, so a collection forgets it when
//! it is old, and programs whose rules differ do not share it.

use crate::action::ActionSpec;
use bytes::Bytes;
use ptq_cache::{Digest, Store};
use ptq_rule::Tables;
use std::sync::Arc;

/// Name of a table's only blob.
const BLOB: &str = "table";

/// The tables of one rule.
pub(crate) struct StoredTables {
    store: Arc<Store>,
    rule: String,
    version: u32,
}

impl StoredTables {
    pub(crate) fn new(store: &Arc<Store>, spec: &ActionSpec) -> StoredTables {
        StoredTables { store: store.clone(), rule: spec.rule.clone(), version: spec.version }
    }

    fn key(&self, name: &str) -> Digest {
        let params = format!("table {name}");
        ActionSpec { rule: self.rule.clone(), version: self.version, params, inputs: Vec::new() }.key()
    }
}

impl Tables for StoredTables {
    fn load(&self, name: &str) -> Option<Bytes> {
        let tree = self.store.action(&self.key(name))?;
        let entry = self.store.tree(&tree)?.into_iter().find(|e| e.name == BLOB)?;
        self.store.get(&entry.digest)
    }

    fn save(&self, name: &str, bytes: Bytes) {
        // A table that cannot be kept costs time in the next build, nothing else.
        let _ = self.store.record(&self.key(name), &[(BLOB.to_owned(), bytes)]);
    }
}
