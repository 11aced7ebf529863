//! What a large sweep costs on a cluster: actions, bytes, time and critical path, from a simulation that is fed with the
//! CPU time and the output bytes of each kind of action, measured here on a whole network.
//!
//! The subject is EfficientNet-Lite0 where its assets are fetched, the committed classifier elsewhere. Times are CPU times
//! of a build on one thread, so a busy machine does not show in them.

#[path = "scale/cluster.rs"]
mod cluster;
#[path = "scale/costs.rs"]
mod costs;

use cluster::{Cluster, Job, Outcome};
use costs::{Costs, measure};

/// The sweep: images of the calibration set, targets, levels, calibration settings. Their product is 10,000 variants.
const IMAGES: usize = 10_000;
const MARCHES: usize = 2;
const LEVELS: usize = 4;
const SETTINGS: usize = 1_250;
/// Images of one shard.
const SHARD: usize = 16;
/// Parts of one merge, at most.
const PARTS: usize = 32;
/// Workers of each simulated cluster.
const WORKERS: [usize; 2] = [100, 1_000];
/// Bytes of the static program.
const PROGRAM: f64 = 16e6;

/// What all executions of one kind of work are.
struct Phase {
    name: &'static str,
    count: usize,
    job: Job,
}

pub(crate) fn run() -> Result<(), String> {
    let costs = measure()?;
    println!("measured on {}: CPU seconds of an action, and bytes of its outputs", costs.subject);
    for (stage, cost) in &costs.stages {
        println!("  {stage:<10} {:>9.3} s  {:>12.0} bytes", cost.seconds, cost.bytes);
    }
    println!("  a merge needs {:.4} s for every part", costs.merge);
    let phases = phases(&costs)?;
    let executions: usize = phases.iter().flatten().map(|p| p.count).sum();
    let work: f64 = phases.iter().flatten().map(|p| p.count as f64 * p.job.seconds).sum();
    println!(
        "\n{} variants, {IMAGES} images: {executions} executions, {:.1} h of work",
        MARCHES * LEVELS * SETTINGS,
        work / 3600.0
    );
    println!("  without sharing: {} executions", without_sharing());
    for phase in phases.iter().flatten() {
        println!("  {:<12} {:>7} x {:.3} s", phase.name, phase.count, phase.job.seconds);
    }
    let up = PROGRAM + costs.model + IMAGES as f64 * costs.image;
    let down: f64 = phases.iter().flatten().map(|p| p.count as f64 * p.job.outputs).sum();
    println!("  client sends {:.2} GB, takes {:.2} GB", up / 1e9, down / 1e9);
    for workers in WORKERS {
        let out = cluster_of(workers, &phases);
        println!(
            "{workers} workers: {:.1} min, {:.0} % busy with work, {:.0} GB from storage to workers",
            out.seconds / 60.0,
            100.0 * work / (out.seconds * workers as f64),
            out.fetched / 1e9,
        );
        let name = format!("sweep of 10,000 variants on {workers} workers, beside the same work on one");
        super::figure::Figure::time(&name, out.seconds, work);
    }
    let critical: f64 = phases.iter().map(|wave| wave.iter().map(|p| p.job.alone()).fold(0.0, f64::max)).sum();
    println!("critical path: {critical:.1} s (workers without number)");
    Ok(())
}

fn cluster_of(workers: usize, phases: &[Vec<Phase>]) -> Outcome {
    let mut cluster = Cluster::new(workers);
    for wave in phases {
        let jobs: Vec<(usize, &Job)> = wave.iter().map(|p| (p.count, &p.job)).collect();
        cluster.wave(&jobs);
    }
    cluster.outcome()
}

/// Waves as the engine runs them: a wave begins when the one before it is done.
fn phases(costs: &Costs) -> Result<Vec<Vec<Phase>>, String> {
    let shards = IMAGES.div_ceil(SHARD);
    let tables = MARCHES * SETTINGS;
    let of = |stage: &str| costs.stages.get(stage).copied().ok_or_else(|| format!("no {stage} ran"));
    let (parse, fuse, inspect, observe) = (of("parse")?, of("fuse")?, of("inspect")?, of("observe")?);
    let (calibrate, partition, compile, measure) = (of("calibrate")?, of("partition")?, of("compile")?, of("measure")?);
    let phase = |name, count, seconds, outputs, own: f64, shared: &[(&'static str, f64)]| Phase {
        name,
        count,
        job: Job { seconds, outputs, own, shared: [&[("program", PROGRAM)], shared].concat() },
    };
    let images = SHARD as f64 * costs.image;
    let graph = ("graph", fuse.bytes);
    let facts = ("facts", shards as f64 * inspect.bytes);
    let histograms = ("histograms", observe.bytes);
    // Merged in groups, then the groups; before that each of them says which actions it needs.
    let groups = shards.div_ceil(PARTS);
    let merge = |parts: usize| (costs.merge * parts as f64, parts as f64 * observe.bytes);
    let (group, whole) = (merge(PARTS), merge(groups));
    Ok(vec![
        vec![phase("parse", 1, parse.seconds, parse.bytes, costs.model, &[])],
        vec![phase("fuse", 1, fuse.seconds, fuse.bytes, parse.bytes, &[])],
        vec![phase("calibrate 1", tables, calibrate.seconds, 1e5, 0.0, &[graph])],
        vec![phase("inspect", shards, inspect.seconds, inspect.bytes, images, &[])],
        vec![phase("calibrate 2", tables, calibrate.seconds, 1e5, 0.0, &[graph, facts])],
        vec![phase("merge 1", groups + 1, costs.merge, 1e5, 0.0, &[graph])],
        vec![phase("observe", shards, observe.seconds, observe.bytes, images, &[graph])],
        vec![phase("merge groups", groups, group.0, observe.bytes, group.1, &[graph])],
        vec![phase("merge", 1, whole.0, observe.bytes, whole.1, &[graph])],
        vec![phase("calibrate 3", tables, calibrate.seconds, calibrate.bytes, 0.0, &[graph, facts, histograms])],
        vec![phase("partition", tables, partition.seconds, partition.bytes, calibrate.bytes, &[graph])],
        vec![
            phase("compile", tables * LEVELS, compile.seconds, compile.bytes, partition.bytes, &[]),
            phase("measure", tables, measure.seconds, measure.bytes, partition.bytes + costs.image, &[graph]),
        ],
    ])
}

/// Executions if every variant made everything for itself.
fn without_sharing() -> usize {
    let shards = IMAGES.div_ceil(SHARD);
    MARCHES * LEVELS * SETTINGS * (2 + 2 * shards + 3 + 3)
}
