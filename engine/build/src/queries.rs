//! All use of salsa: inputs, and queries that hold small handles only.
//!
//! Inputs: the expanded manifest, one input a file, one a sample set, the wave. Queries: [`variant`] (the firewall: an
//! unchanged variant stops here) → the stages → [`action`]. Heavy work hangs under content-keyed actions
//! that variants share. Cut-off: equality of tree digests.

// The macro gives interned structs a lifetime that their plain fields do not use.
#![allow(unused_lifetimes)]

mod stages;

pub(crate) use stages::{StageState, calibrate, compile, external, fuse, measure, parse, partition};

use crate::action::ActionSpec;
use crate::manifest::{Manifest, VariantConfig};
use crate::session::Session;
use crate::stage::Plan;
use ptq_cache::Digest;
use ptq_ir::ops::CustomOp;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The database as queries see it.
#[salsa::db]
pub(crate) trait Db: salsa::Database {
    fn session(&self) -> &Session;
}

/// The one database.
#[salsa::db]
#[derive(Clone)]
pub(crate) struct BuildDb {
    storage: salsa::Storage<Self>,
    session: Arc<Session>,
}

#[salsa::db]
impl salsa::Database for BuildDb {}

#[salsa::db]
impl Db for BuildDb {
    fn session(&self) -> &Session {
        &self.session
    }
}

impl BuildDb {
    pub(crate) fn new(session: Arc<Session>) -> BuildDb {
        BuildDb { storage: salsa::Storage::default(), session }
    }
}

/// The manifest after expansion.
#[salsa::input]
pub(crate) struct ManifestInput {
    #[returns(ref)]
    pub(crate) manifest: Arc<Manifest>,
}

/// A file; `None` when it cannot be read.
#[salsa::input]
pub(crate) struct FileInput {
    #[returns(copy)]
    pub(crate) digest: Option<Digest>,
}

/// Calibration samples: the tree of all, and the tree of the first sample.
#[salsa::input]
pub(crate) struct SampleInput {
    #[returns(copy)]
    pub(crate) all: Option<Digest>,
    #[returns(copy)]
    pub(crate) first: Option<Digest>,
}

/// Every file and sample set that the manifest mentions.
#[salsa::input(singleton)]
pub(crate) struct Sources {
    #[returns(ref)]
    pub(crate) files: BTreeMap<String, FileInput>,
    #[returns(ref)]
    pub(crate) samples: BTreeMap<String, SampleInput>,
    /// Files with external data of each model: path that the model states, path that the manifest would give.
    #[returns(ref)]
    pub(crate) external: BTreeMap<String, Vec<(String, String)>>,
    /// External stages.
    #[returns(ref)]
    pub(crate) stages: BTreeMap<String, Plan>,
    /// Custom operators that have a program, by the names of their declarations.
    #[returns(ref)]
    pub(crate) customs: BTreeMap<String, CustomOp>,
}

/// Number of the current wave: results arrive between waves.
#[salsa::input(singleton)]
pub(crate) struct Wave {
    #[returns(copy)]
    pub(crate) number: u64,
}

/// A variant's or an external stage's name.
#[salsa::interned]
pub(crate) struct VariantName<'db> {
    #[returns(ref)]
    pub(crate) name: String,
}

/// An action by content: variants that need the same work ask the same query.
#[salsa::interned]
pub(crate) struct ActionId<'db> {
    #[returns(ref)]
    pub(crate) spec: Arc<ActionSpec>,
}

/// What is known of an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ActionState {
    /// It made this tree.
    Done(Digest),
    /// Nobody has run it.
    Missing,
    /// It failed in this build.
    Failed,
}

/// One variant of the manifest. A change elsewhere in the file ends here.
#[salsa::tracked(returns(ref))]
pub(crate) fn variant<'db>(db: &'db dyn Db, m: ManifestInput, name: VariantName<'db>) -> Option<VariantConfig> {
    m.manifest(db).variants.get(name.name(db))?.config.as_deref().cloned()
}

/// What is known of an action. Reads the wave even when it is done: salsa dates a value by what its last run read, so
/// a run that stopped reading the wave would look as old as the inputs, and its readers would miss the change. A wave
/// costs each action one look-up; equal answers stop there.
#[salsa::tracked(returns(copy))]
pub(crate) fn action<'db>(db: &'db dyn Db, id: ActionId<'db>) -> ActionState {
    let _ = Wave::get(db).number(db);
    let spec = id.spec(db);
    let key = spec.key();
    let session = db.session();
    match session.done(&spec.rule, &key) {
        Some(tree) => ActionState::Done(tree),
        None if session.failure(&key).is_some() => ActionState::Failed,
        None => ActionState::Missing,
    }
}
