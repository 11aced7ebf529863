//! Accuracy beside other tools, written to `docs/accuracy.md`: `cargo run --release -p ptq-tests --bin accuracy -- [--only NAME,NAME] [--tools
//! TOOL=PYTHON,...] [--score]`.
//!
//! For each model `tests/oracle/accuracy.py` makes samples and runs the tools, each with the Python that has it (ONNX Runtime with the one of
//! the oracle; `--tools nncf=PATH,inc=PATH` names those of other tools). Ours are the searches `default`, `mix` and `auto` on march `cpu`, and
//! `default` and `auto` on `bayes`, on the same samples. All files are scored by ONNX Runtime on samples that nobody calibrated with. Files that are
//! there already are not made again; `--score` only scores.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use ptq_tests::{assets, oracle, ptq, workspace_root};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

const SUBJECTS: [(&str, &str); 8] = [
    ("lite0", "EfficientNet-Lite0, labelled photos"),
    ("fashion", "Fashion-MNIST classifier"),
    ("rec", "PP-OCRv4 recognition, lines of text"),
    ("det", "PP-OCRv4 detection, pages"),
    ("cls", "PP-OCR angle classifier"),
    ("pnet", "MTCNN P-Net"),
    ("onet", "MTCNN O-Net"),
    ("magika", "Magika 3.3, files"),
];
/// Tools of the script by the name that `--tools` gives a Python for.
const TOOLS: [(&str, &str); 6] = [
    ("ort-minmax", "ort"),
    ("ort-percentile", "ort"),
    ("ort-minmax-symmetric", "ort"),
    ("nncf", "nncf"),
    ("nncf-mixed", "nncf"),
    ("inc", "inc"),
];
/// Our variants: march, search.
const OURS: [(&str, &str); 5] =
    [("cpu", "default"), ("cpu", "mix"), ("cpu", "auto"), ("bayes", "default"), ("bayes", "auto")];
/// Tools with symmetric activations, which the march `bayes` is compared with.
const SYMMETRIC: [&str; 1] = ["ort-minmax-symmetric"];

fn main() -> ExitCode {
    match run(&std::env::args().skip(1).collect::<Vec<_>>()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("accuracy: {why}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &[String]) -> Result<(), String> {
    let mut only = Vec::new();
    let mut pythons = BTreeMap::from([("ort".to_owned(), oracle::python()?)]);
    let mut make = true;
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("{arg} lacks a value"));
        match arg.as_str() {
            "--score" => make = false,
            "--only" => only = value()?.split(',').map(str::to_owned).collect(),
            "--tools" => {
                for pair in value()?.split(',') {
                    let (tool, path) = pair.split_once('=').ok_or_else(|| format!("--tools {pair}: TOOL=PYTHON"))?;
                    pythons.insert(tool.to_owned(), PathBuf::from(path));
                }
            }
            other => {
                return Err(format!(
                    "unknown option {other}; usage: accuracy [--only NAME,...] [--tools TOOL=PYTHON,...] [--score]"
                ));
            }
        }
    }
    let mut tables = Vec::new();
    for (name, title) in SUBJECTS.iter().filter(|(n, _)| only.is_empty() || only.iter().any(|o| o == n)) {
        let folder = workspace_root().join("target/accuracy").join(name);
        let made = folder.join("made.json");
        if !made.exists() {
            let (assets, out) = (assets().display().to_string(), folder.display().to_string());
            let args = ["samples", "--assets", assets.as_str(), "--subject", name, "--out", out.as_str()];
            let line = script(&pythons["ort"], &args)?;
            std::fs::write(&made, line).map_err(|e| e.to_string())?;
        }
        let facts: Value = json(&std::fs::read_to_string(&made).map_err(|e| e.to_string())?)?;
        if make {
            peers(&folder, &pythons)?;
            ours(&folder, &facts)?;
        }
        let found = scored(&folder, &pythons["ort"])?;
        let text = table(title, &facts, &found);
        println!("{text}");
        tables.push((*name, text));
    }
    write(&tables)
}

fn script(python: &Path, args: &[&str]) -> Result<String, String> {
    let mut command = Command::new(python);
    command.arg(workspace_root().join("tests/oracle/accuracy.py")).args(args).env("OMP_NUM_THREADS", "1");
    let output = command.output().map_err(|e| format!("{}: {e}", python.display()))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let last = |text: &str| text.trim().lines().last().unwrap_or_default().to_owned();
    match output.status.success() {
        true => Ok(last(&text)),
        false => Err(format!("accuracy.py {}: {}", args.join(" "), last(&String::from_utf8_lossy(&output.stderr)))),
    }
}

