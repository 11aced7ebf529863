//! The client of remote caches against servers that companies run: what one machine stores another finds, every fault of the way is
//! a miss, and a reader changes nothing. With `--features s3` also S3.

use ptq_cache::Digest;
use ptq_cache::remote::{ClientCertificate, Mode, RemoteDigest, RemoteSettings, Secret};
use ptq_tests::cache_machine::{Machine, action, outputs, settings};
use ptq_tests::hostile::{FaultProxy, Link, ReapiServer};
use ptq_tests::servers::{Server, buildgrid, casd, nginx};
use ptq_tests::skip::need;
use std::time::{Duration, Instant};

/// Settings for a server behind `HOST:PORT`.
type Reach = fn(&str, Mode) -> RemoteSettings;

/// Stores, finds, breaks the way in every manner, and lies where the server's folder shows how.
fn everything(server: &Server, reach: Reach) {
    let address = format!("127.0.0.1:{}", server.port());
    let direct = |mode| reach(&address, mode);
    let reader = Machine::with(&direct(Mode::Read));
    assert_eq!(reader.find("r"), None, "{:?}", reader.remote.warnings());
    reader.make("r", &outputs());
    let writer = Machine::with(&direct(Mode::ReadWrite));
    assert_eq!(writer.find("r"), None, "a reader stores nothing");
    let tree = writer.make("r", &outputs());
    assert_eq!(writer.remote.stats().stored, 1, "{:?} {}", writer.remote.warnings(), server.said());
    let reader = Machine::with(&direct(Mode::Read));
    assert_eq!(reader.find("r"), Some(tree), "{:?} {:?}", reader.remote.stats(), reader.remote.warnings());
    assert_eq!(reader.content(&tree), outputs());
    let proxy = FaultProxy::start(&address);
    let links = [
        Link::Refuse,
        Link::Hang,
        Link::CutAfter(20_000),
        Link::StallAfter(20_000),
        Link::GarbleAfter(20_000),
        Link::Slow(Duration::from_millis(3)),
        Link::Busy,
    ];
    for link in links {
        proxy.set(link);
        let reader = Machine::with(&reach(&proxy.address, Mode::Read));
        let begin = Instant::now();
        let found = reader.find("r");
        assert!(begin.elapsed() < Duration::from_secs(20), "{link:?}: {:?}", begin.elapsed());
        if let Some(tree) = found {
            assert_eq!(reader.content(&tree), outputs(), "{link:?}");
        }
        assert!(found.is_none() || matches!(link, Link::Slow(_) | Link::CutAfter(_)), "{link:?}");
        let writer = Machine::with(&reach(&proxy.address, Mode::ReadWrite));
        let begin = Instant::now();
        writer.make(&format!("{link:?}"), &outputs());
        assert!(begin.elapsed() < Duration::from_secs(30), "{link:?}: {:?}", begin.elapsed());
        let stats = writer.remote.stats();
        assert_eq!(stats.stored + stats.not_stored, 1, "{link:?}: {stats:?}");
        if link == Link::Busy {
            let said = writer.remote.warnings();
            let is_told = |w: &String| w.contains("503") || w.contains("ResourceExhausted");
            assert!(said.len() == 1 && said.iter().all(is_told), "{said:?}");
        }
        proxy.set(Link::Good);
    }
    let reader = Machine::with(&reach(&proxy.address, Mode::Read));
    assert_eq!(reader.find("r"), Some(tree), "all is well again: {:?}", reader.remote.warnings());
}

fn grpc(address: &str, mode: Mode) -> RemoteSettings {
    settings(&format!("grpc://{address}"), mode)
}

#[test]
fn buildbox_casd() {
    if let Some(server) = need(casd::cache()) {
        everything(&server, grpc);
    }
}

#[test]
fn buildgrid_with_an_instance_name() {
    if let Some(server) = need(buildgrid::cache()) {
        everything(&server, |address, mode| RemoteSettings {
            instance: buildgrid::INSTANCE.into(),
            ..grpc(address, mode)
        });
    }
}

