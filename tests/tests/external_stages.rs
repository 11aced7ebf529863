//! Commands of the manifest as stages: exactly what an edit affects runs again, a command sees what it declares and nothing else,
//! and whatever goes wrong with one is said with its place.

use ptq_tests::project::TestProject;
use ptq_tests::ptq::{Session, files, ptq, ptq_with, ran, ran_with};
use ptq_tests::skip::need;
use ptq_tests::sweep::{edit, samples};
use std::os::unix::fs::symlink;
use std::process::Command;

const MANIFEST: &str = r#"
[stage.export]
command = ["sh", "tools/export.sh", "{opset}"]
inputs = ["tools/export.sh", "weights/*.part"]
outputs = ["net.onnx"]
parameters = { opset = 13, seed = 1 }
tools = [["sh", "version.sh"]]
env = ["EXPORT_MODE"]
sandbox = "off"

[model.net]
path = "stage:export/net.onnx"
calibration.data = "calib"
[model.net.input.input]
shape = [1, 1, 28, 28]
type_train = "gray"
mean = [72.94]
scale = [0.0111086]

[matrix.sweep]
name = "{model}-{march}"
model = "net"
march = ["bayes", "cpu"]
"#;

/// The example's model in two parts, which the command puts together again.
fn project() -> TestProject {
    let p = TestProject::new(MANIFEST);
    p.copy("examples/fashion-classifier/model.onnx", "original.onnx");
    let model = std::fs::read(p.file("original.onnx")).expect("model");
    p.write("weights/a.part", &model[..1000]);
    p.write("weights/b.part", &model[1000..]);
    p.write("tools/export.sh", b"cat weights/a.part weights/b.part > net.onnx\n");
    p.write("version.sh", b"echo exporter 1.0\n");
    for (i, sample) in samples().iter().take(2).enumerate() {
        p.copy(sample, &format!("calib/{i}.png"));
    }
    p
}

/// A project whose command is another script.
fn scripted(script: &str, sandbox: &str) -> TestProject {
    let p = project();
    p.write("tools/export.sh", script.as_bytes());
    edit(&p, "sandbox = \"off\"", &format!("sandbox = \"{sandbox}\""));
    p
}

fn refused(p: &TestProject) -> String {
    let session = ptq(p.path(), &["build"]);
    assert_ne!(session.code, 0, "{}", session.stdout);
    session.stderr
}

fn explained(p: &TestProject, what: &str) -> String {
    let Session { code, stdout, stderr } = ptq(p.path(), &["explain", what]);
    assert_eq!(code, 0, "{stderr}");
    stdout
}

const EXPORT: [&str; 1] = ["net-bayes:stage:export"];