fn json(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|e| format!("{e}: {text:?}"))
}

/// Runs the tools whose Python is known; one that fails leaves its message.
fn peers(folder: &Path, pythons: &BTreeMap<String, PathBuf>) -> Result<(), String> {
    let to = folder.join("peers");
    std::fs::create_dir_all(&to).map_err(|e| e.to_string())?;
    for (tool, of) in TOOLS {
        let (out, failed) = (to.join(format!("{tool}.onnx")), to.join(format!("{tool}.failed")));
        let Some(python) = pythons.get(of).filter(|_| !out.exists() && !failed.exists()) else { continue };
        let (work, out) = (folder.display().to_string(), out.display().to_string());
        match script(python, &["quantize", "--tool", tool, "--work", work.as_str(), "--out", out.as_str()]) {
            Ok(line) => println!("{line}"),
            Err(why) => std::fs::write(&failed, why).map_err(|e| e.to_string())?,
        }
    }
    Ok(())
}

/// Builds our variants.
fn ours(folder: &Path, facts: &Value) -> Result<(), String> {
    let model = facts["model"].as_str().ok_or("no model")?;
    let bytes = std::fs::read(model).map_err(|e| format!("{model}: {e}"))?;
    let (inputs, _) = ptq_onnx::file_ports(&bytes).map_err(|d| d.to_string())?;
    let input = inputs.first().map(|p| p.name.clone()).ok_or("the model has no input")?;
    std::fs::write(folder.join("source.onnx"), bytes).map_err(|e| e.to_string())?;
    let mut text = format!(
        "[project]\nout = \"ours\"\n[cache]\ndir = \".ptq\"\n[model.m]\npath = \"source.onnx\"\nartifacts = [\"quantized.onnx\"]\n\
         [model.m.input.{input:?}]\nshape = {}\n[model.m.calibration]\ndata = \"calib\"\n",
        facts["shape"]
    );
    for (march, search) in OURS {
        let _ = write!(
            text,
            "[[variant]]\nname = \"{march}-{search}\"\nmodel = \"m\"\nmarch = \"{march}\"\ncalibration.type = \"{search}\"\n"
        );
    }
    std::fs::write(folder.join("ptq.toml"), text).map_err(|e| e.to_string())?;
    let built = ptq::ptq(folder, &["build", "--keep-going", "-q"]);
    if built.code == 0 { Ok(()) } else { Err(format!("{}: {}", folder.display(), built.stderr)) }
}

/// Scores of everything that is there, by name; ours begin with their march.
fn scored(folder: &Path, python: &Path) -> Result<Value, String> {
    let mut models = Vec::new();
    for (tool, _) in TOOLS {
        models.push((tool.to_owned(), folder.join("peers").join(format!("{tool}.onnx"))));
    }
    for (march, search) in OURS {
        let name = format!("{march}-{search}");
        models.push((name.clone(), folder.join("ours").join(name).join("quantized.onnx")));
    }
    models.retain(|(_, path)| path.exists());
    let named: Vec<String> = models.iter().map(|(name, path)| format!("{name}={}", path.display())).collect();
    let work = folder.display().to_string();
    let mut args = vec!["score", "--work", work.as_str()];
    named.iter().for_each(|m| args.extend(["--model", m.as_str()]));
    let mut found = json(&script(python, &args)?)?;
    for (tool, _) in TOOLS {
        if let Ok(why) = std::fs::read_to_string(folder.join("peers").join(format!("{tool}.failed"))) {
            found[tool] = serde_json::json!({ "error": format!("fails: {}", why.trim()) });
        }
    }
    Ok(found)
}

