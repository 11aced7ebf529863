//! `ptq pack`: several compiled models in one file, found again by `info`, `run` and `dump`; what cannot be packed or read is
//! refused.

use ptq_tests::project::TestProject;
use ptq_tests::ptq::{Session, ptq};
use serde_json::Value;

const MANIFEST: &str = "
[model.m]
path = \"model.onnx\"
input.input.shape = [1, 1, 28, 28]
calibration.type = \"skip\"
[matrix.all]
name = \"{march}\"
model = [\"m\"]
march = [\"cpu\", \"bayes\"]
";

fn text(session: &Session) -> String {
    format!("{}{}", session.stdout, session.stderr)
}

#[test]
fn models_of_one_file_are_shown_and_run_by_name() {
    let project = TestProject::new(MANIFEST);
    project.copy("examples/fashion-classifier/model.onnx", "model.onnx");
    let input = ptq_ir::Tensor::from_f32([1, 1, 28, 28], (0..784).map(|i| i as f32 / 784.0).collect()).expect("count");
    project.write("x.npy", &ptq_sample::write_npy(&input).expect("an array"));
    let at = project.path();
    let session = ptq(at, &["build"]);
    assert_eq!(session.code, 0, "{}", text(&session));
    let files = ["out/cpu/model.bin", "out/bayes/model.bin"];
    // Models of one name go by their folders'.
    let by_folder = ptq(at, &["pack", files[0], files[1], "-o", "both.bin"]);
    assert_eq!(by_folder.code, 0, "{}", text(&by_folder));
    let listed = ptq(at, &["info", "both.bin"]);
    assert!(listed.code == 0 && listed.stdout.contains("model cpu\n") && listed.stdout.contains("model bayes\n"));
    let same_name = ptq(at, &["pack", files[0], files[0], "-o", "twice.bin"]);
    assert_eq!(same_name.code, 1, "{}", text(&same_name));
    assert!(same_name.stderr.contains("two models have this name") && same_name.stderr.contains("NAME=FILE"));

    let named = files.map(|f| format!("{}={f}", if f.contains("cpu") { "host" } else { "board" }));
    let session = ptq(at, &["pack", &named[0], &named[1], "-o", "both.bin"]);
    assert_eq!(session.code, 0, "{}", text(&session));
    let again = ptq(at, &["pack", "both.bin", files[0], "-o", "three.bin"]);
    assert!(again.code == 1 && again.stderr.contains("cannot be packed again"), "{}", text(&again));

    let ports = |args: &[&str]| {
        let session = ptq(at, &[&["info", "--json"], args].concat());
        assert_eq!(session.code, 0, "{}", text(&session));
        serde_json::from_str::<Value>(&session.stdout).expect("JSON")
    };
    assert_eq!(ports(&["both.bin", "--model", "board"]), ports(&[files[1]]));
    assert_eq!(ports(&["both.bin"])["models"]["board"], ports(&[files[1]]));
    let nobody = ptq(at, &["info", "both.bin", "--model", "nobody"]);
    assert!(nobody.code == 2 && nobody.stderr.contains("one of: host, board"), "{}", text(&nobody));
    for (name, file) in [("host", files[0]), ("board", files[1])] {
        let runs =
            [&["run", "both.bin", "--model", name, "--output", "packed"][..], &["run", file, "--output", "alone"]];
        for args in runs {
            let session = ptq(at, &[args, &["--input", "input=x.npy"]].concat());
            assert_eq!(session.code, 0, "{}", text(&session));
        }
        let read = |dir: &str| {
            let entries = std::fs::read_dir(project.file(dir)).expect("a folder").flatten();
            entries.map(|e| std::fs::read(e.path()).expect("an output")).collect::<Vec<_>>()
        };
        assert_eq!(read("packed"), read("alone"), "{name}");
    }

    let mut bytes = std::fs::read(project.file("both.bin")).expect("packed");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    project.write("damaged.bin", &bytes);
    let session = ptq(at, &["info", "damaged.bin", "--model", "host"]);
    assert!(session.code == 1 && session.stderr.contains("damaged"), "{}", text(&session));
}
