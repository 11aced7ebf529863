//! After any change exactly the affected work is redone: executions are counted through the event stream.

use ptq_tests::project::TestProject;
use ptq_tests::ptq::{files, ptq, ran};
use ptq_tests::sweep::{edit, samples};
use std::collections::BTreeMap;

const MANIFEST: &str = r#"
[model.net]
path = "model.onnx"
[model.net.input.input]
shape = [1, 1, 28, 28]
type_train = "gray"
mean = [72.94]
scale = [0.0111086]
[model.net.calibration]
data = "calib"

[[variant]]
name = "a"
model = "net"
march = "bayes"
optimize_level = "O0"

[[variant]]
name = "b"
model = "net"
march = "cpu"
optimize_level = "O0"
"#;

fn project() -> TestProject {
    let p = TestProject::new(MANIFEST);
    p.copy("examples/fashion-classifier/model.onnx", "model.onnx");
    for sample in samples().iter().take(6) {
        p.copy(sample, &format!("calib/{}", sample.rsplit('/').next().unwrap_or(sample)));
    }
    p
}

fn stages(ran: &[String]) -> Vec<&str> {
    ran.iter().filter_map(|r| r.split(':').nth(1)).collect()
}

#[test]
fn only_what_an_edit_affects_runs_again() {
    let p = project();
    let first = ran(p.path(), &[]);
    let count = |stage: &str| stages(&first).iter().filter(|s| **s == stage).count();
    assert_eq!((count("parse"), count("fuse")), (1, 1), "variants share work: {first:?}");
    assert_eq!((count("calibrate"), count("partition"), count("compile")), (2, 2, 2), "{first:?}");
    assert_eq!(count("observe"), 1, "marches share observations: {first:?}");

    assert_eq!(ran(p.path(), &[]), Vec::<String>::new(), "a null build runs nothing");

    let model = std::fs::read(p.file("model.onnx")).expect("model");
    std::fs::write(p.file("model.onnx"), &model).expect("touched");
    let text = std::fs::read(p.file("ptq.toml")).expect("manifest");
    std::fs::write(p.file("ptq.toml"), &text).expect("touched");
    assert_eq!(ran(p.path(), &[]), Vec::<String>::new(), "touched files run nothing");

    edit(&p, "[model.net]", "# a comment\n[model.net]");
    assert_eq!(ran(p.path(), &[]), Vec::<String>::new(), "a comment runs nothing");

    edit(&p, "optimize_level = \"O0\"", "optimize_level = \"O2\"");
    assert_eq!(ran(p.path(), &[]), ["a:compile"], "only compile reads optimize_level");

    // ModelProto.producer_name is field 2; a later occurrence replaces an earlier one.
    let mut renamed = model.clone();
    renamed.extend(b"\x12\x0banother-one");
    p.write("model.onnx", &renamed);
    assert_eq!(stages(&ran(p.path(), &[])), ["parse"], "another producer string stops at parse");

    edit(&p, "data = \"calib\"", "data = \"calib\"\ntype = \"kl\"");
    let kl = ran(p.path(), &[]);
    assert!(!stages(&kl).contains(&"observe"), "another method needs no inference: {kl:?}");
    assert!(stages(&kl).contains(&"calibrate"), "{kl:?}");
}

