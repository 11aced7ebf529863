//! Selectors: names and patterns say which variants, `key=value` narrows them.

use super::settings::parts;
use super::{Manifest, Variant, keys};
use crate::sources::wildcard;
use ptq_ir::Diagnostic;
use ptq_place::nearest;

/// Names that a message lists.
const NAMED: usize = 12;

impl Manifest {
    /// Names of the variants that selectors choose. Names and patterns with `*` are united, all variants when there is
    /// none; of these, every `key=value` keeps those with that setting (a default counts as set).
    ///
    /// # Errors
    /// A selector that chooses nothing, with the nearest name.
    pub fn select(&self, selectors: &[String]) -> Result<Vec<String>, Vec<Diagnostic>> {
        let (filters, names): (Vec<&String>, Vec<&String>) = selectors.iter().partition(|s| s.contains('='));
        let mut problems = Vec::new();
        for name in &names {
            if !self.variants.keys().any(|v| wildcard(name, v)) {
                let known: Vec<&str> = self.variants.keys().take(NAMED).map(String::as_str).collect();
                let close = nearest(name, self.variants.keys().map(String::as_str));
                let hint = close.map_or(format!("variants: {}", known.join(", ")), |c| format!("did you mean {c}?"));
                problems.push(Diagnostic::error("SELECT01", format!("{name:?} selects no variant")).hint(hint));
            }
        }
        let named = |v: &&Variant| names.is_empty() || names.iter().any(|n| wildcard(n, &v.name));
        let mut chosen: Vec<&Variant> = self.variants.values().filter(named).collect();
        for filter in filters {
            let before = chosen.clone();
            chosen.retain(|v| says(filter, v));
            if chosen.is_empty() && !before.is_empty() {
                let mut values: Vec<String> = before.iter().map(|v| value(filter, v)).collect();
                values.sort();
                values.dedup();
                values.truncate(NAMED);
                let hint = format!("here: {}", values.join(", "));
                problems.push(Diagnostic::error("SELECT01", format!("{filter:?} selects no variant")).hint(hint));
                break;
            }
        }
        if problems.is_empty() { Ok(chosen.into_iter().map(|v| v.name.clone()).collect()) } else { Err(problems) }
    }
}

/// A variant's value of the key of a filter, as text.
fn value(filter: &str, variant: &Variant) -> String {
    let key = filter.split_once('=').map_or(filter, |(k, _)| k);
    if key == "model" {
        return variant.model.clone();
    }
    match variant.settings.get(key).map(|s| &s.value) {
        Some(toml::Value::String(s)) => s.clone(),
        Some(other) => other.to_string(),
        None => keys::find(&parts(key)).map_or("(no such key)", |k| k.default).trim_matches('"').to_owned(),
    }
}

fn says(filter: &str, variant: &Variant) -> bool {
    filter.split_once('=').is_some_and(|(_, wanted)| value(filter, variant) == wanted)
}
