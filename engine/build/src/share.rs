//! `ptq cache push`, `pull` and the remote half of `stats`: moves results between the store and the team's cache without
//! building anything.

use crate::build::{BuildOptions, Missing};
use crate::error::EngineError;
use crate::events::{Event, EventSink};
use crate::project::Project;
use crate::queries::{ActionState, StageState, Wave};
use crate::session::Session;
use crate::sources::scan;
use ptq_cache::Digest;
use ptq_ir::Diagnostic;
use salsa::Setter as _;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

impl Project {
    /// Stores the selected variants' stage results in the team's cache, those that are here; returns all counts by name.
    ///
    /// # Errors
    /// When there is no such cache, or it is for reading.
    pub fn push(
        &self,
        selectors: &[String],
        events: &dyn EventSink,
    ) -> Result<BTreeMap<&'static str, u64>, EngineError> {
        let tier = self.needed_tier()?;
        if tier.only_reads() {
            let d =
                Diagnostic::error("MANIFEST19", "this machine only reads the remote cache").file(self.manifest_name());
            let hint = "where it may write: -D cache.remote.mode=read-write, or mode in [cache] remote";
            return Err(EngineError::Manifest(vec![d.hint(hint)]));
        }
        let names = self.select(selectors)?;
        let scan = scan(&self.root, &self.manifest, &self.store)?;
        let session = Arc::new(Session::new(self.store.clone(), BTreeSet::new()));
        let options = BuildOptions::default();
        let driver = self.driver(&session, &scan, &options, &names, events);
        let mut pushed: BTreeSet<Digest> = BTreeSet::new();
        for (_, state) in names.iter().flat_map(|name| driver.stages(name)) {
            if let StageState::Ready { spec, state: ActionState::Done(tree) } = state
                && pushed.insert(spec.key())
            {
                tier.publish(&driver.executor, &spec, tree, None);
            }
        }
        let counts = tier.finish(&driver.executor);
        self.store.flush()?;
        Ok(counts)
    }

    /// Brings the selected variants' stage results from the team's cache, as far as it has them; returns all counts by
    /// name.
    ///
    /// # Errors
    /// When there is no such cache.
    pub fn pull(
        &self,
        selectors: &[String],
        events: &dyn EventSink,
    ) -> Result<BTreeMap<&'static str, u64>, EngineError> {
        let tier = self.needed_tier()?;
        let names = self.select(selectors)?;
        let scan = scan(&self.root, &self.manifest, &self.store)?;
        let session = Arc::new(Session::new(self.store.clone(), BTreeSet::new()));
        let options = BuildOptions::default();
        let mut driver = self.driver(&session, &scan, &options, &names, events);
        let mut asked: BTreeSet<Digest> = BTreeSet::new();
        for wave in 1.. {
            Wave::get(&driver.db).set_number(&mut driver.db).to(wave);
            let missing: Vec<Missing> =
                driver.frontier(&names).into_iter().filter(|(key, _)| asked.insert(*key)).map(|(_, m)| m).collect();
            if missing.is_empty() {
                break;
            }
            let wanted: Vec<&Missing> = missing.iter().filter(|m| tier.ask(&driver.executor, &m.spec)).collect();
            for item in wanted {
                let key = item.spec.key();
                if let Some((tree, worker)) = tier.wait_for(&key) {
                    session.fetch(key, tree, worker);
                    let (variant, stage) = (item.variant.clone(), item.spec.rule.clone());
                    events.event(Event::Hit { variant, stage, tier: "remote" });
                }
            }
        }
        let counts = tier.finish(&driver.executor);
        self.store.flush()?;
        Ok(counts)
    }

    /// URL of the team's cache, and why it cannot be used, if so; `None` where the manifest names none.
    pub fn remote_state(&self) -> Option<(String, Result<(), String>)> {
        let config = self.manifest.remote.as_ref()?;
        let state = self.needed_tier().map_err(|e| e.to_string()).and_then(|t| t.check().map_err(|e| e.to_string()));
        Some((config.url().to_owned(), state))
    }
}
