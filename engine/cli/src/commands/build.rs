//! `ptq build`.

use super::{overlay, project};
use crate::args::{Build, Global};
use crate::failure::Failure;
use crate::progress::Reporter;
use crate::terminal::{error, table};
use ptq_engine::{BuildOptions, BuildReport, Outcome, VariantReport, up_to_date};
use std::collections::BTreeMap;

/// Exit code of `--dry-run --exit-code` when something would run.
const WORK_FOUND: u8 = 3;
/// Exit code of a build that was interrupted, as shells have it for Ctrl-C.
const INTERRUPTED: u8 = 130;
/// Most variants whose tables are printed; a sweep's are in its reports.
const MAX_TABLES: usize = 8;

pub(crate) fn run(global: &Global, args: &Build) -> Result<u8, Failure> {
    if let Some(plan) = &args.replay_plan {
        // Files of the manifest begin at its folder, arguments at the current one.
        let plan = std::path::absolute(plan).map_err(|e| Failure::Usage(format!("error: --replay-plan: {e}")))?;
        if !plan.is_file() {
            return Err(Failure::Usage(format!("error: --replay-plan: there is no file {}", plan.display())));
        }
        let mut global = global.clone();
        global.define.push(("compile.replay_plan".to_owned(), plan.display().to_string()));
        return build(&global, args);
    }
    build(global, args)
}

fn build(global: &Global, args: &Build) -> Result<u8, Failure> {
    let selectors = args.select.all();
    let plain = args.force.is_empty() && args.events.is_none() && !args.watch;
    let told = || up_to_date(&global.manifest, &overlay(global), ptq_engine::rules(), &selectors);
    if let Some(told) = plain.then(told).flatten() {
        if !global.quiet {
            told.iter().for_each(|(variant, stage, message)| eprintln!("  {variant} {stage}: {message}"));
            println!("up to date");
        }
        return Ok(0);
    }
    let project = project(global)?;
    let options = BuildOptions {
        selectors,
        dry_run: args.dry_run,
        force: args.force.iter().cloned().collect(),
        jobs: args.jobs.unwrap_or(BuildOptions::default().jobs).max(1),
        keep_going: args.keep_going,
        no_remote: args.no_remote,
        remote_exec: args.remote_exec,
        cancel: crate::interrupt::listen(),
    };
    let reporter =
        Reporter::new(global, args.events.as_deref()).map_err(|e| Failure::Failed(format!("error: --events: {e}")))?;
    if args.watch {
        let code = super::watch::run(global, args, project, &options, &reporter)?;
        return Ok(if crate::interrupt::came(&options) { INTERRUPTED } else { code });
    }
    let start = std::time::Instant::now();
    let report = project.build(&options, &reporter);
    reporter.settle();
    let report = report?;
    if crate::interrupt::came(&options) {
        eprintln!("interrupted: what was finished is kept");
        return Ok(INTERRUPTED);
    }
    if report.up_to_date {
        if !global.quiet {
            println!("up to date");
        }
        return Ok(0);
    }
    if report.cancelled {
        return Err(Failure::Failed("error: cancelled\n  help: finished work is kept; build again to go on".into()));
    }
    if args.dry_run {
        let code = dry_run(args, global.verbose, &report);
        errors(global, &report);
        let fails = report.variants.iter().any(|v| !v.errors().is_empty());
        return Ok(if fails { 1 } else { code });
    }
    let failed: Vec<&VariantReport> = report.variants.iter().filter(|v| !v.is_done()).collect();
    if !global.quiet {
        print!("{}{}{}", tables(&report), summary(&report), remote(&report.remote));
        let done = report.variants.len() - failed.len();
        println!(
            "{done} of {} variants done in {:.1} s; {}",
            report.variants.len(),
            start.elapsed().as_secs_f64(),
            project.out().display()
        );
    }
    errors(global, &report);
    Ok(u8::from(!failed.is_empty()))
}

