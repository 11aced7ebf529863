//! What actions cost: a small sweep built in this process on one thread, timed by the CPU time of the process.

use super::super::clock;
use ptq_engine::{BuildOptions, Event, EventSink, Project};
use ptq_tests::{assets, workspace_root};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Images of the two builds whose difference tells what a shard more costs.
const IMAGES: [usize; 2] = [32, 128];
/// Images of one shard.
const SHARD: usize = super::SHARD;

/// Of one kind of action.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cost {
    /// CPU seconds.
    pub(super) seconds: f64,
    /// Bytes of its outputs.
    pub(super) bytes: f64,
}

/// What the simulation is fed with.
pub(super) struct Costs {
    /// What was built.
    pub(super) subject: String,
    /// Means by stage.
    pub(super) stages: BTreeMap<String, Cost>,
    /// CPU seconds of a merge for one part more.
    pub(super) merge: f64,
    /// Bytes of the model.
    pub(super) model: f64,
    /// Bytes of an image.
    pub(super) image: f64,
}

/// Sums by stage, of the stage's own time: what it waits for counts for itself.
#[derive(Default)]
struct Watch {
    /// Begun actions: CPU time at the begin, CPU time of the actions inside.
    begun: Vec<(f64, f64)>,
    sums: BTreeMap<String, (usize, f64, u64)>,
}

#[derive(Default)]
struct Sink(Mutex<Watch>);

impl EventSink for Sink {
    fn event(&self, event: Event) {
        let mut watch = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = clock::cpu();
        match event {
            Event::Started { .. } => watch.begun.push((now, 0.0)),
            Event::Ran { stage, bytes, .. } => {
                let Some((began, inside)) = watch.begun.pop() else { return };
                if let Some(outer) = watch.begun.last_mut() {
                    outer.1 += now - began;
                }
                let sum = watch.sums.entry(stage).or_default();
                *sum = (sum.0 + 1, sum.1 + now - began - inside, sum.2 + bytes);
            }
            _ => {}
        }
    }
}

/// Builds the subject with both numbers of images.
///
/// # Errors
/// When it does not build.
pub(super) fn measure() -> Result<Costs, String> {
    let (few, many) = (build(IMAGES[0])?, build(IMAGES[1])?);
    let shards = |images: usize| images.div_ceil(SHARD) as f64;
    let of = |c: &Costs| c.stages.get("merge").map_or(0.0, |c| c.seconds);
    let merge = (of(&many) - of(&few)) / (shards(IMAGES[1]) - shards(IMAGES[0]));
    Ok(Costs { merge: merge.max(0.0), ..many })
}

/// Model, settings of its input, images.
fn subject() -> (PathBuf, &'static str, PathBuf) {
    let lite0 = assets().join("models/efficientnet_lite0.onnx");
    if lite0.exists() {
        let input = "shape = [1, 3, 224, 224]\ntype_train = \"rgb\"\nlayout_train = \"NCHW\"\nmean = [127.0]\nscale = [0.0078125]\n";
        return (lite0, input, assets().join("data/photos_calib"));
    }
    let example = workspace_root().join("examples/fashion-classifier");
    let input = "shape = [1, 1, 28, 28]\ntype_train = \"gray\"\nlayout_train = \"NCHW\"\nmean = [72.94]\nscale = [0.011108642]\n";
    (example.join("model.onnx"), input, example.join("data/calib"))
}

fn build(count: usize) -> Result<Costs, String> {
    let io = |path: &Path| {
        let shown = path.display().to_string();
        move |e: std::io::Error| format!("{shown}: {e}")
    };
    let (model, input, images) = subject();
    let dir = workspace_root().join(format!("target/bench/scale-{count}"));
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(dir.join("calib")).map_err(io(&dir))?;
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(&images).map_err(io(&images))?.flatten().map(|entry| entry.path()).collect();
    files.sort();
    let mut weight = 0;
    for (i, file) in (0..count).zip(files.iter().cycle()) {
        let ending = file.extension().and_then(|e| e.to_str()).unwrap_or("png");
        weight += std::fs::copy(file, dir.join(format!("calib/{i:05}.{ending}"))).map_err(io(file))?;
    }
    let size = std::fs::copy(&model, dir.join("m.onnx")).map_err(io(&model))?;
    let text = format!(
        "[model.m]\npath = \"m.onnx\"\ncalibration.data = \"calib\"\n[model.m.input.input]\n{input}[matrix.s]\n\
         name = \"{{march}}-{{optimize_level}}-{{calibration.max_percentile}}\"\nmodel = \"m\"\n\
         march = [\"cpu\", \"bayes\"]\noptimize_level = [\"O0\", \"O3\"]\ncalibration.max_percentile = [0.999, 0.9999]\n"
    );
    let manifest = dir.join("ptq.toml");
    std::fs::write(&manifest, text).map_err(io(&manifest))?;
    let project = Project::open(&manifest, &[]).map_err(|e| e.to_string())?;
    let sink = Sink::default();
    let options = BuildOptions { jobs: 1, ..BuildOptions::default() };
    let report = project.build(&options, &sink).map_err(|e| e.to_string())?;
    if let Some(error) = report.variants.iter().flat_map(|v| v.errors()).next() {
        return Err(error.to_string());
    }
    let watch = sink.0.into_inner().unwrap_or_else(PoisonError::into_inner);
    let mean = |(stage, (count, seconds, bytes)): (String, (usize, f64, u64))| {
        (stage, Cost { seconds: seconds / count as f64, bytes: bytes as f64 / count as f64 })
    };
    Ok(Costs {
        subject: format!("{} with {count} images", model.file_stem().unwrap_or_default().to_string_lossy()),
        stages: watch.sums.into_iter().map(mean).collect(),
        merge: 0.0,
        model: size as f64,
        image: weight as f64 / count as f64,
    })
}
