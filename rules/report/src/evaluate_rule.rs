//! The build rule `evaluate`: answers held to labels, or to the float model's answers. Called by the engine.

use crate::predict_rule::PREDICTION;
use crate::task::{Labels, Task, Truth, evaluate};
use bytes::Bytes;
use ptq_ir::{Diagnostic, Tensor};
use ptq_rule::{Blobs, BuildRule, Context, Failure, Step};
use std::collections::BTreeMap;

/// Blob of labels, as [`Labels::parse`] reads them.
pub const LABELS: &str = "labels";
/// Blob of a dictionary, one entry a line.
pub const DICTIONARY: &str = "dictionary";
/// Prefix of the float model's answers; the rest as in [`PREDICTION`].
pub const TRUTH: &str = "truth/";
/// Blob of the figures: JSON of [`crate::task::Evaluation`].
pub const EVALUATION: &str = "eval.json";

/// `prediction/<file>`, `labels` or `truth/<file>`, `dictionary` for text → `eval.json`. Parameters: [`Task`].
#[derive(Clone, Copy, Debug, Default)]
pub struct EvaluateRule;

impl BuildRule for EvaluateRule {
    fn name(&self) -> &'static str {
        "evaluate"
    }

    fn version(&self) -> u32 {
        1
    }

    fn step(&self, ctx: &Context<'_>, _results: &[Blobs]) -> Result<Step, Failure> {
        let task: Task = ctx.params()?;
        let text = |name: &str| {
            let bytes = ctx.inputs.read(name);
            bytes
                .map(|b| String::from_utf8(b.to_vec()).map_err(|_| problem(format!("{name} is not UTF-8 text"))))
                .transpose()
        };
        let truth = match text(LABELS)? {
            Some(labels) => Truth::Labels(Labels::parse(&labels)),
            None => Truth::Float(tensors(ctx, TRUTH)?),
        };
        let found = evaluate(&task, &tensors(ctx, PREDICTION)?, &truth, text(DICTIONARY)?.as_deref())?;
        let json = serde_json::to_vec(&found).map_err(|e| problem(e.to_string()))?;
        Ok(Step::Done(Blobs::from([(EVALUATION.to_owned(), Bytes::from(json))])))
    }
}

/// Tensors by file.
fn tensors(ctx: &Context<'_>, prefix: &str) -> Result<BTreeMap<String, Tensor>, Failure> {
    let mut out = BTreeMap::new();
    for name in ctx.inputs.names() {
        if let Some(file) = name.strip_prefix(prefix) {
            out.insert(file.to_owned(), ptq_sample::read_npy(&ctx.input(&name)?).map_err(problem)?);
        }
    }
    Ok(out)
}

fn problem(why: String) -> Failure {
    Diagnostic::error("EVAL01", why).into()
}
