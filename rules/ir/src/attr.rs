//! Attributes of a node, typed and ordered by name.

use crate::Tensor;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One attribute value. Sub-graphs are not held: parse folds or refuses them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Attr {
    /// A number.
    Float(f32),
    /// An integer or flag.
    Int(i64),
    /// A word.
    Str(String),
    /// A constant tensor.
    Tensor(Tensor),
    /// A list of numbers.
    Floats(Vec<f32>),
    /// A list of integers.
    Ints(Vec<i64>),
    /// A list of words.
    Strs(Vec<String>),
}

/// Attributes by name; the map's order keeps encodings canonical.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Attrs(pub BTreeMap<String, Attr>);

impl Attrs {
    /// Attributes from pairs.
    pub fn of<const N: usize>(pairs: [(&str, Attr); N]) -> Attrs {
        Attrs(pairs.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())
    }

    /// Sets one attribute.
    pub fn set(&mut self, name: &str, value: Attr) {
        self.0.insert(name.to_owned(), value);
    }

    /// The attribute of this name.
    pub fn get(&self, name: &str) -> Option<&Attr> {
        self.0.get(name)
    }

    /// An integer attribute, or the default when it is absent or of another type.
    pub fn int(&self, name: &str, default: i64) -> i64 {
        match self.get(name) {
            Some(Attr::Int(v)) => *v,
            _ => default,
        }
    }

    /// A number attribute, or the default when it is absent or of another type.
    pub fn float(&self, name: &str, default: f32) -> f32 {
        match self.get(name) {
            Some(Attr::Float(v)) => *v,
            _ => default,
        }
    }

    /// A list of integers, when present.
    pub fn ints(&self, name: &str) -> Option<&[i64]> {
        match self.get(name) {
            Some(Attr::Ints(v)) => Some(v),
            _ => None,
        }
    }

    /// A word, or the default when it is absent or of another type.
    pub fn str<'a>(&'a self, name: &str, default: &'a str) -> &'a str {
        match self.get(name) {
            Some(Attr::Str(v)) => v,
            _ => default,
        }
    }
}
