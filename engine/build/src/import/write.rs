//! The manifest's text.
//!
//! A key that the manifest's own table does not take (yet) is written as a comment with the reason, decided by asking that
//! table, so that it becomes a live line when support lands.

use super::checks::method;
use super::inputs::Input;
use super::keys::{CALIBRATION, COMPILER, CUSTOM, Fate, INPUT, MODEL};
use super::node_info::Nodes;
use super::settings::{Settings, flag};
use super::words::Words;
use crate::manifest::accepts;
use crate::paths::relative;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use toml::Value;

/// Where relative paths begin, before and after.
pub(super) struct Paths<'a> {
    pub(super) folder: &'a Path,
    pub(super) target: &'a Path,
}

impl Paths<'_> {
    /// A path of the YAML file as the manifest writes it: relative to the manifest.
    fn moved(&self, path: &str) -> String {
        if Path::new(path).is_absolute() {
            return path.to_owned();
        }
        relative(&self.folder.join(path), self.target)
    }
}

/// What a file means beyond its settings.
pub(super) struct Meaning<'a> {
    pub(super) march: &'a str,
    pub(super) inputs: &'a [Input],
    pub(super) nodes: &'a Nodes,
    pub(super) words: &'a Words,
}

/// A table under construction.
struct Table {
    header: String,
    /// Path of the table inside a model, for the manifest's own key table.
    path: Vec<String>,
    lines: Vec<String>,
}

impl Table {
    fn new(model: &str, path: &[&str]) -> Table {
        let mut header = format!("model.{}", bare(model));
        for part in path {
            header = header + "." + &bare(part);
        }
        Table { header, path: path.iter().map(|p| (*p).to_owned()).collect(), lines: Vec::new() }
    }

    fn set(&mut self, key: &str, value: Value) {
        let mut path = self.path.clone();
        path.extend(key.split('.').map(str::to_owned));
        let line = format!("{key} = {value}");
        match accepts(&path, &value) {
            Ok(()) => self.lines.push(line),
            Err(why) => self.lines.push(format!("# {}    # {why}", one_line(&line))),
        }
    }

    fn text(&mut self, key: &str, value: &str) {
        self.set(key, Value::String(value.to_owned()));
    }
}

/// A text of several lines in one, for comments.
fn one_line(text: &str) -> String {
    text.split(char::is_control).map(str::trim).collect::<Vec<_>>().join(" ")
}

/// A key as TOML writes it.
fn bare(key: &str) -> String {
    let plain = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    if plain { key.to_owned() } else { Value::String(key.to_owned()).to_string() }
}

fn texts(list: &[String]) -> Value {
    Value::Array(list.iter().map(|v| Value::String(v.clone())).collect())
}

fn numbers(list: &[f64]) -> Value {
    match list {
        [one] => Value::Float(*one),
        many => Value::Array(many.iter().map(|v| Value::Float(*v)).collect()),
    }
}

/// A variant's name: letters, digits, `.`, `_` and `-`.
fn name_of(s: &Settings) -> String {
    let prefix = s.text(MODEL, "output_model_file_prefix").map_or("model", |(t, _)| t);
    prefix.chars().map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' }).collect()
}

/// The whole text.
pub(super) fn manifest(s: &Settings, meaning: &Meaning<'_>, file: &str, paths: &Paths<'_>) -> String {
    let Meaning { inputs, nodes, words, .. } = *meaning;
    let name = name_of(s);
    let mut out = format!("# Imported from {}.\n", one_line(file));
    if let Some((dir, _)) = s.text(MODEL, "working_dir") {
        let _ = write!(out, "\n[project]\nout = {}\n", Value::String(paths.moved(dir)));
    }
    let mut tables = vec![model(s, &name, meaning, paths)];
    tables.extend(inputs.iter().map(|i| input(s, &name, i)));
    tables.push(calibration(s, &name, inputs, paths));
    tables.push(compile(s, &name));
    for (node, keys) in nodes {
        let mut table = Table::new(&name, &["nodes", node]);
        keys.iter().for_each(|(k, v)| table.text(k, v));
        tables.push(table);
    }
    for table in tables.iter().filter(|t| !t.lines.is_empty()) {
        let live = table.lines.iter().any(|l| !l.starts_with('#'));
        let _ = write!(out, "\n{}[{}]\n{}\n", if live { "" } else { "# " }, table.header, table.lines.join("\n"));
    }
    let _ = write!(out, "\n[[variant]]\nname = {0}\nmodel = {0}\n", Value::String(name));
    let mut left: Vec<String> = s
        .all()
        .filter_map(|v| match v.key.fate {
            Fate::Comment(why) => {
                Some(format!("# {} = {}: {why}", v.key.name, one_line(v.node.text().unwrap_or("..."))))
            }
            _ => None,
        })
        .collect();
    left.extend(words.left.iter().map(|(word, why)| format!("# optimization = {}: {why}", one_line(word))));
    if !left.is_empty() {
        let _ = write!(out, "\n# Without counterpart:\n{}\n", left.join("\n"));
    }
    out
}

/// What the file says of custom operators, as declarations to fill in: what computes them is in files for another tool.
pub(super) fn customs(s: &Settings, ops: &BTreeSet<String>, paths: &Paths<'_>) -> String {
    let dir = s.text(CUSTOM, "custom_op_dir").map_or("", |(dir, _)| dir);
    let files = s.list(CUSTOM, "op_register_files").map(|(list, _)| list).unwrap_or_default();
    let files: Vec<String> = files.iter().map(|f| paths.moved(&Path::new(dir).join(f).to_string_lossy())).collect();
    if ops.is_empty() && !files.is_empty() {
        return format!(
            "\n# custom_op: the model has no operator of another domain; not needed: {}\n",
            files.join(", ")
        );
    }
    crate::declare::declarations(ops, &files)
}