/// Prints every problem once, also one that several variants share.
pub(super) fn errors(global: &Global, report: &BuildReport) {
    let mut shown: Vec<String> = Vec::new();
    for problem in report.variants.iter().flat_map(VariantReport::errors) {
        let text = problem.to_string();
        if !shown.contains(&text) {
            error(global, &text);
            shown.push(text);
        }
    }
}

fn dry_run(args: &Build, verbose: bool, report: &BuildReport) -> u8 {
    for w in &report.work {
        let why = if verbose && !w.why.is_empty() { format!(": {}", w.why.join("; ")) } else { String::new() };
        println!("would run  {} {}{why}", w.variant, w.stage);
    }
    let mut waiting = 0;
    for variant in &report.variants {
        let pending = variant.stages.iter().filter(|(s, o)| {
            *o == Outcome::Pending && !report.work.iter().any(|w| w.variant == variant.name && w.stage == *s)
        });
        waiting += pending.count();
    }
    if waiting > 0 {
        println!("then up to {waiting} stages that depend on these results");
    }
    if report.work.is_empty() && waiting == 0 {
        println!("nothing to do");
    }
    let work = !report.work.is_empty() || waiting > 0;
    if work && args.exit_code { WORK_FOUND } else { 0 }
}

/// The node and output tables of the variants that were measured in this build.
fn tables(report: &BuildReport) -> String {
    let measured: Vec<(&str, &str)> =
        report.variants.iter().filter_map(|v| Some((v.name.as_str(), v.tables.as_deref()?))).collect();
    if measured.len() > MAX_TABLES {
        return format!("{} node tables: see report.md of each variant\n\n", measured.len());
    }
    measured.iter().map(|(name, text)| format!("\n{name}\n{text}\n")).collect()
}

/// One line about the team's cache, where it was asked.
pub(super) fn remote(counts: &BTreeMap<&'static str, u64>) -> String {
    let count = |name: &str| counts.get(name).copied().unwrap_or(0);
    if counts.is_empty() {
        return String::new();
    }
    let mut parts = vec![format!("{} hits", count("hits")), format!("{} misses", count("misses"))];
    let told = ["skipped", "errors", "denied", "evicted", "corrupt", "poisoned", "unsigned", "retries"];
    parts.extend(told.into_iter().filter(|n| count(n) > 0).map(|n| format!("{} {n}", count(n))));
    let mib = |name: &str| count(name) as f64 / (1 << 20) as f64;
    let mut line = format!("remote cache: {}; {:.1} MiB received", parts.join(", "), mib("received_bytes"));
    if count("stored") + count("not_stored") > 0 {
        line += &format!(
            "; {} stored, {} not stored, {:.1} MiB sent",
            count("stored"),
            count("not_stored"),
            mib("sent_bytes")
        );
    }
    line + "\n"
}

/// One row a variant.
fn summary(report: &BuildReport) -> String {
    let head = ["variant", "march", "level", "stages", "cosine", "latency", "model.bin"].map(str::to_owned).to_vec();
    let mut rows = vec![head];
    for v in &report.variants {
        let count = |wanted: &Outcome| v.stages.iter().filter(|(_, o)| o == wanted).count();
        let failed = v.stages.iter().find(|(_, o)| matches!(o, Outcome::Failed(_)));
        let stages = match failed {
            Some((stage, _)) => format!("{stage} failed"),
            None if !v.problems.is_empty() => "failed".into(),
            None if !v.is_done() => "not finished".into(),
            None => {
                let fetched = count(&Outcome::Fetched);
                let remote = if fetched > 0 { format!(", {fetched} remote") } else { String::new() };
                format!("{} ran, {} hit{remote}", count(&Outcome::Ran), count(&Outcome::Hit))
            }
        };
        rows.push(vec![
            v.name.clone(),
            v.march.clone(),
            v.optimize_level.clone(),
            stages,
            v.min_cosine.map_or_else(|| "-".into(), |c| format!("{c:.6}")),
            v.latency_us.map_or_else(|| "-".into(), |us| format!("{us:.1} us")),
            v.bin_bytes.map_or_else(|| "-".into(), |b| format!("{:.1} KiB", b as f64 / 1024.0)),
        ]);
    }
    table(&rows)
}
