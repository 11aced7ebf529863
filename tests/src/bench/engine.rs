//! What the engine itself costs: sweeps of a model that is one addition, so that hardly anything but overhead is left.
//! The peer is `ninja` on the same graph of actions, where it is installed.

use crate::figure::Figure;
use ptq_engine::{BuildOptions, NoEvents, Project};
use ptq_onnx::proto;
use ptq_tests::ptq::{program, ran};
use ptq_tests::workspace_root;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Sizes of the sweeps.
const SWEEPS: [usize; 2] = [1_000, 10_000];
/// Calibration files of the other part.
const FILES: usize = 10_000;
/// Repeats of a null build; the best counts.
const REPEATS: usize = 7;

pub(crate) fn run() -> Result<(), String> {
    for count in SWEEPS {
        sweep(count)?;
    }
    calibration_files()
}

fn io(path: &Path) -> impl Fn(std::io::Error) -> String + '_ {
    move |e| format!("{}: {e}", path.display())
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), String> {
    std::fs::create_dir_all(path.parent().unwrap_or(Path::new("."))).map_err(io(path))?;
    std::fs::write(path, bytes).map_err(io(path))
}

/// Milliseconds of a program in a folder; it must succeed.
fn timed(dir: &Path, name: &Path, args: &[&str]) -> Result<f64, String> {
    let start = Instant::now();
    let output = Command::new(name).args(args).current_dir(dir).stdin(Stdio::null()).output();
    let output = output.map_err(io(name))?;
    let took = start.elapsed().as_secs_f64();
    if output.status.success() { Ok(took) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

fn best(repeats: usize, mut once: impl FnMut() -> Result<f64, String>) -> Result<f64, String> {
    (0..repeats).try_fold(f64::INFINITY, |least, _| Ok(least.min(once()?)))
}

/// `y = x + w` on four numbers.
fn model() -> Vec<u8> {
    let shape = || proto::TensorShapeProto {
        dim: [1, 4].map(|n| proto::DimensionProto { dim_value: Some(n), ..Default::default() }).to_vec(),
    };
    let value = |name: &str| proto::ValueInfoProto {
        name: Some(name.into()),
        r#type: Some(proto::TypeProto {
            tensor_type: Some(proto::TensorTypeProto { elem_type: Some(1), shape: Some(shape()) }),
            ..Default::default()
        }),
        ..Default::default()
    };
    let weight = proto::TensorProto {
        name: Some("w".into()),
        dims: vec![4],
        data_type: Some(1),
        raw_data: Some([0u8, 0, 128, 63].repeat(4).into()),
        ..Default::default()
    };
    let add = proto::NodeProto {
        op_type: Some("Add".into()),
        input: vec!["x".into(), "w".into()],
        output: vec!["y".into()],
        ..Default::default()
    };
    proto::encode(&proto::ModelProto {
        opset_import: vec![proto::OperatorSetIdProto { domain: None, version: Some(17) }],
        graph: Some(proto::GraphProto {
            node: vec![add],
            initializer: vec![weight],
            input: vec![value("x")],
            output: vec![value("y")],
            ..Default::default()
        }),
        ..Default::default()
    })
}

fn sample(seed: usize) -> Result<Vec<u8>, String> {
    let values = (0..4).map(|i| ((seed * 7 + i * 3) % 101) as f32 / 50.0 - 1.0).collect();
    ptq_sample::write_npy(&ptq_ir::Tensor::from_f32([1, 4], values).map_err(|e| e.to_string())?)
}

fn manifest(count: usize, level: &str) -> String {
    let percentiles: Vec<String> = (0..count / 8).map(|i| format!("{:.5}", 0.9 + i as f64 * 1e-5)).collect();
    format!(
        "[model.m]\npath = \"m.onnx\"\ncalibration.data = \"calib\"\n[[variant]]\nname = \"edited\"\nmodel = \"m\"\n\
         optimize_level = \"{level}\"\n[matrix.s]\n\
         name = \"{{model}}-{{march}}-{{optimize_level}}-{{calibration.max_percentile}}\"\nmodel = \"m\"\n\
         march = [\"cpu\", \"bayes\"]\noptimize_level = [\"O0\", \"O1\", \"O2\", \"O3\"]\n\
         calibration.max_percentile = [{}]\n",
        percentiles.join(", ")
    )
}

