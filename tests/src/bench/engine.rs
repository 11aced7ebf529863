//! What the engine itself costs: sweeps of a model that is one addition, so that hardly anything but overhead is left. The peers
//! run the same graph of actions, where they are installed (`peers.rs`).

use crate::figure::Figure;
use crate::peers;
use ptq_engine::{BuildOptions, NoEvents, Project};
use ptq_onnx::proto;
use ptq_tests::ptq::{program, ran};
use ptq_tests::workspace_root;
use std::path::Path;
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

pub(crate) fn io(path: &Path) -> impl Fn(std::io::Error) -> String + '_ {
    move |e| format!("{}: {e}", path.display())
}

pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), String> {
    std::fs::create_dir_all(path.parent().unwrap_or(Path::new("."))).map_err(io(path))?;
    std::fs::write(path, bytes).map_err(io(path))
}

/// Milliseconds of a program in a folder; it must succeed.
pub(crate) fn timed(dir: &Path, name: &Path, args: &[&str]) -> Result<f64, String> {
    let start = Instant::now();
    let output = Command::new(name).args(args).current_dir(dir).stdin(Stdio::null()).output();
    let output = output.map_err(io(name))?;
    let took = start.elapsed().as_secs_f64();
    if output.status.success() { Ok(took) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

pub(crate) fn best(repeats: usize, mut once: impl FnMut() -> Result<f64, String>) -> Result<f64, String> {
    (0..repeats).try_fold(f64::INFINITY, |least, _| Ok(least.min(once()?)))
}

/// `y = x + w` on four numbers.
pub(crate) fn model() -> Vec<u8> {
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

pub(crate) fn sample(seed: usize) -> Result<Vec<u8>, String> {
    let values = (0..4).map(|i| ((seed * 7 + i * 3) % 101) as f32 / 50.0 - 1.0).collect();
    ptq_sample::write_npy(&ptq_ir::Tensor::from_f32([1, 4], values).map_err(|e| e.to_string())?)
}

pub(crate) fn manifest(count: usize, level: &str) -> String {
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
    // Each edit asks for a level that was never built; the first shows what runs, the others are timed.
    let mut edit = f64::INFINITY;
    for (i, level) in ["O1", "O2", "O3"].into_iter().enumerate() {
        write(&dir.join("ptq.toml"), manifest(count, level).as_bytes())?;
        if i > 0 {
            edit = edit.min(timed(&dir, ptq, &["build", "-q"])?);
            continue;
        }
        let did = ran(&dir, &["-q"]);
        if did != ["edited:compile"] {
            return Err(format!("one edit ran {did:?}"));
        }
    }
    Figure::time(&format!("null build of {count} variants, same process beside a new one"), inside, null);
    for (peer, (peer_null, peer_edit)) in peers::times(&dir, ptq, count)? {
        Figure::time(&format!("null build of {count} variants, new process, beside {peer}"), null, peer_null);
        Figure::time(&format!("one edit among {count} variants, with its action, beside {peer}"), edit, peer_edit);
    }
    Ok(())
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
