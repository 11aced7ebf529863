//! The client of remote caches against servers of our own that misbehave: what it believes, what it counts, how long it waits.

use bytes::Bytes;
use ptq_cache::Digest;
use ptq_cache::remote::proto::{self, OutputSymlink};
use ptq_cache::remote::{Mode, PATIENCE, RemoteDigest, RemoteSettings};
use ptq_tests::cache_machine::{Machine, action, noise, outputs, settings};
use ptq_tests::hostile::{Fault, HttpServer, ReapiServer};
use std::time::Instant;

#[test]
fn a_result_travels_between_machines_over_grpc_and_http() {
    let (grpc, http) = (ReapiServer::start(), HttpServer::start());
    for url in [&grpc.url, &http.url] {
        let (writer, reader) = (Machine::new(url, Mode::ReadWrite), Machine::new(url, Mode::Read));
        assert_eq!(reader.find("r"), None);
        let tree = writer.make("r", &outputs());
        assert_eq!(writer.remote.stats().stored, 1, "{:?}", writer.remote.warnings());
        reader.remote.forget_lookups();
        assert_eq!(reader.find("r"), Some(tree), "{:?} {:?}", reader.remote.stats(), reader.remote.warnings());
        assert_eq!(reader.content(&tree), outputs());
        let stats = reader.remote.stats();
        assert_eq!((stats.hits, stats.misses, stats.errors, stats.unusable()), (1, 1, 0, 0));
        assert_eq!(reader.store.action(&Digest::of(b"r")), Some(tree));
        // What is here already is not brought again.
        let again = writer.again(&settings(url, Mode::Read));
        assert_eq!(again.find("r"), Some(tree));
        assert_eq!(again.remote.stats().received_bytes, 0, "{:?}", again.remote.stats());
    }
}

#[test]
fn many_small_results_share_batches() {
    let server = ReapiServer::start();
    let (writer, reader) = (Machine::new(&server.url, Mode::ReadWrite), Machine::new(&server.url, Mode::Read));
    for i in 0..300u32 {
        let name = format!("r{i}");
        let tree =
            writer.store.record(&Digest::of(name.as_bytes()), &[("o".into(), noise(900, i + 1))]).expect("recorded");
        writer.remote.publish(action(&name), tree, None);
    }
    writer.remote.finish(&mut |_| true);
    assert_eq!(writer.remote.stats().stored, 300, "{:?}", writer.remote.warnings());
    let calls = server.calls();
    assert!(calls["FindMissingBlobs"] <= 10 && calls["BatchUpdateBlobs"] <= 20, "{calls:?}");
    let keys: Vec<Digest> = (0..300).map(|i| Digest::of(format!("r{i}").as_bytes())).collect();
    for (i, key) in keys.iter().enumerate() {
        reader.remote.ask(*key, action(&format!("r{i}")).digest);
    }
    let found = (0..300).filter(|i| reader.find(&format!("r{i}")).is_some()).count();
    assert_eq!(found, 300, "{:?}", reader.remote.stats());
    assert!(server.calls()["BatchReadBlobs"] < 150, "{:?}", server.calls());
}

#[test]
fn wrong_cut_and_lost_bytes_are_misses_with_one_warning() {
    let (grpc, http) = (ReapiServer::start(), HttpServer::start());
    Machine::new(&grpc.url, Mode::ReadWrite).make("r", &outputs());
    Machine::new(&http.url, Mode::ReadWrite).make("r", &outputs());
    type Read = fn(&ptq_cache::remote::RemoteStats) -> u64;
    let corrupt: Read = |s| s.corrupt;
    let either: Read = |s| s.corrupt + s.errors;
    let cases: [(&str, &str, Fault, Read); 4] = [
        ("BatchReadBlobs", "GET /cas", Fault::WrongBytes, corrupt),
        ("Read", "GET /cas", Fault::WrongBytes, corrupt),
        ("BatchReadBlobs", "GET /cas", Fault::Truncated, either),
        ("Read", "GET /cas", Fault::Truncated, either),
    ];
    for (method, path, fault, counted) in cases {
        grpc.fail(method, fault, 50);
        http.fail(path, fault, 50);
        for url in [&grpc.url, &http.url] {
            let reader = Machine::new(url, Mode::Read);
            assert_eq!(reader.find("r"), None, "{method} {fault:?} {url}");
            let stats = reader.remote.stats();
            assert_eq!((stats.hits, counted(&stats)), (0, 1), "{method} {fault:?} {url}: {stats:?}");
            assert!(reader.store.action(&Digest::of(b"r")).is_none());
            assert!(reader.remote.warnings().len() <= 1);
        }
        grpc.state().faults.clear();
        http.state().faults.clear();
        for url in [&grpc.url, &http.url] {
            assert!(Machine::new(url, Mode::Read).find("r").is_some(), "the fault is over");
        }
    }
    let large = RemoteDigest::of(&outputs()[2].1).hex();
    grpc.state().blobs.remove(&large);
    http.state().files.remove(&format!("/cas/{large}"));
    for url in [&grpc.url, &http.url] {
        let reader = Machine::new(url, Mode::Read);
        assert_eq!(reader.find("r"), None);
        assert_eq!(reader.remote.stats().evicted, 1, "{:?}", reader.remote.stats());
        assert_eq!(reader.remote.warnings().len(), 1);
        // Whoever may write mends it.
        let writer = Machine::new(url, Mode::ReadWrite);
        assert_eq!(writer.find("r"), None);
        writer.make("r", &outputs());
        assert!(Machine::new(url, Mode::Read).find("r").is_some(), "{url}");
    }
}

