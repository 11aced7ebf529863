//! `[stage.NAME]`: commands whose results are files of the build. Read by [`super::expand`]; run by `stage.rs` of the engine.

use super::Variant;
use super::keys::{Key, KeyType};
use super::overlay::Overlay;
use super::settings::{Reader, override_value, parts, size};
use ptq_ir::Diagnostic;
use ptq_place::nearest;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path};
use toml::de::{DeTable, DeValue};

/// In front of a stage's name: in names of actions, and where a key names one of its files.
pub(crate) const PREFIX: &str = "stage:";
/// Keys of a variant that may name a file of a stage.
const TAKES_A_FILE: [&str; 4] = ["path", "calibration.thresholds", "eval.labels", "eval.dictionary"];

const fn key(path: &'static str, kind: KeyType, default: &'static str, meaning: &'static str) -> Key {
    Key { path, kind, default, horizon: "-", stage: "stage", meaning }
}

/// Keys of `[stage.NAME]`.
pub(super) const KEYS: &[Key] = &[
    key(
        "command",
        KeyType::Texts,
        "(required)",
        "program and arguments; `{NAME}` stands for the parameter of that name",
    ),
    key(
        "inputs",
        KeyType::Texts,
        "[]",
        "files, folders and patterns with `*`, relative to the manifest, or `stage:OTHER/FILE`; nothing else is in the command's folder",
    ),
    key("outputs", KeyType::Texts, "(required)", "files that it makes, patterns with `*`, or folders that end in `/`"),
    key(
        "parameters",
        KeyType::Table,
        "{}",
        "values by name: in the command's words, and as `parameters.json` in its folder",
    ),
    key(
        "tools",
        KeyType::Commands,
        "[]",
        "commands whose output is part of the recipe, such as `[[\"python3\", \"--version\"]]`",
    ),
    key(
        "env",
        KeyType::Texts,
        "[]",
        "environment variables that it sees, with their values part of the recipe; others are cleared",
    ),
    key(
        "sandbox",
        KeyType::Word(&["required", "best-effort", "off"]),
        "\"best-effort\"",
        "whether it runs under bubblewrap: refused without it, used where it works, or not used",
    ),
    key("network", KeyType::Flag, "false", "whether it reaches the network from the sandbox"),
    key(
        "mount",
        KeyType::Texts,
        "[]",
        "further folders that the sandbox shows, read only; their content is not part of the recipe",
    ),
    key("time_limit", KeyType::Integer, "3600", "seconds after which it is ended"),
    key("max_output", KeyType::Size, "\"4 GiB\"", "most bytes in its folder"),
];

/// Whether a command runs in a sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sandbox {
    /// Not without one.
    Required,
    /// Where one works.
    BestEffort,
    /// No.
    Off,
}

/// One external stage.
#[derive(Clone, Debug, PartialEq)]
pub struct StageConfig {
    /// Name.
    pub name: String,
    /// Program and arguments, with parameters in place.
    pub command: Vec<String>,
    /// Files, folders and patterns below the manifest, and files of other stages.
    pub inputs: Vec<String>,
    /// Files, patterns and folders that it makes.
    pub outputs: Vec<String>,
    /// Values by name.
    pub parameters: BTreeMap<String, serde_json::Value>,
    /// Commands whose output is part of the recipe.
    pub tools: Vec<Vec<String>>,
    /// Variables that it sees; `None` where one is not set.
    pub env: BTreeMap<String, Option<String>>,
    /// Whether it runs in a sandbox.
    pub sandbox: Sandbox,
    /// Whether the sandbox has a network.
    pub network: bool,
    /// Further folders that the sandbox shows.
    pub mount: Vec<String>,
    /// Seconds.
    pub time_limit: u64,
    /// Bytes.
    pub max_output: u64,
    /// Line of the table.
    pub line: u32,
    /// Lines of its keys, by dotted path.
    pub lines: BTreeMap<String, u32>,
}

/// The stage and the file that a value such as `stage:export/net.onnx` names.
pub(crate) fn staged(path: &str) -> Option<(&str, &str)> {
    path.strip_prefix(PREFIX)?.split_once('/')
}

