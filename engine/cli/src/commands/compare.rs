//! `ptq compare`.

use super::project;
use crate::args::{Compare, Global};
use crate::failure::Failure;
use crate::progress::Reporter;
use crate::terminal::table;
use ptq_engine::Comparison;

/// Nodes and variants that the terminal shows side by side.
const NODES: usize = 10;
const COLUMNS: usize = 6;

pub(crate) fn run(global: &Global, args: &Compare) -> Result<u8, Failure> {
    let project = project(global)?;
    let reporter = Reporter::new(global, None).map_err(|e| Failure::Failed(e.to_string()))?;
    let comparison = project.compare(&args.select.all(), &reporter);
    reporter.settle();
    let comparison = comparison?;
    if let Some(path) = &args.html {
        std::fs::write(path, comparison.html())
            .map_err(|e| Failure::Failed(format!("error: {}: {e}", path.display())))?;
    }
    if args.json {
        let text = serde_json::to_string(&comparison).map_err(|e| Failure::Bug(e.to_string()))?;
        println!("{text}");
    } else {
        print!("{}", shown(&comparison));
    }
    Ok(0)
}

fn shown(c: &Comparison) -> String {
    let head =
        ["variant", "model", "cosine", "task", "latency", "model.bin", "BPU", "CPU", "best", "settings that differ"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for v in &c.variants {
        let settings: Vec<String> = v.settings.iter().map(|(k, s)| format!("{k}={s}")).collect();
        rows.push(vec![
            v.name.clone(),
            v.model.clone(),
            v.min_cosine.map_or_else(|| "-".into(), |x| format!("{x:.6}")),
            v.task.as_ref().map_or_else(|| "-".into(), |(metric, x)| format!("{metric} {x:.4}")),
            v.latency_us.map_or_else(|| "-".into(), |us| format!("{:.3} ms", us / 1e3)),
            format!("{:.1} KiB", v.bin_bytes as f64 / 1024.0),
            v.nodes_bpu.to_string(),
            v.nodes_cpu.to_string(),
            if v.pareto { "*".into() } else { String::new() },
            settings.join(" "),
        ]);
    }
    let mut out = table(&rows);
    if c.variants.len() <= COLUMNS && !c.nodes_apart.is_empty() {
        let mut rows = vec![vec!["node".to_owned()]];
        rows[0].extend(c.variants.iter().map(|v| v.name.clone()));
        for (node, _) in c.nodes_apart.iter().take(NODES) {
            let mut row = vec![node.clone()];
            row.extend(c.variants.iter().map(|v| v.nodes.get(node).map_or_else(|| "-".into(), |x| format!("{x:.6}"))));
            rows.push(row);
        }
        out += &format!("\nnodes whose similarity differs most\n{}", table(&rows));
    }
    out
}
