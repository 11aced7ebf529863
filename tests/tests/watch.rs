//! `ptq build --watch` under scripted editors: after every edit the outputs become those of a fresh build.

use ptq_tests::project::TestProject;
use ptq_tests::ptq::{files, program, ptq};
use ptq_tests::sweep::samples;
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const MANIFEST: &str = r#"
[model.net]
path = "models/model.onnx"
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
march = "marches/mine.toml"
"#;

/// Longest wait for a result on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);

fn project() -> TestProject {
    let p = TestProject::new(MANIFEST);
    p.copy("examples/fashion-classifier/model.onnx", "models/model.onnx");
    p.copy("rules/march/data/cpu.toml", "marches/mine.toml");
    for (i, sample) in samples().iter().take(4).enumerate() {
        p.copy(sample, &format!("calib/{i:03}.png"));
    }
    p
}

/// A running `ptq build --watch`; ended when dropped.
struct Watching<'p> {
    project: &'p TestProject,
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
}

impl<'p> Watching<'p> {
    fn start(project: &'p TestProject, more: &[&str]) -> Watching<'p> {
        let mut child = Command::new(program())
            .args(["build", "--watch", "--events", "events.jsonl"])
            .args(more)
            .current_dir(project.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("ptq starts");
        let lines = Arc::new(Mutex::new(Vec::new()));
        let streams: [Box<dyn std::io::Read + Send>; 2] =
            [Box::new(child.stdout.take().expect("stdout")), Box::new(child.stderr.take().expect("stderr"))];
        for stream in streams {
            let lines = lines.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    lines.lock().expect("lines").push(line);
                }
            });
        }
        let watching = Watching { project, child, lines };
        watching.wait_for("watching ");
        watching
    }

    fn said(&self) -> Vec<String> {
        self.lines.lock().expect("lines").clone()
    }

    fn wait_for(&self, what: &str) {
        let start = Instant::now();
        while !self.said().iter().any(|l| l.contains(what)) {
            assert!(start.elapsed() < PATIENCE, "no {what:?} in {:#?}", self.said());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn builds(&self) -> usize {
        self.said().iter().filter(|l| l.starts_with("built:")).count()
    }

    /// After an edit: the outputs become those of a fresh build of the same inputs.
    fn becomes_fresh(&self, edit: &str) {
        let wanted = fresh(self.project.path());
        let out = self.project.file("out");
        let start = Instant::now();
        while files(&out) != wanted {
            if start.elapsed() > PATIENCE {
                let now = files(&out);
                let differ: Vec<&String> = wanted.keys().filter(|k| now.get(*k) != wanted.get(*k)).collect();
                panic!("after {edit}: {differ:?} are not those of a fresh build; {:#?}", self.said());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Watching<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The outputs of a build of a copy of a project's inputs.
fn fresh(project: &Path) -> BTreeMap<String, Vec<u8>> {
    let copy = TestProject::new("");
    for name in ["ptq.toml", "rules.toml", "models", "marches", "calib", "elsewhere"] {
        let status =
            Command::new("cp").arg("-rL").arg(project.join(name)).arg(copy.path()).stderr(Stdio::null()).status();
        status.expect("cp starts");
    }
    let session = ptq(copy.path(), &["build"]);
    assert_eq!(session.code, 0, "{}{}", session.stdout, session.stderr);
    files(&copy.file("out"))
}

/// Saves as careful editors do: a new file, renamed over the old one.
fn save(path: &Path, bytes: &[u8]) {
    let tmp = path.with_extension("swp");
    std::fs::write(&tmp, bytes).expect("written");
    std::fs::rename(&tmp, path).expect("renamed");
}

fn edit_manifest(p: &TestProject, from: &str, to: &str) {
    let text = std::fs::read_to_string(p.file("ptq.toml")).expect("manifest");
    assert!(text.contains(from), "{from} in {text}");
    save(&p.file("ptq.toml"), text.replacen(from, to, 1).as_bytes());
}

fn image(p: &TestProject, i: usize, to: &str) -> PathBuf {
    std::fs::copy(ptq_tests::workspace_root().join(&samples()[i]), p.file(to)).expect("copied");
    p.file(to)
}

fn edits(p: &TestProject, w: &Watching<'_>) {
    edit_manifest(p, "optimize_level = \"O0\"", "optimize_level = \"O1\"");
    w.becomes_fresh("an atomic save of the manifest");
    edit_manifest(p, "optimize_level = \"O1\"", "optimize_level = \"O0\"");
    w.becomes_fresh("a second atomic save of the manifest");

    image(p, 7, "calib/001.png");
    w.becomes_fresh("an image written in place");
    image(p, 8, "calib/009.png");
    w.becomes_fresh("an image more");
    std::fs::rename(p.file("calib/009.png"), p.file("calib/0005.png")).expect("renamed");
    w.becomes_fresh("an image renamed to the front");
    std::fs::remove_file(p.file("calib/0005.png")).expect("removed");
    w.becomes_fresh("an image less");

    let march = std::fs::read_to_string(p.file("marches/mine.toml")).expect("march");
    save(
        &p.file("marches/mine.toml"),
        march
            .replacen("[op.Add]\nclass = \"active\"", "[op.Add]\nclass = \"cpu\"", 1)
            .replacen("[op.Conv]\nclass = \"active\"", "[op.Conv]\nclass = \"manual\"", 1)
            .as_bytes(),
    );
    w.becomes_fresh("an edit of the march file");

    let model = std::fs::read(p.file("models/model.onnx")).expect("model");
    save(&p.file("models/model.onnx"), &[model.as_slice(), b"\x12\x0banother-one"].concat());
    w.becomes_fresh("an edit of the model");

    std::fs::remove_dir_all(p.file("calib")).expect("removed");
    w.wait_for("SOURCE03");
    std::fs::create_dir(p.file("calib")).expect("made");
    for i in 0..12 {
        image(p, i, &format!("calib/{i:03}.png"));
    }
    w.becomes_fresh("a folder removed and made anew with a burst of images");

    std::fs::create_dir(p.file("elsewhere")).expect("made");
    for i in 3..6 {
        image(p, i, &format!("elsewhere/{i}.png"));
    }
    std::fs::remove_dir_all(p.file("calib")).expect("removed");
    std::os::unix::fs::symlink(p.file("elsewhere"), p.file("calib")).expect("linked");
    w.becomes_fresh("a link in place of the folder");
    image(p, 9, "elsewhere/9.png");
    w.becomes_fresh("an image behind the link");
}

#[test]
fn every_edit_leads_to_the_outputs_of_a_fresh_build() {
    let p = project();
    let w = Watching::start(&p, &[]);
    w.becomes_fresh("the start");
    edits(&p, &w);
    // Its own outputs, its store and its events file lie inside the watched folder.
    std::thread::sleep(Duration::from_secs(4));
    let builds = w.builds();
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(w.builds(), builds, "its own outputs start no build: {:#?}", w.said());
    let one = w.said();
    assert!(one.iter().any(|l| l.starts_with("a ") && l.contains("cosine") && l.contains("→")), "deltas: {one:#?}");
}

#[test]
fn the_same_edits_are_found_by_looking() {
    let p = project();
    let w = Watching::start(&p, &["--poll", "0.3"]);
    edits(&p, &w);
}

#[test]
fn a_wrong_manifest_is_told_and_waited_for() {
    let p = project();
    let w = Watching::start(&p, &[]);
    edit_manifest(&p, "march = \"bayes\"", "marhc = \"bayes\"");
    w.wait_for("unknown key marhc");
    edit_manifest(&p, "marhc = \"bayes\"", "march = \"cpu\"");
    w.becomes_fresh("a mended manifest");
}

#[test]
fn a_failure_is_tried_once_and_its_repair_is_told() {
    let p = project();
    let good = std::fs::read(p.file("models/model.onnx")).expect("the model");
    let w = Watching::start(&p, &[]);
    let builds = w.builds();
    save(&p.file("models/model.onnx"), b"no model");
    w.wait_for("a  failed");
    // Longer than it takes until a young stamp has to be looked at again.
    std::thread::sleep(Duration::from_secs(5));
    let failures = w.said().iter().filter(|l| l.starts_with("a  failed")).count();
    assert_eq!((w.builds(), failures), (builds + 1, 1), "{:#?}", w.said());
    save(&p.file("models/model.onnx"), &good);
    w.becomes_fresh("a repaired model");
    let start = Instant::now();
    while w.said().iter().filter(|l| l.starts_with("a  cosine")).count() < 2 {
        assert!(start.elapsed() < PATIENCE, "a repair is told: {:#?}", w.said());
        std::thread::sleep(Duration::from_millis(20));
    }
    // A time in the future is no reason to build for ever.
    let later = std::time::SystemTime::now() + Duration::from_secs(3600);
    let file = std::fs::File::options().write(true).open(p.file("calib/000.png")).expect("a sample");
    file.set_modified(later).expect("a later time");
    std::thread::sleep(Duration::from_secs(4));
    let events = || std::fs::read_to_string(p.file("events.jsonl")).map_or(0, |text| text.lines().count());
    let before = events();
    std::thread::sleep(Duration::from_secs(5));
    assert_eq!(events(), before, "nothing is built while nothing changes");
}

#[test]
fn a_file_of_rewrites_is_watched_like_the_manifest() {
    let p = project();
    let rule = |max: u32| {
        format!(
            "[[rewrite]]\nname = \"pool\"\nmatch = [{{ op = \"GlobalAveragePool\", inputs = [\"x\"], outputs = [\"y\"] }}]\nwhere.x.shape = \
             [\"N\", \"C\", \"H\", \"W\"]\ndimensions.H.max = {max}\nreplace = [{{ op = \"AveragePool\", inputs = [\"x\"], outputs = \
             [\"y\"], attributes = {{ kernel_shape = [\"$H\", \"$W\"] }} }}]\n"
        )
    };
    p.write("rules.toml", rule(3).as_bytes());
    edit_manifest(&p, "[[variant]]", "[[rewrite]]\nfile = \"rules.toml\"\n[[variant]]");
    let w = Watching::start(&p, &[]);
    w.becomes_fresh("a build with a rewrite that does not fire");
    save(&p.file("rules.toml"), rule(16).as_bytes());
    w.becomes_fresh("a rewrite that fires now");
    save(&p.file("rules.toml"), b"[[rewrite]]\nnam = 3\n");
    w.wait_for("rules.toml:1");
    save(&p.file("rules.toml"), rule(3).as_bytes());
    w.becomes_fresh("a mended rewrite");
}

#[test]
fn an_edit_ends_a_running_build_and_finished_actions_stay() {
    let p = project();
    for i in 0..60 {
        image(&p, i, &format!("calib/{i:03}.png"));
    }
    let w = Watching::start(&p, &["--jobs", "1"]);
    for round in 0..12 {
        edit_manifest(&p, "mean = [", if round % 2 == 0 { "mean = [1" } else { "mean = [2" });
        std::thread::sleep(Duration::from_millis(60 * round));
    }
    w.becomes_fresh("edits while builds run");
    assert!(!p.file(".ptq/tmp").is_dir() || std::fs::read_dir(p.file(".ptq/tmp")).expect("tmp").next().is_none());
}
