//! A small sweep of the example classifier: two marches, two methods.

use crate::project::TestProject;

const MANIFEST: &str = r#"
[defaults]
optimize_level = "O0"
[model.net]
path = "model.onnx"
calibration.data = "calib"
[model.net.input.input]
shape = [1, 1, 28, 28]
type_train = "gray"
mean = [72.94]
scale = [0.0111086]

[profile.hard]
optimize_level = "O3"

[matrix.sweep]
name = "{model}-{march}-{calibration.type}"
model = "net"
march = ["cpu", "bayes"]
calibration.type = ["max", "kl"]
"#;

/// Paths of the example's calibration images in the workspace, in name order.
///
/// # Panics
/// When the example is not there.
pub fn samples() -> Vec<String> {
    let calib = "examples/fashion-classifier/data/calib";
    let folder = std::fs::read_dir(crate::workspace_root().join(calib)).expect("calibration data");
    let mut names: Vec<String> =
        folder.flatten().map(|e| format!("{calib}/{}", e.file_name().to_string_lossy())).collect();
    names.sort();
    names
}

/// The sweep in a folder of its own, with six images.
pub fn sweep() -> TestProject {
    let p = TestProject::new(MANIFEST);
    p.copy("examples/fashion-classifier/model.onnx", "model.onnx");
    for (i, sample) in samples().iter().take(6).enumerate() {
        p.copy(sample, &format!("calib/{i:03}.png"));
    }
    p
}

/// Replaces a text of a project's manifest once.
///
/// # Panics
/// When the manifest does not hold it.
pub fn edit(p: &TestProject, from: &str, to: &str) {
    let text = std::fs::read_to_string(p.file("ptq.toml")).expect("manifest");
    assert!(text.contains(from), "{from}");
    p.write("ptq.toml", text.replacen(from, to, 1).as_bytes());
}
