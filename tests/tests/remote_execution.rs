//! Builds whose actions run on the workers of a real server: equal bytes, memory, failures, cancellation, falling back.

use ptq_tests::project::TestProject;
use ptq_tests::ptq::{files, program, ptq, static_program};
use ptq_tests::servers::{Server, buildgrid, casd};
use ptq_tests::skip::need;
use serde_json::Value;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A target each, and a search that asks for actions in several rounds.
const VARIANTS: &str = r#"
[model.net]
path = "net.onnx"
input.input = { shape = [1, 1, 28, 28], type_train = "gray", layout_train = "NCHW", mean = [72.94], scale = [0.011108642] }
calibration.data = "calib"
[[variant]]
name = "cpu"
model = "net"
[[variant]]
name = "bayes"
model = "net"
march = "bayes"
optimize_level = "O2"
[[variant]]
name = "auto"
model = "net"
march = "bayes"
calibration.type = "auto"
"#;

/// A project of its own, with this in front of the variants.
fn project(head: &str) -> TestProject {
    let project = TestProject::new(&format!("{head}\n{VARIANTS}"));
    project.copy("examples/fashion-classifier/model.onnx", "net.onnx");
    project.copy("examples/fashion-classifier/data/calib", "calib");
    project
}

/// `[remote]` with a server and the static program.
fn on(server: &Server, more: &str) -> String {
    let worker = static_program().display();
    format!("[remote]\nurl = \"{}\"\nworker = \"{worker}\"\n{more}", server.url("grpc"))
}

/// Builds and returns the events.
fn build(project: &TestProject, args: &[&str]) -> Vec<Value> {
    let all = [&["build", "-q", "--events", "events.jsonl"], args].concat();
    let session = ptq(project.path(), &all);
    assert_eq!(session.code, 0, "{}{}", session.stdout, session.stderr);
    let text = std::fs::read_to_string(project.file("events.jsonl")).expect("events");
    text.lines().map(|l| serde_json::from_str(l).expect("one object a line")).collect()
}

fn ran(events: &[Value]) -> Vec<&Value> {
    events.iter().filter(|e| e["event"] == "ran").collect()
}

fn remote(events: &[Value]) -> usize {
    ran(events).iter().filter(|e| e["tier"] == "remote-exec").count()
}

#[test]
fn workers_make_the_bytes_that_this_machine_makes_and_the_server_remembers_them() {
    let Some(server) = need(casd::execution()) else { return };
    let here = project("");
    let local = build(&here, &[]);
    let there = project(&on(&server, ""));
    let events = build(&there, &["--remote-exec"]);
    assert_eq!(ran(&events).len(), ran(&local).len(), "the same actions");
    assert_eq!(remote(&events), ran(&events).len(), "all of them there: {events:?}");
    let (a, b) = (files(&here.file("out")), files(&there.file("out")));
    assert!(a.len() >= 3 * 6 && a.keys().eq(b.keys()));
    for (name, bytes) in &a {
        assert!(*bytes == b[name], "{name} differs");
    }
    let timed = |e: &&Value| e["remote"]["ran"].as_f64().is_some_and(|s| s > 0.0) && e["remote"]["steps"] != 0;
    assert!(ran(&events).iter().filter(|e| e["remote"]["remembered"] == 0).all(timed), "{events:?}");
    let steps = |e: &&&Value| e["stage"] == "calibrate" && e["remote"]["steps"].as_u64() >= Some(3);
    assert!(ran(&events).iter().any(|e| steps(&e)), "calibration is map and reduce: {events:?}");
    let said = ptq(there.path(), &["explain", "cpu"]).stdout;
    assert!(said.contains("compile   ran on ") && said.contains(" s, queued "), "{said}");
    // The keys are those of local results.
    let again = ptq(there.path(), &["build", "--dry-run", "--exit-code"]);
    assert_eq!(again.code, 0, "{}", again.stdout);
    // Another machine: nothing is in its store, all is in the server's memory.
    let other = project(&on(&server, ""));
    let events = build(&other, &["--remote-exec"]);
    assert!(ran(&events).iter().all(|e| e["remote"]["remembered"] == e["remote"]["steps"]), "{events:?}");
    assert!(files(&other.file("out")) == a);
}

#[test]
fn a_rule_that_fails_there_says_what_it_says_here() {
    let Some(server) = need(casd::execution()) else { return };
    let (here, there) = (project(""), project(&on(&server, "execute = true\n")));
    here.write("net.onnx", b"not a model");
    there.write("net.onnx", b"not a model");
    let here = ptq(here.path(), &["build", "-q", "cpu"]);
    // Twice: the server remembers failures, and we do not believe it.
    for _ in 0..2 {
        let there = ptq(there.path(), &["build", "-q", "cpu"]);
        assert_eq!((there.code, here.code), (1, 1));
        assert!(here.stderr.contains("ONNX01") && there.stderr == here.stderr, "{} / {}", there.stderr, here.stderr);
    }
}

