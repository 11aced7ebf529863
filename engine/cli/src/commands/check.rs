//! `ptq check`: parse, fuse and place a model without data, by the same code as a build.

use super::read;
use crate::args::{Check, Global};
use crate::failure::Failure;
use crate::terminal::table;
use ptq_ir::{Device, Graph, InputSpec};
use ptq_march::March;
use ptq_place::{PlaceResult, Requests, place};
use ptq_rule::{Blobs, BuildRule, Context, Silent, Step};
use serde_json::json;
use std::collections::BTreeMap;

pub(crate) fn run(_global: &Global, args: &Check) -> Result<u8, Failure> {
    let march = super::load_march(&args.march)?;
    let mut inputs = BTreeMap::new();
    for (name, dims) in &args.input_shape {
        let shape: Result<Vec<i64>, _> = dims.split([',', 'x']).map(str::parse).collect();
        let shape = shape.map_err(|e| Failure::Usage(format!("error: --input-shape {name}={dims}: {e}")))?;
        inputs.insert(name.clone(), InputSpec { shape: Some(shape), ..InputSpec::default() });
    }
    let model = Blobs::from([("model".to_owned(), read(&args.model)?.into())]);
    let parsed = step(&ptq_parse::ParseRule, &model, &ptq_parse::ParseParams { inputs, ..Default::default() }, args)?;
    let fused = step(&ptq_fuse::FuseRule, &parsed, &ptq_fuse::FuseParams::default(), args)?;
    let graph = ptq_rule::read_graph(&fused).map_err(|f| Failure::Failed(f.to_string()))?;
    let requests = Requests { run_on_bpu: args.run_on_bpu.clone(), ..Requests::default() };
    let result = place(&graph, &march, &requests);
    if args.json {
        println!("{}", as_json(&result));
    } else {
        print!("{}", as_text(&graph, &march, &result));
    }
    Ok(0)
}

fn step<P: serde::Serialize>(rule: &dyn BuildRule, inputs: &Blobs, params: &P, args: &Check) -> Result<Blobs, Failure> {
    let params = serde_json::to_string(params).map_err(|e| Failure::Bug(e.to_string()))?;
    let ctx = Context { inputs, params: &params, progress: &Silent, threads: 1 };
    match rule.step(&ctx, &[]) {
        Ok(Step::Done(blobs)) => Ok(blobs),
        Ok(Step::Need(_)) => Err(Failure::Bug(format!("{} asked for actions", rule.name()))),
        Err(failure) => Err(Failure::Failed(format!("{}: {failure}", args.model.display()))),
    }
}

fn as_json(result: &PlaceResult) -> serde_json::Value {
    let warnings: Vec<String> = result.warnings.iter().map(ToString::to_string).collect();
    json!({
        "nodes": result.placement.nodes,
        "subgraphs": result.placement.subgraphs(),
        "warnings": warnings,
    })
}

fn as_text(graph: &Graph, march: &March, result: &PlaceResult) -> String {
    let mut rows = vec![["Node", "ON", "Subgraph", "Type"].map(str::to_owned).to_vec()];
    for n in &result.placement.nodes {
        let shown = match &n.absorbed_by {
            Some(by) => format!("{} (in {by})", n.shown),
            None if n.int32 => format!("{} (int32)", n.shown),
            None => n.shown.clone(),
        };
        rows.push(vec![
            n.name.clone(),
            n.on.to_string(),
            n.subgraph.map_or_else(|| "--".into(), |id| format!("id({id})")),
            shown,
        ]);
    }
    let mut out = table(&rows);
    let on_cpu: Vec<_> = result.placement.nodes.iter().filter(|n| n.on == Device::Cpu).collect();
    out += &format!(
        "\n{} nodes, {} on the CPU, {} BPU subgraphs on march {}\n",
        graph.nodes.len(),
        on_cpu.len(),
        result.placement.subgraphs(),
        march.name
    );
    for n in on_cpu {
        if let Some(reason) = &n.reason {
            out += &format!("  {} ({}): {} ({})\n", n.name, n.op, reason.text, reason.code);
        }
    }
    for warning in &result.warnings {
        out += &format!("{warning}\n");
    }
    out
}