#[test]
fn nginx_webdav() {
    let Some(server) = need(nginx::webdav()) else { return };
    everything(&server, |address, mode| settings(&format!("http://{address}"), mode));
    // A server that keeps files does not look into them: a rotten and a cut one are misses, then mended.
    let blob = server.folder().join("cache/cas").join(RemoteDigest::of(&outputs()[3].1).hex());
    let url = server.url("http");
    for rotten in [vec![0u8; 100_000], vec![1u8; 10]] {
        std::fs::write(&blob, &rotten).expect("its folder");
        let reader = Machine::new(&url, Mode::Read);
        assert_eq!(reader.find("r"), None);
        let stats = reader.remote.stats();
        assert_eq!(stats.corrupt + stats.errors, 1, "{stats:?}");
        let writer = Machine::new(&url, Mode::ReadWrite);
        assert_eq!(writer.find("r"), None);
        writer.make("r", &outputs());
        assert!(Machine::new(&url, Mode::Read).find("r").is_some());
    }
    // The door that is for reading says so; its readers find everything.
    let door = Machine::new(&format!("{url}/ro"), Mode::ReadWrite);
    assert!(door.find("r").is_some());
    door.make("other", &outputs());
    let (stats, warnings) = (door.remote.stats(), door.remote.warnings());
    assert_eq!((stats.stored, stats.not_stored, warnings.len()), (0, 1, 1), "{warnings:?}");
    assert!(!server.folder().join("cache/ac").join(action("other").digest.hex()).exists());
}

#[test]
fn encryption_and_client_certificates() {
    let behind = ReapiServer::start();
    let port = behind.url.rsplit(':').next().and_then(|p| p.parse().ok()).expect("a port");
    let Some(server) = need(nginx::secure(port)) else { return };
    let file = |name: &str| std::fs::read(server.folder().join(name)).expect("a certificate");
    let key = || Secret::from_file(&server.folder().join("client.key")).expect("a key");
    let shown = || Some(ClientCertificate { chain: file("client.pem"), key: key() });
    for scheme in ["https", "grpcs"] {
        let plain = settings(&server.url(scheme), Mode::ReadWrite);
        let trusting = RemoteSettings { authorities: Some(file("ca.pem")), ..plain.clone() };
        let complete = RemoteSettings { certificate: shown(), ..trusting.clone() };
        let tree = Machine::with(&complete).make(scheme, &outputs());
        let reader = Machine::with(&complete);
        assert_eq!(reader.find(scheme), Some(tree), "{scheme}: {:?} {}", reader.remote.warnings(), server.said());
        for (what, incomplete) in [("its authority is not trusted", plain), ("we show no certificate", trusting)] {
            let reader = Machine::with(&incomplete);
            assert_eq!(reader.find(scheme), None, "{scheme}: {what}");
            reader.make("other", &outputs());
            assert_eq!(reader.remote.stats().stored, 0, "{scheme}: {what}");
        }
    }
    assert!(!behind.state().results.is_empty(), "gRPC went through");
}

#[test]
fn a_server_that_dies_and_returns() {
    let Some(mut server) = need(casd::cache()) else { return };
    let url = server.url("grpc");
    let machine = Machine::new(&url, Mode::ReadWrite);
    machine.make("before", &outputs());
    server.kill();
    let begin = Instant::now();
    machine.make("meanwhile", &outputs());
    assert_eq!(machine.find("gone"), None);
    assert!(begin.elapsed() < Duration::from_secs(15), "{:?}", begin.elapsed());
    assert_eq!(machine.remote.stats().not_stored, 1);
    server.restart().expect("again");
    let reader = Machine::new(&url, Mode::Read);
    let key = Digest::of(b"before");
    assert!(reader.find("before").is_some() && reader.store.action(&key).is_some(), "{:?}", reader.remote.warnings());
}

#[cfg(feature = "s3")]
#[test]
fn an_s3_bucket() {
    use ptq_tests::servers::s3;
    let Some(server) = need(s3::bucket()) else { return };
    fn login() -> ptq_cache::remote::Login {
        let file = std::env::temp_dir().join(format!("ptq-s3-login-{}", std::process::id()));
        std::fs::write(&file, "key:secret").expect("a temporary file");
        ptq_cache::remote::Login::Basic(ptq_cache::remote::Secret::from_file(&file).expect("readable"))
    }
    everything(&server, |address, mode| RemoteSettings {
        endpoint: Some(format!("http://{address}")),
        region: Some("us-east-1".into()),
        login: login(),
        ..settings(&format!("s3://{}/team", s3::BUCKET), mode)
    });
}
