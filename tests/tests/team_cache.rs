//! Two machines and one cache: checkouts in different folders with stores of their own, the program as a user starts it,
//! servers of our own that hold, lie, hang and die.

use ptq_engine::manifest::Overlay;
use ptq_engine::{BuildOptions, Event, EventSink, Project};
use ptq_tests::hostile::{Fault, FaultProxy, HttpServer, Link, ReapiServer};
use ptq_tests::project::TestProject;
use ptq_tests::ptq::{Session, files, ptq, ran};
use ptq_tests::sweep::sweep;
use serde_json::Value;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// The sweep on a machine of its own, with this cache. It is patient: machines that run tests are busy.
fn machine(url: &str, mode: &str) -> TestProject {
    machine_with(url, mode, 20_000)
}

/// As [`machine`], which waits this many milliseconds for an answer.
fn machine_with(url: &str, mode: &str, patience: u64) -> TestProject {
    let p = sweep();
    let text = std::fs::read_to_string(p.file("ptq.toml")).expect("manifest");
    p.write(
        "ptq.toml",
        format!("[cache]\nremote = {{ url = \"{url}\", mode = \"{mode}\", patience = {patience} }}\n{text}").as_bytes(),
    );
    p
}

fn build(p: &TestProject) -> Session {
    let session = ptq(p.path(), &["build", "--events", "events.jsonl"]);
    assert_eq!(session.code, 0, "{}{}", session.stdout, session.stderr);
    session
}

fn warnings(session: &Session) -> usize {
    session.stderr.lines().filter(|l| l.contains("remote cache ")).count()
}

fn events(p: &TestProject) -> Vec<Value> {
    let text = std::fs::read_to_string(p.file("events.jsonl")).expect("events");
    text.lines().map(|l| serde_json::from_str(l).expect("one JSON object a line")).collect()
}

#[test]
fn what_one_machine_made_nobody_makes_again() {
    let (grpc, http) = (ReapiServer::start(), HttpServer::start());
    for url in [&grpc.url, &http.url] {
        let (first, second) = (machine(url, "read-write"), machine(url, "read"));
        assert!(!ran(first.path(), &[]).is_empty());
        let session = build(&second);
        let seen = events(&second);
        assert!(!seen.iter().any(|e| e["event"] == "ran"), "{url}: {}", session.stderr);
        assert!(seen.iter().any(|e| e["event"] == "hit" && e["tier"] == "remote"));
        assert!(session.stdout.contains(" remote") && session.stdout.contains("0 misses"), "{}", session.stdout);
        assert_eq!(warnings(&session), 0, "{}", session.stderr);
        assert_eq!(files(&first.file("out")), files(&second.file("out")));
        let told = ptq(second.path(), &["explain", "net-cpu-max"]).stdout;
        assert!(told.contains("remote") && told.contains("made by ptq"), "{told}");
        assert_eq!(ran(second.path(), &[]), [""; 0], "what came from there is remembered here");
    }
    let state = grpc.state();
    assert_eq!(state.log.iter().filter(|m| *m == "UpdateActionResult").count(), state.results.len());
}

struct Seen(Mutex<Vec<String>>);

impl EventSink for Seen {
    fn event(&self, event: Event) {
        if let Event::Ran { variant, stage, .. } = event {
            self.0.lock().expect("no panic").push(format!("{variant}:{stage}"));
        }
    }
}

/// This test is a program of its own with the engine inside: another binary than `ptq`.
#[test]
fn two_programs_share_every_hit() {
    let server = ReapiServer::start();
    let (ours, theirs) = (machine(&server.url, "read-write"), machine(&server.url, "read"));
    let seen = Seen(Mutex::default());
    let project = Project::open_with(&ours.file("ptq.toml"), &Overlay::default(), ptq_engine::rules()).expect("opens");
    let report = project.build(&BuildOptions::default(), &seen).expect("builds");
    assert!(report.variants.iter().all(ptq_engine::VariantReport::is_done));
    assert!(!seen.0.lock().expect("no panic").is_empty());
    drop(project);
    assert_eq!(ran(theirs.path(), &[]), [""; 0], "the program makes nothing that the test has made");
    assert_eq!(files(&ours.file("out")), files(&theirs.file("out")));
}