fn sweep(count: usize) -> Result<(), String> {
    let dir = workspace_root().join("target/bench").join(format!("engine-{count}"));
    write(&dir.join("m.onnx"), &model())?;
    for i in 0..4 {
        write(&dir.join(format!("calib/{i}.npy")), &sample(i)?)?;
    }
    write(&dir.join("ptq.toml"), manifest(count, "O0").as_bytes())?;
    for made in [".ptq", "out"] {
        let _ = std::fs::remove_dir_all(dir.join(made));
    }
    let ptq = program();
    let first = timed(&dir, ptq, &["build", "-q"])?;
    eprintln!("{count} variants: first build {first:.1} s");
    // Sources that were written a moment ago are not trusted by their stamps alone.
    std::thread::sleep(Duration::from_millis(2200));
    timed(&dir, ptq, &["build", "-q"])?;
    let null = best(REPEATS, || timed(&dir, ptq, &["build", "-q"]))?;
    let project = Project::open(&dir.join("ptq.toml"), &[]).map_err(|e| e.to_string())?;
    let inside = best(REPEATS, || {
        let start = Instant::now();
        let report = project.build(&BuildOptions::default(), &NoEvents).map_err(|e| e.to_string())?;
        if report.work.is_empty() {
            Ok(start.elapsed().as_secs_f64())
        } else {
            Err("a null build ran something".into())
        }
    })?;
    let mut edit = f64::INFINITY;
    let mut levels = ["O1", "O0", "O1", "O0", "O1", "O0"].into_iter().enumerate();
    levels.try_for_each(|(i, level)| {
        write(&dir.join("ptq.toml"), manifest(count, level).as_bytes())?;
        let start = Instant::now();
        let did = ran(&dir, &["-q"]);
        edit = edit.min(start.elapsed().as_secs_f64());
        let once = i > 0 || did == ["edited:compile"] || did.is_empty();
        if once { Ok(()) } else { Err(format!("one edit ran {did:?}")) }
    })?;
    let ninja = ninja(&dir, ptq)?;
    let (peer_null, peer_edit) = ninja.unwrap_or((f64::NAN, f64::NAN));
    Figure::time(&format!("null build of {count} variants, new process"), null, peer_null);
    Figure::time(&format!("null build of {count} variants, same process"), inside, peer_null);
    Figure::time(&format!("one edit among {count} variants, with its action"), edit, peer_edit);
    Ok(())
}

/// Seconds of a null build and of a build after one edit of `ninja` on the same actions, each of which copies a file;
/// `None` where it is not installed.
fn ninja(dir: &Path, ptq: &Path) -> Result<Option<(f64, f64)>, String> {
    let ninja = PathBuf::from("ninja");
    if Command::new(&ninja).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_err() {
        eprintln!("ninja is not installed: no peer");
        return Ok(None);
    }
    let output = Command::new(ptq).args(["graph", "--format", "json"]).current_dir(dir).output().map_err(io(ptq))?;
    let graph: serde_json::Value = serde_json::from_slice(&output.stdout).map_err(|e| e.to_string())?;
    let list = |name: &str| graph[name].as_array().cloned().unwrap_or_default();
    let mut reads: BTreeMap<String, String> = BTreeMap::new();
    for edge in list("edges") {
        if let (Some(from), Some(to)) = (edge[0].as_str(), edge[1].as_str()) {
            let all = reads.entry(to.to_owned()).or_default();
            *all += " ";
            *all += from;
        }
    }
    let peer = dir.join("ninja");
    let _ = std::fs::remove_dir_all(&peer);
    let mut text = String::from("rule make\n  command = cp $param $out\nrule out\n  command = touch $out\n");
    let mut compiles = Vec::new();
    for node in list("nodes") {
        let id = node["id"].as_str().unwrap_or_default();
        let reads = reads.get(id).map_or("", String::as_str);
        write(&peer.join(format!("params/{id}")), id.as_bytes())?;
        let _ = writeln!(text, "build {id}: make params/{id}{reads}\n  param = params/{id}");
        if node["stage"] == "compile" {
            compiles.push(id.to_owned());
            for variant in node["variants"].as_array().into_iter().flatten().filter_map(|v| v.as_str()) {
                let files: String = ptq_engine::FILES.iter().map(|f| format!(" out/{variant}/{f}")).collect();
                let _ = writeln!(text, "build{files}: out {id}");
            }
        }
    }
    write(&peer.join("build.ninja"), text.as_bytes())?;
    timed(&peer, &ninja, &["--quiet"])?;
    let null = best(REPEATS, || timed(&peer, &ninja, &["--quiet"]))?;
    let one = compiles.last().cloned().unwrap_or_default();
    let mut turn = 0;
    let edit = best(3, || {
        turn += 1;
        std::thread::sleep(Duration::from_millis(20));
        write(&peer.join(format!("params/{one}")), format!("{turn}").as_bytes())?;
        timed(&peer, &ninja, &["--quiet"])
    })?;
    Ok(Some((null, edit)))
}

fn calibration_files() -> Result<(), String> {
    let dir = workspace_root().join("target/bench/engine-files");
    let _ = std::fs::remove_dir_all(&dir);
    write(&dir.join("m.onnx"), &model())?;
    for i in 0..FILES {
        write(&dir.join(format!("calib/{i:05}.npy")), &sample(i)?)?;
    }
    let text = "[model.m]\npath = \"m.onnx\"\ncalibration.data = \"calib\"\n[[variant]]\nname = \"v\"\nmodel = \"m\"\n";
    write(&dir.join("ptq.toml"), text.as_bytes())?;
    std::thread::sleep(Duration::from_millis(2200));
    let first = timed(&dir, program(), &["build", "-q"])?;
    let null = best(REPEATS, || timed(&dir, program(), &["build", "-q"]))?;
    write(&dir.join("calib/05000.npy"), &sample(3)?)?;
    let start = Instant::now();
    let did = ran(&dir, &["-q"]);
    let changed = start.elapsed().as_secs_f64();
    let observed = did.iter().filter(|d| d.ends_with(":observe")).count();
    eprintln!("{FILES} calibration files: one changed: {observed} of all shards observed again");
    Figure::time(&format!("null build with {FILES} calibration files, beside the first"), null, first);
    Figure::time("one of them changed, beside the first build", changed, first);
    Ok(())
}
