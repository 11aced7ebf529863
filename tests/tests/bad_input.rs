//! Bad input gives one clear error each, never a panic, and finished work stays.

use ptq_tests::project::TestProject;
use ptq_tests::ptq::{Session, ptq};

fn manifest(extra: &str) -> String {
    format!(
        "[model.net]\npath = \"model.onnx\"\n[model.net.input.input]\nshape = [1, 1, 28, 28]\ntype_train = \"gray\"\n\
         [model.net.calibration]\ndata = \"calib\"\n{extra}\n[[variant]]\nname = \"v\"\nmodel = \"net\"\nmarch = \"cpu\"\n"
    )
}

fn project(extra: &str) -> TestProject {
    let p = TestProject::new(&manifest(extra));
    p.copy("examples/fashion-classifier/model.onnx", "model.onnx");
    let calib = ptq_tests::workspace_root().join("examples/fashion-classifier/data/calib");
    let name = std::fs::read_dir(calib).expect("data").flatten().map(|e| e.file_name()).min().expect("an image");
    let name = name.to_string_lossy();
    p.copy(&format!("examples/fashion-classifier/data/calib/{name}"), "calib/000.png");
    p
}

fn fails(session: &Session, code: i32, words: &[&str]) {
    assert_eq!(session.code, code, "{}{}", session.stdout, session.stderr);
    for word in words {
        assert!(session.stderr.contains(word), "{word:?} is missing in:\n{}", session.stderr);
    }
    assert!(!session.stderr.contains("panicked"), "{}", session.stderr);
}

#[test]
fn a_truncated_model_is_named() {
    let p = project("");
    let model = std::fs::read(p.file("model.onnx")).expect("model");
    p.write("model.onnx", &model[..model.len() / 2]);
    fails(&ptq(p.path(), &["build"]), 1, &["model.onnx"]);
}

#[test]
fn any_prefix_or_garbage_never_panics() {
    let p = project("");
    let model = std::fs::read(p.file("model.onnx")).expect("model");
    for n in [0, 1, 7, 100, model.len() / 3, model.len() - 1] {
        p.write("model.onnx", &model[..n]);
        fails(&ptq(p.path(), &["build"]), 1, &["error"]);
    }
    p.write("model.onnx", &[0xff; 4096]);
    fails(&ptq(p.path(), &["build"]), 1, &["error"]);
}

#[test]
fn a_missing_model_and_missing_data_are_named_with_their_line() {
    let p = project("");
    std::fs::remove_file(p.file("model.onnx")).expect("removed");
    let s = ptq(p.path(), &["build"]);
    assert!(s.code == 1 || s.code == 2, "{}", s.code);
    fails(&s, s.code, &["model.onnx", "ptq.toml:2"]);
    let p = project("");
    std::fs::remove_dir_all(p.file("calib")).expect("removed");
    let s = ptq(p.path(), &["build"]);
    assert!(s.code == 1 || s.code == 2, "{}", s.code);
    fails(&s, s.code, &["calib", "ptq.toml:7"]);
}

#[test]
fn unknown_keys_are_all_reported_with_line_and_suggestion() {
    let p = project("max_percentil = 0.999");
    let text = std::fs::read_to_string(p.file("ptq.toml")).expect("manifest") + "optimise_level = \"O0\"\n";
    p.write("ptq.toml", text.as_bytes());
    fails(
        &ptq(p.path(), &["build"]),
        2,
        &["max_percentil", "max_percentile", "ptq.toml:8", "optimise_level", "optimize_level", "ptq.toml:13"],
    );
}

#[test]
fn a_wrong_input_name_or_shape_names_the_inputs() {
    let p = project("");
    let text = std::fs::read_to_string(p.file("ptq.toml")).expect("manifest");
    p.write("ptq.toml", text.replace("[model.net.input.input]", "[model.net.input.image]").as_bytes());
    fails(&ptq(p.path(), &["build"]), 1, &["image", "input"]);
    p.write("ptq.toml", text.replace("[1, 1, 28, 28]", "[1, 5, 28, 28]").as_bytes());
    fails(&ptq(p.path(), &["build"]), 1, &["error"]);
}

#[test]
fn a_bad_sample_names_its_file_and_siblings_finish() {
    let p = project("");
    let text = std::fs::read_to_string(p.file("ptq.toml")).expect("manifest")
        + "\n[[variant]]\nname = \"w\"\nmodel = \"net\"\nmarch = \"cpu\"\ncalibration.type = \"skip\"\n";
    p.write("ptq.toml", text.as_bytes());
    p.write("calib/001.png", b"not an image");
    let s = ptq(p.path(), &["build", "--keep-going"]);
    fails(&s, 1, &["001.png"]);
    assert!(p.file("out/w/model.bin").exists(), "the sibling is finished");
    assert!(!p.file("out/v/model.bin").exists());
    std::fs::remove_file(p.file("calib/001.png")).expect("removed");
    assert_eq!(ptq(p.path(), &["build"]).code, 0);
}

#[test]
fn a_corrupt_bin_is_refused() {
    let p = project("");
    assert_eq!(ptq(p.path(), &["build"]).code, 0);
    let mut bin = std::fs::read(p.file("out/v/model.bin")).expect("bin");
    let middle = bin.len() / 2;
    bin[middle] ^= 0x40;
    p.write("bad.bin", &bin);
    fails(&ptq(p.path(), &["info", "bad.bin"]), 1, &["bad.bin"]);
}

