//! A program of the manifest that measures answers. Called by `evaluate` where `eval.command` is set.
//!
//! It runs in a fresh folder with `PATH` as its only environment. Its words that are files below the manifest's folder are
//! given as absolute paths and count as inputs, so that an edit of the script measures again.

use crate::command::{Broken, Run, absolute};
use crate::events::Event;
use crate::executor::Executor;
use crate::manifest::EvalConfig;
use ptq_cache::Digest;
use ptq_ir::Diagnostic;
use ptq_report::task::Evaluation;
use ptq_report::{Figure, PREDICTION};
use ptq_rule::Failure;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// Name of the action.
pub(crate) const RULE: &str = "evaluate-command";
/// Version of how programs are called and read.
pub(crate) const VERSION: u32 = 1;
/// Longest run of a program.
const TIME: Duration = Duration::from_secs(24 * 3600);

/// Figures that the program prints for these answers.
pub(crate) fn measure(
    executor: &Executor<'_>,
    variant: &str,
    eval: &EvalConfig,
    root: &Path,
    answers: &Digest,
    labels: Option<Digest>,
) -> Result<Evaluation, Failure> {
    let start = Instant::now();
    let (variant, stage) = (variant.to_owned(), RULE.to_owned());
    executor.events.event(Event::Started { variant: variant.clone(), stage: stage.clone() });
    let name = format!("eval-{}-{}", std::process::id(), answers.short());
    let folder = executor.session.store.temporary(&name).map_err(|e| problem(e.to_string()))?;
    let result = in_folder(executor, eval, root, answers, labels, &folder);
    let _ = fs::remove_dir_all(&folder);
    let result = result?;
    executor.events.event(Event::Ran {
        variant,
        stage,
        seconds: start.elapsed().as_secs_f64(),
        bytes: 0,
        why: Vec::new(),
        tier: None,
        remote: None,
    });
    Ok(result)
}

fn in_folder(
    executor: &Executor<'_>,
    eval: &EvalConfig,
    root: &Path,
    answers: &Digest,
    labels: Option<Digest>,
    folder: &Path,
) -> Result<Evaluation, Failure> {
    let cannot = |path: &Path, e: std::io::Error| problem(format!("{}: {e}", path.display()));
    let mut samples = 0;
    let given = folder.join("answers");
    for (name, bytes) in executor.load(answers)? {
        // Sample names come from the scan of a folder, so they hold no `..`.
        let path = given.join(format!("{}.npy", name.trim_start_matches(PREDICTION)));
        let parent = path.parent().unwrap_or(folder);
        fs::create_dir_all(parent).map_err(|e| cannot(parent, e))?;
        fs::write(&path, &bytes).map_err(|e| cannot(&path, e))?;
        samples += 1;
    }
    let mut words = absolute(&eval.command, root).map_err(|e| cannot(root, e))?;
    words.push(given.canonicalize().unwrap_or(given).into());
    if let (Some(labels), Some(name)) = (labels, eval.labels.as_ref().and_then(|l| Path::new(l).file_name())) {
        let path = folder.join("labels").join(name);
        fs::create_dir_all(path.parent().unwrap_or(folder)).map_err(|e| cannot(&path, e))?;
        let bytes = executor.bytes(&labels).ok_or_else(|| problem("its labels are no longer what they were".into()))?;
        fs::write(&path, &bytes).map_err(|e| cannot(&path, e))?;
        words.push(path.canonicalize().map_err(|e| cannot(&path, e))?.into());
    }
    let shown = eval.command.join(" ");
    let session = executor.session;
    let run = Run {
        words: &words,
        folder,
        env: &BTreeMap::new(),
        time_limit: TIME,
        max_bytes: u64::MAX,
        cancelled: &|| session.cancelled(),
    };
    let said = run.run().map_err(|broken| {
        let d = Diagnostic::error("EVAL05", format!("eval.command: {shown:?} {broken}"));
        match broken {
            Broken::NotStarted(_) => {
                d.hint("its first word is a program of PATH, or a file below the manifest's folder")
            }
            _ => d,
        }
    })?;
    let line = said.out.lines().rev().find(|l| !l.trim().is_empty()).unwrap_or("").trim();
    let figures = figures(line).ok_or_else(|| {
        Failure::from(
            Diagnostic::error("EVAL05", format!("eval.command {shown:?}: its last line is {line:?}"))
                .hint("print a number, or a JSON object of numbers with the key \"value\""),
        )
    })?;
    let value = figures.get("value").copied().unwrap_or(Figure(f64::NAN));
    Ok(Evaluation { metric: "command".into(), value, figures, samples, against: shown })
}

/// A number, or an object of numbers with `value`.
fn figures(line: &str) -> Option<BTreeMap<String, Figure>> {
    if let Ok(value) = line.parse::<f64>() {
        return Some(BTreeMap::from([("value".to_owned(), Figure(value))]));
    }
    let found: BTreeMap<String, Figure> = serde_json::from_str(line).ok()?;
    found.contains_key("value").then_some(found)
}

fn problem(why: String) -> Failure {
    Diagnostic::error("EVAL05", format!("eval.command: {why}")).into()
}

#[cfg(test)]
mod tests {
    use super::figures;

    #[test]
    fn a_last_line_is_a_number_or_an_object_with_a_value() {
        assert_eq!(figures("0.25").expect("a number")["value"].0, 0.25);
        let object = figures("{\"value\": 1, \"f1\": 0.5}").expect("an object");
        assert_eq!((object["value"].0, object["f1"].0), (1.0, 0.5));
        assert!(figures("{\"f1\": 0.5}").is_none() && figures("done").is_none() && figures("").is_none());
    }
}