impl StageConfig {
    /// Names of the stages whose files it reads.
    pub(crate) fn reads(&self) -> impl Iterator<Item = &str> {
        self.inputs.iter().filter_map(|i| Some(staged(i)?.0))
    }

    /// Whether it declares this file.
    pub(crate) fn makes(&self, file: &str) -> bool {
        self.outputs.iter().any(|pattern| names(pattern, file))
    }
}

/// Whether a pattern of files names this file: the file itself, `*` within one part, or a folder that ends in `/`.
pub(crate) fn names(pattern: &str, file: &str) -> bool {
    let depth = |s: &str| s.matches('/').count();
    let folder = pattern.ends_with('/') && file.starts_with(pattern);
    folder || (depth(pattern) == depth(file) && crate::sources::wildcard(pattern, file))
}

/// Whether a path stays below the folder it is relative to.
fn is_below(path: &str) -> bool {
    !path.is_empty() && Path::new(path).components().all(|c| matches!(c, Component::Normal(_)))
}

/// All stages of a manifest, with `-D stage.NAME.KEY=VALUE` over them.
pub(super) fn stages(r: &mut Reader<'_>, root: &DeTable<'_>, overlay: &Overlay) -> BTreeMap<String, StageConfig> {
    let mut drafts = BTreeMap::new();
    super::expand::each_table(r, root, "stage", |r, name, spot, table| {
        drafts.insert(name, (spot.line, Draft::read(r, "stage", &[], spot.line, table)));
    });
    for (key, raw) in &overlay.define {
        let path = parts(key);
        if let [group, name, rest @ ..] = path.as_slice()
            && group == "stage"
        {
            let found = drafts.get_mut(name).map(|(_, draft)| draft.define(rest, raw));
            if let Err(why) = found.unwrap_or_else(|| Err(format!("there is no [stage.{name}]"))) {
                r.problems.push(Diagnostic::error("MANIFEST06", format!("-D {key}: {why}")));
            }
        }
    }
    let made = drafts.into_iter().map(|(name, (line, draft))| {
        let stage = draft.stage(&name, line, overlay);
        (name, stage)
    });
    let stages: BTreeMap<String, StageConfig> = made.collect();
    for stage in stages.values() {
        for mut d in problems(&format!("stage {}", stage.name), stage, &stages) {
            let file = r.file().to_owned();
            d.place.file = Some(file);
            r.problems.push(d);
        }
    }
    stages
}

/// The command of a table that has other keys too, which are passed over; its declared inputs are called `files` there, and
/// its outputs are fixed.
pub(super) fn command(
    r: &mut Reader<'_>,
    title: &str,
    others: &[&str],
    line: u32,
    table: &DeTable<'_>,
    overlay: &Overlay,
) -> StageConfig {
    let name = title.split(' ').next_back().unwrap_or(title);
    let mut draft = Draft::read(r, "custom_op", others, line, table);
    let made = toml::Value::Array(vec![toml::Value::String("output*.npy".into())]);
    draft.values.insert("outputs".into(), made);
    let stage = draft.stage(name, line, overlay);
    for mut d in problems(title, &stage, &BTreeMap::new()) {
        let file = r.file().to_owned();
        d.place.file = Some(file);
        r.problems.push(d);
    }
    stage
}

/// What files of stages variants name that no stage makes.
pub(super) fn check_variants(
    variants: &BTreeMap<String, Variant>,
    stages: &BTreeMap<String, StageConfig>,
) -> Vec<Diagnostic> {
    let mut out: Vec<Diagnostic> = Vec::new();
    for variant in variants.values() {
        for key in TAKES_A_FILE {
            let Some(setting) = variant.settings.get(key) else { continue };
            let Some(path) = setting.value.as_str().filter(|p| p.starts_with(PREFIX)) else { continue };
            if let Some((message, hint)) = unknown_file(key, path, stages) {
                let mut d = Diagnostic::error("MANIFEST18", message).hint(hint);
                d.place.line = setting.line;
                if !out.contains(&d) {
                    out.push(d);
                }
            }
        }
    }
    out
}

