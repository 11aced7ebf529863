//! Where the time of a run goes, node by node.

use crate::clock;
use crate::inference::isas;
use crate::options::Options;
use crate::subject::{self, Subject};
use ptq_exec::FloatPlan;
use ptq_runtime::{Model, RunOptions, Step};
use std::collections::BTreeMap;
use std::time::Instant;

/// Nodes that are printed, the slowest first.
const SHOWN: usize = 40;

/// Prints the shortest wall time of every node of every wanted model, and sums by operator.
///
/// # Errors
/// When a model does not build or run.
pub(crate) fn run(options: &Options) -> Result<(), String> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    for name in subject::names().filter(|n| options.wants(n)) {
        let Some(subject) = subject::subject(name)? else { continue };
        for &threads in &options.threads {
            clock::pin(&(cores - threads.min(cores)..cores).collect::<Vec<_>>())?;
            for isa in isas(options)? {
                let model = Model::load_for(&subject.loaded.bin, isa).map_err(|e| e.to_string())?;
                integer(&subject, &model, threads, options.rounds, isa.name())?;
            }
            float(&subject, threads, options.rounds)?;
        }
    }
    Ok(())
}

/// Shortest times by node, with what is said of it.
#[derive(Default)]
struct Times(Vec<(String, String, f64)>);

impl Times {
    fn add(&mut self, at: usize, seconds: f64, node: impl FnOnce() -> (String, String)) {
        match self.0.get_mut(at) {
            Some(known) => known.2 = known.2.min(seconds),
            None => {
                let (op, text) = node();
                self.0.push((op, text, seconds));
            }
        }
    }

    fn print(mut self, heading: &str) {
        let total: f64 = self.0.iter().map(|t| t.2).sum();
        println!("\n{heading}: {:.3} ms", total * 1e3);
        let mut by_op = BTreeMap::<&str, (usize, f64)>::new();
        for (op, _, seconds) in &self.0 {
            let sum = by_op.entry(op).or_default();
            *sum = (sum.0 + 1, sum.1 + seconds);
        }
        let mut by_op: Vec<_> = by_op.into_iter().collect();
        by_op.sort_by(|a, b| b.1.1.total_cmp(&a.1.1));
        by_op.iter().for_each(|(op, (n, seconds))| println!("  {:>9.1} us  {n:>3} {op}", seconds * 1e6));
        self.0.sort_by(|a, b| b.2.total_cmp(&a.2));
        self.0
            .iter()
            .take(SHOWN)
            .for_each(|(op, text, seconds)| println!("    {:>9.1} us  {op} {text}", seconds * 1e6));
    }
}

fn integer(subject: &Subject, model: &Model, threads: usize, rounds: usize, isa: &str) -> Result<(), String> {
    let mut times = Times::default();
    for _ in 0..=rounds {
        let (mut at, mut last) = (0, Instant::now());
        let mut step = |step: Step<'_>| {
            let seconds = last.elapsed().as_secs_f64();
            let op = if step.op.is_empty() { "layout" } else { step.op };
            times.add(at, seconds, || (op.to_owned(), format!("{:?}", step.shape)));
            at += 1;
            last = Instant::now();
        };
        let input = std::slice::from_ref(&subject.input);
        model.run_steps(input, &RunOptions { threads }, &mut step).map_err(|e| e.to_string())?;
    }
    times.print(&format!("{}, int8 {isa}, {threads} threads", subject.name));
    Ok(())
}

fn float(subject: &Subject, threads: usize, rounds: usize) -> Result<(), String> {
    let graph = &subject.loaded.optimized;
    let makers: BTreeMap<_, _> = graph.nodes.iter().flat_map(|n| n.outputs.iter().map(move |&v| (v, n))).collect();
    let plan = FloatPlan::new(graph).map_err(|e| e.to_string())?.observing(&[]).with_threads(threads);
    let mut times = Times::default();
    for _ in 0..=rounds {
        let (mut at, mut last) = (0, Instant::now());
        let mut sink = |v, tensor: &ptq_ir::Tensor| {
            let seconds = last.elapsed().as_secs_f64();
            // An activation that a convolution computes along is shown as that convolution.
            let maker = makers.get(&v).map(|n| match n.input(0).and_then(|v| makers.get(&v)) {
                Some(conv) if n.op != "Conv" && conv.is("Conv") => conv,
                _ => n,
            });
            times.add(at, seconds, || match maker {
                Some(n) => {
                    let from = n.inputs.iter().flatten().map(|&v| format!("{:?}", graph.value(v).shape));
                    (n.op.clone(), format!("{} -> {:?}", from.collect::<Vec<_>>().join(" "), tensor.shape()))
                }
                None => ("input".to_owned(), format!("{:?}", tensor.shape())),
            });
            at += 1;
            last = Instant::now();
        };
        plan.run(std::slice::from_ref(&subject.input), &mut sink).map_err(|e| e.to_string())?;
    }
    times.print(&format!("{}, float, {threads} threads", subject.name));
    Ok(())
}
