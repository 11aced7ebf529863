//! The build rule `fuse`. Called by the engine.

use crate::{Rewrite, fuse_with};
use bytes::Bytes;
use ptq_ir::Diagnostic;
use ptq_rule::{Blobs, BuildRule, Context, Failure, Step, put_graph, read_graph};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Parameters of [`FuseRule`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FuseParams {
    /// Rewrites of the manifest by name; empty ones are not written, so that a build without any keeps its keys.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub rewrites: BTreeMap<String, Rewrite>,
    /// Codes of built-in rules that are not asked; not written where there are none, for the same reason.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub without: BTreeSet<String>,
    /// Codes of built-in rules that run only on request; not written where there are none.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub with: BTreeSet<String>,
}

/// `graph` + `tensor/*` → `graph` + `tensor/*`, and `rules.json` ([`crate::FuseLog`]).
#[derive(Clone, Copy, Debug, Default)]
pub struct FuseRule;

impl BuildRule for FuseRule {
    fn name(&self) -> &'static str {
        "fuse"
    }

    fn version(&self) -> u32 {
        3
    }

    fn step(&self, ctx: &Context<'_>, _results: &[Blobs]) -> Result<Step, Failure> {
        let params: FuseParams = ctx.params()?;
        let mut graph = read_graph(ctx.inputs)?;
        let log = fuse_with(&mut graph, &params)?;
        let json = serde_json::to_vec(&log)
            .map_err(|e| Diagnostic::error("FUSE91", format!("the rule log does not encode: {e}")))?;
        let mut out = Blobs::new();
        put_graph(&mut out, &graph)?;
        out.insert("rules.json".to_owned(), Bytes::from(json));
        Ok(Step::Done(out))
    }
}