#[test]
fn searches_share_observations_scores_and_the_float_run() {
    let p = project();
    let search = |kind: &str| [format!("-Dcalibration.type={kind}")];
    let of = |ran: &[String], stage: &str| stages(ran).iter().filter(|s| **s == stage).count();
    ran(p.path(), &[]);
    let args = search("default");
    let default = ran(p.path(), &args.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!((of(&default, "observe"), of(&default, "calibrate")), (0, 2), "{default:?}");
    assert_eq!(of(&default, "reference"), 1, "marches share the float run: {default:?}");
    assert!((6..=10).contains(&of(&default, "score")), "three to five candidates a march: {default:?}");
    let args = search("mix");
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let mix = ran(p.path(), &args);
    assert_eq!((of(&mix, "observe"), of(&mix, "reference")), (0, 0), "{mix:?}");
    assert!(of(&mix, "score") <= 2, "only the mixture itself is new: {mix:?}");
    assert_eq!(ran(p.path(), &args), Vec::<String>::new());
    let report = std::fs::read_to_string(p.file("out/a/report.md")).expect("report");
    assert!(report.contains("## Calibration search") && report.contains("max-percentile 0.99995"), "{report}");
}

#[test]
fn corrections_run_no_observation_and_verify() {
    let p = project();
    let of = |ran: &[String], stage: &str| stages(ran).iter().filter(|s| **s == stage).count();
    ran(p.path(), &[]);
    let bias = ran(p.path(), &["a", "-Dcalibration.bias_correction=true"]);
    let groups = of(&bias, "correct");
    assert!((2..=8).contains(&groups) && of(&bias, "moments") == groups, "a layer group at a time: {bias:?}");
    assert_eq!((of(&bias, "observe"), of(&bias, "fuse"), of(&bias, "calibrate")), (0, 0, 1), "{bias:?}");
    let args = ["a", "-Dcalibration.rounding=compensated"];
    let rounded = ran(p.path(), &args);
    let counts = (of(&rounded, "observe"), of(&rounded, "moments"));
    assert_eq!(counts, (0, 2 * groups), "each half of the samples: {rounded:?}");
    assert_eq!(ran(p.path(), &args), Vec::<String>::new());
    let verified = ptq(p.path(), &["verify", "a", "-Dcalibration.rounding=compensated"]);
    assert_eq!(verified.code, 0, "{}{}", verified.stdout, verified.stderr);
    let refused = ptq(p.path(), &["build", "a", "-Dcalibration.type=auto", "-Dcalibration.rounding=compensated"]);
    assert!(refused.code == 2 && refused.stderr.contains("auto, which tries it"), "{}", refused.stderr);
}

/// The scores of a search in `report.md`, by candidate, and the winner.
fn scores(p: &TestProject, variant: &str) -> (BTreeMap<String, f64>, String) {
    let report = std::fs::read_to_string(p.file(&format!("out/{variant}/report.md"))).expect("report");
    let (mut all, mut chosen) = (BTreeMap::new(), String::new());
    for line in report.lines().skip_while(|l| *l != "## Calibration search").take_while(|l| *l != "## Nodes") {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        if let [_, name, score, mark, _] = cells[..]
            && let Ok(score) = score.parse()
        {
            all.insert(name.to_owned(), score);
            if !mark.is_empty() {
                name.clone_into(&mut chosen);
            }
        }
    }
    (all, chosen)
}

#[test]
fn auto_is_never_worse_than_default_and_shares_its_scores() {
    let p = project();
    let of = |ran: &[String], stage: &str| stages(ran).iter().filter(|s| **s == stage).count();
    ran(p.path(), &["-Dcalibration.type=default"]);
    let (default, chosen) = scores(&p, "b");
    let best = default[&chosen];
    let auto = ran(p.path(), &["-Dcalibration.type=auto", "--jobs", "1"]);
    assert_eq!((of(&auto, "observe"), of(&auto, "reference")), (0, 0), "{auto:?}");
    let (all, chosen) = scores(&p, "b");
    assert!(default.iter().all(|(name, score)| all.get(name) == Some(score)), "{default:?} {all:?}");
    assert!(all[&chosen] >= best && all.values().all(|s| *s <= all[&chosen]), "{all:?} {chosen}");
    assert!(all.keys().any(|n| n.ends_with("compensated rounding")), "{all:?}");
    let before = files(&p.file("out"));
    let other = project();
    ran(other.path(), &["-Dcalibration.type=auto", "--jobs", "2"]);
    assert!(files(&other.file("out")) == before, "auto's result depends on jobs or folder");
}

#[test]
fn a_device_edit_runs_no_inference_but_scoring() {
    let p = project();
    let of = |ran: &[String], stage: &str| stages(ran).iter().filter(|s| **s == stage).count();
    let inference = ["reference", "inspect", "observe", "channels"];
    let search = "-Dcalibration.type=default";
    ran(p.path(), &["b", search]);
    // Onto the BPU: the model's tail gets int8 outputs, and scales.
    let asked = ran(p.path(), &["b", search, "-Drun_on_bpu=[\"/10/Gemm\"]"]);
    for stage in inference {
        assert_eq!(of(&asked, stage), 0, "{stage}: {asked:?}");
    }
    assert_eq!(of(&asked, "calibrate"), 1, "{asked:?}");
    // Off the BPU, in front of an activation that every march fuses: one tensor gets a scale that it never had.
    let placed = ran(p.path(), &["b", search, "-Drun_on_cpu=[\"/3/3.0/Conv\"]"]);
    for stage in inference {
        let most = usize::from(stage == "observe");
        assert!(of(&placed, stage) <= most, "{stage}: {placed:?}");
    }
    assert!(of(&placed, "score") >= 3 && of(&placed, "calibrate") == 1, "{placed:?}");
    let back = ran(p.path(), &["b", "-Dcalibration.type=kl"]);
    assert_eq!(of(&back, "observe"), 0, "all of these were observed: {back:?}");
}

#[test]
fn the_order_in_which_samples_come_does_not_show() {
    let (a, b) = (project(), project());
    let calib = ptq_tests::workspace_root().join("examples/fashion-classifier/data/calib");
    let entries = std::fs::read_dir(&calib).expect("calibration data").flatten();
    let mut names: Vec<String> = entries.map(|f| f.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names.truncate(24);
    let copy = |p: &TestProject, name: &String| {
        p.copy(&format!("examples/fashion-classifier/data/calib/{name}"), &format!("calib/{name}"));
    };
    names.iter().for_each(|n| copy(&a, n));
    ran(a.path(), &["-Dcalibration.type=mix", "--jobs", "1"]);
    // The other way round, in two runs, on more threads.
    names.iter().rev().filter(|n| **n != names[3]).for_each(|n| copy(&b, n));
    ran(b.path(), &["--jobs", "2"]);
    copy(&b, &names[3]);
    ran(b.path(), &["-Dcalibration.type=mix", "--jobs", "8"]);
    assert!(
        files(&a.file("out")) == files(&b.file("out")),
        "outputs depend on the order, on threads, or on a split run"
    );
}

#[test]
fn ranges_load_from_a_quantized_file_and_samples_fill_what_it_lacks() {
    let p = project();
    ran(p.path(), &["b"]);
    let before: serde_json::Value =
        serde_json::from_slice(&std::fs::read(p.file("out/b/quant_info.json")).expect("quant_info.json"))
            .expect("JSON");
    p.write("q.onnx", &std::fs::read(p.file("out/b/quantized.onnx")).expect("quantized"));
    let session = ptq(p.path(), &["build", "b", "-Dcalibration.type=load", "-Dcalibration.thresholds=q.onnx"]);
    assert_eq!(session.code, 0, "{}", session.stderr);
    let after: serde_json::Value =
        serde_json::from_slice(&std::fs::read(p.file("out/b/quant_info.json")).expect("quant_info.json"))
            .expect("JSON");
    let scale = |v: &serde_json::Value| v["scale"][0].as_f64().expect("a scale");
    let tensors = before["tensors"].as_object().expect("tensors");
    let mut loaded = 0;
    for (name, t) in tensors.iter().filter(|(_, t)| t["method"] != "image") {
        let now = &after["tensors"][name];
        assert!((scale(now) / scale(t) - 1.0).abs() < 1e-5, "{name}: {t} {now}");
        loaded += usize::from(now["method"] == "load");
    }
    assert!(loaded > 0, "{after}");
}

#[test]
fn ranges_load_from_a_file_without_a_run_of_the_model() {
    let p = project();
    ran(p.path(), &["b"]);
    let before = std::fs::read(p.file("out/b/quantized.onnx")).expect("quantized");
    let info = std::fs::read(p.file("out/b/quant_info.json")).expect("quant_info.json");
    p.write("ranges.json", &info);
    let args = ["b", "-Dcalibration.type=load", "-Dcalibration.thresholds=ranges.json"];
    let loaded = ran(p.path(), &args);
    assert!(!stages(&loaded).iter().any(|s| ["observe", "inspect"].contains(s)), "{loaded:?}");
    assert!(
        std::fs::read(p.file("out/b/quantized.onnx")).expect("quantized") == before,
        "the same ranges and integers"
    );

    let mut ranges: serde_json::Value = serde_json::from_slice(&info).expect("JSON");
    let tensors = ranges["tensors"].as_object_mut().expect("tensors");
    let name = tensors.keys().find(|n| *n != "input").expect("a value").clone();
    tensors[&name] = serde_json::json!(1.5);
    p.write("ranges.json", ranges["tensors"].to_string().as_bytes());
    assert_eq!(stages(&ran(p.path(), &args))[0], "calibrate", "an edit of the file is an edit of calibration");
    assert!(std::fs::read(p.file("out/b/quantized.onnx")).expect("quantized") != before);

    p.write("ranges.json", b"{}");
    let empty = ptq(p.path(), &["build", args[0], args[1], args[2]]);
    assert!(empty.code == 0 && empty.stderr.contains("CALIB17") && empty.stderr.contains(&name), "{}", empty.stderr);
    let missing = ptq(p.path(), &["build", args[0], args[1], "-Dcalibration.thresholds=nowhere.json"]);
    assert!(missing.code == 1 && missing.stderr.contains("nowhere.json"), "{}", missing.stderr);
    let unnamed = ptq(p.path(), &["build", args[0], args[1]]);
    assert!(unnamed.code == 2 && unnamed.stderr.contains("calibration.thresholds"), "{}", unnamed.stderr);
}

#[test]
fn one_more_image_runs_one_shard() {
    let p = project();
    let calib = ptq_tests::workspace_root().join("examples/fashion-classifier/data/calib");
    let names: Vec<_> = std::fs::read_dir(&calib).expect("calibration data").flatten().collect();
    for file in &names {
        let name = file.file_name().to_string_lossy().into_owned();
        p.copy(&format!("examples/fashion-classifier/data/calib/{name}"), &format!("calib/{name}"));
    }
    let first = ran(p.path(), &["b"]);
    let of = |ran: &[String], stage: &str| stages(ran).iter().filter(|s| **s == stage).count();
    assert!(of(&first, "observe") >= 3, "{} images, {first:?}", names.len());
    p.copy("examples/fashion-classifier/data/eval/000.png", "calib/0005.png");
    let more = ran(p.path(), &["b"]);
    assert!((1..=2).contains(&of(&more, "observe")), "{more:?}");
    for kind in ["kl", "mse", "max"] {
        let other = ran(p.path(), &["b", &format!("-Dcalibration.type={kind}")]);
        assert_eq!(of(&other, "observe"), 0, "{other:?}");
    }
}

#[test]
fn outputs_are_restored_and_do_not_depend_on_jobs() {
    let p = project();
    ran(p.path(), &["--jobs", "2"]);
    let before = files(&p.file("out"));
    assert!(before.keys().any(|k| k == "a/model.bin") && before.keys().any(|k| k == "b/quantized.onnx"));
    std::fs::remove_file(p.file("out/a/model.bin")).expect("removed");
    p.write("out/b/report.md", b"edited");
    assert_eq!(ran(p.path(), &[]), Vec::<String>::new(), "restoring runs no stage");
    assert_eq!(files(&p.file("out")), before);

    let other = project();
    ran(other.path(), &["--jobs", "1"]);
    for (name, bytes) in files(&other.file("out")) {
        assert!(before.get(&name) == Some(&bytes), "{name} differs between jobs or folders");
    }
}

#[test]
fn a_dry_run_says_whether_there_is_work() {
    let p = project();
    let before = ptq(p.path(), &["build", "--dry-run", "--exit-code"]);
    assert_eq!(before.code, 3, "{}", before.stderr);
    assert!(!p.file("out").exists(), "a dry run writes nothing");
    ran(p.path(), &[]);
    assert_eq!(ptq(p.path(), &["build", "--dry-run", "--exit-code"]).code, 0);
}

#[test]
fn force_runs_a_stage_again_and_explain_names_the_change() {
    let p = project();
    ran(p.path(), &[]);
    assert!(stages(&ran(p.path(), &["--force", "fuse"])).contains(&"fuse"));
    edit(&p, "optimize_level = \"O0\"", "optimize_level = \"O1\"");
    ran(p.path(), &[]);
    let explained = ptq(p.path(), &["explain", "a"]);
    assert_eq!(explained.code, 0, "{}", explained.stderr);
    for word in ["compile", "optimize_level", "O0", "O1", "ptq.toml:"] {
        assert!(explained.stdout.contains(word), "{word} is missing in:\n{}", explained.stdout);
    }
}

#[test]
fn a_rotten_store_is_made_anew() {
    let p = project();
    ran(p.path(), &[]);
    let before = files(&p.file("out"));
    for folder in std::fs::read_dir(p.file(".ptq/cas")).expect("the store").flatten() {
        for blob in std::fs::read_dir(folder.path()).expect("blobs").flatten() {
            let bytes = std::fs::read(blob.path()).expect("a blob");
            std::fs::remove_file(blob.path()).expect("removed");
            std::fs::write(blob.path(), &bytes[..bytes.len() / 2]).expect("half a blob");
        }
    }
    std::fs::remove_dir_all(p.file("out")).expect("removed");
    ran(p.path(), &[]);
    assert!(files(&p.file("out")) == before, "what was rotten is made anew, with the same bytes");
}

/// One node `y = x + w` whose weight is in the file `data/w.bin`.
fn external_model() -> Vec<u8> {
    use ptq_onnx::proto::{
        DimensionProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, StringStringEntryProto, TensorProto,
        TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto,
    };
    let shape = TensorShapeProto {
        dim: [1, 4].map(|n| DimensionProto { dim_value: Some(n), ..DimensionProto::default() }).to_vec(),
    };
    let value = |name: &str| ValueInfoProto {
        name: Some(name.into()),
        r#type: Some(TypeProto {
            tensor_type: Some(TensorTypeProto { elem_type: Some(1), shape: Some(shape.clone()) }),
            ..TypeProto::default()
        }),
        ..ValueInfoProto::default()
    };
    let weight = TensorProto {
        name: Some("w".into()),
        dims: vec![4],
        data_type: Some(1),
        data_location: Some(1),
        external_data: vec![StringStringEntryProto { key: Some("location".into()), value: Some("data/w.bin".into()) }],
        ..TensorProto::default()
    };
    let add = NodeProto {
        op_type: Some("Add".into()),
        input: vec!["x".into(), "w".into()],
        output: vec!["y".into()],
        ..NodeProto::default()
    };
    let model = ModelProto {
        opset_import: vec![OperatorSetIdProto { domain: None, version: Some(17) }],
        graph: Some(GraphProto {
            node: vec![add],
            initializer: vec![weight],
            input: vec![value("x")],
            output: vec![value("y")],
            ..GraphProto::default()
        }),
        ..ModelProto::default()
    };
    ptq_onnx::proto::encode(&model)
}

