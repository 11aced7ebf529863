//! Calibration beside ONNX Runtime's `quantize_static`, on the same model and samples, one thread each: CPU and wall time, peak memory.
//!
//! Ours is a whole cold `ptq build` (parse to compile, with the report's measurements) in a process of its own, the peer's the call of
//! `quantize_static` without the loading of Python packages. Each leaves one file, the quantized model. Then what observing costs beside a
//! plain float pass, what the search `default` costs beside one pass over all samples, and peak memory for 16 and 256 samples.

use crate::clock::{pin, time};
use crate::figure::Figure;
use crate::options::Options;
use ptq_exec::FloatPlan;
use ptq_ir::Tensor;
use ptq_tests::{assets, oracle, ptq, workspace_root};
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Models, and the methods that are compared on each: ours, the peer's.
const SUBJECTS: [(&str, &[(&str, &str)]); 3] = [
    ("lite0", &[("max", "ort-minmax"), ("kl", "ort-entropy"), ("percentile", "ort-percentile-whole")]),
    ("rec", &[("max", "ort-minmax"), ("percentile", "ort-percentile")]),
    ("det", &[("max", "ort-minmax"), ("percentile", "ort-percentile")]),
];
/// Repeats of a float pass; the fastest counts.
const PASSES: usize = 3;

/// What a process used.
#[derive(Debug, Deserialize)]
struct Used {
    cpu: f64,
    wall: f64,
    peak_mib: f64,
    #[serde(default)]
    code: i32,
}

pub(crate) fn run(options: &Options) -> Result<(), String> {
    pin(&[0])?;
    for (name, methods) in SUBJECTS.iter().filter(|(name, _)| options.wants(name)) {
        let subject = Subject::prepare(name)?;
        println!("\n{name}: {} calibration samples, one thread", subject.count);
        println!(
            "{:12} {:>9} {:>9} {:>10}   {:20} {:>9} {:>9} {:>10}",
            "ours", "CPU s", "wall s", "peak MiB", "ONNX Runtime", "CPU s", "wall s", "peak MiB"
        );
        for (ours, peer) in *methods {
            let own = subject.build(&settings(ours), "calib")?;
            if options.ours {
                println!("{ours:12} {:9.2} {:9.2} {:10.0}", own.cpu, own.wall, own.peak_mib);
                continue;
            }
            let other = subject.peer(peer)?;
            println!(
                "{ours:12} {:9.2} {:9.2} {:10.0}   {peer:20} {:9.2} {:9.2} {:10.0}",
                own.cpu, own.wall, own.peak_mib, other.cpu, other.wall, other.peak_mib
            );
            Figure::time(&format!("calibrate-{name}-{ours}-cpu"), own.cpu, other.cpu);
            Figure::time(&format!("calibrate-{name}-{ours}-wall"), own.wall, other.wall);
            Figure::memory(&format!("calibrate-{name}-{ours}-memory"), own.peak_mib, other.peak_mib);
        }
        subject.passes()?;
        for count in [16, 256] {
            subject.repeated(count)?;
            let used = subject.build(&settings("max"), &format!("calib{count}"))?;
            println!("{name}: peak memory {:.0} MiB with {count} samples", used.peak_mib);
        }
    }
    Ok(())
}

/// Settings of a method, as `-D` takes them.
fn settings(method: &str) -> Vec<String> {
    match method {
        "percentile" => vec!["calibration.type=max".into(), "calibration.max_percentile=0.9999".into()],
        other => vec![format!("calibration.type={other}")],
    }
}

/// A model with its samples in a folder.
struct Subject {
    name: String,
    folder: PathBuf,
    shape: Vec<usize>,
    model: PathBuf,
    input: String,
    count: usize,
}

/// What the script says of the samples that it made.
#[derive(Deserialize)]
struct Made {
    calib: usize,
    shape: Vec<usize>,
    model: PathBuf,
}

