//! What a key of the manifest is, and how a path finds its key. The table is in `keys`.

use super::keys::{KEYS, LATER};

/// Type of a key's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyType {
    /// Text.
    Text,
    /// One of these words.
    Word(&'static [&'static str]),
    /// true or false.
    Flag,
    /// A number.
    Number,
    /// A positive whole number.
    Integer,
    /// A whole number, 0 or more.
    Count,
    /// A list of numbers, or one number.
    Numbers,
    /// A list of integers.
    Integers,
    /// A list of texts.
    Texts,
    /// A text, or a table of texts by input name.
    TextOrTable,
    /// A number of bytes: an integer, or text such as `"1 GiB"`.
    Size,
    /// A table of values by name.
    Table,
    /// A list of commands, each a list of texts.
    Commands,
    /// Any value.
    Any,
}

/// One key.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Dotted path inside a variant's settings; `*` stands for a name.
    pub path: &'static str,
    /// Type of its value.
    pub kind: KeyType,
    /// Default, as text for people.
    pub default: &'static str,
    /// Horizon's name of it, if there is one.
    pub horizon: &'static str,
    /// Stage that reads it.
    pub stage: &'static str,
    /// What it means.
    pub meaning: &'static str,
}

/// Whether a concrete path matches a pattern with `*`.
pub fn matches(pattern: &str, path: &[String]) -> bool {
    let parts: Vec<&str> = pattern.split('.').collect();
    parts.len() == path.len() && parts.iter().zip(path).all(|(p, s)| *p == "*" || p == s)
}

/// The words that a key takes, by its pattern; none for a key of another type.
pub(crate) fn words(pattern: &str) -> &'static [&'static str] {
    match KEYS.iter().find(|k| k.path == pattern).map(|k| k.kind) {
        Some(KeyType::Word(words)) => words,
        _ => &[],
    }
}

/// The key of a concrete path.
pub fn find(path: &[String]) -> Option<&'static Key> {
    KEYS.iter().find(|k| matches(k.path, path))
}

/// Whether some key lies below a concrete path.
pub fn is_group(path: &[String]) -> bool {
    KEYS.iter().map(|k| k.path).chain(LATER.iter().copied()).any(|pattern| {
        let parts: Vec<&str> = pattern.split('.').collect();
        parts.len() > path.len() && parts.iter().zip(path).all(|(p, s)| *p == "*" || p == s)
    })
}
