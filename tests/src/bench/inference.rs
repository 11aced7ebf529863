//! Whole runs of models: ours and ONNX Runtime's on the same files and inputs, in turns.

use crate::ceiling;
use crate::clock::{self, Summary, Time};
use crate::figure::Figure;
use crate::options::Options;
use crate::peer::Peer;
use crate::subject::{self, Subject};
use ptq_exec::FloatPlan;
use ptq_kernels::Isa;
use ptq_runtime::{Model, RunOptions};
use std::path::PathBuf;

/// Seconds that one turn of one side lasts, about.
const TURN: f64 = 0.06;

/// Our side, ready to run.
enum Ours {
    Integer(Model),
    Float(FloatPlan),
}

/// One side of a comparison.
struct Side {
    name: String,
    /// `None` is ONNX Runtime under this name.
    ours: Option<Ours>,
    /// Repeats in a turn.
    repeats: usize,
    times: Vec<Time>,
}

/// Files that ONNX Runtime runs, with the modes in which it does: name, file, mode.
type Files = Vec<(String, PathBuf, &'static str)>;

/// Measures every wanted model at every wanted number of threads.
///
/// # Errors
/// When a model does not build or a side does not run.
pub(crate) fn run(options: &Options) -> Result<(), String> {
    let mut peer = if options.ours { None } else { Some(Peer::start()?) };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    ceiling::run(options)?;
    for name in subject::names().filter(|n| options.wants(n)) {
        let Some(subject) = subject::subject(name)? else {
            println!("{name}: its model is missing; cargo run -p ptq-tests --bin fetch");
            continue;
        };
        let files = peer.as_mut().map_or(Ok(Files::new()), |peer| files(&subject, peer))?;
        let mut one_thread = None;
        for &threads in &options.threads {
            let first = cores - threads.min(cores);
            let own: Vec<usize> = (first..cores).collect();
            pin(&own, peer.as_mut())?;
            let sides = measure(&subject, &files, threads, options, peer.as_mut())?;
            report(&subject, threads, &sides);
            if threads == 1 {
                one_thread = Some(sides);
            } else if let Some(one) = &one_thread {
                scaling(&subject, threads, one, &sides);
            }
            pin(&(0..cores).collect::<Vec<_>>(), peer.as_mut())?;
        }
    }
    Ok(())
}

/// Restricts both sides to these cores.
fn pin(cores: &[usize], peer: Option<&mut Peer>) -> Result<(), String> {
    clock::pin(cores)?;
    peer.map_or(Ok(()), |peer| peer.pin(cores))
}

/// Our files, and ONNX Runtime's own quantization of the same float model.
fn files(subject: &Subject, peer: &mut Peer) -> Result<Files, String> {
    let ours = subject.out.join("quantized.onnx");
    let float = subject.out.join("original_float.onnx");
    let own = subject.out.join("onnxruntime_quantized.onnx");
    let mut files = vec![
        ("ort int8 exact".to_owned(), ours.clone(), "exact"),
        ("ort int8 saturating".to_owned(), ours, "default"),
        ("ort float".to_owned(), float.clone(), "default"),
    ];
    match peer.quantize(&float, &subject.samples, &own) {
        Ok(()) => {
            files.push(("ort own int8 exact".to_owned(), own.clone(), "exact"));
            files.push(("ort own int8 saturating".to_owned(), own, "default"));
        }
        Err(why) => println!("{}: ONNX Runtime's own quantization: {why}", subject.name),
    }
    Ok(files)
}

fn measure(
    subject: &Subject,
    files: &Files,
    threads: usize,
    options: &Options,
    mut peer: Option<&mut Peer>,
) -> Result<Vec<Side>, String> {
    let mut sides = Vec::new();
    let side = |name: String, ours| Side { name, ours, repeats: 1, times: Vec::new() };
    for isa in isas(options)? {
        let model = Model::load_for(&subject.loaded.bin, isa).map_err(|e| e.to_string())?;
        sides.push(side(format!("int8 {}", isa.name()), Some(Ours::Integer(model))));
    }
    let plan = FloatPlan::new(&subject.loaded.optimized).map_err(|e| e.to_string())?;
    let plan = plan.observing(&[]).with_threads(threads);
    sides.push(side("float".into(), Some(Ours::Float(plan))));
    for (name, file, mode) in files {
        if let Some(peer) = &mut peer {
            peer.load(name, file, mode, threads, &subject.inputs).map_err(|e| format!("{name}: {e}"))?;
        }
        sides.push(side(name.clone(), None));
    }
    // The first turn warms up and says how many repeats fill one.
    for round in 0..=options.rounds {
        for side in &mut sides {
            let times = turn(side, subject, threads, peer.as_deref_mut()).map_err(|e| format!("{}: {e}", side.name))?;
            if round == 0 {
                let shortest = times.iter().map(|t| t.wall).fold(f64::INFINITY, f64::min);
                side.repeats = (TURN / shortest.max(1e-6)).clamp(1.0, 500.0) as usize;
            } else {
                side.times.extend(times);
            }
        }
    }
    if let Some(peer) = peer {
        files.iter().try_for_each(|(name, ..)| peer.unload(name))?;
    }
    Ok(sides)
}

/// The instruction sets to measure: those named, or the best one and AVX2 where it is another.
pub(crate) fn isas(options: &Options) -> Result<Vec<Isa>, String> {
    if options.isa.is_empty() {
        let mut all = vec![Isa::best()];
        all.extend(Isa::named("avx2").filter(|&i| i != Isa::best()));
        return Ok(all);
    }
    let named = |n: &String| Isa::named(n).ok_or_else(|| format!("this processor has no instruction set {n:?}"));
    options.isa.iter().map(named).collect()
}

fn turn(side: &Side, subject: &Subject, threads: usize, peer: Option<&mut Peer>) -> Result<Vec<Time>, String> {
    let input = std::slice::from_ref(&subject.input);
    let once = |ours: &Ours| match ours {
        Ours::Integer(model) => model.run(input, &RunOptions { threads }).map(drop).map_err(|e| e.to_string()),
        Ours::Float(plan) => plan.run(input, &mut |_, _| {}).map(drop).map_err(|e| e.to_string()),
    };
    let Some(ours) = &side.ours else {
        return peer.map_or(Ok(Vec::new()), |peer| peer.run(&side.name, side.repeats));
    };
    let mut times = Vec::new();
    for _ in 0..side.repeats {
        let mut result = Ok(());
        times.push(clock::time(|| result = once(ours)));
        result?;
    }
    Ok(times)
}

/// All times of one model, then its comparisons. CPU time is compared on one thread, wall time on several.
fn report(subject: &Subject, threads: usize, sides: &[Side]) {
    let heading = format!("{}, {threads} thread{}", subject.name, if threads == 1 { "" } else { "s" });
    println!("\n{heading:<38} cpu ms: min  median  wall ms: min  median");
    let summary = |s: &Side| Summary::of(&s.times);
    for s in sides {
        let Summary { cpu, wall } = summary(s);
        let ms = [cpu[0], cpu[1], wall[0], wall[1]].map(|t| t * 1e3);
        println!("  {:<36} {:>11.3} {:>7.3} {:>13.3} {:>7.3}", s.name, ms[0], ms[1], ms[2], ms[3]);
    }
    let best = |s: &Side| if threads == 1 { summary(s).cpu[0] } else { summary(s).wall[0] };
    for ours in sides.iter().filter(|s| s.ours.is_some()) {
        let is_float = matches!(ours.ours, Some(Ours::Float(_)));
        for theirs in sides.iter().filter(|s| s.ours.is_none() && (s.name == "ort float") == is_float) {
            let name = format!("{}: {} against {}, {threads} threads", subject.name, ours.name, theirs.name);
            Figure::time(&name, best(ours), best(theirs));
        }
    }
}

/// How much faster several threads are than one, by wall time.
fn scaling(subject: &Subject, threads: usize, one: &[Side], many: &[Side]) {
    for (one, many) in one.iter().zip(many) {
        let name = format!("{}: {}, {threads} threads against 1", subject.name, many.name);
        Figure::time(&name, Summary::of(&many.times).wall[0], Summary::of(&one.times).wall[0]);
    }
}
