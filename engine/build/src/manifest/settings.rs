//! Values with the line that set them, and the reader that collects problems.

use super::keys::{self, KeyType};
use ptq_ir::Diagnostic;
use ptq_place::nearest;
use std::collections::BTreeMap;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A value and where it was set; `line` is `None` for `-D`.
#[derive(Clone, Debug, PartialEq)]
pub struct Setting {
    /// The value.
    pub value: toml::Value,
    /// Line of the manifest, from 1.
    pub line: Option<u32>,
}

/// Settings by dotted path; names that hold dots are kept as one part.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings(pub BTreeMap<Vec<String>, Setting>);

impl Settings {
    /// The setting at a dotted path; names that hold dots stand in quotes.
    pub fn get(&self, path: &str) -> Option<&Setting> {
        if path.contains('"') {
            return self.0.get(&parts(path));
        }
        // A variant has few settings: looking at all of them costs less than making a key.
        self.0.iter().find(|(key, _)| is_path(key, path)).map(|(_, setting)| setting)
    }

    /// The setting of a key of a group.
    pub(super) fn of(&self, group: &str, key: &str) -> Option<&Setting> {
        self.0.iter().find(|(path, _)| matches!(path.as_slice(), [g, k] if k == key && g == group)).map(|(_, s)| s)
    }

    /// Lays other settings over these.
    pub(super) fn lay(&mut self, over: &Settings) {
        self.0.extend(over.0.iter().map(|(k, v)| (k.clone(), v.clone())));
    }
}

/// Whether these are the parts of a dotted path.
fn is_path(parts: &[String], path: &str) -> bool {
    let Some((last, before)) = parts.split_last() else { return false };
    let mut rest = path;
    for part in before {
        match rest.strip_prefix(part.as_str()).and_then(|behind| behind.strip_prefix('.')) {
            Some(behind) => rest = behind,
            None => return false,
        }
    }
    rest == last
}

/// A place in the manifest's text.
#[derive(Clone, Debug)]
pub(super) struct Spot {
    /// Line, from 1.
    pub(super) line: u32,
    /// Bytes of the text.
    span: Range<usize>,
}

/// Reads a file's tree and remembers every problem.
pub(super) struct Reader<'t> {
    text: &'t str,
    file: &'t str,
    /// Offset of the start of each line.
    lines: Vec<usize>,
    /// Names of environment variables that texts may use, with their values.
    pub(super) environment: BTreeMap<String, Option<String>>,
    pub(super) problems: Vec<Diagnostic>,
}

