//! `ptq perf`.

use super::measure::{Measured, measure};
use super::pack::select;
use super::{march_text, project};
use crate::args::{Global, Perf};
use crate::failure::Failure;
use crate::progress::Reporter;
use ptq_ir::{DType, Tensor};
use ptq_report::Performance;
use ptq_runtime::{Model, RunOptions};
use serde_json::Value;
use std::path::Path;

/// Frames that are measured at least and at most, and the time that they should take together.
const FRAMES: std::ops::RangeInclusive<u64> = 10..=500;
const SECONDS: f64 = 1.0;

/// What is told of a model, in each form.
struct Told {
    text: String,
    json: Value,
    page: String,
    trace: Value,
}

pub(crate) fn run(global: &Global, args: &Perf) -> Result<u8, Failure> {
    let is_file = args.what.ends_with(".bin") || args.what.contains('/') || Path::new(&args.what).is_file();
    let failed = |e: &dyn std::fmt::Display| Failure::Failed(format!("error: {}: {e}", args.what));
    let (bin, march) = if is_file {
        (select(Path::new(&args.what), args.packed.as_deref())?.into(), args.march.clone())
    } else {
        if args.packed.is_some() || args.march.is_some() {
            let why = "error: --model and --march are for files; the variant says the rest".to_owned();
            return Err(Failure::Usage(why));
        }
        let project = project(global)?;
        let reporter = Reporter::new(global, None).map_err(|e| Failure::Failed(e.to_string()))?;
        let loaded = project.load(&args.what, &reporter)?;
        let folder = global.manifest.parent().filter(|_| loaded.config.march.ends_with(".toml"));
        let march = folder.map_or_else(
            || loaded.config.march.clone(),
            |folder| folder.join(&loaded.config.march).display().to_string(),
        );
        (loaded.bin, Some(march))
    };
    let model = Model::load(&bin).map_err(|e| failed(&e))?;
    let told = tell(&model, march.as_deref()).map_err(|e| match e {
        Failure::Failed(why) => failed(&why),
        other => other,
    })?;
    let write = |path: &Path, text: &str| {
        std::fs::write(path, text).map_err(|e| Failure::Failed(format!("error: {}: {e}", path.display())))
    };
    if let Some(path) = &args.html {
        write(path, &told.page)?;
    }
    if let Some(path) = &args.trace {
        write(path, &told.trace.to_string())?;
    }
    if args.json {
        println!("{}", told.json);
    } else if !global.quiet {
        print!("{}", told.text);
        for path in args.html.iter().chain(&args.trace) {
            println!("-> {}", path.display());
        }
    }
    Ok(0)
}

/// Predicts a model of an accelerator; measures one of this processor.
fn tell(model: &Model, march: Option<&str>) -> Result<Told, Failure> {
    let artifact = model.artifact();
    let named = march.unwrap_or(&artifact.march);
    let text = match (ptq_march::source(named), march) {
        (Some(text), _) => text.into_owned(),
        (None, Some(path)) => march_text(path)?,
        (None, None) => {
            let why = format!("march {named} is not built in\n  help: give its file: --march FILE.toml");
            return Err(Failure::Failed(why));
        }
    };
    let runs_here = ptq_march::March::from_toml(&text).is_ok_and(|m| m.hardware.is_none());
    if runs_here {
        return measured(model).map_err(|e| Failure::Failed(e.to_string()));
    }
    let p = Performance::of(artifact, &text).map_err(|e| {
        Failure::Failed(format!("{e}\n  help: build it again, or give the march file of then with --march"))
    })?;
    Ok(Told { text: p.text(), json: p.json(), page: p.page(), trace: p.trace() })
}

/// Runs frames of synthetic inputs: one at a time, then one on every core.
fn measured(model: &Model) -> Result<Told, Box<dyn std::error::Error>> {
    let ports = model.inputs();
    let inputs = ports.iter().map(|port| {
        let spec = port.spec.cloned().unwrap_or_default();
        let dtype = if port.quant.is_some() { DType::F32 } else { port.dtype };
        let made = ptq_sample::synthetic(&spec, dtype, port.shape, 1).ok();
        let made = made.and_then(|real| port.integers(real).ok());
        made.unwrap_or_else(|| Tensor::zeros(port.dtype, port.shape.to_vec()))
    });
    let inputs: Vec<Tensor> = inputs.collect();
    let options = RunOptions { threads: 1 };
    let first = measure(model, &inputs, &options, 1, 1)?;
    let frames = (SECONDS * 1e9 / first.profile().frames().mean().max(1.0)) as u64;
    let frames = frames.clamp(*FRAMES.start(), *FRAMES.end());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let one = measure(model, &inputs, &options, frames, 1)?;
    let all: Measured = measure(model, &inputs, &options, frames * cores as u64, cores)?;
    let m = ptq_report::Measured::of(model, one.profile(), all.profile(), all.wall(), cores);
    Ok(Told { text: m.text(), json: m.json(), page: m.page(), trace: m.trace() })
}