#[test]
fn external_data_is_an_input_of_parse() {
    let p = TestProject::new(
        "[model.net]\npath = \"m/model.onnx\"\ncalibration.type = \"skip\"\n[[variant]]\nname = \"a\"\nmodel = \"net\"\n",
    );
    p.write("m/model.onnx", &external_model());
    let missing = ptq(p.path(), &["build"]);
    assert_ne!(missing.code, 0);
    assert!(missing.stderr.contains("external data m/data/w.bin of m/model.onnx is missing"), "{}", missing.stderr);

    p.write("m/data/w.bin", &[0; 16]);
    assert!(stages(&ran(p.path(), &[])).contains(&"parse"));
    assert_eq!(ran(p.path(), &[]), Vec::<String>::new(), "a null build runs nothing");
    p.write("m/data/w.bin", &[0, 0, 128, 63].repeat(4));
    assert!(stages(&ran(p.path(), &[])).contains(&"parse"), "an edit of the data is an edit of the model");

    std::fs::rename(p.file("m/data/w.bin"), p.file("w.bin")).expect("moved");
    std::os::unix::fs::symlink(p.file("w.bin"), p.file("m/data/w.bin")).expect("linked");
    let outside = ptq(p.path(), &["build"]);
    assert_ne!(outside.code, 0);
    assert!(outside.stderr.contains("leads out of the model's folder"), "{}", outside.stderr);
}
