//! What quantization costs real models at their own tasks: characters read, text found, angles, classes, kinds of files.
//! Each compiled model against its float model on data that calibration never saw; figures are printed.

#![allow(clippy::print_stdout)] // Figures for the log of a run with --nocapture.

use ptq_engine::Loaded;
use ptq_exec::FloatPlan;
use ptq_ir::Tensor;
use ptq_report::task::{Dictionary, Labels, Overlap, edits, largest};
use ptq_runtime::{Model, RunOptions};
use ptq_tests::goldens::Built;
use ptq_tests::project::TestProject;
use ptq_tests::skip::need;
use ptq_tests::{assets, workspace_root};
use std::path::{Path, PathBuf};

/// Share of a bound that pixels of text have in PP-OCR's post-processing (its `thresh`).
const TEXT_PIXEL: f64 = 0.3;

/// An example with fetched models, built once for all tests; `needs` is a file that shows whether it was fetched.
fn example(name: &str, needs: &str) -> Result<Built, String> {
    if !assets().join(needs).exists() {
        return Err(format!("no {}: cargo run -p ptq-tests --bin fetch", assets().join(needs).display()));
    }
    let manifest = workspace_root().join("examples").join(name).join("ptq.toml");
    let manifest = std::fs::read_to_string(manifest).map_err(|e| e.to_string())?;
    let manifest = manifest.replace("../../assets", &assets().display().to_string());
    Built::open(TestProject::at(&Path::new(env!("CARGO_TARGET_TMPDIR")).join("task").join(name), &manifest))
}

/// Files of a folder of the fetched data in name order, at most `count`.
fn files(folder: &str, count: usize) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(assets().join("data").join(folder)).expect("fetched data");
    let mut all: Vec<PathBuf> = entries.flatten().map(|e| e.path()).collect();
    all.retain(|p| p.extension().is_none_or(|e| e != "tsv"));
    all.sort();
    all.truncate(count);
    all
}

/// First outputs of the float model and of the compiled model for each file.
fn outputs(built: &Built, variant: &str, files: &[PathBuf]) -> Vec<(Tensor, Tensor)> {
    let loaded: Loaded = built.load(variant).expect("built");
    let float = FloatPlan::new(&loaded.original).expect("a plan").with_threads(2);
    let model = Model::load(&loaded.bin).expect("the artifact loads");
    let both = |file: &PathBuf| {
        let input = [built.image(&loaded, file)];
        let truth = float.run(&input, &mut |_, _| {}).expect("runs").swap_remove(0);
        (truth, model.run(&input, &RunOptions { threads: 2 }).expect("runs").swap_remove(0))
    };
    files.iter().map(both).collect()
}

fn class(output: &Tensor) -> usize {
    largest(&output.to_f64s())
}

/// The `labels.tsv` of a folder.
fn labels(folder: &str) -> Labels {
    Labels::parse(&std::fs::read_to_string(assets().join("data").join(folder).join("labels.tsv")).expect("labels"))
}

/// What the labels say of a file.
fn label<'a>(labels: &'a Labels, file: &Path) -> &'a str {
    let name = file.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    &labels.lines(&name).expect("a label")[0]
}

/// The dictionary in the recogniser's metadata.
fn dictionary() -> Dictionary {
    let bytes = std::fs::read(assets().join("models/ch_PP-OCRv4_rec_infer.onnx")).expect("the model");
    Dictionary::parse(&ptq_onnx::metadata(&bytes, "character").expect("a dictionary"))
}

/// Prints a figure and holds it to its limit.
fn at_least(what: &str, figure: f64, limit: f64) {
    println!("{what}: {figure:.4} (at least {limit})");
    assert!(figure >= limit, "{what}: {figure} is below {limit}");
}

#[test]
fn text_is_read_found_and_turned_as_by_the_float_models() {
    let Some(built) = need(example("ocr", "models/ch_PP-OCRv4_rec_infer.onnx")) else { return };
    let (dictionary, truth) = (dictionary(), labels("ocr_lines_eval"));
    let lines = files("ocr_lines_eval", 40);
    for (variant, least) in [("rec-cpu", 0.98), ("rec-bayes", 0.95)] {
        let (mut length, mut float_wrong, mut wrong) = (0, 0, 0);
        for (file, (float, integer)) in lines.iter().zip(outputs(&built, variant, &lines)) {
            let text = label(&truth, file);
            length += text.chars().count();
            float_wrong += edits(&dictionary.read(&float).expect("text"), text);
            wrong += edits(&dictionary.read(&integer).expect("text"), text);
        }
        let share = |wrong: usize| 1.0 - wrong as f64 / length as f64;
        println!("{variant}: the float model reads {:.4} of {length} characters", share(float_wrong));
        at_least(&format!("{variant}: characters"), share(wrong), least);
    }
    let pages = files("ocr_pages_eval", 4);
    for (variant, least) in [("det-cpu", 0.8), ("det-bayes", 0.8)] {
        let mut overlap = Overlap::default();
        for (float, integer) in outputs(&built, variant, &pages) {
            overlap.add(&float.to_f64s(), &integer.to_f64s(), TEXT_PIXEL);
        }
        at_least(&format!("{variant}: intersection over union of text pixels"), overlap.ratio(), least);
    }
    let (turned, angles) = (files("ocr_angle_eval", 40), labels("ocr_angle_eval"));
    for (variant, least) in [("cls-cpu", 0.95), ("cls-bayes", 0.95)] {
        let found = outputs(&built, variant, &turned);
        let right = |output: &Tensor, file: &Path| (class(output) == 1) == (label(&angles, file) == "180");
        let count = |which: &dyn Fn(&(Tensor, Tensor)) -> bool| {
            found.iter().filter(|f| which(f)).count() as f64 / found.len() as f64
        };
        let integer = turned.iter().zip(&found).filter(|(f, (_, i))| right(i, f)).count() as f64 / turned.len() as f64;
        let agrees = |(f, i): &(Tensor, Tensor)| class(f) == class(i);
        at_least(&format!("{variant}: angles as by the float model"), count(&agrees), least);
        println!("{variant}: right angles {integer:.4}");
    }
}

#[test]
fn photos_and_files_get_the_float_models_classes() {
    for (folder, needs, data, count, limits) in [
        (
            "efficientnet-lite0",
            "models/efficientnet_lite0.onnx",
            "photos_eval",
            45,
            [("lite0-cpu", 0.85), ("lite0-bayes", 0.85)],
        ),
        ("magika", "models/magika_v3_3.onnx", "files_eval", 40, [("magika-cpu", 0.8), ("magika-bayes", 0.8)]),
    ] {
        let Some(built) = need(example(folder, needs)) else { continue };
        let files = files(data, count);
        for (variant, least) in limits {
            let same = |(f, i): &(Tensor, Tensor)| class(f) == class(i);
            let found = outputs(&built, variant, &files);
            let share = found.iter().filter(|f| same(f)).count() as f64 / files.len() as f64;
            at_least(&format!("{variant}: classes as by the float model"), share, least);
        }
    }
}
