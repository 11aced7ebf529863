//! `[cache] remote`: the team's cache, how to reach it and what we may do there. Read by [`super::expand`]; used by `tier.rs`
//! of the engine.

use super::keys::{Key, KeyType};
use super::settings::{Reader, Spot, override_value};
use ptq_ir::Diagnostic;
use ptq_place::nearest;
use std::collections::BTreeMap;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

const fn key(path: &'static str, kind: KeyType, default: &'static str, meaning: &'static str) -> Key {
    Key { path, kind, default, horizon: "-", stage: "the engine", meaning }
}

/// Keys of `[cache] remote`.
pub(super) const KEYS: &[Key] = &[
    key(
        "url",
        KeyType::Text,
        "(required)",
        "server of shared results: `grpc://HOST:PORT` or `grpcs://…` (Remote Execution API), `http://…` or `https://…` (`/ac` and \
         `/cas`), `s3://BUCKET/PREFIX`; see `team-cache.md`",
    ),
    key(
        "mode",
        KeyType::Word(&["read", "read-write"]),
        "\"read\"",
        "whether results of this machine are stored there too; `read` never sends a request that changes anything",
    ),
    key("instance", KeyType::Text, "\"\"", "instance name of a Remote Execution server"),
    key("token_env", KeyType::Text, "none", "environment variable with a bearer token"),
    key("token_file", KeyType::Text, "none", "file with a bearer token"),
    key("password_env", KeyType::Text, "none", "environment variable with `USER:PASSWORD`"),
    key("password_file", KeyType::Text, "none", "file with `USER:PASSWORD`"),
    key(
        "patience",
        KeyType::Integer,
        "200",
        "milliseconds of silence after which work begins here; more where the way is long and the work is, too",
    ),
    key("ca", KeyType::Text, "the system's", "PEM file of authorities to trust beside the system's"),
    key("certificate", KeyType::Text, "none", "PEM file of a client certificate, needs `key`"),
    key("key", KeyType::Text, "none", "PEM file of its private key"),
    key("trusted", KeyType::Texts, "[]", "PEM files of ed25519 public keys whose signatures count"),
    key("require_signed", KeyType::Flag, "false", "whether a result without a signature that counts is a miss"),
    key(
        "sign_key_env",
        KeyType::Text,
        "none",
        "environment variable with the PEM text of the ed25519 key that signs our results",
    ),
    key("sign_key_file", KeyType::Text, "none", "PEM file of the ed25519 key that signs our results"),
    key("endpoint", KeyType::Text, "Amazon's", "URL of an S3 server"),
    key("region", KeyType::Text, "the environment's", "region of an S3 server"),
];

/// The team's cache. File names are relative to the manifest.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RemoteConfig {
    /// Values by key, all known and of the right type.
    values: BTreeMap<String, toml::Value>,
    /// Line of the table or of its `url`.
    pub line: Option<u32>,
}

impl RemoteConfig {
    /// The text of a key.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.values.get(key)?.as_str()
    }

    /// The texts of a key.
    pub fn texts(&self, key: &str) -> Vec<&str> {
        let list = self.values.get(key).and_then(toml::Value::as_array);
        list.into_iter().flatten().filter_map(toml::Value::as_str).collect()
    }

    /// Whether a flag is set.
    pub fn flag(&self, key: &str) -> bool {
        self.values.get(key).and_then(toml::Value::as_bool).unwrap_or(false)
    }

    /// The number of a key.
    pub fn number(&self, key: &str) -> Option<u64> {
        self.values.get(key).and_then(toml::Value::as_integer).and_then(|n| u64::try_from(n).ok())
    }

    /// The URL.
    pub fn url(&self) -> &str {
        self.text("url").unwrap_or("")
    }
}

/// Reads `[cache] remote`, with what `-D cache.remote.KEY=value` lays over it.
pub(super) fn remote(r: &mut Reader<'_>, root: &DeTable<'_>, define: &[(String, String)]) -> Option<RemoteConfig> {
    let mut out = RemoteConfig::default();
    let cache = root.get("cache").and_then(|c| match c.get_ref() {
        DeValue::Table(table) => table.get_key_value("remote"),
        _ => None,
    });
    let mut place = None;
    if let Some((name, found)) = cache {
        let spot = r.spot(name);
        out.line = Some(spot.line);
        match found.get_ref() {
            DeValue::Table(table) => table.iter().for_each(|(key, value)| take(r, &mut out, key.get_ref(), key, value)),
            _ => r.problem("MANIFEST03", "cache.remote must be a table: { url = \"…\" }".into(), &spot, None),
        }
        place = Some(spot);
    }
    for (path, raw) in define {
        let Some(name) = path.strip_prefix("cache.remote.") else { continue };
        let value = KEYS.iter().find(|k| k.path == name).map(|k| override_value(k.kind, raw));
        match value {
            Some(Ok(value)) => drop(out.values.insert(name.to_owned(), value)),
            Some(Err(why)) => r.problems.push(Diagnostic::error("MANIFEST06", format!("-D {path} {why}"))),
            None => r.problems.push(unknown(name)),
        }
    }
    if out.values.is_empty() && place.is_none() {
        return None;
    }
    check(r, &out, place.as_ref());
    Some(out)
}

fn unknown(name: &str) -> Diagnostic {
    let d = Diagnostic::error("MANIFEST02", format!("unknown key cache.remote.{name}"));
    match nearest(name, KEYS.iter().map(|k| k.path)) {
        Some(close) => d.hint(format!("did you mean {close}?")),
        None => d.hint(format!("keys: {}", KEYS.iter().map(|k| k.path).collect::<Vec<_>>().join(", "))),
    }
}