fn model(s: &Settings, name: &str, meaning: &Meaning<'_>, paths: &Paths<'_>) -> Table {
    let mut t = Table::new(name, &[]);
    if let Some((path, _)) = s.text(MODEL, "onnx_model") {
        t.text("path", &paths.moved(path));
    }
    t.text("march", meaning.march);
    if s.text(CALIBRATION, "calibration_type").is_some_and(|(kind, _)| kind == "load") {
        t.text("quantized", "keep");
    }
    // The second generation's default is not this program's.
    let default = meaning.march.starts_with("nash").then_some("O2");
    if let Some(level) = s.text(COMPILER, "optimize_level").map(|(level, _)| level).or(default) {
        t.text("optimize_level", level);
    }
    for (group, key) in [
        (MODEL, "output_nodes"),
        (MODEL, "remove_node_type"),
        (MODEL, "remove_node_name"),
        (CALIBRATION, "run_on_cpu"),
        (CALIBRATION, "run_on_bpu"),
    ] {
        if let Some((list, _)) = s.list(group, key) {
            t.set(key, texts(&list));
        }
    }
    if !meaning.words.known.is_empty() {
        t.set("optimization", texts(&meaning.words.known));
    }
    t
}

fn input(s: &Settings, name: &str, i: &Input) -> Table {
    let mut t = Table::new(name, &["input", &i.name]);
    if let Some(shape) = &i.shape {
        t.set("shape", Value::Array(shape.iter().map(|&d| Value::Integer(d)).collect()));
    }
    let image = i.type_train.as_deref().is_some_and(|t| t != "featuremap");
    for (key, value) in [("type_train", &i.type_train), ("type_rt", &i.type_rt)] {
        if let Some(v) = value {
            t.text(key, v);
        }
    }
    for (key, value) in [("layout_train", &i.layout_train), ("layout_rt", &i.layout_rt)] {
        // Layouts say something about images; nv12 has its own.
        if let Some(v) =
            value.as_ref().filter(|_| image && !(key == "layout_rt" && i.type_rt.as_deref() == Some("nv12")))
        {
            t.text(key, v);
        }
    }
    for (key, value) in [("space_and_range", &i.space_and_range), ("source", &i.source), ("norm_type", &i.norm_type)] {
        if let Some(v) = value {
            t.text(key, v);
        }
    }
    // Without a norm_type, what is given is used.
    let used = |word: &str| i.norm_type.as_deref().is_none_or(|n| n.contains(word));
    for (key, list, word) in [("mean", &i.mean, "mean"), ("scale", &i.scale, "scale"), ("std", &i.std, "std")] {
        if !list.is_empty() && used(word) {
            t.set(key, numbers(list));
        }
    }
    if let Some(batch) = s.text(INPUT, "input_batch").and_then(|(b, _)| b.parse::<i64>().ok()).filter(|&b| b != 1) {
        t.set("batch", Value::Integer(batch));
    }
    let separate = s.text(INPUT, "separate_batch").and_then(|(v, _)| flag(v)) == Some(true)
        || s.list(INPUT, "separate_name").is_some_and(|(names, _)| names.contains(&i.name));
    if separate {
        t.set("separate_batch", Value::Boolean(true));
    }
    t
}

fn calibration(s: &Settings, name: &str, inputs: &[Input], paths: &Paths<'_>) -> Table {
    let mut t = Table::new(name, &["calibration"]);
    let dirs = s.list(CALIBRATION, "cal_data_dir").map(|(d, _)| d).unwrap_or_default();
    match (&dirs[..], inputs) {
        ([], _) => {}
        ([one], [_]) => t.text("data", &paths.moved(one)),
        (many, _) => {
            let table = inputs.iter().zip(many).map(|(i, d)| (i.name.clone(), Value::String(paths.moved(d))));
            t.set("data", Value::Table(table.collect()));
        }
    }
    let kind = method(s);
    t.text("type", kind);
    if let Some((types, _)) = s.list(CALIBRATION, "cal_data_type")
        && let Some(only) = types.first().filter(|first| types.iter().all(|t| t == *first))
    {
        t.text("data_type", only);
    }
    let number = |key| s.text(CALIBRATION, key).and_then(|(v, _)| v.parse::<f64>().ok());
    if let Some(p) = number("max_percentile").filter(|_| kind == "max") {
        t.set("max_percentile", Value::Float(p));
    }
    let per_channel = s.text(CALIBRATION, "per_channel").and_then(|(v, _)| flag(v)) == Some(true);
    if per_channel && !matches!(kind, "default" | "mix") {
        t.set("per_channel", Value::Boolean(true));
    }
    t
}

fn compile(s: &Settings, name: &str) -> Table {
    let mut t = Table::new(name, &["compile"]);
    let mode = s.text(COMPILER, "compile_mode").map(|(m, _)| m);
    if let Some(mode) = mode {
        t.text("mode", mode);
    }
    for key in ["balance_factor", "core_num", "max_time_per_fc", "jobs"] {
        let value = s.text(COMPILER, key).and_then(|(v, _)| v.parse::<i64>().ok());
        if let Some(v) = value.filter(|_| key != "balance_factor" || mode == Some("balance")) {
            t.set(key, Value::Integer(v));
        }
    }
    if let Some(debug) = s.text(COMPILER, "debug").and_then(|(v, _)| flag(v)) {
        t.set("debug", Value::Boolean(debug));
    }
    if let Some(v) = s.text(COMPILER, "advice").and_then(|(v, _)| v.parse::<f64>().ok()) {
        t.set("advice", Value::Float(v));
    }
    t
}
