//! Sudden ends, full and read-only disks, clocks that jump, several builds at once: the next build is right, and nothing half-written is ever
//! seen.

use ptq_tests::project::TestProject;
use ptq_tests::ptq::{files, program, ptq, ran};
use ptq_tests::sweep::{edit, sweep};
use rustix::process::{Pid, Signal, kill_process};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime};

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

/// How many actions ran, as this file of events tells it.
fn ran_in(p: &TestProject, events: &str) -> usize {
    let text = std::fs::read_to_string(p.file(events)).unwrap_or_default();
    text.lines().filter(|l| l.contains("\"event\":\"ran\"")).count()
}

#[test]
fn what_a_killed_build_has_finished_never_runs_again() {
    let whole = sweep();
    assert_eq!(ptq(whole.path(), &["build", "--events", "all.jsonl"]).code, 0);
    let wanted = ran_in(&whole, "all.jsonl");
    let p = sweep();
    let mut ran = 0;
    for round in 0..12u64 {
        let name = format!("{round}.jsonl");
        let mut child = start(p.path(), &["build", "--jobs", "2", "--events", &name]);
        std::thread::sleep(Duration::from_millis(20 + 25 * round));
        let _ = child.kill();
        let _ = child.wait();
        ran += ran_in(&p, &name);
    }
    assert_eq!(ptq(p.path(), &["build", "--events", "last.jsonl"]).code, 0);
    let last = ran_in(&p, "last.jsonl");
    assert!(wanted >= 20 && ran + last <= wanted, "{ran} ran in killed builds, {last} in the last, {wanted} in one go");
    assert!(files(&p.file("out")) == files(&whole.file("out")));
}

#[test]
fn a_damaged_index_costs_work_and_nothing_else() {
    let wanted = wanted();
    let p = sweep();
    ran(p.path(), &[]);
    // The index takes over what stands in the journal.
    assert_eq!(ptq(p.path(), &["cache", "gc"]).code, 0);
    let index = p.file(".ptq/index-v1.redb");
    let bytes = std::fs::read(&index).expect("the index");
    for damaged in [bytes[..1000].to_vec(), vec![7; 9000], bytes[..bytes.len() - 5000].to_vec()] {
        std::fs::write(&index, damaged).expect("damage");
        let _ = std::fs::remove_file(p.file("out/net-cpu-max/model.bin"));
        let built = ptq(p.path(), &["build"]);
        assert_eq!(built.code, 0, "{}{}", built.stdout, built.stderr);
        assert!(files(&p.file("out")) == wanted);
    }
    std::fs::write(&index, b"damage").expect("damage");
    assert_eq!(ptq(p.path(), &["cache", "clear"]).code, 0);
    let left = |name: &str| {
        std::fs::read_dir(p.file(".ptq"))
            .into_iter()
            .flatten()
            .flatten()
            .any(|f| f.file_name().to_string_lossy().starts_with(name))
    };
    assert!(!["built", "index", "journal"].into_iter().any(left));
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

fn signal(child: &Child, signal: Signal) {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).expect("a process");
    let _ = kill_process(pid, signal);
}

#[test]
fn an_interrupted_build_keeps_its_finished_work() {
    let wanted = wanted();
    let p = sweep();
    let mut interrupted = 0;
    for round in 0..12 {
        let events = format!("{round}.jsonl");
        let mut child = start(p.path(), &["build", "--jobs", "2", "--events", &events]);
        // A little later each time, by the work that is done and not by the clock: a machine may be slow or fast.
        let wait_for = 2 * (round / 4) + round % 4;
        let running = |child: &mut Child| matches!(child.try_wait(), Ok(None));
        while ran_in(&p, &events) < wait_for && running(&mut child) {
            std::thread::sleep(Duration::from_millis(1));
        }
        signal(&child, if round % 3 == 2 { Signal::TERM } else { Signal::INT });
        let status = child.wait().expect("ends");
        // Ended before it listened, interrupted, or done.
        assert!(matches!(status.code(), None | Some(0 | 130)), "{status:?}");
        interrupted += u32::from(status.code() == Some(130));
        whole(&p, &wanted, &format!("interruption {round}"));
        if round % 4 == 3 {
            assert_eq!(ptq(p.path(), &["cache", "verify"]).code, 0);
            let _ = std::fs::remove_dir_all(p.file(".ptq"));
            let _ = std::fs::remove_dir_all(p.file("out"));
        }
    }
    assert!(interrupted > 0, "none was interrupted while it worked");
    ran(p.path(), &[]);
    assert!(files(&p.file("out")) == wanted);
    assert_eq!(ran(p.path(), &[]), Vec::<String>::new());
}

/// Whether a process with this word among its arguments is there.
fn is_running(word: &str) -> bool {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut lines = processes.filter_map(|e| std::fs::read(e.path().join("cmdline")).ok());
    lines.any(|line| line.split(|b| *b == 0).any(|argument| argument == word.as_bytes()))
}

