//! The ways to a first manifest: `ptq init` for a model, `ptq import` for a Horizon YAML file.

use ptq_tests::project::TestProject;
use ptq_tests::ptq::ptq;

#[test]
fn init_writes_a_manifest_that_builds_as_it_is() {
    for (example, march) in [("fashion-classifier", "cpu"), ("shape-segmenter", "bayes")] {
        let p = TestProject::new("");
        std::fs::remove_file(p.file("ptq.toml")).expect("the empty manifest");
        p.copy(&format!("examples/{example}/model.onnx"), "models/net 1.onnx");
        let made = ptq(p.path(), &["init", "models/net 1.onnx", "--march", march]);
        assert_eq!(made.code, 0, "{}", made.stderr);
        let again = ptq(p.path(), &["init", "models/net 1.onnx"]);
        assert_eq!((again.code, again.stderr.contains("--force")), (2, true), "{}", again.stderr);
        let text = std::fs::read_to_string(p.file("ptq.toml")).expect("the manifest");
        assert!(text.contains("a guess") && text.contains("path = \"models/net 1.onnx\""), "{text}");
        let built = ptq(p.path(), &["build"]);
        assert_eq!(built.code, 0, "{text}\n{}{}", built.stdout, built.stderr);
        assert!(p.file("out/net_1/model.bin").exists());
    }
    let p = TestProject::new("");
    p.write("broken.onnx", b"\x00\xff");
    assert_eq!(ptq(p.path(), &["init", "broken.onnx", "--force"]).code, 1);
}

const YAML: &str = "
model_parameters:
  onnx_model: '../model.onnx'
  march: 'bayes'
  output_model_file_prefix: 'net'
  working_dir: './out'
input_parameters:
  input_name: ''
  input_type_train: 'gray'
  input_layout_train: 'NCHW'
  input_type_rt: 'gray'
  input_shape: '1x1x28x28'
  norm_type: 'data_mean_and_scale'
  mean_value: 72.94
  scale_value: 0.0111086
calibration_parameters:
  cal_data_dir: '../calib'
  calibration_type: 'kl'
compiler_parameters:
  compile_mode: 'latency'
  debug: True
  optimize_level: 'O0'
";

const MANIFEST: &str = "
[model.net]
path = \"model.onnx\"
march = \"bayes\"
optimize_level = \"O0\"
[model.net.input.input]
type_train = \"gray\"
type_rt = \"gray\"
layout_train = \"NCHW\"
norm_type = \"data_mean_and_scale\"
shape = [1, 1, 28, 28]
mean = 72.94
scale = 0.0111086
[model.net.calibration]
data = \"calib\"
type = \"kl\"
[[variant]]
name = \"net\"
model = \"net\"
";

#[test]
fn an_imported_manifest_builds_the_same_bytes_as_one_written_by_hand() {
    let bytes = |p: &TestProject, out: &str| std::fs::read(p.file(out)).expect("built");
    let project = |manifest: &str| {
        let p = TestProject::new(manifest);
        p.copy("examples/fashion-classifier/model.onnx", "model.onnx");
        for i in 0..4 {
            p.copy(&format!("examples/fashion-classifier/data/calib/{i:03}.png"), &format!("calib/{i:03}.png"));
        }
        p
    };
    let by_hand = project(MANIFEST);
    let built = ptq(by_hand.path(), &["build"]);
    assert_eq!(built.code, 0, "{}", built.stderr);
    let imported = project("");
    imported.write("mapper/config.yaml", YAML.as_bytes());
    let made = ptq(imported.path(), &["import", "mapper/config.yaml", "--force"]);
    assert_eq!(made.code, 0, "{}", made.stderr);
    let built = ptq(imported.path(), &["build"]);
    let text = std::fs::read_to_string(imported.file("ptq.toml")).expect("the manifest");
    assert_eq!(built.code, 0, "{text}\n{}", built.stderr);
    assert_eq!(bytes(&imported, "mapper/out/net/model.bin"), bytes(&by_hand, "out/net/model.bin"), "{text}");
}

#[test]
fn a_wrong_yaml_file_is_a_usage_error_with_every_problem() {
    let p = TestProject::new("");
    p.write("config.yaml", YAML.replace("'bayes'", "'bays'").replace("'O0'", "'O7'").as_bytes());
    let made = ptq(p.path(), &["import", "config.yaml", "-o", "new.toml"]);
    assert_eq!(made.code, 2, "{}", made.stdout);
    assert!(made.stderr.contains("config.yaml:4") && made.stderr.contains("O7"), "{}", made.stderr);
    assert!(!p.file("new.toml").exists());
}
