//! The file's settings by group and key, checked for form. Called by the importer.

use super::keys::{self, CALIBRATION, CUSTOM, Fate, Form, GROUPS, Key};
use super::yaml::{Node, Value};
use crate::manifest::nearest;
use ptq_ir::Diagnostic;
use std::collections::{BTreeMap, BTreeSet};

/// One setting that has a value.
#[derive(Clone, Debug)]
pub(super) struct Setting {
    pub(super) key: &'static Key,
    pub(super) line: u32,
    pub(super) node: Node,
}

/// All settings, and where problems go.
pub(super) struct Settings {
    file: String,
    values: BTreeMap<(&'static str, &'static str), Setting>,
    /// Keys that were meant but could not be read: they are not missing as well.
    meant: BTreeSet<(&'static str, &'static str)>,
    /// Lines of keys behind which nothing stands.
    empty: BTreeMap<(&'static str, &'static str), u32>,
    /// Lines of the groups.
    groups: BTreeMap<&'static str, u32>,
    pub(super) problems: Vec<Diagnostic>,
}

impl Settings {
    /// Sorts a tree into groups and keys; unknown ones and values of another form are problems.
    pub(super) fn of(tree: &Node, file: &str) -> Settings {
        let mut s = Settings {
            file: file.to_owned(),
            values: BTreeMap::new(),
            meant: BTreeSet::new(),
            empty: BTreeMap::new(),
            groups: BTreeMap::new(),
            problems: Vec::new(),
        };
        let Value::Map(groups) = &tree.value else {
            s.error("IMPORT02", tree.line, "holds no groups of parameters".into(), "begin with model_parameters:");
            return s;
        };
        for (name, line, node) in groups {
            let Some(&group) = GROUPS.iter().find(|g| **g == name.as_str()) else {
                let hint = match nearest(name, GROUPS.into_iter()) {
                    Some(close) => format!("did you mean {close}?"),
                    None => format!("groups: {}", GROUPS.join(", ")),
                };
                s.error("IMPORT02", *line, format!("unknown group {name}"), &hint);
                continue;
            };
            s.groups.insert(group, *line);
            s.group(group, node);
        }
        for group in GROUPS.iter().filter(|g| **g != CUSTOM) {
            if !s.groups.contains_key(group) {
                s.error("IMPORT02", 1, format!("group {group} is missing"), "all four groups must be there");
            }
        }
        s
    }

    fn group(&mut self, group: &'static str, node: &Node) {
        let Value::Map(entries) = &node.value else {
            if !node.is_empty() {
                self.error(
                    "IMPORT03",
                    node.line,
                    format!("{group} must hold keys and values"),
                    "indent its keys below it",
                );
            }
            return;
        };
        for (name, line, value) in entries {
            let Some(key) = keys::find(group, name) else {
                let here = keys::KEYS.iter().filter(|k| k.group == group).map(|k| k.name);
                let elsewhere = keys::KEYS.iter().find(|k| k.name == name.as_str()).map(|k| k.group);
                let close = nearest(name, here);
                if let Some(known) = close.and_then(|c| keys::find(group, c)) {
                    self.meant.insert((known.group, known.name));
                }
                let hint = match (elsewhere, close) {
                    (Some(other), _) => format!("it belongs to {other}"),
                    (None, Some(close)) => format!("did you mean {close}?"),
                    (None, None) => "docs/import.md lists every key".to_owned(),
                };
                let what = format!("unknown key {name} in {group}");
                // The vendor's schema is open here alone.
                if group == CALIBRATION {
                    self.warn("IMPORT02", *line, what, &hint);
                } else {
                    self.error("IMPORT02", *line, what, &hint);
                }
                continue;
            };
            if value.is_empty() {
                self.empty.insert((key.group, key.name), *line);
                continue;
            }
            if let Err(wanted) = form(key.form, value) {
                self.error("IMPORT03", *line, format!("{name} must be {wanted}"), "see docs/import.md");
                self.meant.insert((key.group, key.name));
                continue;
            }
            if key.deprecated {
                self.warn(
                    "IMPORT04",
                    *line,
                    format!("{name} is deprecated"),
                    "see docs/import.md for what replaces it",
                );
            }
            if let Fate::Refused(why) = key.fate {
                self.error("IMPORT10", *line, format!("{name} cannot be imported: {why}"), "give onnx_model");
            }
            self.values.insert((key.group, key.name), Setting { key, line: *line, node: value.clone() });
        }
    }

