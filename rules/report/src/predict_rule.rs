//! The build rule `predict`: one artifact's answers to every evaluation sample. Called by the engine for `ptq eval` and gates.

use crate::verify::Stage;
use ptq_calibrate::{load_sample, samples, spread, weights};
use ptq_exec::{FakeQuantPlan, FloatPlan, Interpreter, port_values, real_outputs};
use ptq_ir::{Diagnostic, Graph, InputSpec, QuantTable, Tensor};
use ptq_rule::{Blobs, BuildRule, Context, Failure, Step, read_qgraph};
use ptq_runtime::{Model, RunOptions};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Prefix of the blobs of answers; the rest is the sample's file name. Each is a `.npy`.
pub const PREDICTION: &str = "prediction/";

/// Parameters of [`PredictRule`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PredictParams {
    /// How to read samples, by model input.
    pub inputs: BTreeMap<String, InputSpec>,
    /// Which artifact answers.
    pub stage: Stage,
    /// Name of the output that is kept; the first one without it.
    pub output: Option<String>,
}

/// `graph` + `tensor/*` (parse's for the stage `original`, fuse's for the others), `sample/<input>/<file>`, and what the stage
/// runs: `quant`, `qgraph` + `tensor/*`, or `model.bin` → `prediction/<file>`.
#[derive(Clone, Copy, Debug, Default)]
pub struct PredictRule;

/// Answers to the inputs of one sample.
type Answer<'a> = Box<dyn Fn(&[Tensor]) -> Result<Vec<Tensor>, Failure> + Sync + 'a>;

impl BuildRule for PredictRule {
    fn name(&self) -> &'static str {
        "predict"
    }

    fn version(&self) -> u32 {
        1
    }

    fn step(&self, ctx: &Context<'_>, _results: &[Blobs]) -> Result<Step, Failure> {
        let params: PredictParams = ctx.params()?;
        let graph = ctx.graph()?;
        let index = output_of(&graph, params.output.as_deref())?;
        let files = samples(&graph, &ctx.inputs.names())?;
        let with = |answer: Answer<'_>| {
            spread(files.len(), ctx, |i| {
                let mut outputs = answer(&load_sample(ctx, &params.inputs, &graph, &files[i])?)?;
                let file = files[i].first().map_or("", |(_, file)| file.as_str());
                let npy = ptq_sample::write_npy(&outputs.swap_remove(index)).map_err(failed)?;
                Ok((format!("{PREDICTION}{file}"), npy.into()))
            })
        };
        let answers: Vec<(String, bytes::Bytes)> = match params.stage {
            Stage::Original | Stage::Optimized => {
                let plan = FloatPlan::new(&graph).map_err(failed)?;
                with(Box::new(|inputs| plan.run(inputs, &mut |_, _| {}).map_err(failed)))?
            }
            Stage::Calibrated => {
                let quant: QuantTable = ptq_ir::from_bytes(&ctx.input("quant")?).map_err(failed)?;
                let plan = FakeQuantPlan::new(&graph, &quant, &weights(&graph, &quant)).map_err(failed)?;
                with(Box::new(|inputs| plan.run(inputs, &mut |_, _| {}).map_err(failed)))?
            }
            Stage::Quantized => {
                let integer = read_qgraph(ctx.inputs)?;
                let plan = Interpreter::new(&integer).map_err(failed)?;
                with(Box::new(|inputs| {
                    let inputs = port_values(&integer, inputs).map_err(failed)?;
                    let outputs = plan.run(&inputs, &mut |_, _| {}).map_err(failed)?;
                    real_outputs(&integer, outputs).map_err(failed)
                }))?
            }
            Stage::Bin => {
                let model = Model::load(&ctx.input("model.bin")?).map_err(failed)?;
                with(Box::new(|inputs| model.run_real(inputs, &RunOptions { threads: 1 }).map_err(failed)))?
            }
        };
        Ok(Step::Done(answers.into_iter().collect()))
    }
}

/// Which output of the model has this name.
fn output_of(graph: &Graph, name: Option<&str>) -> Result<usize, Failure> {
    let names: Vec<&str> = graph.outputs.iter().map(|v| graph.value(*v).name.as_str()).collect();
    let index = name.map_or(Some(0), |wanted| names.iter().position(|n| *n == wanted));
    index.filter(|i| *i < names.len()).ok_or_else(|| {
        let why = format!("eval.output: the model has no output {:?}", name.unwrap_or_default());
        Diagnostic::error("EVAL02", why).hint(format!("outputs: {}", names.join(", "))).into()
    })
}

fn failed(e: impl std::fmt::Display) -> Failure {
    Diagnostic::error("EVAL03", e.to_string()).into()
}