/// One model's table in Markdown.
fn table(title: &str, facts: &Value, found: &Value) -> String {
    let empty = serde_json::Map::new();
    let tasks = |v: &Value| v["task"].as_object().unwrap_or(&empty).clone();
    let figures: Vec<String> = tasks(&found["float"]).keys().cloned().collect();
    let mut out = format!(
        "## {title}\n\n{} calibration samples, {} evaluation samples.\n\n| | 1 - cosine | least cosine |{}\n| --- | --- | --- |{}\n",
        facts["calib"],
        facts["eval"],
        figures.iter().map(|f| format!(" {f} |")).collect::<String>(),
        " --- |".repeat(figures.len())
    );
    let names = std::iter::once("float".to_owned())
        .chain(TOOLS.iter().map(|(t, _)| (*t).to_owned()))
        .chain(OURS.iter().map(|(m, s)| format!("{m}-{s}")));
    for name in names {
        let row = &found[&name];
        let cells = match (row.is_object(), row["error"].as_str()) {
            (false, _) => continue,
            (true, Some(why)) => {
                let _ =
                    writeln!(out, "| {} | {} |{}", shown(&name), why.replace('|', "/"), " |".repeat(1 + figures.len()));
                continue;
            }
            (true, None) => tasks(row),
        };
        let number = |v: &Value| v.as_f64().map_or_else(|| "-".to_owned(), |x| format!("{x:.4}"));
        let loss = row["cosine"].as_f64().map_or_else(|| "-".to_owned(), |c| format!("{:.2e}", 1.0 - c));
        let task: String = figures.iter().map(|f| format!(" {} |", number(&cells[f]))).collect();
        let _ = writeln!(out, "| {} | {loss} | {} |{task}", shown(&name), number(&row["least"]));
    }
    out.push_str(&verdict(found));
    out
}

fn shown(name: &str) -> String {
    match name.split_once('-') {
        Some(("cpu" | "bayes", search)) => {
            format!("**ptq {search}**, march {}", &name[..name.len() - search.len() - 1])
        }
        _ => name.to_owned(),
    }
}

/// What `auto` loses beside the best other tool.
fn verdict(found: &Value) -> String {
    let loss = |name: &str| found[name]["cosine"].as_f64().map(|c| 1.0 - c);
    let best = |keep: &dyn Fn(&str) -> bool| {
        let all = TOOLS.iter().map(|(t, _)| *t).filter(|t| keep(t)).filter_map(|t| Some((t, loss(t)?)));
        all.min_by(|a, b| a.1.total_cmp(&b.1))
    };
    let mut out = String::from("\n");
    for (march, symmetric) in [("cpu", false), ("bayes", true)] {
        let peer = best(&|t| !symmetric || SYMMETRIC.contains(&t));
        if let (Some((tool, peer)), Some(own)) = (peer, loss(&format!("{march}-auto"))) {
            let _ = writeln!(out, "March {march}: `auto` loses {:.2} times what {tool} loses.", own / peer);
        }
    }
    out
}

/// The page, with the tables of models that were not measured now kept.
fn write(tables: &[(&str, String)]) -> Result<(), String> {
    let path = workspace_root().join("docs/accuracy.md");
    let old = std::fs::read_to_string(&path).unwrap_or_default();
    let mut out = String::from(HEAD);
    for (name, title) in SUBJECTS {
        let new = tables.iter().find(|(n, _)| *n == name).map(|(_, t)| t.clone());
        let kept = || {
            let from = old.find(&format!("## {title}\n"))?;
            let end = old[from + 3..].find("\n## ").map_or(old.len(), |e| from + 3 + e + 1);
            Some(old[from..end].to_owned())
        };
        if let Some(text) = new.or_else(kept) {
            let _ = write!(out, "\n{}\n", text.trim_end());
        }
    }
    std::fs::write(&path, out).map_err(|e| format!("{}: {e}", path.display()))
}

const HEAD: &str = "# Accuracy beside other tools\n\n\
Made by `cargo run --release -p ptq-tests --bin accuracy -- --tools nncf=PYTHON,inc=PYTHON`, where each PYTHON has that tool installed (`nncf` with \
`onnx` and `onnxruntime`; `neural-compressor==2.6` with `onnxruntime==1.18.1`); ONNX Runtime is that of `tests/oracle/requirements.txt`.\n\n\
Every tool calibrates on the same samples, at its own defaults where the name says nothing else, int8 only, and is scored on other samples. Scores are \
of the files with every operator computed in float by itself, so they compare scales and weights, not kernels. `1 - cosine`: mean over samples of the \
least cosine similarity of any output to the float model's. The search `mix`, `default` and `auto` are `ptq`'s; march `bayes` has symmetric \
activations and is compared with the tool that has. A file that ONNX Runtime refuses shows its message.\n\n\
Tools differ in how many activations they round. Ours compute with integers from end to end and round 108 on the angle classifier, 137 on the detector and 113 \
on the recogniser; `nncf-mixed` leaves what lies between a convolution and its activation function in real numbers, and rounds 62, 81 and 68.\n";
