//! Models of the structures that people bring (recurrence, attention, volumes, control flow, old operator sets, heads of
//! detectors, already quantized files), made by `tests/oracle/structures.py`: built for both marches, verified, run, and
//! compared with stock ONNX Runtime.

use ptq_tests::oracle;
use ptq_tests::project::TestProject;
use ptq_tests::ptq::ptq;
use ptq_tests::skip::need;
use serde_json::Value;
use std::fmt::Write as _;
use std::process::Command;

/// Largest error of the optimized float graph against the source, relative to its largest output.
const FLOAT_ERROR: f64 = 1e-5;
/// Least cosine of the compiled model against `quantized.onnx` in ONNX Runtime.
const INTEGER_COSINE: f64 = 0.9999;
/// Least cosine of the quantized model against the source.
const END_TO_END: f64 = 0.998;

/// One model of the script's list.
struct Model {
    name: String,
    data: String,
    inputs: Vec<String>,
    quantized: bool,
}

impl Model {
    fn of(entry: &Value) -> Model {
        let text = |key: &str| entry[key].as_str().unwrap_or_default().to_owned();
        let inputs = entry["inputs"].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned);
        Model {
            name: text("name"),
            data: text("data"),
            inputs: inputs.collect(),
            quantized: entry["quantized"] == true,
        }
    }

    /// The model's names in the manifest, with what they set for `quantized`.
    fn settings(&self) -> Vec<(String, Option<&'static str>)> {
        match self.quantized {
            true => ["keep", "requantize"].iter().map(|q| (format!("{}-{q}", self.name), Some(*q))).collect(),
            false => vec![(self.name.clone(), None)],
        }
    }
}

fn manifest(models: &[Model]) -> String {
    let mut out = String::new();
    let mut names = Vec::new();
    for model in models {
        for (name, quantized) in model.settings() {
            let _ = writeln!(out, "[model.{name}]\npath = \"{}.onnx\"", model.name);
            if let Some(word) = quantized {
                let _ = writeln!(out, "quantized = \"{word}\"");
            }
            let data: Vec<String> =
                model.inputs.iter().map(|i| format!("\"{i}\" = \"data/{}/{i}\"", model.data)).collect();
            let _ = writeln!(out, "[model.{name}.calibration]\ndata = {{ {} }}", data.join(", "));
            names.push(format!("\"{name}\""));
        }
    }
    let _ = writeln!(out, "[matrix.all]\nname = \"{{model}}-{{march}}\"\nmodel = [{}]", names.join(", "));
    out + "march = [\"cpu\", \"bayes\"]\n"
}

fn script(command: &str, project: &TestProject) -> Result<String, String> {
    let output = Command::new(oracle::python()?)
        .arg(ptq_tests::workspace_root().join("tests/oracle/structures.py"))
        .arg(command)
        .arg(project.path())
        .output()
        .map_err(|e| e.to_string())?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

#[test]
fn every_structure_is_built_verified_and_agrees_with_onnx_runtime() {
    if need(oracle::python()).is_none() {
        return;
    }
    let project = TestProject::new("");
    script("make", &project).unwrap_or_else(|e| panic!("{e}"));
    let list = std::fs::read(project.file("models.json")).expect("the list of models");
    let list: Value = serde_json::from_slice(&list).expect("JSON");
    let models: Vec<Model> = list.as_array().into_iter().flatten().map(Model::of).collect();
    assert!(models.len() >= 20, "{}", models.len());
    project.write("ptq.toml", manifest(&models).as_bytes());
    let built = ptq(project.path(), &["build", "--keep-going"]);
    assert_eq!(built.code, 0, "{}{}", built.stdout, built.stderr);
    for model in &models {
        for (name, _) in model.settings() {
            for march in ["cpu", "bayes"] {
                verify_and_run(&project, model, &format!("{name}-{march}"));
            }
        }
    }
    let answer = script("check", &project).unwrap_or_else(|e| panic!("{e}"));
    let figures: Value = serde_json::from_str(&answer).expect("JSON");
    let figures = figures.as_object().expect("one entry a variant");
    let expected: usize = models.iter().map(|m| 2 * m.settings().len()).sum();
    assert_eq!(figures.len(), expected);
    let mut wrong = Vec::new();
    for (variant, found) in figures {
        let figure = |what: &str, which: &str| found[what][which].as_f64().unwrap_or(f64::NAN);
        // A quantized source rounds where the float graph made of it does not.
        let float = figure("optimized", "max_error") <= FLOAT_ERROR || is_quantized(&models, variant);
        let integers = figure("quantized", "cosine") >= INTEGER_COSINE;
        let whole = figure("end_to_end", "cosine") >= END_TO_END;
        let kept = found["same_weights"] != false || variant.starts_with("dynamic");
        if !(float && integers && whole && kept) {
            wrong.push(format!("{variant}: {found}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn is_quantized(models: &[Model], variant: &str) -> bool {
    models.iter().any(|m| m.quantized && variant.starts_with(&m.name))
}

fn verify_and_run(project: &TestProject, model: &Model, variant: &str) {
    let verified = ptq(project.path(), &["verify", variant]);
    assert_eq!(verified.code, 0, "{variant}: {}{}", verified.stdout, verified.stderr);
    let bin = format!("out/{variant}/model.bin");
    let out = format!("ran/{variant}");
    let inputs: Vec<String> = model.inputs.iter().map(|i| format!("{i}=data/{}/{i}/0.npy", model.data)).collect();
    let mut args = vec!["run", &bin, "--output", &out];
    args.extend(inputs.iter().flat_map(|i| ["--input", i.as_str()]));
    let run = ptq(project.path(), &args);
    assert_eq!(run.code, 0, "{variant}: {}{}", run.stdout, run.stderr);
}

#[test]
fn a_quantized_file_is_refused_unless_the_manifest_says_what_to_do() {
    if need(oracle::python()).is_none() {
        return;
    }
    let project = TestProject::new("");
    script("make", &project).unwrap_or_else(|e| panic!("{e}"));
    for name in ["qdq-u8s8", "qoperator-u8s8-channel", "dynamic"] {
        let data = "data/squeeze_excite/image";
        let text = format!(
            "[model.m]\npath = \"{name}.onnx\"\n[model.m.calibration]\ndata = \"{data}\"\n[[variant]]\nname = \"v\"\nmodel = \"m\"\n"
        );
        project.write("ptq.toml", text.as_bytes());
        let built = ptq(project.path(), &["build"]);
        assert_eq!(built.code, 1, "{}{}", built.stdout, built.stderr);
        for word in ["already quantized", "requantize", "keep"] {
            assert!(built.stderr.contains(word), "{name}: {word}: {}", built.stderr);
        }
    }
}
