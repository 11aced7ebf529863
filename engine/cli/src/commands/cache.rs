//! `ptq cache`.

use super::project;
use crate::args::{Cache, CacheAction, Global};
use crate::failure::Failure;
#[cfg(feature = "remote")]
use crate::progress::Reporter;
use ptq_engine::EngineError;
#[cfg(feature = "remote")]
use std::collections::BTreeMap;

pub(crate) fn run(global: &Global, args: &Cache) -> Result<u8, Failure> {
    let project = project(global)?;
    match &args.action {
        CacheAction::Stats { json } => {
            let remote = remote_state(&project);
            let stats = project.store().stats();
            if *json {
                let mut all = serde_json::to_value(&stats).map_err(|e| Failure::Bug(e.to_string()))?;
                if let Some((url, state)) = remote {
                    all["remote"] = serde_json::json!({ "url": url, "reachable": state.is_ok(), "why": state.err() });
                }
                println!("{all}");
            } else {
                let size = stats.bytes as f64 / (1 << 20) as f64;
                println!(
                    "{}: {} results, {} blobs, {size:.1} MiB",
                    project.store().root().display(),
                    stats.actions,
                    stats.blobs
                );
                match remote {
                    Some((url, Ok(()))) => println!("{url}: answers"),
                    Some((url, Err(why))) => println!("{url}: {why}"),
                    None => {}
                }
            }
        }
        CacheAction::Verify { json } => {
            let found = project.store().verify().map_err(EngineError::from)?;
            if *json {
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
            let done = project.collect(*max_size)?;
            if *json {
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
        #[cfg(feature = "remote")]
        CacheAction::Push { select, json } => {
            let reporter = Reporter::new(global, None).map_err(|e| Failure::Failed(e.to_string()))?;
            return moved(*json, &project.push(&select.all(), &reporter)?, "not_stored");
        }
        #[cfg(feature = "remote")]
        CacheAction::Pull { select, json } => {
            let reporter = Reporter::new(global, None).map_err(|e| Failure::Failed(e.to_string()))?;
            return moved(*json, &project.pull(&select.all(), &reporter)?, "errors");
        }
    }
    Ok(0)
}

/// Prints the counts of a transfer; it failed where the count of this name is not 0.
#[cfg(feature = "remote")]
fn moved(json: bool, counts: &BTreeMap<&'static str, u64>, failed: &str) -> Result<u8, Failure> {
    if json {
        println!("{}", serde_json::to_string(counts).map_err(|e| Failure::Bug(e.to_string()))?);
    } else {
        print!("{}", super::build::remote(counts));
    }
    Ok(u8::from(counts.get(failed).is_some_and(|n| *n > 0)))
}

/// URL of the remote cache and whether it answers.
#[cfg(feature = "remote")]
fn remote_state(project: &ptq_engine::Project) -> Option<(String, Result<(), String>)> {
    project.remote_state()
}

/// None: this program was built without.
#[cfg(not(feature = "remote"))]
fn remote_state(_project: &ptq_engine::Project) -> Option<(String, Result<(), String>)> {
    None
}