#[test]
fn only_an_edit_of_what_a_stage_declares_runs_it_again() {
    let p = project();
    let first = ran(p.path(), &[]);
    assert_eq!(first.iter().filter(|r| r.ends_with("stage:export")).count(), 1, "variants share it: {first:?}");
    assert_eq!(first.iter().filter(|r| r.ends_with(":parse")).count(), 1, "{first:?}");
    let none: [&str; 0] = [];
    assert_eq!(ran(p.path(), &[]), none, "a null build runs nothing");

    p.write("tools/other.sh", b"exit 1\n");
    p.write("weights/notes.txt", b"nothing declared\n");
    std::fs::write(p.file("weights/a.part"), std::fs::read(p.file("weights/a.part")).expect("part")).expect("touched");
    assert_eq!(ran(p.path(), &[]), none, "undeclared and touched files run nothing");

    p.write("tools/export.sh", b"cat weights/a.part weights/b.part > net.onnx # the same\n");
    assert_eq!(ran(p.path(), &[]), EXPORT, "equal results end there");
    let why = explained(&p, "net-bayes:stage:export");
    assert!(why.contains("changed: tools/export.sh") && why.contains("sandbox = \"folder\""), "{why}");

    edit(&p, "seed = 1", "seed = 2");
    let dry = ptq(p.path(), &["build", "--dry-run", "-v"]).stdout;
    assert!(dry.contains("stage.export.parameters.seed 1 → 2 (ptq.toml:6)"), "{dry}");
    assert_eq!(ran(p.path(), &[]), EXPORT, "a parameter");
    assert_eq!(ran(p.path(), &["-D", "stage.export.parameters.seed=3"]), EXPORT, "a parameter of the command line");
    assert_eq!(ran(p.path(), &[]), none, "the first result is remembered");

    p.write("version.sh", b"echo exporter 1.1\n");
    assert_eq!(ran(p.path(), &[]), EXPORT, "a tool's version");
    let differ = ptq(p.path(), &["why-differs", "net-bayes@1", "net-bayes"]).stdout;
    assert!(differ.contains("tools.sh version.sh \"exporter 1.0\" → \"exporter 1.1\""), "{differ}");

    assert_eq!(ran_with(p.path(), &[], &[("EXPORT_MODE", "fast"), ("OTHER", "1")]), EXPORT, "a declared variable");
    assert_eq!(ran_with(p.path(), &[], &[("OTHER", "2")]), none, "no other");

    edit(&p, "sandbox = \"off\"", "sandbox = \"off\"\ntime_limit = 60");
    assert_eq!(ran(p.path(), &[]), none, "a limit changes no result");

    // ModelProto.producer_name is field 2: another model, but not for the stages behind parse.
    let mut other = std::fs::read(p.file("weights/b.part")).expect("part");
    other.extend(b"\x12\x0banother-one");
    p.write("weights/b.part", &other);
    assert_eq!(ran(p.path(), &[]), ["net-bayes:parse", EXPORT[0]]);
}

#[test]
fn a_staged_model_builds_what_the_file_itself_builds() {
    let p = project();
    ran(p.path(), &[]);
    let staged = files(&p.file("out"));
    edit(&p, "path = \"stage:export/net.onnx\"", "path = \"original.onnx\"");
    assert!(ran(p.path(), &[]).is_empty(), "results have no memory of where a model came from");
    assert_eq!(files(&p.file("out")), staged);
    edit(&p, "path = \"original.onnx\"", "path = \"stage:export/net.onnx\"");
    let graph = ptq(p.path(), &["graph", "--format", "dot", "net-cpu"]).stdout;
    assert!(graph.contains("stage:export done") && graph.matches("->").count() == 9, "{graph}");
}

#[test]
fn a_stage_reads_files_of_another_one() {
    let p = project();
    let chained = "[stage.copy]\ncommand = [\"cp\", \"export/net.onnx\", \"models/net.onnx\"]\n\
                   inputs = [\"stage:export/net.onnx\", \"models/\"]\noutputs = [\"models/\"]\nsandbox = \"off\"\n\n[model.net]";
    p.write("models/readme", b"here\n");
    edit(&p, "[model.net]", chained);
    edit(&p, "path = \"stage:export/net.onnx\"", "path = \"stage:copy/models/net.onnx\"");
    let first = ran(p.path(), &["net-cpu"]);
    assert!(first[0] == "net-cpu:calibrate" && first.iter().filter(|r| r.contains("stage:")).count() == 2, "{first:?}");
    p.write("tools/export.sh", b"cat weights/a.part weights/b.part > net.onnx #\n");
    assert_eq!(ran(p.path(), &["net-cpu"]), ["net-cpu:stage:export"], "an equal file ends there");
    edit(&p, "\"weights/*.part\"]", "\"weights/*.part\", \"stage:copy/models/net.onnx\"]");
    let circle = refused(&p);
    assert!(circle.contains("stage copy: reads its own result") && circle.contains("ptq.toml:"), "{circle}");
}

