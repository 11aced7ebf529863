//! Runs the outside cases of operators, prints those that fail, and writes `docs/operators.md`. With words as arguments
//! (`Reshape`, `node-test_abs`), prints the verdicts of the cases whose name holds one of them, or an operator so called.

#![allow(clippy::print_stdout)]

use ptq_tests::conformance::{Verdict, cases, judge, page, schemas};

fn main() -> Result<(), String> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let mut cases = cases()?;
    if !words.is_empty() {
        cases.retain(|c| words.iter().any(|w| c.name.contains(w) || c.ops.iter().any(|(op, _)| op == w)));
    }
    let verdicts = judge(&cases);
    for (case, verdict) in cases.iter().zip(&verdicts) {
        match verdict {
            Verdict::Failed(why) => println!("{}: {}", case.name, why.lines().next().unwrap_or("")),
            other if !words.is_empty() => println!("{}: {other:?}", case.name),
            _ => {}
        }
    }
    let number = |test: &dyn Fn(&Verdict) -> bool| verdicts.iter().filter(|v| test(v)).count();
    println!(
        "{} cases: {} passed, {} skipped, {} of unclaimed operators, {} failed",
        cases.len(),
        number(&|v| *v == Verdict::Passed),
        number(&|v| matches!(v, Verdict::Skipped(_))),
        number(&|v| *v == Verdict::Unclaimed),
        number(&|v| matches!(v, Verdict::Failed(_)))
    );
    if words.is_empty() {
        let path = ptq_tests::workspace_root().join("docs/operators.md");
        let text = page::render(&cases, &verdicts, &schemas()?);
        std::fs::write(&path, text).map_err(|e| format!("{}: {e}", path.display()))?;
    }
    Ok(())
}
