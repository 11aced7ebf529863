//! Values with the line that set them, and the reader that collects problems.

use super::keys::{self, KeyType};
use ptq_ir::Diagnostic;
use ptq_place::nearest;
use std::collections::BTreeMap;
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
    /// The setting at a dotted path without names that hold dots.
    pub fn get(&self, path: &str) -> Option<&Setting> {
        let parts: Vec<String> = path.split('.').map(str::to_owned).collect();
        self.0.get(&parts)
    }

    /// Lays other settings over these.
    pub(super) fn lay(&mut self, over: &Settings) {
        self.0.extend(over.0.iter().map(|(k, v)| (k.clone(), v.clone())));
    }
}

/// Reads a file's tree and remembers every problem.
pub(super) struct Reader<'t> {
    text: &'t str,
    file: &'t str,
    pub(super) problems: Vec<Diagnostic>,
}

impl<'t> Reader<'t> {
    pub(super) fn new(text: &'t str, file: &'t str) -> Reader<'t> {
        Reader { text, file, problems: Vec::new() }
    }

    /// The file as a tree of spanned values.
    pub(super) fn root(&mut self) -> Option<DeTable<'t>> {
        match DeTable::parse(self.text) {
            Ok(table) => Some(table.into_inner()),
            Err(e) => {
                let at = e.span().map_or(0, |s| s.start);
                let line = self.line_at(at);
                self.problem("MANIFEST01", e.message().to_owned(), line, None);
                None
            }
        }
    }

    pub(super) fn line_at(&self, offset: usize) -> u32 {
        self.text.get(..offset).unwrap_or(self.text).matches('\n').count() as u32 + 1
    }

    pub(super) fn line<T>(&self, spanned: &Spanned<T>) -> u32 {
        self.line_at(spanned.span().start)
    }

    /// Remembers a problem with its line, and the line's text as a note.
    pub(super) fn problem(&mut self, code: &str, message: String, line: u32, hint: Option<String>) {
        let mut d = Diagnostic::error(code, message).file(self.file).line(line);
        d.hint = hint;
        self.problems.push(d);
    }

    /// Reads a table of settings; every leaf must be a known key of the right type.
    pub(super) fn settings(&mut self, table: &DeTable<'_>, skip: &[&str]) -> Settings {
        let mut out = Settings::default();
        for (key, value) in table.iter() {
            let name = key.get_ref().to_string();
            if !skip.contains(&name.as_str()) {
                let line = self.line(key);
                self.walk(vec![name], value, line, &mut out);
            }
        }
        out
    }

    fn walk(&mut self, path: Vec<String>, value: &Spanned<DeValue<'_>>, line: u32, out: &mut Settings) {
        let shown = path.join(".");
        if let Some(key) = keys::find(&path) {
            let value = to_value(value.get_ref());
            match check(key.kind, &value) {
                Ok(()) => drop(out.0.insert(path, Setting { value, line: Some(line) })),
                Err(why) => self.problem("MANIFEST03", format!("{shown} {why}"), line, None),
            }
            return;
        }
        if keys::LATER.iter().any(|k| keys::matches(k, &path)) {
            self.problem("MANIFEST04", format!("{shown} is not supported yet by this version"), line, None);
            return;
        }
        match value.get_ref() {
            DeValue::Table(table) if keys::is_group(&path) => {
                for (key, inner) in table.iter() {
                    let mut deeper = path.clone();
                    deeper.push(key.get_ref().to_string());
                    let line = self.line(key);
                    self.walk(deeper, inner, line, out);
                }
            }
            _ => self.unknown(&path, line),
        }
    }

    pub(super) fn unknown(&mut self, path: &[String], line: u32) {
        let (shown, hint) = unknown_key(path);
        self.problem("MANIFEST02", shown, line, hint);
    }

    /// A text value, or a problem.
    pub(super) fn text(&mut self, what: &str, value: &Spanned<DeValue<'_>>) -> Option<String> {
        match value.get_ref() {
            DeValue::String(s) => Some(s.to_string()),
            _ => {
                let line = self.line(value);
                self.problem("MANIFEST03", format!("{what} must be text"), line, None);
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
    let close = nearest(last, siblings.chain(["name", "model", "exclude"]).filter(|c| *c != "*"));
    let hint = close
        .map_or_else(|| Some("docs/manifest.md lists every key".to_owned()), |c| Some(format!("did you mean {c}?")));
    (format!("unknown key {}", path.join(".")), hint)
}

/// A `-D` value: TOML where it parses as the key's type, otherwise text.
pub(super) fn override_value(kind: KeyType, raw: &str) -> Result<toml::Value, String> {
    let parsed = toml::from_str::<toml::Table>(&format!("v = {raw}")).ok().and_then(|mut t| t.remove("v"));
    let value = parsed.filter(|v| check(kind, v).is_ok()).unwrap_or_else(|| toml::Value::String(raw.to_owned()));
    check(kind, &value).map(|()| value)
}

fn to_value(value: &DeValue<'_>) -> toml::Value {
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
        KeyType::Numbers => (
            number(value).is_some() || all(|v| number(v).is_some_and(f64::is_finite)),
            "a number or a list of numbers".to_owned(),
        ),
        KeyType::Integers => (all(toml::Value::is_integer), "a list of integers".to_owned()),
        KeyType::Texts => (all(toml::Value::is_str), "a list of texts".to_owned()),
        KeyType::Size => (size(value).is_some(), "a number of bytes, or text such as \"512 MiB\"".to_owned()),
        KeyType::TextOrTable => {
            let table = value.as_table().is_some_and(|t| t.values().all(toml::Value::is_str));
            (value.is_str() || table, "text, or a table of texts by input name".to_owned())
        }
    };
    if ok { Ok(()) } else { Err(format!("must be {wanted}, not {value}")) }
}
