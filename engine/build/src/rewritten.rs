//! What became of a manifest's rewrites in a variant's last build. Asked by `ptq explain` and `ptq verify`.

use crate::manifest::RewriteConfig;
use crate::project::Project;
use ptq_cache::Digest;
use ptq_fuse::{FuseLog, REWRITE};

/// Places that are listed where a rewrite did not fire.
const NAMED: usize = 3;

/// A rewrite and what became of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Rewritten<'a> {
    /// The rewrite.
    pub config: &'a RewriteConfig,
    /// Places where it fired.
    pub fired: usize,
    /// Nodes around which it was found and did not fire, with the reason.
    pub skipped: Vec<(String, String)>,
}

impl Project {
    /// The rewrites that a variant takes, in the order of their names, with what the last build's fuse says of them.
    pub fn rewritten(&self, variant: &str) -> Vec<Rewritten<'_>> {
        let Some(taken) = self.manifest.variants.get(variant).map(|v| &v.rewrites) else { return Vec::new() };
        if taken.is_empty() {
            return Vec::new();
        }
        let log = self.fuse_log(variant).unwrap_or_default();
        let of = |config: &'_ RewriteConfig| {
            let code = format!("{REWRITE}{}", config.name);
            let skips = log.skipped.iter().filter(|s| s.code == code);
            (log.fired.get(&code).copied().unwrap_or(0), skips.map(|s| (s.node.clone(), s.reason.clone())).collect())
        };
        let configs = self.manifest.rewrites.values().filter(|c| taken.contains_key(&c.name));
        configs
            .map(|config| {
                let (fired, skipped) = of(config);
                Rewritten { config, fired, skipped }
            })
            .collect()
    }

    fn fuse_log(&self, variant: &str) -> Option<FuseLog> {
        let recipe = self.recipe(variant)?;
        let tree = self.store.action(&Digest::from_hex(&recipe.stages.get("fuse")?.key)?)?;
        let entry = self.store.tree(&tree)?.into_iter().find(|e| e.name == "rules.json")?;
        serde_json::from_slice(&self.store.get(&entry.digest)?).ok()
    }
}

impl std::fmt::Display for Rewritten<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "rewrite {} ({}:{})", self.config.name, self.config.file, self.config.line)?;
        match (self.fired, self.skipped.is_empty()) {
            (0, true) => return f.write_str(" matched nowhere"),
            (0, false) => f.write_str(" did not fire")?,
            (1, _) => f.write_str(" fired once")?,
            (n, _) => write!(f, " fired {n} times")?,
        }
        for (node, reason) in self.skipped.iter().take(NAMED) {
            write!(f, "; not at {node}: {reason}")?;
        }
        match self.skipped.len().saturating_sub(NAMED) {
            0 => Ok(()),
            more => write!(f, "; nor at {more} more places"),
        }
    }
}
