//! `ptq build --watch`.

use super::build::errors;
use crate::args::{Build, Global};
use crate::failure::Failure;
use crate::progress::Reporter;
use crate::terminal::error;
use ptq_engine::watch::{Change, WatchOptions, Watched, watch};
use ptq_engine::{BuildOptions, Project};
use std::time::Duration;

/// Most changed variants that are listed one by one.
const MAX_LINES: usize = 40;

pub(super) fn run(
    global: &Global,
    args: &Build,
    project: Project,
    options: &BuildOptions,
    reporter: &Reporter,
) -> Result<u8, Failure> {
    let poll = args.poll.map(Duration::try_from_secs_f64).transpose();
    let poll = poll.map_err(|e| Failure::Usage(format!("error: --poll: {e}")))?;
    let mut announced = false;
    let mut tell = |what: Watched<'_>| {
        reporter.settle();
        match what {
            Watched::Waiting(_, _) if announced || global.quiet => {}
            Watched::Waiting(count, why) => {
                announced = true;
                let how = why.map_or(String::new(), |w| format!(", looking every 2 s ({w})"));
                println!("watching {count} files and folders{how}; end with Ctrl-C");
            }
            Watched::Built(report, changes, time) => {
                let mut shown: Vec<&Change> = changes.iter().collect();
                if shown.len() > MAX_LINES {
                    shown.sort_by(|a, b| b.weight().total_cmp(&a.weight()));
                }
                for change in shown.into_iter().take(MAX_LINES) {
                    println!("{change}");
                }
                if changes.len() > MAX_LINES {
                    println!("and {} more variants, which changed less", changes.len() - MAX_LINES);
                }
                errors(global, report);
                let done = report.variants.iter().filter(|v| v.is_done()).count();
                println!(
                    "built: {done} of {} variants done, {} actions ran, {:.2} s",
                    report.variants.len(),
                    report.work.len(),
                    time.as_secs_f64()
                );
            }
            Watched::Broken(problem) => {
                error(global, &Failure::from_shared(problem).to_string());
            }
        }
        true
    };
    watch(project, options, WatchOptions { poll }, reporter, &mut tell)?;
    Ok(0)
}