fn take<T>(r: &mut Reader<'_>, out: &mut RemoteConfig, name: &str, at: &Spanned<T>, value: &Spanned<DeValue<'_>>) {
    let Some(known) = KEYS.iter().find(|k| k.path == name) else {
        let (spot, d) = (r.spot(at), unknown(name));
        return r.problem("MANIFEST02", d.message, &spot, d.hint);
    };
    let path = ["cache".to_owned(), "remote".to_owned(), name.to_owned()];
    if let Some(setting) = r.value(known.kind, &path, value) {
        if name == "url" {
            out.line = setting.line;
        }
        out.values.insert(name.to_owned(), setting.value);
    }
}

/// What no single key shows.
fn check(r: &mut Reader<'_>, config: &RemoteConfig, place: Option<&Spot>) {
    let mut problem = |why: String, hint: &str| match place {
        Some(spot) => r.problem("MANIFEST19", why, spot, Some(hint.to_owned())),
        None => r.problems.push(Diagnostic::error("MANIFEST19", why).hint(hint)),
    };
    let has = |key: &str| config.text(key).is_some();
    let url = config.url();
    if url.is_empty() {
        problem("cache.remote has no url".into(), "such as url = \"grpc://cache.example:9092\"");
    } else if !["grpc://", "grpcs://", "http://", "https://", "s3://"].iter().any(|s| url.starts_with(s)) {
        let hint = "a URL begins with grpc://, grpcs://, http://, https:// or s3://";
        problem(format!("cache.remote.url = {url:?} names no server of results"), hint);
    }
    if url.split('/').nth(2).is_some_and(|host| host.contains('@')) {
        problem(
            "cache.remote.url holds a password, which messages would show".into(),
            "use password_env or password_file",
        );
    }
    let logins = ["token_env", "token_file", "password_env", "password_file"].into_iter().filter(|k| has(k)).count();
    if logins > 1 {
        problem("cache.remote logs in twice".into(), "give one of token_env, token_file, password_env, password_file");
    }
    if logins > 0 && (url.starts_with("grpc://") || url.starts_with("http://")) && !is_loopback(url) {
        let hint = "use grpcs:// or https://";
        problem("cache.remote would send its token unencrypted".into(), hint);
    }
    if has("certificate") != has("key") {
        problem("cache.remote: certificate and key belong together".into(), "give both, or none");
    }
    if config.flag("require_signed") && config.texts("trusted").is_empty() {
        problem("cache.remote requires signatures and trusts no key".into(), "name PEM files in trusted");
    }
}

/// Whether the URL's host is this machine, where nobody listens in between.
fn is_loopback(url: &str) -> bool {
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    ["127.0.0.1", "localhost", "[::1]"]
        .iter()
        .any(|h| rest.strip_prefix(h).is_some_and(|after| after.is_empty() || after.starts_with([':', '/'])))
}

#[cfg(test)]
mod tests {
    use crate::manifest::{Manifest, Overlay};

    fn parse(cache: &str, define: &[(String, String)]) -> Result<Manifest, String> {
        let text = format!(
            "[model.n]\npath = \"a\"\ncalibration.type = \"skip\"\n[[variant]]\nname = \"v\"\nmodel = \"n\"\n[cache]\n{cache}\n"
        );
        let said = |p: Vec<ptq_ir::Diagnostic>| p.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        Manifest::parse(&text, "ptq.toml", &Overlay::of(define)).map_err(said)
    }

    #[test]
    fn a_remote_is_read_with_what_is_laid_over_it() {
        let over = [("cache.remote.mode".to_owned(), "read-write".to_owned())];
        let config = parse("remote = { url = \"grpc://h:1\", instance = \"main\" }", &over).expect("valid").remote;
        let config = config.expect("there is one");
        assert_eq!(
            (config.url(), config.text("instance"), config.text("mode")),
            ("grpc://h:1", Some("main"), Some("read-write"))
        );
        assert!(parse("dir = \".ptq\"", &[]).expect("valid").remote.is_none());
    }

    #[test]
    fn what_cannot_work_is_said() {
        let cases = [
            ("remote = \"grpc://h\"", "must be a table"),
            ("remote = { mode = \"read\" }", "has no url"),
            ("remote = { url = \"ftp://h\" }", "begins with grpc://"),
            ("remote = { url = \"https://me:pw@h/\" }", "holds a password"),
            ("remote = { url = \"grpc://h\", mode = \"write\" }", "read-write"),
            ("remote = { url = \"grpc://h\", urll = 1 }", "did you mean url?"),
            ("remote = { url = \"grpcs://h\", token_env = \"A\", token_file = \"b\" }", "logs in twice"),
            ("remote = { url = \"http://h\", token_env = \"A\" }", "unencrypted"),
            ("remote = { url = \"http://localhost.example\", token_env = \"A\" }", "unencrypted"),
            ("remote = { url = \"grpcs://h\", key = \"k\" }", "belong together"),
            ("remote = { url = \"grpcs://h\", require_signed = true }", "trusts no key"),
        ];
        for (text, said) in cases {
            let why = parse(text, &[]).expect_err(text);
            assert!(why.contains(said), "{text}: {why}");
        }
        let wrong = [("cache.remote.tokn".to_owned(), "x".to_owned())];
        assert!(parse("", &wrong).expect_err("unknown").contains("cache.remote.tokn"));
    }
}
