//! One machine of a team, for the suites about remote caches: a store in a folder of its own, and a server.

use bytes::Bytes;
use ptq_cache::remote::{CacheAction, Lookup, Mode, Patience, Remote, RemoteDigest, RemoteSettings, RuleCall};
use ptq_cache::{Digest, Store};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Longest wait for what becomes of a look-up.
const LONGEST: Duration = Duration::from_secs(15);

/// One machine: a store in a folder of its own, and the server as it sees it.
pub struct Machine {
    /// Its store.
    pub store: Arc<Store>,
    /// The server.
    pub remote: Remote,
    _dir: tempfile::TempDir,
}

/// Settings of a server, with little patience.
pub fn settings(url: &str, mode: Mode) -> RemoteSettings {
    let ms = Duration::from_millis;
    let patience = Patience { connect: ms(1000), lookup: ms(1500), stall: ms(1500), ..Patience::default() };
    RemoteSettings { url: url.to_owned(), mode, patience, ..RemoteSettings::default() }
}

impl Machine {
    /// A machine with these settings.
    ///
    /// # Panics
    /// When they cannot work.
    pub fn with(settings: &RemoteSettings) -> Machine {
        let dir = tempfile::tempdir().expect("a folder");
        let store = Arc::new(Store::open(dir.path()).expect("a store"));
        let remote = Remote::open(settings, store.clone()).expect("settings that work");
        Machine { store, remote, _dir: dir }
    }

    /// A machine that uses this server in this way.
    pub fn new(url: &str, mode: Mode) -> Machine {
        Machine::with(&settings(url, mode))
    }

    /// The same machine, with what it knows of the server forgotten.
    ///
    /// # Panics
    /// When the settings cannot work.
    pub fn again(&self, settings: &RemoteSettings) -> Machine {
        let dir = tempfile::tempdir().expect("a folder");
        let remote = Remote::open(settings, self.store.clone()).expect("settings that work");
        Machine { store: self.store.clone(), remote, _dir: dir }
    }

    /// Makes a result here and stores it there.
    ///
    /// # Panics
    /// When the store cannot be written.
    pub fn make(&self, name: &str, outputs: &[(String, Bytes)]) -> Digest {
        let tree = self.store.record(&Digest::of(name.as_bytes()), outputs).expect("recorded");
        self.remote.publish(action(name), tree, Some(Duration::from_secs(3)));
        self.remote.finish(&mut |_| true);
        tree
    }

    /// Asks for a result and waits for what becomes of it, longer than a build would.
    pub fn find(&self, name: &str) -> Option<Digest> {
        let (key, begin) = (Digest::of(name.as_bytes()), Instant::now());
        self.remote.ask(key, action(name).digest);
        while self.remote.lookup(&key).is_some_and(|l| !l.is_over()) && begin.elapsed() < LONGEST {
            std::thread::sleep(Duration::from_millis(5));
        }
        self.found(&key)
    }

    /// Asks for a result and waits as long as a build would.
    pub fn glance(&self, name: &str) -> Option<Digest> {
        let key = Digest::of(name.as_bytes());
        self.remote.ask(key, action(name).digest);
        self.remote.wait_for(&key);
        self.found(&key)
    }

    fn found(&self, key: &Digest) -> Option<Digest> {
        match self.remote.lookup(key) {
            Some(Lookup::Found { tree, .. }) => Some(tree),
            _ => None,
        }
    }

    /// The outputs of a tree, in name order.
    ///
    /// # Panics
    /// When one of them is not here.
    pub fn content(&self, tree: &Digest) -> Vec<(String, Bytes)> {
        let entries = self.store.tree(tree).expect("a tree");
        entries.into_iter().map(|e| (e.name, self.store.get(&e.digest).expect("a blob"))).collect()
    }
}

/// The action of a name.
pub fn action(name: &str) -> CacheAction {
    let call = RuleCall { rule: name, version: 1, semantics: 1, sources: None, platform: None, params: "{}" };
    CacheAction::new(call, [("in".to_owned(), RemoteDigest::of(b"input"))])
}

/// Bytes that no compression makes small.
pub fn noise(length: usize, seed: u32) -> Bytes {
    let mut x = seed | 1;
    let mut next = || {
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        x as u8
    };
    (0..length).map(|_| next()).collect::<Vec<u8>>().into()
}

/// A small, an empty, a middle and a large blob, in name order.
pub fn outputs() -> Vec<(String, Bytes)> {
    vec![
        ("a/small".into(), Bytes::from_static(b"abc")),
        ("empty".into(), Bytes::new()),
        ("large".into(), noise(5 << 20, 7)),
        ("middle".into(), noise(100_000, 9)),
    ]
}
