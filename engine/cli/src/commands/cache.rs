//! `ptq cache`.

use super::project;
use crate::args::{Cache, CacheAction, Global};
use crate::failure::Failure;

pub(crate) fn run(global: &Global, args: &Cache) -> Result<u8, Failure> {
    let project = project(global)?;
    match args.action {
        CacheAction::Stats { json } => {
            let stats = project.store().stats();
            if json {
                println!("{}", serde_json::to_string(&stats).map_err(|e| Failure::Bug(e.to_string()))?);
            } else {
                let size = stats.bytes as f64 / (1 << 20) as f64;
                println!(
                    "{}: {} results, {} blobs, {size:.1} MiB",
                    project.store().root().display(),
                    stats.actions,
                    stats.blobs
                );
            }
        }
        CacheAction::Clear => {
            let root = project.store().root().to_owned();
            drop(project);
            ptq_cache::Store::clear(&root).map_err(|e| Failure::Failed(format!("error: {e}")))?;
            if !global.quiet {
                println!("cleared {}", root.display());
            }
        }
    }
    Ok(0)
}
