//! Runs the rules of this crate as the engine does, for tests.

use crate::{
    AccumulatedRule, AnalyzeRule, CalibrateRule, ChannelRule, CorrectRule, InspectRule, IsolatedRule, MergeRule,
    MomentRule, ObserveRule, ReferenceRule, ScoreRule, SensitivityRule,
};
use ptq_rule::{ActionRequest, Blobs, BuildRule, Context, Failure, InputRef, Memo, Silent, Step};

const RULES: [&dyn BuildRule; 13] = [
    &AccumulatedRule,
    &AnalyzeRule,
    &IsolatedRule,
    &CalibrateRule,
    &ChannelRule,
    &CorrectRule,
    &InspectRule,
    &MomentRule,
    &ObserveRule,
    &ReferenceRule,
    &MergeRule,
    &ScoreRule,
    &SensitivityRule,
];

/// The outputs of the rule of this name; `asked` gets the names of all rules that were asked for.
pub(crate) fn run(
    rule: &str,
    inputs: &Blobs,
    params: &str,
    threads: usize,
    asked: &mut Vec<&'static str>,
) -> Result<Blobs, Failure> {
    let rule = RULES.iter().find(|r| r.name() == rule).expect("a rule of this crate");
    let memo = Memo::default();
    let ctx = Context { inputs, params, progress: &Silent, threads, memo: &memo };
    let mut results = Vec::new();
    loop {
        let requests = match rule.step(&ctx, &results)? {
            Step::Done(blobs) => {
                let fresh = Context { memo: &Memo::default(), ..ctx };
                assert!(
                    matches!(rule.step(&fresh, &results)?, Step::Done(again) if again == blobs),
                    "{} depends on what an earlier step kept",
                    rule.name()
                );
                return Ok(blobs);
            }
            Step::Need(requests) => requests,
        };
        for request in requests {
            asked.push(request.rule);
            results.push(run(request.rule, &handed(&request, inputs), &request.params, threads, asked)?);
        }
    }
}

fn handed(request: &ActionRequest, own: &Blobs) -> Blobs {
    let mut out = Blobs::new();
    for (name, from) in &request.inputs {
        match from {
            InputRef::Own(n) => drop(out.insert(name.clone(), own[n].clone())),
            InputRef::OwnPrefix(p) => {
                out.extend(own.iter().filter(|(n, _)| n.starts_with(p.as_str())).map(|(n, b)| (n.clone(), b.clone())));
            }
            InputRef::Inline(bytes) => drop(out.insert(name.clone(), bytes.clone())),
        }
    }
    out
}
