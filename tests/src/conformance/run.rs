//! One case through parse and the float plan, and all of them on two threads.

use super::{Case, Skip, compare::compare, folder, read};
use ptq_exec::FloatPlan;
use ptq_ir::{DType, InputSpec, Tensor};
use ptq_parse::{ParseParams, ParseRule};
use ptq_rule::{Blobs, BuildRule as _, Context, Memo, Silent, Step, read_graph};
use std::collections::{BTreeMap, BTreeSet};

/// Threads that share the cases.
const THREADS: usize = 2;

/// What became of a case.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// All outputs are as expected.
    Passed,
    /// Not run, for one of the listed reasons.
    Skipped(Skip),
    /// Has operators that the library does not claim.
    Unclaimed,
    /// Refused, or computed otherwise.
    Failed(String),
}

/// The verdict of every case, in their order.
pub fn judge(cases: &[Case]) -> Vec<Verdict> {
    let claimed: BTreeSet<&str> = ptq_onnx::operators().into_iter().collect();
    let part = cases.len().div_ceil(THREADS).max(1);
    std::thread::scope(|scope| {
        let work = |part: &[Case]| part.iter().map(|c| verdict(c, &claimed)).collect::<Vec<_>>();
        let running: Vec<_> = cases.chunks(part).map(|cases| scope.spawn(move || work(cases))).collect();
        let lost = |cases: &[Case]| cases.iter().map(|_| Verdict::Failed("panicked".into())).collect();
        running.into_iter().zip(cases.chunks(part)).flat_map(|(r, c)| r.join().unwrap_or_else(|_| lost(c))).collect()
    })
}

fn verdict(case: &Case, claimed: &BTreeSet<&str>) -> Verdict {
    if !case.ops.iter().all(|(op, _)| claimed.contains(op.as_str())) {
        return Verdict::Unclaimed;
    }
    if let Some(skip) = Skip::of(case) {
        return Verdict::Skipped(skip);
    }
    let run = std::panic::catch_unwind(|| run(case)).unwrap_or_else(|_| Err("panicked".to_owned()));
    run.map_or_else(Verdict::Failed, |()| Verdict::Passed)
}

fn run(case: &Case) -> Result<(), String> {
    let place = folder().join("cases").join(&case.name);
    let tensor = |file: &Option<String>| {
        let file = file.as_ref().ok_or("a value has no tensor file")?;
        ptq_sample::read_npy(&read(&place.join(file))?)
    };
    let inputs: BTreeMap<&str, Tensor> =
        case.inputs.iter().map(|(n, f)| Ok((n.as_str(), tensor(f)?))).collect::<Result<_, String>>()?;
    let graph = parsed(read(&place.join("model.onnx"))?, &inputs)?;
    let feeds = graph
        .inputs
        .iter()
        .map(|&v| {
            let value = graph.value(v);
            let tensor = inputs.get(value.name.as_str()).ok_or(format!("no data for input {}", value.name))?;
            Ok(if value.dtype == DType::F32 { narrowed(tensor)? } else { tensor.clone() })
        })
        .collect::<Result<Vec<_>, String>>()?;
    let plan = FloatPlan::new(&graph).map_err(|e| e.to_string())?;
    let outputs = plan.run(&feeds, &mut |_, _| {}).map_err(|e| e.to_string())?;
    if outputs.len() != case.outputs.len() {
        return Err(format!("{} outputs, expected {}", outputs.len(), case.outputs.len()));
    }
    for (ours, (name, file)) in outputs.iter().zip(&case.outputs) {
        compare(case, ours, &tensor(file)?).map_err(|e| format!("output {name}: {e}"))?;
    }
    Ok(())
}

/// The graph that parse makes when the inputs have these shapes.
pub(super) fn parsed(model: Vec<u8>, inputs: &BTreeMap<&str, Tensor>) -> Result<ptq_ir::Graph, String> {
    let shape = |t: &Tensor| t.shape().iter().map(|&n| n as i64).collect();
    let spec = |t: &Tensor| InputSpec { shape: Some(shape(t)), ..InputSpec::default() };
    let params = ParseParams {
        inputs: inputs.iter().map(|(n, t)| ((*n).to_owned(), spec(t))).collect(),
        ..ParseParams::default()
    };
    let params = serde_json::to_string(&params).map_err(|e| e.to_string())?;
    let blobs: Blobs = [("model".to_owned(), model.into())].into();
    let ctx = Context { inputs: &blobs, params: &params, progress: &Silent, threads: 1, memo: &Memo::default() };
    match ParseRule.step(&ctx, &[]).map_err(|e| e.to_string())? {
        Step::Done(out) => read_graph(&out).map_err(|e| e.to_string()),
        Step::Need(_) => Err("parse asks for other actions".to_owned()),
    }
}

/// float64 data of an input that the graph holds as float32.
fn narrowed(tensor: &Tensor) -> Result<Tensor, String> {
    match tensor.f64s() {
        Ok(wide) => {
            Tensor::from_f32(tensor.shape(), wide.iter().map(|&v| v as f32).collect()).map_err(|e| e.to_string())
        }
        Err(_) => Ok(tensor.clone()),
    }
}
