//! `ptq verify`.

use super::info::border;
use super::{project, read};
use crate::args::{Global, Verify};
use crate::failure::Failure;
use crate::progress::Reporter;
use ptq_engine::{Loaded, Project};
use ptq_fuse::{FuseParams, fuse_with};
use ptq_ir::{DType, Tensor};
use ptq_report::verify::{
    BinRun, FilePorts, LIMITS, PairReport, Port, Stage, Verdict, VerifyReport, VerifyStages, file_differences, verify,
    verify_fusion,
};
use ptq_runtime::{Model, RunOptions};
use std::path::Path;

pub(crate) fn run(global: &Global, args: &Verify) -> Result<u8, Failure> {
    let project = project(global)?;
    let reporter = Reporter::new(global, None).map_err(|e| Failure::Failed(e.to_string()))?;
    let loaded = project.load(&args.variant, &reporter);
    reporter.settle();
    let loaded = loaded?;
    let inputs = inputs(&project, &loaded, args)?;
    let model = Model::load(&loaded.bin).map_err(|e| Failure::Failed(format!("error: model.bin: {e}")))?;
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let stages = VerifyStages {
        original: &loaded.original,
        optimized: &loaded.optimized,
        quant: &loaded.quant,
        integer: &loaded.integer,
        bin: Some(BinRun::of(&model, RunOptions { threads })),
        threads,
    };
    let mut report = verify(&stages, &inputs, &LIMITS).map_err(|e| Failure::Failed(format!("error: {e}")))?;
    report.rewrites = blamed(&project, args, &stages, &loaded, &inputs, &report)?;
    let dir = args.dir.clone().unwrap_or_else(|| project.out().join(&args.variant));
    let files = FILES
        .into_iter()
        .filter(|f| args.dir.is_some() || loaded.config.artifacts.contains(f))
        .map(|file| ports_of(&dir, file))
        .collect::<Result<Vec<_>, _>>()?;
    let march = super::march_of(global, &loaded.config.march)?;
    let image = march.quantization.image_input;
    report.contract.extend(file_differences(&loaded.original, &loaded.integer, &loaded.config.inputs, image, &files));
    report.passed &= report.contract.is_empty();
    if args.json {
        let text = serde_json::to_string(&report).map_err(|e| Failure::Bug(e.to_string()))?;
        println!("{text}");
    } else {
        print!("{report}");
    }
    Ok(u8::from(!report.passed))
}

/// Where the optimized graph differs: the rewrites that make it differ when they are the only ones.
fn blamed(
    project: &Project,
    args: &Verify,
    stages: &VerifyStages<'_>,
    loaded: &Loaded,
    inputs: &[Tensor],
    report: &VerifyReport,
) -> Result<Vec<String>, Failure> {
    let differs = |p: &PairReport| p.after == Stage::Optimized && p.verdict != Verdict::Passed;
    if !report.pairs.iter().any(differs) {
        return Ok(Vec::new());
    }
    let mut out = Vec::new();
    for rewritten in project.rewritten(&args.variant).iter().filter(|r| r.fired > 0) {
        let (name, rewrite) = (&rewritten.config.name, rewritten.config.rewrite.as_ref());
        let mut graph = loaded.original.clone();
        let alone = FuseParams { rewrites: [(name.clone(), rewrite.clone())].into(), ..FuseParams::default() };
        fuse_with(&mut graph, &alone).map_err(|f| Failure::Failed(f.to_string()))?;
        let stages = VerifyStages { optimized: &graph, bin: None, ..*stages };
        let pair = verify_fusion(&stages, inputs).map_err(|e| Failure::Failed(format!("error: {e}")))?;
        if let Some(pair) = pair.filter(differs) {
            let at = pair.first.map_or_else(|| "a model output".to_owned(), |d| d.value);
            let (file, line) = (&rewritten.config.file, rewritten.config.line);
            out.push(format!("rewrite {name} ({file}:{line}) changes results: without the others, first at {at}"));
        }
    }
    Ok(out)
}

/// Files that have inputs and outputs.
const FILES: [&str; 5] =
    ["original_float.onnx", "optimized_float.onnx", "calibrated.onnx", "quantized.onnx", "model.bin"];

/// Inputs and outputs of a file.
fn ports_of(dir: &Path, file: &str) -> Result<FilePorts, Failure> {
    let path = dir.join(file);
    let bytes = read(&path)?;
    let failed = |e: &dyn std::fmt::Display| Failure::Failed(format!("error: {}: {e}", path.display()));
    if file.ends_with(".onnx") {
        let (inputs, outputs) = ptq_onnx::file_ports(&bytes).map_err(|d| failed(&d))?;
        let port = |p: ptq_onnx::FilePort| {
            let dtype = DType::ALL.into_iter().find(|d| d.to_string() == p.dtype);
            let open = || failed(&format!("{} is {} of shape {}", p.name, p.dtype, p.shape));
            Ok(Port { dtype: dtype.ok_or_else(open)?, shape: p.dims.clone().ok_or_else(open)?, name: p.name.clone() })
        };
        let specs = inputs.iter().map(|p| p.spec.clone()).collect();
        let stored = inputs.iter().map(|p| p.quant.clone()).collect();
        let list = |ports: Vec<ptq_onnx::FilePort>| ports.into_iter().map(port).collect::<Result<Vec<_>, Failure>>();
        return Ok(FilePorts { file: file.to_owned(), inputs: list(inputs)?, outputs: list(outputs)?, specs, stored });
    }
    let model = Model::load(&bytes).map_err(|e| failed(&e))?;
    let run = BinRun::of(&model, RunOptions { threads: 1 });
    let specs = model.inputs().iter().map(|p| p.spec.cloned()).collect();
    let stored = model.artifact().inputs.iter().map(|&id| border(&model, id)).collect();
    let (inputs, outputs) = (run.inputs.clone(), run.outputs.clone());
    Ok(FilePorts { file: file.to_owned(), inputs, outputs, specs, stored })
}

/// The given files, or the first calibration sample, or a synthetic input where there is no data.
fn inputs(project: &Project, loaded: &Loaded, args: &Verify) -> Result<Vec<Tensor>, Failure> {
    let graph = &loaded.original;
    let names: Vec<&str> = graph.inputs.iter().map(|&v| graph.value(v).name.as_str()).collect();
    if let Some((unknown, _)) = args.input.iter().find(|(n, _)| !names.contains(&n.as_str())) {
        return Err(Failure::Usage(format!(
            "error: the model has no input {unknown:?}\n  help: inputs: {}",
            names.join(", ")
        )));
    }
    graph
        .inputs
        .iter()
        .map(|&v| {
            let value = graph.value(v);
            let spec = loaded.config.inputs.get(&value.name).cloned().unwrap_or_default();
            let given = args.input.iter().find(|(n, _)| *n == value.name);
            let tensor = match given {
                Some((_, file)) => ptq_sample::decode(file, &read(file.as_ref())?, &spec, value.dtype, &value.shape),
                None => match project.first_sample(&args.variant, &value.name, names.len() == 1) {
                    Some((file, bytes)) => ptq_sample::decode(&file, &bytes, &spec, value.dtype, &value.shape),
                    None => ptq_sample::synthetic(&spec, value.dtype, &value.shape, 1),
                },
            };
            tensor.map_err(|d| Failure::Failed(d.value(&value.name).to_string()))
        })
        .collect()
}