#[test]
fn a_blob_that_rotted_on_the_server_is_stored_again() {
    let http = HttpServer::start();
    let writer = Machine::new(&http.url, Mode::ReadWrite);
    writer.make("r", &outputs());
    let path = format!("/cas/{}", RemoteDigest::of(&outputs()[3].1).hex());
    http.state().files.insert(path, noise(100_000, 1).to_vec());
    let other = Machine::new(&http.url, Mode::ReadWrite);
    assert_eq!(other.find("r"), None);
    assert_eq!(other.remote.stats().corrupt, 1);
    other.make("r", &outputs());
    assert!(Machine::new(&http.url, Mode::Read).find("r").is_some());
}

#[test]
fn poisoned_results_never_reach_the_store() {
    let server = ReapiServer::start();
    Machine::new(&server.url, Mode::ReadWrite).make("r", &outputs());
    let hash = action("r").digest.hex();
    let good = server.state().results[&hash].clone();
    type Edit = fn(&mut proto::ActionResult);
    let edits: [(&str, Edit); 7] = [
        ("a path upwards", |r| r.output_files[0].path = "../../x".into()),
        ("an escaped path upwards", |r| r.output_files[0].path = "%2E%2E%2Fx".into()),
        ("an absolute path", |r| r.output_files[0].path = "/etc/passwd".into()),
        ("a link", |r| r.output_symlinks.push(OutputSymlink { path: "l".into(), target: "/etc".into() })),
        ("a huge size", |r| {
            r.output_files.iter_mut().filter_map(|f| f.digest.as_mut()).for_each(|d| d.size_bytes = 1 << 50);
        }),
        ("another output under the name", |r| {
            let other = r.output_files[0].digest.clone();
            r.output_files[3].digest = other;
        }),
        ("no success", |r| r.exit_code = 1),
    ];
    for (what, edit) in edits {
        let mut bad = good.clone();
        edit(&mut bad);
        server.state().results.insert(hash.clone(), bad);
        let reader = Machine::new(&server.url, Mode::Read);
        assert_eq!(reader.find("r"), None, "{what}");
        let stats = reader.remote.stats();
        assert_eq!(stats.poisoned, 1, "{what}: {stats:?}");
        assert_eq!(reader.remote.warnings().len(), 1, "{what}");
    }
    let http = HttpServer::start();
    http.state().files.insert(format!("/ac/{hash}"), b"no message at all".to_vec());
    let reader = Machine::new(&http.url, Mode::Read);
    assert_eq!(reader.find("r"), None);
    assert_eq!(reader.remote.stats().poisoned, 1);
}

#[test]
fn a_reader_never_sends_anything_that_changes_a_server() {
    let (grpc, http) = (ReapiServer::start(), HttpServer::start());
    for url in [&grpc.url, &http.url] {
        let reader = Machine::new(url, Mode::Read);
        assert_eq!(reader.find("r"), None);
        reader.make("r", &outputs());
        assert_eq!(reader.remote.progress().results, 0);
    }
    assert_eq!((grpc.writes(), http.writes()), (0, 0));
    assert!(!grpc.state().log.is_empty() && !http.state().log.is_empty());
}

#[test]
fn a_busy_server_is_asked_again_and_a_forbidding_one_is_not() {
    let (grpc, http) = (ReapiServer::start(), HttpServer::start());
    Machine::new(&grpc.url, Mode::ReadWrite).make("r", &outputs());
    Machine::new(&http.url, Mode::ReadWrite).make("r", &outputs());
    let busy = [(&grpc.url, 8), (&http.url, 503)];
    for (url, code) in busy {
        grpc.fail("BatchReadBlobs", Fault::Status(code), 2);
        http.fail("GET /cas", Fault::Status(code), 2);
        let reader = Machine::new(url, Mode::Read);
        assert!(reader.find("r").is_some(), "{url} {:?}", reader.remote.stats());
        assert!(reader.remote.stats().retries >= 2 && reader.remote.warnings().is_empty());
        grpc.state().faults.clear();
        http.state().faults.clear();
    }
    http.state().read_only = true;
    let writer = Machine::new(&http.url, Mode::ReadWrite);
    for i in 0..5 {
        writer.make(&format!("other{i}"), &[("o".into(), noise(500, i + 40))]);
    }
    let (stats, warnings) = (writer.remote.stats(), writer.remote.warnings());
    assert_eq!((stats.stored, stats.not_stored), (0, 5), "{stats:?}");
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(writer.find("r").is_some(), "a server that takes nothing still gives");
}

