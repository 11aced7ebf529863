//! `ptq eval`.

use super::project;
use crate::args::{Artifact, Eval, Global};
use crate::failure::Failure;
use crate::progress::Reporter;
use crate::terminal::table;
use ptq_report::verify::Stage;
use serde_json::json;

pub(crate) fn run(global: &Global, args: &Eval) -> Result<u8, Failure> {
    let project = project(global)?;
    let reporter = Reporter::new(global, None).map_err(|e| Failure::Failed(e.to_string()))?;
    let mut stages: Vec<Stage> = args.artifact.iter().flat_map(|a| stages(*a)).collect();
    stages.sort_unstable();
    stages.dedup();
    let found = project.evaluate(&args.variant, &stages, &reporter);
    reporter.settle();
    let found = found?;
    if args.json {
        let rows: Vec<_> =
            found.iter().map(|(stage, e)| json!({ "artifact": stage.name(), "evaluation": e })).collect();
        println!("{}", json!({ "variant": args.variant, "artifacts": rows }));
        return Ok(0);
    }
    let Some((_, first)) = found.first() else { return Ok(0) };
    let mut rows = vec![vec!["artifact".to_owned()]];
    rows[0].extend(first.figures.keys().cloned());
    for (stage, e) in &found {
        let mut row = vec![stage.name().to_owned()];
        row.extend(e.figures.values().map(ToString::to_string));
        rows.push(row);
    }
    print!("{}", table(&rows));
    println!("{} samples against {}", first.samples, first.against);
    Ok(0)
}

fn stages(artifact: Artifact) -> Vec<Stage> {
    match artifact {
        Artifact::Float => vec![Stage::Original],
        Artifact::Optimized => vec![Stage::Optimized],
        Artifact::Calibrated => vec![Stage::Calibrated],
        Artifact::Quantized => vec![Stage::Quantized],
        Artifact::Bin => vec![Stage::Bin],
        Artifact::All => {
            vec![Stage::Original, Stage::Optimized, Stage::Calibrated, Stage::Quantized, Stage::Bin]
        }
    }
}