#[test]
fn inputs_that_the_server_lost_are_brought_again_and_damaged_outputs_are_made_again() {
    let Some(mut server) = need(casd::execution()) else { return };
    let first = project(&on(&server, ""));
    build(&first, &["--remote-exec", "cpu"]);
    let expected = files(&first.file("out"));
    // All blobs gone behind remembered results; then all blobs damaged.
    for damage in [false, true] {
        server.kill();
        let mut touched = 0;
        each_file(&server.folder().join("cache/cas/objects"), &mut |path| {
            touched += 1;
            let length = std::fs::metadata(path).map_or(0, |m| m.len());
            let done =
                if damage { std::fs::write(path, vec![b'x'; length as usize]) } else { std::fs::remove_file(path) };
            done.expect("the server's files are ours");
        });
        assert!(touched > 10, "the server keeps its blobs elsewhere: {touched}");
        server.restart().expect("again");
        let project = project(&on(&server, ""));
        let session = ptq(project.path(), &["build", "-q", "--remote-exec", "cpu"]);
        if damage && session.code != 0 {
            // A server that hands damaged inputs to its workers cannot be worked with; what matters is that it is noticed.
            assert!(session.stderr.contains("REMOTE01"), "{}", session.stderr);
        } else {
            assert_eq!(session.code, 0, "{}", session.stderr);
            assert!(files(&project.file("out")) == expected);
        }
    }
}

fn each_file(folder: &std::path::Path, f: &mut impl FnMut(&std::path::Path)) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() { each_file(&path, f) } else { f(&path) }
    }
}

#[test]
fn without_a_server_a_build_fails_soon_or_runs_here() {
    let port = ptq_tests::servers::free_port().expect("a port");
    let head = |more: &str| format!("[remote]\nurl = \"grpc://127.0.0.1:{port}\"\nworker = \"worker\"\n{more}");
    // The head of a program that needs no loader; nobody runs it.
    let program = [b"\x7fELF\x02\x01".as_slice(), &[0; 48], &56u16.to_le_bytes(), &[0; 8]].concat();
    let start = Instant::now();
    let alone = project(&head(""));
    alone.write("worker", &program);
    let session = ptq(alone.path(), &["build", "-q", "--remote-exec", "cpu"]);
    assert_eq!(session.code, 1);
    assert!(session.stderr.contains("REMOTE01") && session.stderr.contains("help: "), "{}", session.stderr);
    assert!(start.elapsed() < Duration::from_secs(60));
    let falling = project(&head("fallback = true\n"));
    falling.write("worker", &program);
    let events = build(&falling, &["--remote-exec", "cpu"]);
    assert_eq!(remote(&events), 0);
    let warnings =
        events.iter().filter(|e| e["event"] == "warning" && e["message"].to_string().contains("remote execution"));
    assert_eq!(warnings.count(), 1, "{events:?}");
    let here = project("");
    build(&here, &["cpu"]);
    assert!(files(&falling.file("out")) == files(&here.file("out")));
}

#[test]
fn a_program_that_needs_libraries_and_a_server_that_only_stores_are_refused() {
    let Some(server) = need(casd::execution()) else { return };
    let dynamic = project(&format!("[remote]\nurl = \"{}\"\n", server.url("grpc")));
    let session = ptq(dynamic.path(), &["build", "-q", "--remote-exec", "cpu"]);
    assert_eq!(session.code, 1, "{}", session.stderr);
    assert!(session.stderr.contains("crt-static"), "{}", session.stderr);
    let Some(store) = need(buildgrid::cache()) else { return };
    let project = project(&on(&store, &format!("instance = \"{}\"\n", buildgrid::INSTANCE)));
    let session = ptq(project.path(), &["build", "-q", "--remote-exec", "cpu"]);
    assert_eq!(session.code, 1, "{}", session.stderr);
    assert!(session.stderr.contains("does not execute"), "{}", session.stderr);
}

#[test]
fn an_interrupt_ends_the_work_there_and_keeps_what_is_finished() {
    let Some(server) = need(casd::execution()) else { return };
    let project = project(&on(&server, ""));
    let mut child = Command::new(program())
        .args(["build", "--remote-exec", "--events", "events.jsonl"])
        .current_dir(project.path())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts");
    let events = || std::fs::read_to_string(project.file("events.jsonl")).unwrap_or_default();
    let start = Instant::now();
    while !events().contains("\"ran\"") && start.elapsed() < Duration::from_secs(120) {
        std::thread::sleep(Duration::from_millis(10));
    }
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("interrupted");
    let interrupted = Instant::now();
    let status = child.wait().expect("ends");
    assert!(interrupted.elapsed() < Duration::from_secs(20), "it ends soon");
    assert_ne!(status.code(), Some(0));
    let done = events().lines().filter(|l| l.contains("\"event\":\"ran\"")).count();
    assert!(done >= 1);
    let rest = build(&project, &["--remote-exec"]);
    let all = build(&self::project(""), &[]);
    assert_eq!(ran(&rest).len() + done, ran(&all).len(), "finished work stays");
}