/// Message and hint where no stage makes the file that a value names.
fn unknown_file(key: &str, path: &str, stages: &BTreeMap<String, StageConfig>) -> Option<(String, String)> {
    let Some((name, file)) = staged(path) else {
        return Some((format!("{key} = {path:?} names no file"), "write stage:NAME/FILE".to_owned()));
    };
    let Some(stage) = stages.get(name) else {
        let close = nearest(name, stages.keys().map(String::as_str));
        let hint = close.map_or_else(|| format!("add [stage.{name}]"), |c| format!("did you mean {c}?"));
        return Some((format!("{key} = {path:?}: there is no [stage.{name}]"), hint));
    };
    let hint = format!("its outputs: {}", stage.outputs.join(", "));
    (!stage.makes(file)).then(|| (format!("{key} = {path:?}: stage {name} does not declare {file}"), hint))
}

/// Everything that is wrong with a stage.
fn problems(title: &str, stage: &StageConfig, all: &BTreeMap<String, StageConfig>) -> Vec<Diagnostic> {
    let name = &stage.name;
    let mut out = Vec::new();
    let mut problem = |key: &str, why: String, hint: &str| {
        let line = stage.lines.get(key).copied().unwrap_or(stage.line);
        out.push(Diagnostic::error("MANIFEST18", format!("{title}: {why}")).hint(hint).line(line));
    };
    if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c)) {
        problem("", "is no stage name".to_owned(), "use letters, digits, '_' and '-'");
    }
    if stage.command.first().is_none_or(String::is_empty) {
        problem("command", "has no command".to_owned(), "give the program and its arguments as a list");
    }
    if stage.outputs.is_empty() {
        problem("outputs", "has no outputs".to_owned(), "name the files that it makes");
    }
    for output in stage.outputs.iter().filter(|o| !is_below(o.strip_suffix('/').unwrap_or(o))) {
        problem("outputs", format!("output {output:?} leads out of its folder"), "give a path inside it, without ..");
    }
    for input in &stage.inputs {
        if input.starts_with(PREFIX) {
            if let Some((why, hint)) = unknown_file("input", input, all) {
                problem("inputs", why, &hint);
            }
        } else if !is_below(input.strip_suffix('/').unwrap_or(input)) {
            let why = format!("input {input:?} does not lie below the manifest's folder");
            problem("inputs", why, "give a path relative to the manifest, without ..; a link there may lead elsewhere");
        }
    }
    for tool in stage.tools.iter().filter(|t| t.is_empty()) {
        problem("tools", format!("{tool:?} is no command"), "give a program and its arguments");
    }
    if reaches(stage, name, all) {
        problem("inputs", "reads its own result".to_owned(), "remove one of the inputs that form the circle");
    }
    out
}

/// Whether a stage reads, directly or through others, files of the named one.
fn reaches(from: &StageConfig, name: &str, all: &BTreeMap<String, StageConfig>) -> bool {
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    let mut next: Vec<&str> = from.reads().collect();
    while let Some(read) = next.pop() {
        if seen.insert(read) {
            next.extend(all.get(read).into_iter().flat_map(StageConfig::reads));
        }
    }
    seen.contains(name)
}

/// The keys of one table as they are read.
#[derive(Default)]
struct Draft {
    values: BTreeMap<String, toml::Value>,
    lines: BTreeMap<String, u32>,
}

