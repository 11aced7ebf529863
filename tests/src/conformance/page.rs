//! The page of operators: versions, cases, passes.

use super::{Case, Skip, Verdict};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// Cases of one operator version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Passed.
    pub passed: usize,
    /// Skipped.
    pub skipped: usize,
    /// Failed.
    pub failed: usize,
}

/// Counts by operator and version, of claimed operators. A case counts for every operator in its graph.
pub fn counts<'a>(cases: &'a [Case], verdicts: &[Verdict]) -> BTreeMap<(&'a str, i64), Count> {
    let mut out: BTreeMap<(&str, i64), Count> = BTreeMap::new();
    for (case, verdict) in cases.iter().zip(verdicts) {
        for (op, version) in &case.ops {
            let count = out.entry((op, *version)).or_default();
            match verdict {
                Verdict::Passed => count.passed += 1,
                Verdict::Skipped(_) => count.skipped += 1,
                Verdict::Failed(_) => count.failed += 1,
                Verdict::Unclaimed => {}
            }
        }
    }
    out
}

/// The page `docs/operators.md`.
pub fn render(cases: &[Case], verdicts: &[Verdict], schemas: &BTreeMap<String, Vec<i64>>) -> String {
    let claimed = ptq_onnx::operators();
    let counts = counts(cases, verdicts);
    let number = |test: &dyn Fn(&Verdict) -> bool| verdicts.iter().filter(|v| test(v)).count();
    let (passed, failed) = (number(&|v| *v == Verdict::Passed), number(&|v| matches!(v, Verdict::Failed(_))));
    let unclaimed = number(&|v| *v == Verdict::Unclaimed);
    let mut page = String::from(HEAD);
    let _ = writeln!(page, "| | cases |\n| --- | --- |\n| passed | {passed} |\n| failed | {failed} |");
    for skip in Skip::ALL {
        let n = number(&|v| *v == Verdict::Skipped(skip));
        let _ = writeln!(page, "| skipped: {} ({}) | {n} |", skip.word(), skip.meaning());
    }
    let _ = writeln!(page, "| of operators that are not claimed | {unclaimed} |\n");
    let _ = writeln!(page, "## Claimed operators ({})\n\n{TABLE}", claimed.len());
    for op in &claimed {
        for &version in schemas.get(*op).into_iter().flatten() {
            let c = counts.get(&(*op, version)).copied().unwrap_or_default();
            let all = c.passed + c.skipped + c.failed;
            let _ = writeln!(page, "| {op} | {version} | {all} | {} | {} |", c.passed, c.skipped);
        }
    }
    let others: BTreeSet<&str> = cases
        .iter()
        .flat_map(|c| c.ops.iter().map(|(op, _)| op.as_str()))
        .filter(|op| claimed.binary_search(op).is_err())
        .collect();
    let _ =
        writeln!(page, "\n## Operators that are not claimed\n\n{}", others.into_iter().collect::<Vec<_>>().join(", "));
    page
}

const HEAD: &str = "# Operators

Every claimed operator of ONNX operator sets 7 to 28, proved by outside cases: a case is a model with inputs and expected
outputs that are not ours. It goes through parse and the float plan. Written by `cargo run --release -p ptq-tests --bin operators`.

The cases are the node cases of the `onnx` package, its data `pytorch-operator`, `pytorch-converted` and `simple`, and, for
versions that those do not reach, its node cases put back to the older form, answered by ONNX Runtime (or, where that does not
have the version, by the package's reference evaluator). Inputs that an operator needs as constants (shapes, axes, pads, …) are made
constants. float16 and bfloat16 are computed in float32, so a result may be off by a few units in the narrower type's last place.

";

const TABLE: &str = "A case counts for every operator in its graph.\n
| operator | since version | cases | passed | skipped |
| --- | --- | --- | --- | --- |";
