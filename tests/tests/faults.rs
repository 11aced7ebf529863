//! Sudden ends, full disks, several builds at once: the next build is right, and nothing half-written is ever seen.

use ptq_tests::project::TestProject;
use ptq_tests::ptq::{files, program, ptq, ran};
use ptq_tests::sweep::{edit, sweep};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

type Files = BTreeMap<String, Vec<u8>>;

/// What an undisturbed build makes.
fn wanted() -> Files {
    let p = sweep();
    ran(p.path(), &[]);
    files(&p.file("out"))
}

fn start(dir: &Path, args: &[&str]) -> Child {
    let mut command = Command::new(program());
    command.args(args).current_dir(dir).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("ptq starts")
}

/// Every file in the output folder is a whole one.
fn whole(p: &TestProject, wanted: &Files, when: &str) {
    for (name, bytes) in files(&p.file("out")) {
        assert!(wanted.get(&name) == Some(&bytes), "{when}: {name} is half-written or does not belong here");
    }
}

#[test]
fn a_killed_build_leaves_whole_files_and_its_finished_work() {
    let wanted = wanted();
    let p = sweep();
    let mut seed = 0x9e37_79b9_7f4a_7c15u64;
    for round in 0..25 {
        let mut child = start(p.path(), &["build", "--jobs", "2"]);
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        std::thread::sleep(Duration::from_millis((seed >> 33) % 400));
        let _ = child.kill();
        let _ = child.wait();
        whole(&p, &wanted, &format!("kill {round}"));
        if round % 5 == 4 {
            let verified = ptq(p.path(), &["cache", "verify"]);
            assert_eq!(verified.code, 0, "{}", verified.stdout);
            std::fs::remove_dir_all(p.file(".ptq")).expect("a new start");
            let _ = std::fs::remove_dir_all(p.file("out"));
        }
    }
    ran(p.path(), &[]);
    assert!(files(&p.file("out")) == wanted);
    assert_eq!(ran(p.path(), &[]), Vec::<String>::new());
}

#[test]
fn builds_at_once_and_a_collector_do_not_disturb_each_other() {
    let wanted = wanted();
    let p = sweep();
    let mut children: Vec<Child> = (0..4).map(|_| start(p.path(), &["build"])).collect();
    children.extend((0..3).map(|_| start(p.path(), &["cache", "gc"])));
    for child in children {
        let output = child.wait_with_output().expect("ends");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    assert!(files(&p.file("out")) == wanted);
    let verified = ptq(p.path(), &["cache", "verify"]);
    assert_eq!(verified.code, 0, "{}{}", verified.stdout, verified.stderr);
}

#[test]
fn collecting_keeps_what_variants_need_and_clearing_keeps_outputs() {
    let p = sweep();
    ran(p.path(), &[]);
    edit(&p, "optimize_level = \"O0\"", "optimize_level = \"O2\"");
    ran(p.path(), &[]);
    let collected = ptq(p.path(), &["cache", "gc", "--max-size", "0", "--json"]);
    assert_eq!(collected.code, 0, "{}", collected.stderr);
    let report: serde_json::Value = serde_json::from_str(&collected.stdout).expect("JSON");
    assert!(report["actions"].as_u64().is_some_and(|n| n > 0), "results of O0 are forgotten: {report}");
    std::fs::remove_dir_all(p.file("out")).expect("removed");
    assert_eq!(ran(p.path(), &[]), Vec::<String>::new(), "all that the variants need is still there");
    let out = files(&p.file("out"));
    assert_eq!(ptq(p.path(), &["cache", "clear"]).code, 0);
    assert!(files(&p.file("out")) == out);
    assert!(!ran(p.path(), &[]).is_empty(), "a cleared store remembers nothing");
    assert!(files(&p.file("out")) == out);
}

#[test]
fn a_folder_that_cannot_be_written_is_named_and_repaired() {
    let wanted = wanted();
    let p = sweep();
    p.write("out", b"a file in the way");
    let failed = ptq(p.path(), &["build"]);
    assert_eq!(failed.code, 1);
    assert!(failed.stderr.contains("cannot write ./out/"), "{}", failed.stderr);
    std::fs::remove_file(p.file("out")).expect("removed");
    assert_eq!(ran(p.path(), &[]), Vec::<String>::new(), "finished work was kept");
    assert!(files(&p.file("out")) == wanted);
}

#[test]
fn a_full_disk_is_an_error_and_the_next_build_is_right() {
    let wanted = wanted();
    let p = sweep();
    for sub in [".ptq", "out"] {
        let dir = p.file(sub);
        std::fs::create_dir_all(&dir).expect("made");
        let mount = |size: &str| {
            let mut command = Command::new("mount");
            command.args(["-t", "tmpfs", "-o", size, "tmpfs"]).arg(&dir).stderr(Stdio::null());
            command.status().is_ok_and(|s| s.success())
        };
        if !mount("size=128k") {
            let _: Option<()> = ptq_tests::skip::need(Err("the right to mount a small file system".to_owned()));
            return;
        }
        let full = ptq(p.path(), &["build"]);
        let unmounted = Command::new("umount").arg(&dir).status().is_ok_and(|s| s.success());
        assert!(unmounted, "{}", dir.display());
        assert_eq!(full.code, 1, "{}{}", full.stdout, full.stderr);
        assert!(full.stderr.contains("No space left") || full.stderr.contains("os error 28"), "{}", full.stderr);
        ran(p.path(), &[]);
        assert!(files(&p.file("out")) == wanted);
    }
}