fn script(python: &Path, name: &str, args: &[&str]) -> Result<String, String> {
    let mut command = Command::new(python);
    command.arg(workspace_root().join("tests/oracle").join(name)).args(args).env("OMP_NUM_THREADS", "1");
    let output = command.output().map_err(|e| format!("{name}: {e}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    match output.status.success() {
        true => Ok(text.lines().last().unwrap_or_default().to_owned()),
        false => Err(format!("{name} {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr))),
    }
}

fn parsed<T: for<'d> Deserialize<'d>>(line: &str) -> Result<T, String> {
    serde_json::from_str(line).map_err(|e| format!("{e}: {line:?}"))
}

impl Subject {
    fn prepare(name: &str) -> Result<Subject, String> {
        let folder = workspace_root().join("target/bench-calibrate").join(name);
        let (assets, out) = (assets().display().to_string(), folder.display().to_string());
        let args = ["samples", "--assets", assets.as_str(), "--subject", name, "--out", out.as_str()];
        let made: Made = parsed(&script(&oracle::python()?, "accuracy.py", &args)?)?;
        let bytes = std::fs::read(&made.model).map_err(|e| format!("{}: {e}", made.model.display()))?;
        let (inputs, _) = ptq_onnx::file_ports(&bytes).map_err(|d| d.to_string())?;
        let input = inputs.first().map(|p| p.name.clone()).ok_or("the model has no input")?;
        Ok(Subject { name: name.to_owned(), folder, shape: made.shape, model: made.model, input, count: made.calib })
    }

    fn peer(&self, tool: &str) -> Result<Used, String> {
        let (work, out) = (self.folder.display().to_string(), self.folder.join("peer.onnx").display().to_string());
        let args = ["quantize", "--tool", tool, "--work", work.as_str(), "--out", out.as_str()];
        parsed(&script(&oracle::python()?, "accuracy.py", &args)?)
    }

    /// A cold build on one thread with these settings and this folder of samples.
    fn build(&self, settings: &[String], data: &str) -> Result<Used, String> {
        let text = format!(
            "[project]\nout = \"out\"\n[cache]\ndir = \".ptq\"\n[model.m]\npath = {:?}\nartifacts = [\"quantized.onnx\"]\n[model.m.input.{:?}]\nshape = {:?}\n\
             [model.m.calibration]\ndata = {data:?}\n[[variant]]\nname = \"v\"\nmodel = \"m\"\nmarch = \"cpu\"\n",
            "source.onnx", self.input, self.shape
        );
        std::fs::copy(&self.model, self.folder.join("source.onnx")).map_err(|e| e.to_string())?;
        std::fs::write(self.folder.join("ptq.toml"), text).map_err(|e| e.to_string())?;
        for old in ["out", ".ptq"] {
            let _ = std::fs::remove_dir_all(self.folder.join(old));
        }
        let (program, folder) = (ptq::program().display().to_string(), self.folder.display().to_string());
        let mut args = vec![program.as_str(), "-C", folder.as_str(), "build", "-q", "--jobs", "1"];
        settings.iter().for_each(|s| args.extend(["-D", s.as_str()]));
        let used: Used = parsed(&script(&oracle::python()?, "measured.py", &args)?)?;
        if used.code == 0 { Ok(used) } else { Err(format!("{}: ptq build failed: {settings:?}", self.name)) }
    }

    /// A folder with this many samples: those of the set again and again, each scaled a little.
    fn repeated(&self, count: usize) -> Result<(), String> {
        let to = self.folder.join(format!("calib{count}"));
        std::fs::create_dir_all(&to).map_err(|e| e.to_string())?;
        let files = self.files()?;
        for i in 0..count {
            let tensor = read(&files[i % files.len()])?;
            let scale = 1.0 - (i / files.len()) as f32 * 0.01;
            let scaled = match tensor.f32s() {
                Ok(v) => Tensor::from_f32(tensor.shape(), v.iter().map(|x| x * scale).collect()),
                Err(_) => Ok(tensor.clone()),
            };
            let bytes = ptq_sample::write_npy(&scaled.map_err(|e| e.to_string())?)?;
            std::fs::write(to.join(format!("{i:04}.npy")), bytes).map_err(|e| e.to_string())?;
        }
        Ok(())
    }

    fn files(&self) -> Result<Vec<PathBuf>, String> {
        let folder = std::fs::read_dir(self.folder.join("calib")).map_err(|e| e.to_string())?;
        let mut all: Vec<PathBuf> = folder.flatten().map(|e| e.path()).collect();
        all.sort();
        Ok(all)
    }

    /// A plain float pass over the samples, one with every scaled value observed, and the search `default`.
    fn passes(&self) -> Result<(), String> {
        let manifest = self.folder.join("ptq.toml");
        let project = ptq_engine::Project::open(&manifest, &[]).map_err(|e| e.to_string())?;
        let loaded = project.load("v", &ptq_engine::NoEvents).map_err(|e| e.to_string())?;
        let inputs = self.files()?.iter().map(|f| read(f)).collect::<Result<Vec<_>, _>>()?;
        let graph = &loaded.optimized;
        let plain = FloatPlan::new(graph).map_err(|e| e.to_string())?.observing(&[]);
        let wanted: Vec<_> = loaded.quant.activations.keys().filter_map(|n| graph.find_value(n)).collect();
        let observing = FloatPlan::new(graph).map_err(|e| e.to_string())?.observing(&wanted);
        let least = |pass: &dyn Fn() -> Result<(), String>| -> Result<f64, String> {
            let mut best = f64::INFINITY;
            for _ in 0..PASSES {
                let mut result = Ok(());
                best = best.min(time(|| result = pass()).cpu);
                result?;
            }
            Ok(best)
        };
        let float = least(&|| {
            inputs
                .iter()
                .try_for_each(|x| plain.run(std::slice::from_ref(x), &mut |_, _| {}).map(drop))
                .map_err(|e| e.to_string())
        })?;
        let observed = least(&|| {
            let mut histograms = std::collections::BTreeMap::new();
            let mut see = |v, t: &Tensor| {
                if let (true, Ok(values)) = (wanted.contains(&v), t.f32s()) {
                    histograms.entry(v).or_insert_with(ptq_calibrate::Counter::default).observe(values);
                }
            };
            inputs
                .iter()
                .try_for_each(|x| observing.run(std::slice::from_ref(x), &mut see).map(drop))
                .map_err(|e| e.to_string())
        })?;
        let name = &self.name;
        println!(
            "{name}: a float pass over {} samples takes {float:.2} s, with {} values observed {observed:.2} s: {:.2} times",
            inputs.len(),
            wanted.len(),
            observed / float
        );
        let max = self.build(&settings("max"), "calib")?;
        let search = self.build(&settings("default"), "calib")?;
        println!(
            "{name}: the search default takes {:.2} s of CPU (max {:.2} s): {:.2} float passes, {:.2} more than max",
            search.cpu,
            max.cpu,
            search.cpu / float,
            (search.cpu - max.cpu) / float
        );
        Figure::time(&format!("calibrate-{name}-observing"), observed, float);
        Figure::time(&format!("calibrate-{name}-default-search"), search.cpu, float);
        Ok(())
    }
}

fn read(file: &Path) -> Result<Tensor, String> {
    let bytes = std::fs::read(file).map_err(|e| format!("{}: {e}", file.display()))?;
    ptq_sample::read_npy(&bytes)
}