#[test]
fn every_calibration_file_that_does_not_fit_is_named_at_once_with_what_to_do() {
    let p = TestProject::new(&manifest(""));
    p.copy("examples/fashion-classifier/model.onnx", "model.onnx");
    let npy = |shape: &[usize]| {
        let zeros = ptq_ir::Tensor::zeros(ptq_ir::DType::F32, shape);
        ptq_sample::write_npy(&zeros).expect("npy")
    };
    // Bad files in three shards of sixteen.
    for i in 0..40 {
        p.write(&format!("calib/{i:02}.npy"), &npy(&[1, 1, 28, 28]));
    }
    p.write("calib/03.npy", &npy(&[1, 28, 28, 1]));
    p.write("calib/20.npy", &npy(&[1, 1, 28, 27]));
    p.write("calib/39.npy", b"no array");
    let s = ptq(p.path(), &["build"]);
    fails(&s, 1, &["03.npy", "the file is NHWC", "20.npy", "[1, 1, 28, 27]", "39.npy"]);
    assert!(!s.stderr.contains("05.npy"), "{}", s.stderr);
}

#[test]
fn doubtful_calibration_data_is_warned_about_and_listed_in_the_report() {
    let p = TestProject::new(&manifest(""));
    p.copy("examples/fashion-classifier/model.onnx", "model.onnx");
    let image = |k: usize| {
        let values = (0..28 * 28).map(|i| (i % 7 + k) as f32 / 8.0 - 0.5).collect();
        let tensor = ptq_ir::Tensor::from_f32([1, 1, 28, 28], values).expect("an image");
        ptq_sample::write_npy(&tensor).expect("npy")
    };
    (0..2).for_each(|i| p.write(&format!("calib/{i}.npy"), &image(i)));
    let solid = ptq_ir::Tensor::zeros(ptq_ir::DType::F32, [1, 1, 28, 28]);
    p.write("calib/2.npy", &ptq_sample::write_npy(&solid).expect("npy"));
    let s = ptq(p.path(), &["build"]);
    assert_eq!(s.code, 0, "{}", s.stderr);
    let told = format!("{}{}", s.stdout, s.stderr);
    for word in ["DATA01", "3 calibration samples", "DATA03", "2.npy", "DATA04", "-0.5..0.375"] {
        assert!(told.contains(word), "{word} is missing in:\n{told}");
    }
    let report = std::fs::read_to_string(p.file("out/v/report.md")).expect("report");
    assert!(report.contains("## Calibration data") && report.contains("| 2.npy |"), "{report}");
    // What nobody has mended is told again: with nothing to do, with results that are remembered, with another setting.
    let edited = manifest("") + "optimize_level = \"O1\"\n";
    for (what, text) in [("nothing changed", None), ("files gone", None), ("another level", Some(edited))] {
        match &text {
            Some(text) => p.write("ptq.toml", text.as_bytes()),
            None if what == "files gone" => std::fs::remove_dir_all(p.file("out")).expect("removed"),
            None => {}
        }
        let s = ptq(p.path(), &["build"]);
        assert_eq!(s.code, 0, "{what}: {}", s.stderr);
        let told = format!("{}{}", s.stdout, s.stderr);
        assert_eq!(told.matches("DATA03").count(), 1, "{what}:\n{told}");
    }
}

#[test]
fn nodes_that_cannot_be_outputs_or_be_removed_are_named_together() {
    let p = project("");
    let text = manifest("").replace(
        "path = \"model.onnx\"\n",
        "path = \"model.onnx\"\noutput_nodes = [\"nowhere\"]\nremove_node_type = [\"Conv\"]\nremove_node_name = [\"missing\"]\n",
    );
    p.write("ptq.toml", text.as_bytes());
    fails(&ptq(p.path(), &["build"]), 1, &["nowhere", "remove_node_type Conv", "missing", "these can: Quantize"]);
}

#[test]
fn a_fuse_rule_can_be_switched_off_and_a_wrong_name_is_suggested() {
    let p = project("type = \"max\"");
    let with = |rules: &str| {
        manifest("").replace("path = \"model.onnx\"\n", &format!("path = \"model.onnx\"\nfuse.without = [{rules}]\n"))
    };
    p.write("ptq.toml", with("\"FUSE99\"").as_bytes());
    fails(&ptq(p.path(), &["build"]), 2, &["MANIFEST22", "ptq.toml:3", "there is no fuse rule \"FUSE99\""]);
    p.write("ptq.toml", with("\"mark-activatoin\"").as_bytes());
    fails(&ptq(p.path(), &["build"]), 2, &["did you mean mark-activation?"]);
    p.write("ptq.toml", with("\"FUSE14\"").replace("fuse.without", "fuse.with").as_bytes());
    fails(&ptq(p.path(), &["build"]), 2, &["fuse.with: there is no fuse rule on request \"FUSE14\""]);
    let nodes = |rules: &str| {
        p.write("ptq.toml", with(rules).as_bytes());
        let s = ptq(p.path(), &["check", "--variant", "v", "--json"]);
        assert_eq!(s.code, 0, "{}", s.stderr);
        s.stdout.matches("\"absorbed_by\":\"").count()
    };
    assert!(nodes("") > 0, "the example has activations behind its convolutions");
    assert_eq!(nodes("\"FUSE08\""), 0);
}
