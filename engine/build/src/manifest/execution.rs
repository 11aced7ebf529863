//! `[remote]`: whether, and how, actions run on other machines. Read by [`super::expand`]; used by `cluster.rs` of the engine.

use super::keys::{Key, KeyType};
use super::settings::Reader;
use ptq_place::nearest;
use std::collections::BTreeMap;
use std::path::PathBuf;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

const fn key(path: &'static str, kind: KeyType, default: &'static str, meaning: &'static str) -> Key {
    Key { path, kind, default, horizon: "-", stage: "the engine", meaning }
}

/// Keys of `[remote]`.
pub(super) const KEYS: &[Key] = &[
    key("execute", KeyType::Flag, "false", "whether actions run on the server's workers, as with `--remote-exec`"),
    key(
        "url",
        KeyType::Text,
        "cache.remote's",
        "server that executes, `grpc://` or `grpcs://`; logs in as `cache.remote` does",
    ),
    key("instance", KeyType::Text, "cache.remote's", "its instance name"),
    key(
        "worker",
        KeyType::Text,
        "this program",
        "program that workers run, relative to the manifest: a static `ptq` of the same version",
    ),
    key("fallback", KeyType::Flag, "false", "whether actions run here that cannot run there"),
    key("in_flight", KeyType::Integer, "100", "executions at a time"),
    key("threads", KeyType::Integer, "1", "threads of one action whose work splits"),
    key("time_limit", KeyType::Integer, "3600", "seconds after which an action is ended"),
    key("platform", KeyType::Table, "{}", "properties that a worker must have, texts by name"),
    key("cpu_property", KeyType::Text, "none", "property that takes the number of threads of an action"),
    key("memory_property", KeyType::Text, "none", "property that takes the memory of an action, in MiB"),
];

/// Whether, and how, actions run on other machines.
#[derive(Clone, Debug, PartialEq)]
pub struct ExecutionConfig {
    /// Whether they do.
    pub execute: bool,
    /// Server, where it is another one than the cache.
    pub url: Option<String>,
    /// Its instance.
    pub instance: Option<String>,
    /// Program that workers run, relative to the manifest.
    pub worker: Option<PathBuf>,
    /// Whether actions run here that cannot run there.
    pub fallback: bool,
    /// Executions at a time.
    pub in_flight: usize,
    /// Threads of one action.
    pub threads: usize,
    /// Seconds after which an action is ended.
    pub time_limit: u64,
    /// Properties of workers.
    pub platform: BTreeMap<String, String>,
    /// Property with the threads of an action.
    pub cpu_property: Option<String>,
    /// Property with the memory of an action.
    pub memory_property: Option<String>,
}

impl Default for ExecutionConfig {
    fn default() -> ExecutionConfig {
        ExecutionConfig {
            execute: false,
            url: None,
            instance: None,
            worker: None,
            fallback: false,
            in_flight: 100,
            threads: 1,
            time_limit: 3600,
            platform: BTreeMap::new(),
            cpu_property: None,
            memory_property: None,
        }
    }
}

/// Reads `[remote]`.
pub(super) fn execution(r: &mut Reader<'_>, root: &DeTable<'_>) -> ExecutionConfig {
    let mut out = ExecutionConfig::default();
    let Some(found) = root.get("remote") else { return out };
    let DeValue::Table(table) = found.get_ref() else {
        let spot = r.spot(found);
        r.problem("MANIFEST03", "remote must be a table: [remote]".into(), &spot, None);
        return out;
    };
    for (name, value) in table.iter() {
        let path = name.get_ref().to_string();
        let Some(key) = KEYS.iter().find(|k| k.path == path) else {
            let hint = nearest(&path, KEYS.iter().map(|k| k.path)).map(|c| format!("did you mean {c}?"));
            let spot = r.spot(name);
            r.problem("MANIFEST02", format!("unknown key remote.{path}"), &spot, hint);
            continue;
        };
        if let Some(setting) = r.value(key.kind, &["remote".to_owned(), path.clone()], value) {
            take(r, &mut out, &path, &setting.value, value);
        }
    }
    out
}

fn take(r: &mut Reader<'_>, out: &mut ExecutionConfig, key: &str, value: &toml::Value, place: &Spanned<DeValue<'_>>) {
    let text = || value.as_str().map(str::to_owned);
    let flag = value.as_bool().unwrap_or(false);
    let number = value.as_integer().and_then(|n| u64::try_from(n).ok()).unwrap_or(1).max(1);
    match key {
        "execute" => out.execute = flag,
        "fallback" => out.fallback = flag,
        "url" => out.url = text(),
        "instance" => out.instance = text(),
        "worker" => out.worker = text().map(PathBuf::from),
        "in_flight" => out.in_flight = usize::try_from(number).unwrap_or(1),
        "threads" => out.threads = usize::try_from(number).unwrap_or(1),
        "time_limit" => out.time_limit = number,
        "cpu_property" => out.cpu_property = text(),
        "memory_property" => out.memory_property = text(),
        _ => {
            for (name, value) in value.as_table().into_iter().flatten() {
                if let Some(text) = value.as_str() {
                    out.platform.insert(name.clone(), text.to_owned());
                } else {
                    let spot = r.spot(place);
                    r.problem("MANIFEST03", format!("remote.platform.{name} must be text"), &spot, None);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::manifest::{Manifest, Overlay};

    const HEAD: &str =
        "[model.n]\npath = \"a\"\ncalibration.type = \"skip\"\n[[variant]]\nname = \"v\"\nmodel = \"n\"\n[remote]\n";

    #[test]
    fn every_key_is_taken_and_others_are_refused() {
        let text = format!(
            "{HEAD}execute = true\nurl = \"grpc://h:1\"\ninstance = \"i\"\nworker = \"w\"\nfallback = true\nin_flight = 7\n\
             threads = 2\ntime_limit = 60\nplatform = {{ OSFamily = \"linux\" }}\ncpu_property = \"c\"\nmemory_property = \"m\"\n"
        );
        let config = Manifest::parse(&text, "ptq.toml", &Overlay::default()).expect("valid").execution;
        let flags = (config.execute, config.fallback, config.in_flight, config.threads, config.time_limit);
        assert_eq!(flags, (true, true, 7, 2, 60));
        let texts =
            [config.url, config.instance, config.cpu_property, config.memory_property].map(Option::unwrap_or_default);
        assert_eq!(texts, ["grpc://h:1", "i", "c", "m"]);
        assert_eq!(config.platform["OSFamily"], "linux");
        assert!(super::KEYS.iter().all(|k| text.contains(k.path)), "this test knows every key");
        let wrong = format!("{HEAD}exekute = true\nplatform = {{ a = 1 }}\n");
        let problems = Manifest::parse(&wrong, "ptq.toml", &Overlay::default()).expect_err("wrong");
        let said: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert!(said[0].contains("did you mean execute?") && said[1].contains("must be text"), "{said:?}");
    }
}
