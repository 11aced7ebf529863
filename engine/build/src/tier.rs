//! The team's cache as a tier behind the local store: what is missing here is asked for there, what is made here is stored
//! there. Used by the driver (whole waves), the executor (single actions) and the project (push, pull, settings).

use crate::action::{ActionSpec, InputKind, own_sources};
use crate::events::{Event, EventSink};
use crate::executor::Executor;
use crate::manifest::{RemoteConfig, STAGE_PREFIX};
use ptq_cache::remote::{
    CacheAction, ClientCertificate, ErrorKind, Login, Lookup, Mode, Patience, Remote, RemoteDigest, RemoteError,
    RemoteSettings, RuleCall, Secret, public_key,
};
use ptq_cache::{Digest, Store};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Stage that messages about the tier name.
const STAGE: &str = "cache";

/// The team's cache.
pub(crate) struct Tier {
    remote: Remote,
    /// Results that were made while the server was silent: stored at the end of the build if it speaks by then.
    deferred: Mutex<Vec<Made>>,
}

/// A result that was made here.
struct Made {
    spec: ActionSpec,
    tree: Digest,
    took: Option<Duration>,
}

impl Tier {
    /// The cache that the settings name; connects in the background.
    ///
    /// # Errors
    /// When a file or variable with a secret is not there, or the settings cannot work.
    pub(crate) fn open(config: &RemoteConfig, root: &Path, store: Arc<Store>) -> Result<Tier, RemoteError> {
        Ok(Tier { remote: Remote::open(&settings(config, root)?, store)?, deferred: Mutex::default() })
    }

    /// Whether nothing is stored there.
    pub(crate) fn only_reads(&self) -> bool {
        self.remote.mode() == Mode::Read
    }

    /// Asks for an action's result; returns whether there is something to wait for.
    pub(crate) fn ask(&self, executor: &Executor<'_>, spec: &ActionSpec) -> bool {
        if executor.session.is_forced(&spec.rule) {
            return false;
        }
        let key = spec.key();
        match self.remote.lookup(&key) {
            Some(lookup) => lookup != Lookup::Nothing,
            None => action(executor, spec).is_some_and(|a| self.remote.ask(key, a.digest)),
        }
    }

    /// Whether the look-up of a key has ended.
    pub(crate) fn is_decided(&self, key: &Digest) -> bool {
        self.remote.lookup(key).is_some_and(|l| l.is_over())
    }

    /// Whether the result of a key came from there.
    pub(crate) fn has_brought(&self, key: &Digest) -> bool {
        matches!(self.remote.lookup(key), Some(Lookup::Found { .. }))
    }

    /// A key that was asked for and is decided now.
    pub(crate) fn decided(&self) -> Option<Digest> {
        self.remote.decided()
    }

    /// Waits until a look-up is decided; otherwise returns which of these to make here.
    pub(crate) fn wait(&self, waiting: &dyn Fn() -> Vec<Digest>) -> Option<Digest> {
        if self.remote.wait(waiting) { None } else { self.remote.cheapest(&waiting()) }
    }

    /// The tree of an action that was asked for, where it came; otherwise its work begins here now.
    pub(crate) fn take(&self, key: &Digest) -> Option<(Digest, String)> {
        match self.remote.wait_for(key) {
            Lookup::Found { tree, worker } => Some((tree, worker)),
            Lookup::Nothing => None,
            _ => {
                self.remote.give_up(key);
                None
            }
        }
    }

    /// The tree of an action that was asked for, however long it takes while the server speaks.
    pub(crate) fn wait_for(&self, key: &Digest) -> Option<(Digest, String)> {
        loop {
            match self.remote.wait_for(key) {
                Lookup::Found { tree, worker } => return Some((tree, worker)),
                Lookup::Nothing => return None,
                _ if self.remote.is_mute() => return None,
                _ => {}
            }
        }
    }

    /// Whether the server answers and lets us look up.
    pub(crate) fn check(&self) -> Result<(), RemoteError> {
        self.remote.check(Duration::from_secs(3))
    }

    /// Stores a result there, in the background.
    pub(crate) fn publish(&self, executor: &Executor<'_>, spec: &ActionSpec, tree: Digest, took: Option<Duration>) {
        if self.only_reads() {
            return;
        }
        if self.remote.is_mute() {
            let made = Made { spec: spec.clone(), tree, took };
            return self.deferred.lock().unwrap_or_else(PoisonError::into_inner).push(made);
        }
        match action(executor, spec) {
            Some(action) => self.remote.publish(action, tree, took),
            None => self.remote.could_not_publish(),
        }
    }

