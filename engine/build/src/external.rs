//! A program of the manifest that measures answers. Called by `evaluate` where `eval.command` is set.
//!
//! It runs in a fresh folder with `PATH` as its only environment. Its words that are files below the manifest's folder are
//! given as absolute paths and count as inputs, so that an edit of the script measures again.

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
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// Name of the action.
pub(crate) const RULE: &str = "evaluate-command";
/// Version of how programs are called and read.
pub(crate) const VERSION: u32 = 1;
/// Lines of a program's complaint that an error repeats.
const LINES: usize = 8;

/// Figures that the program prints for these answers.
pub(crate) fn measure(
    executor: &Executor<'_>,
    variant: &str,
    eval: &EvalConfig,
    root: &Path,
    answers: &Digest,
) -> Result<Evaluation, Failure> {
    let start = Instant::now();
    let (variant, stage) = (variant.to_owned(), RULE.to_owned());
    executor.events.event(Event::Started { variant: variant.clone(), stage: stage.clone() });
    let name = format!("eval-{}-{}", std::process::id(), answers.short());
    let folder = executor.session.store.temporary(&name).map_err(|e| problem(e.to_string()))?;
    let result = in_folder(executor, eval, root, answers, &folder);
    let _ = fs::remove_dir_all(&folder);
    let result = result?;
    executor.events.event(Event::Ran { variant, stage, seconds: start.elapsed().as_secs_f64(), why: Vec::new() });
    Ok(result)
}

fn in_folder(
    executor: &Executor<'_>,
    eval: &EvalConfig,
    root: &Path,
    answers: &Digest,
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
    let root = root.canonicalize().map_err(|e| cannot(root, e))?;
    let word = |w: &String| if root.join(w).is_file() { root.join(w) } else { PathBuf::from(w) };
    let words: Vec<PathBuf> = eval.command.iter().map(word).collect();
    let Some((program, arguments)) = words.split_first() else { return Err(problem("names no program".to_owned())) };
    let shown = eval.command.join(" ");
    let mut command = Command::new(program);
    command.args(arguments).arg(given.canonicalize().unwrap_or(given)).current_dir(folder).env_clear();
    command.args(eval.labels.iter().map(|l| root.join(l)));
    command.envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
    let output = command.output().map_err(|e| {
        Failure::from(
            Diagnostic::error("EVAL05", format!("eval.command {shown:?} does not start: {e}"))
                .hint("its first word is a program of PATH, or a file below the manifest's folder"),
        )
    })?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let lines: Vec<&str> = said.lines().collect();
        let last = lines[lines.len().saturating_sub(LINES)..].join("\n");
        return Err(problem(format!("{shown:?} ended with {}\n{last}", output.status)));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().rev().find(|l| !l.trim().is_empty()).unwrap_or("").trim();
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
