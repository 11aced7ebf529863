//! One model file with arrays as calibration samples, built for marches `cpu` and `bayes`. Called by the suite
//! `quantized_input`.

use crate::goldens::Built;
use crate::oracle;
use crate::project::TestProject;
use ptq_engine::{BuildOptions, Event, EventSink, Loaded, Project};
use ptq_ir::Tensor;
use ptq_report::verify::{BinRun, LIMITS, VerifyReport, VerifyStages, verify};
use ptq_runtime::{Model, RunOptions};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// The marches; the variants are named like them.
pub const MARCHES: [&str; 2] = ["cpu", "bayes"];

/// A built model.
pub struct ModelProject {
    /// Its folder and project.
    pub built: Built,
    /// Input names, in the model's order.
    pub inputs: Vec<String>,
    /// What the build noted and warned of, one message a line.
    pub notes: Vec<String>,
    file: PathBuf,
}

/// Keeps notes and warnings.
#[derive(Default)]
struct Notes(Mutex<Vec<String>>);

impl EventSink for Notes {
    fn event(&self, event: Event) {
        if let (Event::Warning { message, variant, .. }, Ok(mut all)) = (event, self.0.lock()) {
            all.push(format!("{variant}: {message}"));
        }
    }
}

impl ModelProject {
    /// Builds the variants of these marches in a temporary folder. `samples` holds each input's name and arrays in the model's shape;
    /// `settings` are lines of the model's table in the manifest.
    ///
    /// # Errors
    /// Every problem of every variant, a line each.
    ///
    /// # Panics
    /// When the temporary folder cannot be written.
    pub fn build(
        model: &Path,
        samples: &[(String, Vec<Tensor>)],
        settings: &str,
        marches: &[&str],
    ) -> Result<ModelProject, String> {
        let mut text =
            String::from("[project]\nout = \"out\"\n[cache]\ndir = \".ptq\"\n[model.m]\npath = \"model.onnx\"\n");
        let _ = writeln!(text, "{settings}");
        for (name, arrays) in samples {
            let shape = arrays.first().map(|t| t.shape().to_vec()).unwrap_or_default();
            let _ = writeln!(text, "[model.m.input.{name:?}]\nshape = {shape:?}");
        }
        text.push_str("[model.m.calibration]\n");
        match samples {
            [(name, _)] => writeln!(text, "data = {:?}", format!("data/{name}")),
            _ => {
                let one = |(name, _): &(String, Vec<Tensor>)| format!("{name:?} = {:?}", format!("data/{name}"));
                writeln!(text, "data = {{ {} }}", samples.iter().map(one).collect::<Vec<_>>().join(", "))
            }
        }
        .map_err(|e| e.to_string())?;
        for march in marches {
            let _ = write!(text, "[[variant]]\nname = {march:?}\nmodel = \"m\"\nmarch = {march:?}\n");
        }
        let folder = TestProject::new(&text);
        folder.write("model.onnx", &std::fs::read(model).map_err(|e| format!("{}: {e}", model.display()))?);
        for (name, arrays) in samples {
            for (i, array) in arrays.iter().enumerate() {
                folder.write(&format!("data/{name}/{i:03}.npy"), &ptq_sample::write_npy(array)?);
            }
        }
        let project = Project::open(&folder.file("ptq.toml"), &[]).map_err(|e| e.to_string())?;
        let notes = Notes::default();
        let report = project.build(&BuildOptions::default(), &notes).map_err(|e| e.to_string())?;
        let errors: Vec<String> = report.variants.iter().flat_map(|v| v.errors()).map(ToString::to_string).collect();
        if !errors.is_empty() {
            return Err(errors.join("\n"));
        }
        let inputs = samples.iter().map(|(n, _)| n.clone()).collect();
        let notes = notes.0.into_inner().unwrap_or_default();
        let file = folder.file("model.onnx");
        Ok(ModelProject { built: Built { folder, project }, inputs, notes, file })
    }

    /// The source model.
    pub fn model(&self) -> &Path {
        &self.file
    }

    /// Stage results of a march.
    ///
    /// # Panics
    /// When they do not load.
    pub fn load(&self, march: &str) -> Loaded {
        self.built.load(march).unwrap_or_else(|e| panic!("{march}: {e}"))
    }

    /// A file of a march's output folder.
    pub fn out(&self, march: &str, name: &str) -> PathBuf {
        self.built.out(march, name)
    }

    /// Outputs of the model file or of an artifact in ONNX Runtime, in the model's order.
    ///
    /// # Errors
    /// What the oracle says.
    pub fn ort(&self, file: &Path, inputs: &[Tensor], mode: &str) -> Result<Vec<Tensor>, String> {
        let named: Vec<(&str, &Tensor)> = self.inputs.iter().map(String::as_str).zip(inputs).collect();
        oracle::run_all(file, &named, mode)
    }
}

/// Outputs of `model.bin`.
///
/// # Panics
/// When it does not load or run.
pub fn run_bin(loaded: &Loaded, inputs: &[Tensor], threads: usize) -> Vec<Tensor> {
    let model = Model::load(&loaded.bin).unwrap_or_else(|e| panic!("model.bin: {e}"));
    model.run(inputs, &RunOptions { threads }).unwrap_or_else(|e| panic!("model.bin: {e}"))
}

/// What `ptq verify` finds on these inputs.
///
/// # Errors
/// When an artifact does not run at all.
pub fn verified(loaded: &Loaded, inputs: &[Tensor], threads: usize) -> Result<VerifyReport, String> {
    let model = Model::load(&loaded.bin).map_err(|e| format!("model.bin: {e}"))?;
    let stages = VerifyStages {
        original: &loaded.original,
        optimized: &loaded.optimized,
        quant: &loaded.quant,
        integer: &loaded.integer,
        bin: Some(BinRun::of(&model, RunOptions { threads })),
        threads,
    };
    verify(&stages, inputs, &LIMITS).map_err(|e| format!("verify: {e}"))
}

/// Cosine similarity of two tensors.
pub fn cosine(a: &Tensor, b: &Tensor) -> f64 {
    ptq_exec::metrics::cosine(&a.to_f64s(), &b.to_f64s())
}