    /// Waits for what is still on its way there, says what went wrong, and returns all counts by name.
    pub(crate) fn finish(&self, executor: &Executor<'_>) -> BTreeMap<&'static str, u64> {
        let (events, session) = (executor.events, executor.session);
        let deferred = std::mem::take(&mut *self.deferred.lock().unwrap_or_else(PoisonError::into_inner));
        for made in deferred {
            match if self.remote.is_mute() { None } else { action(executor, &made.spec) } {
                Some(action) => self.remote.publish(action, made.tree, made.took),
                None => self.remote.could_not_publish(),
            }
        }
        let mut shown = None;
        self.remote.finish(&mut |progress| {
            if progress.results > 0 && shown != Some(progress.done) {
                shown = Some(progress.done);
                let (done, total) = (progress.done as usize, progress.results as usize);
                let (variant, stage) = (STAGE.to_owned(), "upload".to_owned());
                events.event(Event::Progress { variant, stage, done, total });
            }
            !session.cancelled()
        });
        self.warn(events);
        self.remote.forget_lookups();
        self.remote.stats().counts()
    }

    /// Says what went wrong since the last time.
    pub(crate) fn warn(&self, events: &dyn EventSink) {
        for message in self.remote.warnings() {
            events.event(Event::Warning { variant: STAGE.into(), stage: "remote".into(), message });
        }
    }
}

/// The name of an action for everybody: rule, version, parameters and the bytes of its inputs. `None` where an input's
/// bytes are not here, or the result is for this machine alone.
pub(crate) fn action(executor: &Executor<'_>, spec: &ActionSpec) -> Option<CacheAction> {
    let store = &executor.session.store;
    let remote = |digest: &Digest| {
        store.known_remote_digest(digest).or_else(|| {
            let remote = RemoteDigest::of(&executor.bytes(digest)?);
            store.note_remote_digest(digest, remote);
            Some(remote)
        })
    };
    let mut inputs: BTreeMap<String, RemoteDigest> = BTreeMap::new();
    for input in &spec.inputs {
        match input.kind {
            InputKind::Blob => drop(inputs.insert(input.name.clone(), remote(&input.digest)?)),
            InputKind::Tree => {
                for entry in store.tree(&input.digest)? {
                    inputs.insert(entry.name, remote(&entry.digest)?);
                }
            }
        }
    }
    // A command of the manifest may see more of a machine than a rule does.
    let platform = format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH);
    let call = RuleCall {
        rule: &spec.rule,
        version: spec.version,
        semantics: ptq_rule::SEMANTICS,
        sources: own_sources(),
        platform: spec.rule.starts_with(STAGE_PREFIX).then_some(platform.as_str()),
        params: &spec.params,
    };
    Some(CacheAction::new(call, inputs))
}

/// What the back ends take, from what the manifest says; files are relative to `root`.
///
/// # Errors
/// When a file or variable is not there, or holds something else.
pub(crate) fn settings(config: &RemoteConfig, root: &Path) -> Result<RemoteSettings, RemoteError> {
    let wrong = |what: String| RemoteError::new(ErrorKind::Setting, what);
    let file = |key: &str| {
        let Some(name) = config.text(key) else { return Ok(None) };
        let path = root.join(name);
        std::fs::read(&path).map(Some).map_err(|e| wrong(format!("cache.remote.{key}: {}: {e}", path.display())))
    };
    let secret = |env: &str, file: &str| match (config.text(env), config.text(file)) {
        (Some(name), _) => Secret::from_environment(name).map(Some),
        (None, Some(name)) => Secret::from_file(&root.join(name)).map(Some),
        _ => Ok(None),
    };
    let login = match (secret("token_env", "token_file")?, secret("password_env", "password_file")?) {
        (Some(token), _) => Login::Bearer(token),
        (None, Some(pair)) => Login::Basic(pair),
        _ => Login::None,
    };
    let certificate = match (file("certificate")?, secret("key_env", "key")?) {
        (Some(chain), Some(key)) => Some(ClientCertificate { chain, key }),
        _ => None,
    };
    let mut trusted = Vec::new();
    for name in config.texts("trusted") {
        let path = root.join(name);
        let pem = std::fs::read(&path).map_err(|e| wrong(format!("cache.remote.trusted: {}: {e}", path.display())))?;
        let key = public_key(&pem).ok_or_else(|| wrong(format!("{} is no ed25519 public key", path.display())))?;
        trusted.push(key);
    }
    let mut patience = Patience::default();
    if let Some(ms) = config.number("patience") {
        patience.answer = Duration::from_millis(ms);
    }
    Ok(RemoteSettings {
        url: config.url().to_owned(),
        mode: if config.text("mode") == Some("read-write") { Mode::ReadWrite } else { Mode::Read },
        instance: config.text("instance").unwrap_or("").to_owned(),
        login,
        authorities: file("ca")?,
        certificate,
        trusted,
        require_signed: config.flag("require_signed"),
        sign: secret("sign_key_env", "sign_key_file")?,
        endpoint: config.text("endpoint").map(str::to_owned),
        region: config.text("region").map(str::to_owned),
        patience,
    })
}
