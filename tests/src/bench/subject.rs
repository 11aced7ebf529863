//! Models that are measured: built on march `cpu` from samples of seeded noise, so that only the models are needed.

use crate::peer::Inputs;
use ptq_engine::{BuildOptions, Loaded, NoEvents, Project};
use ptq_ir::Tensor;
use ptq_tests::{assets, workspace_root};
use std::path::{Path, PathBuf};

/// What is known of a model before it is built.
struct Entry {
    name: &'static str,
    /// Below the assets' folder, or the workspace where `own`.
    path: &'static str,
    own: bool,
    input: &'static str,
    shape: [usize; 4],
    /// Keys of the input in the manifest.
    keys: &'static str,
}

const ENTRIES: [Entry; 5] = [
    Entry {
        name: "efficientnet-lite0",
        path: "models/efficientnet_lite0.onnx",
        own: false,
        input: "input",
        shape: [1, 3, 224, 224],
        keys: "type_train = 'rgb'\nmean = 127.0\nscale = 0.0078125",
    },
    Entry {
        name: "ppocr-det",
        path: "models/ch_PP-OCRv4_det_infer.onnx",
        own: false,
        input: "x",
        shape: [1, 3, 640, 640],
        keys: "type_train = 'bgr'\nmean = [123.675, 116.28, 103.53]\nstd = [58.395, 57.12, 57.375]",
    },
    Entry {
        name: "ppocr-rec",
        path: "models/ch_PP-OCRv4_rec_infer.onnx",
        own: false,
        input: "x",
        shape: [1, 3, 48, 320],
        keys: "type_train = 'bgr'\nmean = 127.5\nstd = 127.5",
    },
    Entry {
        name: "fashion-classifier",
        path: "examples/fashion-classifier/model.onnx",
        own: true,
        input: "input",
        shape: [1, 1, 28, 28],
        keys: "type_train = 'gray'\nmean = 72.94\nscale = 0.011108642",
    },
    Entry {
        name: "shape-segmenter",
        path: "examples/shape-segmenter/model.onnx",
        own: true,
        input: "image",
        shape: [1, 3, 64, 64],
        keys: "type_train = 'rgb'\nmean = 127.5\nstd = 127.5",
    },
];

/// Samples that each model is calibrated on; the first is also measured.
const SAMPLES: usize = 2;

/// A built model.
pub(crate) struct Subject {
    /// Name for figures.
    pub(crate) name: &'static str,
    /// Decoded results of the stages.
    pub(crate) loaded: Loaded,
    /// The input of every run.
    pub(crate) input: Tensor,
    /// The same input as a file, by name.
    pub(crate) inputs: Inputs,
    /// All samples as files, by name.
    pub(crate) samples: Vec<Inputs>,
    /// Folder of the variant's files.
    pub(crate) out: PathBuf,
}

/// Names of all models.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    ENTRIES.iter().map(|e| e.name)
}

/// Builds a model below `target/`, where the next run finds it again; `None` when its file has not been fetched.
///
/// # Errors
/// When it does not build.
pub(crate) fn subject(name: &str) -> Result<Option<Subject>, String> {
    let entry = ENTRIES.iter().find(|e| e.name == name).ok_or_else(|| format!("there is no model {name}"))?;
    let path = if entry.own { workspace_root() } else { assets() }.join(entry.path);
    if !path.exists() {
        return Ok(None);
    }
    let folder = workspace_root().join("target/bench").join(entry.name);
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.join(name);
        let parent = path.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(parent)
            .and_then(|()| std::fs::write(&path, bytes))
            .map_err(|e| format!("{}: {e}", path.display()))?;
        Ok::<PathBuf, String>(path)
    };
    let mut samples = Vec::new();
    for seed in 0..SAMPLES {
        let npy = ptq_sample::write_npy(&noise(&entry.shape, seed as u64 + 1)?)?;
        let file = write(&format!("samples/{seed}.npy"), &npy)?;
        samples.push(Inputs::from([(entry.input.to_owned(), file)]));
    }
    let manifest = write("ptq.toml", manifest(entry, &path).as_bytes())?;
    let project = Project::open(&manifest, &[]).map_err(|e| e.to_string())?;
    let report = project.build(&BuildOptions::default(), &NoEvents).map_err(|e| e.to_string())?;
    if let Some(error) = report.variants.iter().flat_map(|v| v.errors()).next() {
        return Err(format!("{name}: {error}"));
    }
    let loaded = project.load(entry.name, &NoEvents).map_err(|e| e.to_string())?;
    let input = noise(&entry.shape, 1)?;
    let out = folder.join("out").join(entry.name);
    Ok(Some(Subject { name: entry.name, loaded, input, inputs: samples[0].clone(), samples, out }))
}

fn manifest(entry: &Entry, path: &Path) -> String {
    let Entry { name, input, shape, keys, .. } = entry;
    let path = path.display();
    format!(
        "[model.m]\npath = '{path}'\n[model.m.input.{input}]\nshape = {shape:?}\n{keys}\n\
         [model.m.calibration]\ndata = 'samples'\n[[variant]]\nname = '{name}'\nmodel = 'm'\nmarch = 'cpu'\n"
    )
}

/// Whole numbers from 0 to 255 (xorshift).
fn noise(shape: &[usize], seed: u64) -> Result<Tensor, String> {
    let mut s = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = || {
        s ^= s << 13;
        s ^= s >> 7;
        s ^= s << 17;
        (s >> 40 & 0xff) as f32
    };
    let n = shape.iter().product();
    Tensor::from_f32(shape, std::iter::repeat_with(next).take(n).collect()).map_err(|e| e.to_string())
}