#[test]
fn an_upload_goes_on_where_it_broke() {
    let server = ReapiServer::start();
    let writer = Machine::new(&server.url, Mode::ReadWrite);
    assert_eq!(writer.find("nothing"), None);
    server.fail("Write", Fault::ResetAfter(2_500_000), 1);
    writer.make("r", &outputs());
    assert_eq!(writer.remote.stats().stored, 1, "{:?}", writer.remote.warnings());
    let state = server.state();
    assert!(state.log.iter().any(|m| m == "QueryWriteStatus"), "{:?}", state.log);
    assert!(state.write_offsets.last().is_some_and(|o| *o >= 1 << 20), "{:?}", state.write_offsets);
    drop(state);
    assert!(Machine::new(&server.url, Mode::Read).find("r").is_some());
}

#[test]
fn compression_is_used_where_it_is_offered() {
    let server = ReapiServer::start();
    server.state().zstd = true;
    let zeros = vec![("large".to_owned(), Bytes::from(vec![3; 9 << 20])), ("small".to_owned(), vec![4; 50_000].into())];
    let writer = Machine::new(&server.url, Mode::ReadWrite);
    let tree = writer.make("r", &zeros);
    assert_eq!(writer.remote.stats().stored, 1, "{:?}", writer.remote.warnings());
    let reader = Machine::new(&server.url, Mode::Read);
    assert_eq!(reader.find("r"), Some(tree));
    assert_eq!(reader.content(&tree), zeros);
    assert!(reader.remote.stats().received_bytes < 1 << 20, "{:?}", reader.remote.stats());
}

#[test]
fn servers_that_are_gone_or_silent_cost_one_short_wait() {
    let silent = ReapiServer::start();
    silent.fail("GetCapabilities", Fault::Hang, 1000);
    silent.fail("GetActionResult", Fault::Hang, 1000);
    let mute = HttpServer::start();
    ["GET /ac", "PUT /ac", "HEAD /cas", "PUT /cas"].iter().for_each(|what| mute.fail(what, Fault::Hang, 1000));
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = free.local_addr().expect("an address").port();
    drop(free);
    // A listener that never accepts swallows what is sent.
    let swallowing = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let swallows = format!("grpc://{}", swallowing.local_addr().expect("an address"));
    let (gone, gone_http) = (format!("grpc://127.0.0.1:{port}"), format!("http://127.0.0.1:{port}"));
    for url in [&silent.url, &mute.url, &gone, &gone_http, &swallows] {
        let machine = Machine::new(url, Mode::ReadWrite);
        let begin = Instant::now();
        for i in 0..40 {
            assert_eq!(machine.glance(&format!("r{i}")), None);
        }
        let waited = begin.elapsed();
        assert!(waited < PATIENCE * 2, "{url}: {waited:?}");
        let warnings = machine.remote.warnings();
        assert_eq!(warnings.len(), 1, "{url}: {warnings:?}");
        let begin = Instant::now();
        machine.make("made here", &outputs());
        assert!(begin.elapsed() < PATIENCE * 3, "{url}: the end of the build took {:?}", begin.elapsed());
        assert_eq!(machine.remote.stats().not_stored, 1, "{url}");
    }
}

#[test]
fn a_token_is_sent_and_never_shown() {
    let server = ReapiServer::start();
    server.state().token = Some("s3cret-token".into());
    let dir = tempfile::tempdir().expect("a folder");
    let login = |text: &str| {
        let file = dir.path().join("token");
        std::fs::write(&file, format!("{text}\n")).expect("written");
        ptq_cache::remote::Login::Bearer(ptq_cache::remote::Secret::from_file(&file).expect("read"))
    };
    let right = RemoteSettings { login: login("s3cret-token"), ..settings(&server.url, Mode::ReadWrite) };
    Machine::with(&right).make("r", &outputs());
    assert!(Machine::with(&right).find("r").is_some());
    let wrong = RemoteSettings { login: login("wr0ng-token"), ..settings(&server.url, Mode::ReadWrite) };
    assert!(!format!("{wrong:?}").contains("wr0ng-token"));
    let machine = Machine::with(&wrong);
    assert_eq!(machine.find("r"), None);
    let warnings = machine.remote.warnings();
    assert_eq!((warnings.len(), machine.remote.stats().denied), (1, 1), "{warnings:?}");
    assert!(!warnings[0].contains("wr0ng") && warnings[0].contains("check the token"), "{warnings:?}");
}
