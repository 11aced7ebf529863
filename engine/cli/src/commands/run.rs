//! `ptq run`.

use super::measure::measure;
use super::pack::select;
use super::{project, read};
use crate::args::{Global, Run};
use crate::failure::Failure;
use ptq_engine::manifest::VariantConfig;
use ptq_ir::{DType, Diagnostic, InputSpec, InputType, Layout, Tensor};
use ptq_runtime::{Model, Port, RunOptions};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

/// Frames that a profile measures where none are named.
const FRAMES: u64 = 200;

pub(crate) fn run(global: &Global, args: &Run) -> Result<u8, Failure> {
    let model = load(&args.model, args.packed.as_deref())?;
    super::custom::provide(global, &model)?;
    let declared = args.variant.as_ref().map_or_else(|| Ok(BTreeMap::new()), |name| declared(global, name))?;
    let mut preparation = Vec::new();
    let inputs = inputs(&model, &args.input, &declared, &mut preparation)?;
    let options = RunOptions { threads: args.kernel_threads.into() };
    let failed = |e: &dyn std::fmt::Display| Failure::Failed(format!("error: {}: {e}", args.model.display()));
    let mut dumped: Vec<(String, Tensor)> = Vec::new();
    let outputs = if args.dump.is_some() {
        model.run_with(&inputs, &options, &mut |name, tensor| dumped.push((name.to_owned(), tensor.clone())))
    } else {
        model.run(&inputs, &options)
    };
    let outputs = outputs.map_err(|e| failed(&e))?;
    let pairs = args.output.iter().flat_map(|dir| model.outputs().into_iter().zip(&outputs).map(move |o| (dir, o)));
    for (dir, (port, tensor)) in pairs {
        let path = write(dir, port.name, tensor)?;
        if !global.quiet {
            println!("{} {} {:?} -> {path}", port.name, tensor.dtype(), tensor.shape());
        }
    }
    if let Some(dir) = &args.dump {
        for (name, tensor) in &dumped {
            write(dir, name, tensor)?;
        }
        if !global.quiet {
            println!("{} tensors -> {}", dumped.len(), dir.display());
        }
    }
    if args.frames.is_some() || args.profile_out.is_some() {
        let count = args.frames.unwrap_or(FRAMES);
        let measured = measure(&model, &inputs, &options, count, args.threads.into()).map_err(|e| failed(&e))?;
        let report = measured.report(&model, &options, args.threads.into(), preparation);
        if let Some(path) = &args.profile_out {
            let is_csv = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("csv"));
            let text = if is_csv { report.csv() } else { format!("{:#}\n", report.json()) };
            std::fs::write(path, text).map_err(|e| Failure::Failed(format!("error: {}: {e}", path.display())))?;
        }
        if !global.quiet {
            print!("{}", report.text());
        }
    }
    Ok(0)
}

/// Loads a compiled model, of a packed file the one of this name.
pub(crate) fn load(path: &Path, name: Option<&str>) -> Result<Model, Failure> {
    Model::load(&select(path, name)?).map_err(|e| Failure::Failed(format!("error: {}: {e}", path.display())))
}

/// Descriptions of a variant's inputs.
fn declared(global: &Global, variant: &str) -> Result<BTreeMap<String, InputSpec>, Failure> {
    let project = project(global)?;
    let Some(found) = project.manifest().variants.get(variant) else {
        return Err(Failure::Usage(format!("error: the manifest has no variant {variant:?}")));
    };
    let listed = |problems: Vec<ptq_ir::Diagnostic>| problems.iter().map(ToString::to_string).collect::<Vec<_>>();
    Ok(VariantConfig::of(found).map_err(|problems| Failure::Usage(listed(problems).join("\n")))?.inputs)
}

