//! Every claimed operator in every version of operator sets 7 to 28, against outside cases; and the page that says so.

#![allow(clippy::print_stdout)] // Figures for the log of a run with --nocapture.

use ptq_tests::conformance::{Case, Skip, Verdict, cases, judge, page, schemas};
use ptq_tests::skip::need;
use ptq_tests::workspace_root;
use std::sync::LazyLock;

/// All cases with their verdicts, run once for all tests.
/// Every case with its verdict, or why there is none.
type Judged = Result<(Vec<Case>, Vec<Verdict>), String>;

static JUDGED: LazyLock<Judged> = LazyLock::new(|| {
    let cases = cases()?;
    let verdicts = judge(&cases);
    Ok((cases, verdicts))
});

fn judged() -> Option<&'static (Vec<Case>, Vec<Verdict>)> {
    need(JUDGED.as_ref().map_err(Clone::clone))
}

#[test]
fn cases_of_claimed_operators_pass() {
    let Some((cases, verdicts)) = judged() else { return };
    let wrong: Vec<String> = cases
        .iter()
        .zip(verdicts)
        .filter_map(|(c, v)| match v {
            Verdict::Failed(why) => Some(format!("{}: {why}", c.name)),
            _ => None,
        })
        .collect();
    println!("{} cases", cases.len());
    assert!(wrong.is_empty(), "{} cases fail:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_claimed_operator_passes_in_every_version() {
    let Some((cases, verdicts)) = judged() else { return };
    let (counts, schemas) = (page::counts(cases, verdicts), schemas().expect("schemas"));
    let claimed = ptq_onnx::operators();
    assert!(claimed.len() >= 100, "only {} operators are claimed", claimed.len());
    let versions = claimed.iter().flat_map(|op| schemas.get(*op).into_iter().flatten().map(move |v| (*op, *v)));
    let lacking: Vec<String> = versions
        .filter(|key| counts.get(key).is_none_or(|c| c.passed == 0))
        .map(|(op, version)| format!("{op} {version}"))
        .collect();
    assert!(lacking.is_empty(), "no case passes for: {}", lacking.join(", "));
}

/// Cases whose element types no claim covers are counted apart, as cases of other operators are.
#[test]
fn at_most_a_fiftieth_of_the_cases_is_skipped() {
    let Some((cases, verdicts)) = judged() else { return };
    let number = |test: &dyn Fn(&Verdict) -> bool| verdicts.iter().filter(|v| test(v)).count();
    let types = number(&|v| matches!(v, Verdict::Skipped(s) if s.is_type()));
    let skipped = number(&|v| matches!(v, Verdict::Skipped(s) if !s.is_type()));
    let run = cases.len() - types - number(&|v| *v == Verdict::Unclaimed);
    println!("{run} cases, {skipped} skipped, {types} of unclaimed types");
    assert!(skipped * 50 <= run, "{skipped} of {run} cases are skipped");
    assert!(Skip::ALL.iter().all(|s| !s.meaning().is_empty()));
}

#[test]
fn the_page_is_fresh() {
    let Some((cases, verdicts)) = judged() else { return };
    let page = std::fs::read_to_string(workspace_root().join("docs/operators.md")).expect("docs/operators.md");
    let fresh = page::render(cases, verdicts, &schemas().expect("schemas"));
    assert!(page == fresh, "run: cargo run --release -p ptq-tests --bin operators");
}