impl<'t> Reader<'t> {
    pub(super) fn new(text: &'t str, file: &'t str) -> Reader<'t> {
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Reader { text, file, lines, environment: BTreeMap::new(), problems: Vec::new() }
    }

    /// The file as a tree of spanned values.
    pub(super) fn root(&mut self) -> Option<DeTable<'t>> {
        match DeTable::parse(self.text) {
            Ok(table) => Some(table.into_inner()),
            Err(e) => {
                let spot = self.spot_at(e.span().unwrap_or(0..0));
                self.problem("MANIFEST01", e.message().to_owned(), &spot, None);
                None
            }
        }
    }

    /// The file's name as messages show it.
    pub(super) fn file(&self) -> &str {
        self.file
    }

    fn spot_at(&self, span: Range<usize>) -> Spot {
        Spot { line: self.lines.partition_point(|start| *start <= span.start) as u32, span }
    }

    /// Where a key or a value stands.
    pub(super) fn spot<T>(&self, spanned: &Spanned<T>) -> Spot {
        self.spot_at(spanned.span())
    }

    /// Remembers a problem with its place and a mark under it.
    pub(super) fn problem(&mut self, code: &str, message: String, spot: &Spot, hint: Option<String>) {
        let mut d = Diagnostic::error(code, message).file(self.file).line(spot.line);
        d.place.excerpt = Some(self.excerpt(spot.line, Some(&spot.span)));
        d.hint = hint;
        self.problems.push(d);
    }

    /// Gives problems that know only their line its text.
    pub(super) fn add_excerpts(&mut self) {
        let mut problems = std::mem::take(&mut self.problems);
        for place in problems.iter_mut().map(|d| &mut d.place) {
            if let (Some(line), None) = (place.line, &place.excerpt) {
                place.excerpt = Some(self.excerpt(line, None));
            }
        }
        self.problems = problems;
    }

    /// A line of the text with marks under these bytes, or under all of it.
    fn excerpt(&self, line: u32, span: Option<&Range<usize>>) -> String {
        let start = self.lines.get((line as usize).saturating_sub(1)).copied().unwrap_or(0);
        let shown = self.text.get(start..).and_then(|t| t.lines().next()).unwrap_or("");
        let indent = shown.len() - shown.trim_start().len();
        let whole = start + indent..start + shown.trim_end().len();
        let marked = span.map_or(whole.clone(), |s| s.start.clamp(whole.start, whole.end)..s.end.min(whole.end));
        let columns = |range: Range<usize>| self.text.get(range).map_or(0, |t| t.chars().count());
        let before = columns(start..marked.start);
        let marks = "^".repeat(columns(marked).max(1));
        let gap = " ".repeat(line.to_string().len());
        format!("{gap} |\n{line} | {}\n{gap} | {}{marks}", shown.trim_end(), " ".repeat(before))
    }

    /// A text with the values of environment variables in place of `${NAME}`.
    fn expanded(&mut self, text: &str, spot: &Spot) -> String {
        let mut out = String::new();
        let mut rest = text;
        while let Some((head, tail)) = rest.split_once("${") {
            let Some((name, after)) = tail.split_once('}') else { break };
            out.push_str(head);
            match self.environment.get(name) {
                Some(Some(value)) => out.push_str(value),
                Some(None) => {
                    let why = format!("the environment variable {name} is not set");
                    self.problem("MANIFEST13", why, spot, None);
                }
                None => {
                    let hint = format!("declare it: [project] env = [\"{name}\"]");
                    self.problem("MANIFEST13", format!("${{{name}}} is not declared"), spot, Some(hint));
                }
            }
            rest = after;
        }
        out + rest
    }

    /// Reads a table of settings; every leaf must be a known key of the right type.
    pub(super) fn settings(&mut self, table: &DeTable<'_>, skip: &[&str]) -> Settings {
        let mut out = Settings::default();
        for (key, value) in table.iter() {
            let name = key.get_ref().to_string();
            if !skip.contains(&name.as_str()) {
                let spot = self.spot(key);
                self.walk(vec![name], value, &spot, &mut out);
            }
        }
        out
    }

    /// A value of a key's type, or a problem.
    pub(super) fn value(&mut self, kind: KeyType, path: &[String], value: &Spanned<DeValue<'_>>) -> Option<Setting> {
        let spot = self.spot(value);
        let mut found = to_value(value.get_ref());
        self.expand_texts(&mut found, &spot);
        match check(kind, &found) {
            Ok(()) => Some(Setting { value: found, line: Some(spot.line) }),
            Err(why) => {
                self.problem("MANIFEST03", format!("{} {why}", path.join(".")), &spot, None);
                None
            }
        }
    }

    fn expand_texts(&mut self, value: &mut toml::Value, spot: &Spot) {
        match value {
            toml::Value::String(text) if text.contains("${") => *text = self.expanded(text, spot),
            toml::Value::Array(list) => list.iter_mut().for_each(|v| self.expand_texts(v, spot)),
            toml::Value::Table(table) => table.iter_mut().for_each(|(_, v)| self.expand_texts(v, spot)),
            _ => {}
        }
    }

    fn walk(&mut self, path: Vec<String>, value: &Spanned<DeValue<'_>>, spot: &Spot, out: &mut Settings) {
        let shown = path.join(".");
        if let Some(key) = keys::find(&path) {
            if let Some(setting) = self.value(key.kind, &path, value) {
                out.0.insert(path, Setting { line: Some(spot.line), ..setting });
            }
            return;
        }
        if keys::LATER.iter().any(|k| keys::matches(k, &path)) {
            self.problem("MANIFEST04", format!("{shown} is not supported yet by this version"), spot, None);
            return;
        }
        match value.get_ref() {
            DeValue::Table(table) if keys::is_group(&path) => {
                for (key, inner) in table.iter() {
                    let mut deeper = path.clone();
                    deeper.push(key.get_ref().to_string());
                    let spot = self.spot(key);
                    self.walk(deeper, inner, &spot, out);
                }
            }
            _ => self.unknown(&path, spot),
        }
    }

    pub(super) fn unknown(&mut self, path: &[String], spot: &Spot) {
        let (shown, hint) = unknown_key(path);
        self.problem("MANIFEST02", shown, spot, hint);
    }

    /// A text value, or a problem.
    pub(super) fn text(&mut self, what: &str, value: &Spanned<DeValue<'_>>) -> Option<String> {
        match value.get_ref() {
            DeValue::String(s) => Some(self.expanded(s, &self.spot(value))),
            _ => {
                let spot = self.spot(value);
                self.problem("MANIFEST03", format!("{what} must be text"), &spot, None);
                None
            }
        }
    }
}

/// Message and suggestion for a path that is no key.
pub(super) fn unknown_key(path: &[String]) -> (String, Option<String>) {
    let depth = path.len();
    let last = path.last().map_or("", String::as_str);
    let siblings = keys::KEYS.iter().map(|k| k.path).filter_map(|pattern| {
        let parts: Vec<&str> = pattern.split('.').collect();
        let same = parts.len() >= depth && parts.iter().zip(&path[..depth - 1]).all(|(p, s)| *p == "*" || p == s);
        same.then(|| parts[depth - 1])
    });
    let close = nearest(last, siblings.chain(["name", "model", "include", "exclude"]).filter(|c| *c != "*"));
    let hint = close
        .map_or_else(|| Some("docs/manifest.md lists every key".to_owned()), |c| Some(format!("did you mean {c}?")));
    (format!("unknown key {}", path.join(".")), hint)
}