fn inputs(
    model: &Model,
    given: &[(String, String)],
    declared: &BTreeMap<String, InputSpec>,
    preparation: &mut Vec<(String, f64)>,
) -> Result<Vec<Tensor>, Failure> {
    let ports = model.inputs();
    let spec_of = |port: &Port<'_>| {
        let own = declared.get(port.name).or(port.spec).cloned();
        own.unwrap_or_else(|| image_spec(port))
    };
    let names: Vec<String> = ports.iter().flat_map(|port| run_time_names(port, &spec_of(port))).collect();
    if let Some((unknown, _)) = given.iter().find(|(n, _)| !names.contains(n)) {
        return Err(Failure::Usage(format!(
            "error: the model has no input {unknown:?}\n  help: inputs: {}",
            names.join(", ")
        )));
    }
    ports
        .iter()
        .map(|port| {
            let spec = spec_of(port);
            let (item_spec, item_shape) = spec.separate_item(port.shape).unwrap_or((spec.clone(), port.shape.to_vec()));
            let mut items = Vec::new();
            for name in run_time_names(port, &spec) {
                let file = given.iter().find(|(n, _)| *n == name).map(|(_, f)| f).ok_or_else(|| {
                    Failure::Usage(format!("error: input {name} is missing\n  help: give --input {name}=FILE"))
                })?;
                let bytes = read(file.as_ref())?;
                let start = Instant::now();
                let tensor = decoded(port, file, &bytes, &item_spec, &item_shape)
                    .map_err(|d| Failure::Failed(d.value(&name).to_string()))?;
                preparation.push((name, start.elapsed().as_secs_f64() * 1e3));
                items.push(tensor);
            }
            match &items[..] {
                [whole] if whole.shape() == port.shape => Ok(whole.clone()),
                _ => {
                    ptq_sample::joined(&items, port.shape).map_err(|d| Failure::Failed(d.value(port.name).to_string()))
                }
            }
        })
        .collect()
}

/// What a file gives for a port. A port of integers takes them as they are; real numbers are quantized as its border would have done.
fn decoded(port: &Port<'_>, file: &str, bytes: &[u8], spec: &InputSpec, shape: &[usize]) -> Result<Tensor, Diagnostic> {
    let real = port.quant.is_some() && !ptq_sample::holds_integers(file, bytes, port.dtype, shape);
    let dtype = if real { DType::F32 } else { port.dtype };
    let tensor = ptq_sample::decode_run_time(file, bytes, spec, dtype, shape)?;
    port.integers(tensor).map_err(|e| Diagnostic::error("SAMPLE04", e.to_string()).file(file))
}

/// Names that a port's files go by: its own, or one for each item of a batch whose items arrive separately.
pub(crate) fn run_time_names(port: &Port<'_>, spec: &InputSpec) -> Vec<String> {
    match (spec.separate_batch, port.shape.first()) {
        (true, Some(&items)) => (0..items).map(|i| InputSpec::item_name(port.name, i)).collect(),
        _ => vec![port.name.to_owned()],
    }
}

/// Where neither manifest nor model describes an input, an image file fills it as gray or RGB by its channels.
fn image_spec(port: &Port<'_>) -> InputSpec {
    let (type_train, layout_train) = match port.shape {
        [_, 1, _, _] => (InputType::Gray, Layout::Nchw),
        [_, 3, _, _] => (InputType::Rgb, Layout::Nchw),
        [_, _, _, 1] => (InputType::Gray, Layout::Nhwc),
        [_, _, _, 3] => (InputType::Rgb, Layout::Nhwc),
        _ => (InputType::Featuremap, Layout::Nchw),
    };
    InputSpec { type_train, layout_train, ..InputSpec::default() }
}

/// Writes `DIR/<name>.npy`; characters outside `[A-Za-z0-9._-]` of the name are percent-encoded, so that the name can be
/// read back and no name leaves the folder.
fn write(dir: &Path, name: &str, tensor: &Tensor) -> Result<String, Failure> {
    let mut file = String::new();
    for (i, byte) in name.bytes().enumerate() {
        let plain = byte.is_ascii_alphanumeric() || b"_-".contains(&byte) || (byte == b'.' && i > 0);
        if plain { file.push(char::from(byte)) } else { file += &format!("%{byte:02X}") }
    }
    let path = dir.join(file + ".npy");
    let bytes = ptq_sample::write_npy(tensor).map_err(Failure::Bug)?;
    std::fs::create_dir_all(dir)
        .and_then(|()| std::fs::write(&path, bytes))
        .map_err(|e| Failure::Failed(format!("error: {}: {e}", path.display())))?;
    Ok(path.display().to_string())
}