#[test]
fn a_command_has_a_folder_with_its_inputs_and_declared_variables_alone() {
    let script = "cat weights/a.part weights/b.part > net.onnx\n(find . -type f | sort; cat parameters.json; env | sort) > seen.txt\n";
    let p = scripted(script, "off");
    edit(&p, "outputs = [\"net.onnx\"]", "outputs = [\"*.onnx\", \"seen.txt\"]");
    edit(
        &p,
        "path = \"stage:export/net.onnx\"",
        "path = \"stage:export/net.onnx\"\neval.labels = \"stage:export/seen.txt\"",
    );
    edit(&p, "eval.labels", "eval.data = \"calib\"\neval.command = [\"sh\", \"show.sh\"]\neval.labels");
    p.write("show.sh", b"cp $2 ${0%show.sh}shown.txt; echo 1\n");
    let session = ptq_with(p.path(), &["eval", "net-cpu"], &[("EXPORT_MODE", "fast"), ("SECRET", "1")]);
    assert_eq!(session.code, 0, "{}", session.stderr);
    let seen = std::fs::read_to_string(p.file("shown.txt")).expect("labels reached the program");
    let listed: Vec<&str> = seen.lines().filter(|l| l.starts_with("./")).collect();
    let given =
        ["./net.onnx", "./parameters.json", "./seen.txt", "./tools/export.sh", "./weights/a.part", "./weights/b.part"];
    assert_eq!(listed, given, "{seen}");
    assert!(seen.contains("{\"opset\":13,\"seed\":1}") && seen.contains("EXPORT_MODE=fast"), "{seen}");
    assert!(!seen.contains("SECRET") && !seen.contains("CARGO"), "{seen}");
    let left = std::fs::read_dir(p.file(".ptq/tmp")).map_or(0, Iterator::count);
    assert_eq!(left, 0, "no folder is left behind");
}

#[test]
fn in_the_sandbox_nothing_else_is_visible_and_nothing_outside_can_be_written() {
    let works = Command::new("bwrap").args(["--unshare-all", "--ro-bind", "/", "/", "--", "true"]).output();
    let works = works.ok().filter(|o| o.status.success()).ok_or_else(|| "a bubblewrap that works".to_owned());
    if need(works).is_none() {
        return;
    }
    let outside = tempfile::tempdir().expect("a folder");
    let there = outside.path().join("written");
    let script = |then: &str| {
        format!(
            "cat weights/a.part weights/b.part > net.onnx\n[ \"$PWD\" = /stage ] || exit 7\n\
             [ -e {project} ] && exit 8\n[ -e {outside} ] && exit 9\necho x > {outside} 2>/dev/null\n\
             echo x > /usr/written 2>/dev/null && exit 10\ngrep -v lo: /proc/net/dev | grep -q : && exit 11\n{then}\n",
            project = "PROJECT",
            outside = there.display(),
        )
    };
    let p = project();
    let text = script("true").replace("PROJECT", &p.path().display().to_string());
    p.write("tools/export.sh", text.as_bytes());
    edit(&p, "sandbox = \"off\"", "sandbox = \"required\"");
    let first = ran(p.path(), &["net-cpu"]);
    assert!(first.contains(&"net-cpu:stage:export".to_owned()), "{first:?}");
    assert!(!there.exists());
    let why = explained(&p, "net-cpu:stage:export");
    assert!(why.contains("sandbox = \"bubblewrap\""), "the level reached is in the recipe: {why}");
    edit(&p, "sandbox = \"required\"", "sandbox = \"best-effort\"");
    assert!(ran(p.path(), &["net-cpu"]).is_empty(), "the same level");
    edit(&p, "sandbox = \"best-effort\"", "sandbox = \"off\"");
    assert!(refused(&p).contains("exit status: 7"), "without it the command runs elsewhere");
}