/// The parts of a dotted path as TOML reads it: names that hold dots stand in quotes.
pub(super) fn parts(path: &str) -> Vec<String> {
    if path.contains('"')
        && let Ok(mut table) = toml::from_str::<toml::Table>(&format!("{path} = 0"))
    {
        let mut out = Vec::new();
        while let Some((name, inner)) = table.into_iter().next() {
            out.push(name);
            table = match inner {
                toml::Value::Table(t) => t,
                _ => break,
            };
        }
        return out;
    }
    path.split('.').map(str::to_owned).collect()
}

/// A `-D` value: TOML where it parses as the key's type, otherwise text.
pub(super) fn override_value(kind: KeyType, raw: &str) -> Result<toml::Value, String> {
    let parsed = toml::from_str::<toml::Table>(&format!("v = {raw}")).ok().and_then(|mut t| t.remove("v"));
    let value = parsed.filter(|v| check(kind, v).is_ok()).unwrap_or_else(|| toml::Value::String(raw.to_owned()));
    check(kind, &value).map(|()| value)
}

/// The value without its places.
pub(super) fn to_value(value: &DeValue<'_>) -> toml::Value {
    match value {
        DeValue::String(s) => toml::Value::String(s.to_string()),
        DeValue::Integer(i) => {
            i64::from_str_radix(i.as_str(), i.radix()).map_or(toml::Value::Integer(i64::MAX), toml::Value::Integer)
        }
        DeValue::Float(f) => toml::Value::Float(f.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::Boolean(b) => toml::Value::Boolean(*b),
        DeValue::Datetime(d) => toml::Value::Datetime(*d),
        DeValue::Array(a) => toml::Value::Array(a.iter().map(|v| to_value(v.get_ref())).collect()),
        DeValue::Table(t) => {
            toml::Value::Table(t.iter().map(|(k, v)| (k.get_ref().to_string(), to_value(v.get_ref()))).collect())
        }
    }
}

/// Whether the manifest takes this value at this path of a variant's settings.
///
/// # Errors
/// Why it does not.
pub(crate) fn accepts(path: &[String], value: &toml::Value) -> Result<(), String> {
    match keys::find(path) {
        Some(key) => check(key.kind, value),
        None if keys::LATER.iter().any(|k| keys::matches(k, path)) => {
            Err("not supported yet by this version".to_owned())
        }
        None => Err("the manifest has no such key".to_owned()),
    }
}

/// A number of either kind.
pub(super) fn number(value: &toml::Value) -> Option<f64> {
    value.as_float().or_else(|| value.as_integer().map(|i| i as f64))
}

/// A number of bytes: a positive integer, or text with one of the units KiB, MiB, GiB.
pub(super) fn size(value: &toml::Value) -> Option<u64> {
    let bytes = match value {
        toml::Value::Integer(i) => u64::try_from(*i).ok()?,
        toml::Value::String(text) => {
            let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
            let shift = match text[digits.len()..].trim() {
                "" | "B" => 0,
                "KiB" => 10,
                "MiB" => 20,
                "GiB" => 30,
                _ => return None,
            };
            digits.parse::<u64>().ok()?.checked_mul(1 << shift)?
        }
        _ => return None,
    };
    (bytes > 0).then_some(bytes)
}

/// Whether a value has a key's type; the error reads after the key's name.
fn check(kind: KeyType, value: &toml::Value) -> Result<(), String> {
    let all = |ok: fn(&toml::Value) -> bool| value.as_array().is_some_and(|a| a.iter().all(ok));
    let (ok, wanted) = match kind {
        KeyType::Text => (value.is_str(), "text".to_owned()),
        KeyType::Word(words) => {
            let ok = value.as_str().is_some_and(|s| words.contains(&s));
            (ok, format!("one of {}", words.join(", ")))
        }
        KeyType::Flag => (value.is_bool(), "true or false".to_owned()),
        KeyType::Number => (number(value).is_some_and(f64::is_finite), "a number".to_owned()),
        KeyType::Integer => (value.as_integer().is_some_and(|i| i > 0), "a positive whole number".to_owned()),
        KeyType::Count => (value.as_integer().is_some_and(|i| i >= 0), "a whole number, 0 or more".to_owned()),
        KeyType::Numbers => (
            number(value).is_some() || all(|v| number(v).is_some_and(f64::is_finite)),
            "a number or a list of numbers".to_owned(),
        ),
        KeyType::Integers => (all(toml::Value::is_integer), "a list of integers".to_owned()),
        KeyType::Texts => (all(toml::Value::is_str), "a list of texts".to_owned()),
        KeyType::Size => (size(value).is_some(), "a number of bytes, or text such as \"512 MiB\"".to_owned()),
        KeyType::Table => (value.is_table(), "a table of values".to_owned()),
        KeyType::Commands => {
            let ok = all(|v| v.as_array().is_some_and(|words| words.iter().all(toml::Value::is_str)));
            (ok, "a list of commands, each a list of texts".to_owned())
        }
        KeyType::Any => (true, String::new()),
        KeyType::TextOrTable => {
            let table = value.as_table().is_some_and(|t| t.values().all(toml::Value::is_str));
            (value.is_str() || table, "text, or a table of texts by input name".to_owned())
        }
    };
    if ok { Ok(()) } else { Err(format!("must be {wanted}, not {value}")) }
}
