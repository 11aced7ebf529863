//! Whether executions in parallel keep a server busy: a sweep on buildbox-casd with two workers, cold, with one, two and 100
//! executions in flight. Busy is the share of the workers' time that commands ran or their inputs were brought.

use super::figure::Figure;
use ptq_tests::ptq::{ptq, static_program};
use ptq_tests::servers::casd;
use ptq_tests::workspace_root;
use serde_json::Value;
use std::time::Instant;

/// Executions in flight; the last one is the figure.
const IN_FLIGHT: [usize; 3] = [1, 2, 100];
/// Workers of the server.
const WORKERS: f64 = 2.0;
/// Percentiles of the sweep; each is a calibration, a partition, a measurement and four compilations.
const SETTINGS: usize = 24;

pub(crate) fn run() -> Result<(), String> {
    let mut rates = Vec::new();
    for in_flight in IN_FLIGHT {
        let (rate, busy, overhead) = sweep(in_flight)?;
        eprintln!(
            "{in_flight} in flight: {rate:.2} executions/s, workers {:.0} % busy, {overhead:.3} s beside each",
            busy * 100.0
        );
        rates.push((rate, busy));
    }
    let (Some((one, _)), Some((many, busy))) = (rates.first(), rates.last()) else { return Ok(()) };
    Figure::rate("executions a second with 100 in flight, beside one", *many, *one, "1/s");
    Figure::rate("share of the workers' time in use with 100 in flight", *busy, 1.0, "share");
    Ok(())
}

/// Executions a second, share of the workers' time in use, and seconds of a worker beside each execution's own.
fn sweep(in_flight: usize) -> Result<(f64, f64, f64), String> {
    let server = casd::execution()?;
    let dir = workspace_root().join("target/bench/workers");
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(&dir).map_err(|e| e.to_string())?;
    let example = workspace_root().join("examples/fashion-classifier");
    let percentiles: Vec<String> = (0..SETTINGS).map(|i| format!("{:.4}", 0.99 + i as f64 * 1e-4)).collect();
    let manifest = format!(
        "[remote]\nurl = \"{}\"\nworker = \"{}\"\nin_flight = {in_flight}\n[model.m]\npath = \"{}\"\n\
         calibration.data = \"{}\"\ninput.input = {{ shape = [1, 1, 28, 28], type_train = \"gray\", layout_train = \"NCHW\" }}\n\
         [matrix.s]\nname = \"{{optimize_level}}-{{calibration.max_percentile}}\"\nmodel = \"m\"\nmarch = \"bayes\"\n\
         optimize_level = [\"O0\", \"O1\", \"O2\", \"O3\"]\ncalibration.max_percentile = [{}]\n",
        server.url("grpc"),
        static_program().display(),
        example.join("model.onnx").display(),
        example.join("data/calib").display(),
        percentiles.join(", ")
    );
    std::fs::write(dir.join("ptq.toml"), manifest).map_err(|e| e.to_string())?;
    let start = Instant::now();
    let session = ptq(&dir, &["build", "-q", "--remote-exec", "--events", "events.jsonl"]);
    let wall = start.elapsed().as_secs_f64();
    if session.code != 0 {
        return Err(session.stderr);
    }
    let text = std::fs::read_to_string(dir.join("events.jsonl")).map_err(|e| e.to_string())?;
    let events = text.lines().filter_map(|l| serde_json::from_str::<Value>(l).ok());
    let (mut executions, mut used) = (0.0, 0.0);
    for remote in events.filter(|e| e["event"] == "ran").map(|e| e["remote"].clone()) {
        let of = |name: &str| remote[name].as_f64().unwrap_or(0.0);
        executions += of("steps") - of("remembered");
        used += of("ran") + of("brought");
    }
    Ok((executions / wall, used / (wall * WORKERS), (wall * WORKERS - used) / executions.max(1.0)))
}