#[test]
fn a_sandbox_that_is_not_there_is_an_error_only_where_it_is_required() {
    let p = scripted("cat weights/a.part weights/b.part > net.onnx\n", "required");
    let bin = tempfile::tempdir().expect("a folder");
    for program in ["sh", "cat"] {
        let real =
            ["/usr/bin", "/bin"].iter().map(|d| format!("{d}/{program}")).find(|p| std::path::Path::new(p).exists());
        symlink(real.expect("a system program"), bin.path().join(program)).expect("a link");
    }
    let env = [("PATH", bin.path().to_str().expect("a path"))];
    let lacking = ptq_with(p.path(), &["build"], &env);
    assert_eq!(lacking.code, 1, "{}", lacking.stdout);
    for said in ["stage export: sandbox = \"required\", but bwrap does not start", "ptq.toml:9", "install bubblewrap"] {
        assert!(lacking.stderr.contains(said), "{said}: {}", lacking.stderr);
    }
    edit(&p, "sandbox = \"required\"", "sandbox = \"best-effort\"");
    assert!(ran_with(p.path(), &["net-cpu"], &env).contains(&"net-cpu:stage:export".to_owned()));
    assert!(explained(&p, "net-cpu:stage:export").contains("sandbox = \"folder\""));
}

#[test]
fn what_a_command_does_wrong_is_said_with_place_and_complaint() {
    let p = scripted("for i in 1 2 3 4 5 6 7 8 9 10 11 12 13; do echo line $i >&2; done; exit 3\n", "off");
    let failed = refused(&p);
    for said in
        ["stage export: \"sh tools/export.sh 13\" ended with exit status: 3", "line 13", "ptq.toml:2", "STAGE04"]
    {
        assert!(failed.contains(said), "{said}: {failed}");
    }
    assert!(!failed.contains("line 1\n"), "the last lines alone: {failed}");
    let with = |script: &str, said: &str| {
        p.write("tools/export.sh", script.as_bytes());
        let stderr = refused(&p);
        assert!(stderr.contains(said), "{script}: {stderr}");
    };
    with("true\n", "it made no net.onnx; its folder holds parameters.json, tools/export.sh");
    with("ln -s weights/a.part net.onnx\n", "its output net.onnx is a link");
    with("mkdir real; echo > real/net.onnx; ln -s real link; ln -s ../.. up\n", "it made no net.onnx");
    with("mkfifo net.onnx\n", "is a link or a special file");
    edit(&p, "sandbox = \"off\"", "sandbox = \"off\"\ntime_limit = 1\nmax_output = \"1 MiB\"");
    with("sleep 60\n", "took longer than 1 s");
    with("head -c 2000000 /dev/zero > net.onnx\n", "more than max_output 1048576");
    with("cat ../../../original.onnx > net.onnx; exit 4\n", "exit status: 4");
}

#[test]
fn what_a_manifest_says_wrong_of_stages_is_said_at_once() {
    let p = project();
    edit(&p, "outputs = [\"net.onnx\"]", "outputs = [\"../net.onnx\"]\nsandbx = \"off\"");
    edit(&p, "\"tools/export.sh\", \"weights", "\"/etc/passwd\", \"stage:exprt/x\", \"weights");
    edit(&p, "tools = [[\"sh\", \"version.sh\"]]", "tools = [\"sh\"]");
    let wrong = refused(&p);
    for said in [
        "output \"../net.onnx\" leads out of its folder",
        "did you mean sandbox?",
        "input \"/etc/passwd\" does not lie below",
        "there is no [stage.exprt]\n",
        "did you mean export?",
        "must be a list of commands",
        "stage export does not declare net.onnx",
    ] {
        assert!(wrong.contains(said), "{said}: {wrong}");
    }
    let p = project();
    edit(&p, "weights/*.part", "weights/*.prt");
    assert!(refused(&p).contains("stage export: there is no input weights/*.prt"));
    edit(&p, "weights/*.prt", "weights/*.part");
    p.write("version.sh", b"exit 1\n");
    assert!(refused(&p).contains("the tool \"sh version.sh\" ended with exit status: 1"));
}