impl Draft {
    fn read(r: &mut Reader<'_>, group: &str, others: &[&str], line: u32, table: &DeTable<'_>) -> Draft {
        let mut draft = Draft::default();
        draft.lines.insert(String::new(), line);
        for (key, value) in table.iter() {
            let written = key.get_ref().to_string();
            if others.contains(&written.as_str()) {
                continue;
            }
            let renamed = group == "custom_op";
            let name = if renamed && written == "files" { "inputs".to_owned() } else { written };
            let Some(known) = KEYS.iter().find(|k| k.path == name) else {
                let close = nearest(&name, KEYS.iter().map(|k| k.path));
                let known = || format!("keys: {}", KEYS.iter().map(|k| k.path).collect::<Vec<_>>().join(", "));
                let hint = close.map_or_else(known, |c| format!("did you mean {c}?"));
                let spot = r.spot(key);
                r.problem("MANIFEST02", format!("unknown key {group}.{name}"), &spot, Some(hint));
                continue;
            };
            draft.lines.insert(name.clone(), r.spot(key).line);
            if let DeValue::Table(inner) = value.get_ref() {
                let lines = inner.keys().map(|k| (format!("{name}.{}", k.get_ref()), r.spot(k).line));
                draft.lines.extend(lines.collect::<Vec<_>>());
            }
            let path = [group.to_owned(), name.clone()];
            if let Some(setting) = r.value(known.kind, &path, value) {
                draft.values.insert(name, setting.value);
            }
        }
        draft
    }

    /// Lays a value of the command line over these.
    fn define(&mut self, path: &[String], raw: &str) -> Result<(), String> {
        self.lines.remove(&path.join("."));
        match path {
            [key] => {
                let known = KEYS.iter().find(|k| k.path == key).ok_or_else(|| format!("a stage has no key {key}"))?;
                let value = override_value(known.kind, raw)?;
                self.values.insert(key.clone(), value);
            }
            [group, name] if group == "parameters" => {
                let table = self.values.entry(group.clone()).or_insert_with(|| toml::Value::Table(toml::Table::new()));
                if let Some(table) = table.as_table_mut() {
                    table.insert(name.clone(), override_value(KeyType::Any, raw)?);
                }
            }
            _ => return Err(format!("a stage has no key {}", path.join("."))),
        }
        Ok(())
    }

    fn texts(&self, key: &str) -> Vec<String> {
        texts(self.values.get(key))
    }

    fn stage(&self, name: &str, line: u32, overlay: &Overlay) -> StageConfig {
        let table = self.values.get("parameters").and_then(toml::Value::as_table);
        let json = |v: &toml::Value| serde_json::to_value(v).unwrap_or_default();
        let parameters: BTreeMap<String, serde_json::Value> =
            table.into_iter().flatten().map(|(k, v)| (k.clone(), json(v))).collect();
        let tools = self.values.get("tools").and_then(toml::Value::as_array);
        let number = |key: &str, default: u64| self.values.get(key).and_then(size).unwrap_or(default);
        StageConfig {
            name: name.to_owned(),
            command: self.texts("command").iter().map(|w| filled(w, &parameters)).collect(),
            inputs: self.texts("inputs"),
            outputs: self.texts("outputs"),
            parameters,
            tools: tools.into_iter().flatten().map(|t| texts(Some(t))).collect(),
            env: self.texts("env").into_iter().map(|v| (v.clone(), overlay.environment.get(&v).cloned())).collect(),
            sandbox: match self.values.get("sandbox").and_then(toml::Value::as_str) {
                Some("required") => Sandbox::Required,
                Some("off") => Sandbox::Off,
                _ => Sandbox::BestEffort,
            },
            network: self.values.get("network").and_then(toml::Value::as_bool).unwrap_or(false),
            mount: self.texts("mount"),
            time_limit: number("time_limit", 3600),
            max_output: number("max_output", 4 << 30),
            line,
            lines: self.lines.clone(),
        }
    }
}

fn texts(value: Option<&toml::Value>) -> Vec<String> {
    value.and_then(toml::Value::as_array).into_iter().flatten().filter_map(|v| v.as_str().map(str::to_owned)).collect()
}

/// A word of a command with `{NAME}` replaced by parameters: texts as they are, other values as JSON.
fn filled(word: &str, parameters: &BTreeMap<String, serde_json::Value>) -> String {
    let mut out = String::new();
    let mut rest = word;
    while let Some(start) = rest.find('{') {
        let (head, tail) = rest.split_at(start);
        out += head;
        let value = tail.find('}').and_then(|end| Some((end, parameters.get(&tail[1..end])?)));
        match value {
            Some((end, value)) => {
                out += &value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                rest = &tail[end + 1..];
            }
            None => {
                out.push('{');
                rest = &tail[1..];
            }
        }
    }
    out + rest
}