    /// A setting.
    pub(super) fn get(&self, group: &'static str, name: &'static str) -> Option<&Setting> {
        self.values.get(&(group, name))
    }

    /// Whether a key is not there at all.
    pub(super) fn lacks(&self, group: &'static str, name: &'static str) -> bool {
        self.get(group, name).is_none() && !self.meant.contains(&(group, name))
    }

    /// Line of a key behind which nothing stands.
    pub(super) fn empty(&self, group: &'static str, name: &'static str) -> Option<u32> {
        self.empty.get(&(group, name)).copied()
    }

    /// Line for a key: its own, also with nothing behind it, or its group's.
    pub(super) fn line_for(&self, group: &'static str, name: &'static str) -> u32 {
        let own = self.get(group, name).map(|s| s.line).or_else(|| self.empty(group, name));
        own.unwrap_or_else(|| self.line_of(group))
    }

    /// Whether a value was given and is already known to be wrong.
    pub(super) fn is_wrong(&self, group: &'static str, name: &'static str) -> bool {
        self.meant.contains(&(group, name))
    }

    /// Remembers that a value is wrong.
    pub(super) fn wrong(&mut self, group: &'static str, name: &'static str) {
        self.meant.insert((group, name));
    }

    /// All settings in the order of the table.
    pub(super) fn all(&self) -> impl Iterator<Item = &Setting> {
        keys::KEYS.iter().filter_map(|k| self.values.get(&(k.group, k.name)))
    }

    /// Text of a setting, with its line.
    pub(super) fn text(&self, group: &'static str, name: &'static str) -> Option<(&str, u32)> {
        let s = self.get(group, name)?;
        Some((s.node.text()?, s.line))
    }

    /// Values joined with `;` (or a YAML list), with the line; an empty one stands for "none".
    pub(super) fn list(&self, group: &'static str, name: &'static str) -> Option<(Vec<String>, u32)> {
        let s = self.get(group, name)?;
        let list = match &s.node.value {
            Value::List(items) => items.iter().map(|n| n.text().unwrap_or_default().to_owned()).collect(),
            _ => split(s.node.text()?, ';'),
        };
        Some((list, s.line))
    }

    /// Line of a group, for what is missing in it.
    pub(super) fn line_of(&self, group: &'static str) -> u32 {
        self.groups.get(group).copied().unwrap_or(1)
    }

    pub(super) fn error(&mut self, code: &str, line: u32, what: String, hint: &str) {
        self.problems.push(Diagnostic::error(code, what).file(self.file.clone()).line(line).hint(hint));
    }

    pub(super) fn warn(&mut self, code: &str, line: u32, what: String, hint: &str) {
        self.problems.push(Diagnostic::warning(code, what).file(self.file.clone()).line(line).hint(hint));
    }
}

/// Parts without white space around them; a last empty part (a trailing separator) is left out.
pub(super) fn split(text: &str, separator: char) -> Vec<String> {
    let mut parts: Vec<String> = text.split(separator).map(|p| p.trim().to_owned()).collect();
    if parts.len() > 1 && parts.last().is_some_and(String::is_empty) {
        parts.pop();
    }
    parts
}

/// `True` or `False` in any of YAML's spellings.
pub(super) fn flag(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" => Some(true),
        "false" | "no" | "off" => Some(false),
        _ => None,
    }
}

fn form(form: Form, node: &Node) -> Result<(), &'static str> {
    let text = node.text();
    let number = |quoted_too: bool| matches!(&node.value, Value::Scalar { text, quoted } if (quoted_too || !quoted) && text.parse::<f64>().is_ok());
    let (ok, wanted) = match form {
        Form::Text => {
            let bare_number = number(false);
            (text.is_some() && !bare_number, "text")
        }
        Form::Scalar => (text.is_some(), "text or a number"),
        Form::Flag => (text.and_then(flag).is_some(), "True or False"),
        Form::Integer => (text.is_some_and(|t| t.parse::<i64>().is_ok()), "an integer"),
        Form::Number => (number(true), "a number"),
        Form::PerInput | Form::List => {
            let list =
                matches!(&node.value, Value::List(l) if l.iter().all(|n| matches!(n.value, Value::Scalar { .. })));
            (text.is_some() || list, "text, with ';' between several values")
        }
        Form::Mapping => (text.is_some() || matches!(node.value, Value::Map(_)), "a mapping, or text"),
    };
    if ok { Ok(()) } else { Err(wanted) }
}