#[test]
fn an_interrupted_build_ends_the_commands_that_it_started() {
    let p = sweep();
    let nap = format!("61.{}", std::process::id());
    let stage = format!(
        "[stage.slow]\ncommand = [\"sleep\", \"{nap}\"]\noutputs = [\"model.onnx\"]\nsandbox = \"off\"\n[model.slow]\npath = \
         \"stage:slow/model.onnx\"\ncalibration.type = \"skip\"\n[[variant]]\nname = \"slow\"\nmodel = \"slow\"\n"
    );
    let text = std::fs::read_to_string(p.file("ptq.toml")).expect("manifest");
    p.write("ptq.toml", format!("{text}{stage}").as_bytes());
    let mut child = start(p.path(), &["build", "slow"]);
    for _ in 0..200 {
        if is_running(&nap) {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(is_running(&nap), "the command runs");
    signal(&child, Signal::INT);
    assert_eq!(child.wait().expect("ends").code(), Some(130));
    assert!(!is_running(&nap), "its command ends with it");
}

/// Sets the modification time of a file, seconds from now.
fn redate(path: &Path, seconds: i64) {
    let now = SystemTime::now();
    let by = Duration::from_secs(seconds.unsigned_abs());
    let time = if seconds < 0 { now - by } else { now + by };
    std::fs::File::options().write(true).open(path).and_then(|f| f.set_modified(time)).expect("a new time");
}

#[test]
fn clocks_that_jump_hide_no_edit_and_cause_no_work() {
    let p = sweep();
    let image = p.file("calib/003.png");
    let (first, second) =
        (std::fs::read(&image).expect("image"), std::fs::read(p.file("calib/004.png")).expect("image"));
    redate(&image, 7 * 86_400);
    ran(p.path(), &[]);
    let original = files(&p.file("out"));
    assert_eq!(ran(p.path(), &[]), Vec::<String>::new(), "a file of next week is read, and it is the same");
    for (seconds, bytes) in [(-40 * 365 * 86_400, &second), (7 * 86_400, &first), (7 * 86_400, &second), (-1, &first)] {
        std::fs::write(&image, bytes).expect("an edit");
        redate(&image, seconds);
        let changed = bytes == &second;
        ran(p.path(), &[]);
        assert_eq!(files(&p.file("out")) == original, !changed, "dated {seconds} s from now");
    }
    // The same size and the same time to the nanosecond: only the time of the change itself tells.
    let stamp = std::fs::metadata(&image).and_then(|m| m.modified()).expect("a time");
    let (mut one, mut other) = (first.clone(), first.clone());
    one.extend([0; 16]);
    other.extend([1; 16]);
    for bytes in [&one, &other] {
        std::fs::write(&image, bytes).expect("an edit");
        std::fs::File::options().write(true).open(&image).and_then(|f| f.set_modified(stamp)).expect("the old time");
        let listed = ptq(p.path(), &["build", "--dry-run", "--exit-code"]);
        assert_eq!(listed.code, 3, "an edit with the old time is seen: {}", listed.stdout);
        ran(p.path(), &[]);
    }
}

/// Makes a folder a file system of its own; false without the right to.
fn mounted(dir: &Path, options: &str) -> bool {
    let mut command = Command::new("mount");
    command.args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(dir).stderr(Stdio::null());
    command.status().is_ok_and(|s| s.success())
}

#[test]
fn folders_that_are_read_only_are_named_and_the_next_build_is_right() {
    let wanted = wanted();
    for sub in [".ptq", "out"] {
        let p = sweep();
        let dir = p.file(sub);
        std::fs::create_dir_all(&dir).expect("made");
        if !mounted(&dir, "size=64m") {
            let _: Option<()> = ptq_tests::skip::need(Err("the right to mount a small file system".to_owned()));
            return;
        }
        let remount = |how: &str| {
            let done = Command::new("mount").args(["-o", &format!("remount,{how}")]).arg(&dir).status();
            assert!(done.is_ok_and(|s| s.success()), "{}", dir.display());
        };
        remount("ro");
        let first = ptq(p.path(), &["build"]);
        remount("rw");
        // Sources that were written a moment ago are not trusted by their stamps alone.
        std::thread::sleep(Duration::from_millis(2200));
        let second = ptq(p.path(), &["build"]);
        remount("ro");
        let null = ptq(p.path(), &["build"]);
        edit(&p, "optimize_level = \"O0\"", "optimize_level = \"O1\"");
        let edited = ptq(p.path(), &["build"]);
        remount("rw");
        edit(&p, "optimize_level = \"O1\"", "optimize_level = \"O0\"");
        let last = ptq(p.path(), &["build"]);
        let made = files(&p.file("out"));
        let unmounted = Command::new("umount").arg(&dir).status().is_ok_and(|s| s.success());
        assert!(unmounted, "{}", dir.display());
        for failed in [&first, &edited] {
            assert_eq!(failed.code, 1, "{sub}: {}{}", failed.stdout, failed.stderr);
            let named = failed.stderr.contains(sub) && failed.stderr.contains("Read-only file system");
            assert!(named, "{sub}: {}", failed.stderr);
        }
        // A store can be read without the right to write, and outputs that are right are left alone.
        assert_eq!((second.code, null.code, last.code), (0, 0, 0), "{sub}: {}{}", null.stderr, last.stderr);
        let made = if sub == "out" { made } else { files(&p.file("out")) };
        assert!(made == wanted, "{sub}");
    }
}
