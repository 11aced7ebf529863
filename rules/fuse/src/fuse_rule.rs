//! The build rule `fuse`. Called by the engine.

use crate::fuse;
use bytes::Bytes;
use ptq_ir::Diagnostic;
use ptq_rule::{Blobs, BuildRule, Context, Failure, Step, put_graph, read_graph};
use serde::{Deserialize, Serialize};

/// Parameters of [`FuseRule`]: none yet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FuseParams {}

/// `graph` + `tensor/*` → `graph` + `tensor/*`, and `rules.json` ([`crate::FuseLog`]).
#[derive(Clone, Copy, Debug, Default)]
pub struct FuseRule;

impl BuildRule for FuseRule {
    fn name(&self) -> &'static str {
        "fuse"
    }

    fn version(&self) -> u32 {
        1
    }

    fn step(&self, ctx: &Context<'_>, _results: &[Blobs]) -> Result<Step, Failure> {
        let FuseParams {} = ctx.params()?;
        let mut graph = read_graph(ctx.inputs)?;
        let log = fuse(&mut graph)?;
        let json = serde_json::to_vec(&log)
            .map_err(|e| Diagnostic::error("FUSE91", format!("the rule log does not encode: {e}")))?;
        let mut out = Blobs::new();
        put_graph(&mut out, &graph)?;
        out.insert("rules.json".to_owned(), Bytes::from(json));
        Ok(Step::Done(out))
    }
}