#[test]
fn lies_of_a_server_cost_work_and_nothing_else() {
    let (server, reference) = (ReapiServer::start(), sweep());
    build(&reference);
    build(&machine(&server.url, "read-write"));
    let poison = |server: &ReapiServer| {
        for result in server.state().results.values_mut() {
            result.output_files.iter_mut().for_each(|f| f.path = format!("../{}", f.path));
        }
    };
    type Lie = fn(&ReapiServer);
    let lies: [(&str, Lie); 3] = [
        ("wrong bytes", |s| s.fail("BatchReadBlobs", Fault::WrongBytes, usize::MAX)),
        ("cut bytes", |s| s.fail("BatchReadBlobs", Fault::Truncated, usize::MAX)),
        ("every blob evicted", |s| s.state().blobs.clear()),
    ];
    for (what, lie) in lies {
        lie(&server);
        let victim = machine(&server.url, "read");
        let session = build(&victim);
        assert_eq!(files(&victim.file("out")), files(&reference.file("out")), "{what}");
        assert_eq!(warnings(&session), 1, "{what}: {}{}", session.stderr, session.stdout);
        server.state().faults.clear();
    }
    poison(&server);
    let victim = machine(&server.url, "read");
    let session = build(&victim);
    assert!(session.stdout.contains("poisoned"), "{}", session.stdout);
    assert_eq!(files(&victim.file("out")), files(&reference.file("out")));
    let state = server.state();
    assert_eq!(state.log.iter().filter(|m| *m == "UpdateActionResult").count(), state.results.len());
}

#[test]
fn a_server_that_is_silent_or_dies_does_not_stop_a_build() {
    let server = ReapiServer::start();
    let proxy = FaultProxy::start(server.url.trim_start_matches("grpc://"));
    let url = format!("grpc://{}", proxy.address);
    let alone = Instant::now();
    let reference = sweep();
    build(&reference);
    let alone = alone.elapsed();
    for link in [Link::Refuse, Link::Hang, Link::CutAfter(3000), Link::StallAfter(3000), Link::GarbleAfter(500)] {
        proxy.set(link);
        let p = machine_with(&url, "read-write", 200);
        let begin = Instant::now();
        let session = build(&p);
        // Wide, since other tests run beside; the benchmark measures.
        let most = alone * 3 + Duration::from_secs(8);
        assert!(begin.elapsed() < most, "{link:?}: {:?} against {alone:?}", begin.elapsed());
        assert_eq!(files(&p.file("out")), files(&reference.file("out")), "{link:?}");
        assert!(session.stdout.contains("remote cache: "), "{link:?}: {}", session.stdout);
    }
    // It dies in the middle of a build, and is back for the next.
    proxy.set(Link::Good);
    let (p, before) = (machine_with(&url, "read-write", 200), server.writes());
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while server.writes() == before && !over.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(5));
            }
            proxy.set(Link::Refuse);
        });
        build(&p);
        over.store(true, Ordering::Relaxed);
    });
    assert_eq!(files(&p.file("out")), files(&reference.file("out")));
    proxy.set(Link::Good);
    let (writer, reader) = (machine(&url, "read-write"), machine(&url, "read"));
    build(&writer);
    assert_eq!(ran(reader.path(), &[]), [""; 0], "all is well again");
}

#[test]
fn push_and_pull_move_what_is_there() {
    let server = HttpServer::start();
    let first = machine(&server.url, "read");
    build(&first);
    assert_eq!(server.writes(), 0);
    let refused = ptq(first.path(), &["cache", "push"]);
    assert_eq!(refused.code, 2, "{}{}", refused.stdout, refused.stderr);
    assert!(refused.stderr.contains("read-write"), "{}", refused.stderr);
    let pushed = ptq(first.path(), &["-D", "cache.remote.mode=read-write", "cache", "push", "--json"]);
    assert_eq!(pushed.code, 0, "{}{}", pushed.stdout, pushed.stderr);
    let counts: Value = serde_json::from_str(&pushed.stdout).expect("JSON");
    assert!(counts["stored"].as_u64().is_some_and(|n| n > 0) && counts["not_stored"] == 0, "{counts}");
    let second = machine(&server.url, "read");
    let pulled = ptq(second.path(), &["cache", "pull", "net-cpu-*", "--json"]);
    assert_eq!(pulled.code, 0, "{}{}", pulled.stdout, pulled.stderr);
    let counts: Value = serde_json::from_str(&pulled.stdout).expect("JSON");
    assert!(counts["hits"].as_u64().is_some_and(|n| n > 0) && counts["misses"] == 0, "{counts}");
    assert!(!second.file("out").exists(), "a pull fills the store, it builds nothing");
    let offline = ptq(second.path(), &["build", "net-cpu-*", "--no-remote", "--events", "events.jsonl"]);
    assert_eq!(offline.code, 0, "{}", offline.stderr);
    assert!(!events(&second).iter().any(|e| e["event"] == "ran"));
    let stats = ptq(second.path(), &["cache", "stats", "--json"]);
    let stats: Value = serde_json::from_str(&stats.stdout).expect("JSON");
    assert_eq!(stats["remote"]["url"], server.url.as_str());
    assert_eq!(stats["remote"]["reachable"], true, "{stats}");
}
