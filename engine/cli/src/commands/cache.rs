//! `ptq cache`.

use super::project;
use crate::args::{Cache, CacheAction, Global};
use crate::failure::Failure;
use ptq_engine::EngineError;

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
        CacheAction::Verify { json } => {
            let found = project.store().verify().map_err(EngineError::from)?;
            if json {
                println!("{}", serde_json::to_string(&found).map_err(|e| Failure::Bug(e.to_string()))?);
            } else {
                println!(
                    "{} blobs read; {} corrupt removed, {} incomplete results forgotten",
                    found.blobs, found.corrupt, found.incomplete
                );
            }
            return Ok(u8::from(found.corrupt + found.incomplete > 0));
        }
        CacheAction::Gc { max_size, json } => {
            let done = project.collect(max_size)?;
            if json {
                println!("{}", serde_json::to_string(&done).map_err(|e| Failure::Bug(e.to_string()))?);
            } else {
                let mib = |bytes: u64| bytes as f64 / (1 << 20) as f64;
                println!(
                    "forgot {} results, removed {} blobs of {:.1} MiB; {:.1} MiB stay",
                    done.actions,
                    done.blobs,
                    mib(done.bytes),
                    mib(done.kept_bytes)
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
