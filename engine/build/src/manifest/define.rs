//! `-D` of fields outside variants, such as `project.out` or `model.NAME.path`: laid over the manifest's tables before they are read, so
//! that they are checked like what stands there. `-D` of a variant's settings is laid over every variant, see `expand.rs`.

use super::overlay::Overlay;
use super::settings::parts;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Tables whose fields are of no variant.
const OUTSIDE: [&str; 8] = ["project", "cache", "remote", "defaults", "model", "profile", "rewrite", "matrix"];

/// Whether `-D` of this path is laid over the tables.
pub(super) fn is_outside(path: &[String]) -> bool {
    let own = path.starts_with(&["cache".to_owned(), "remote".to_owned()]);
    path.len() > 1 && !own && path.first().is_some_and(|p| OUTSIDE.contains(&p.as_str()))
}

/// Paths, and documents with the one key `v`, of all `-D` of such fields.
pub(super) fn documents(overlay: &Overlay) -> Vec<(Vec<String>, String)> {
    let document = |(key, raw): &(String, String)| {
        let as_is = format!("v = {raw}");
        let holds = DeTable::parse(&as_is).is_ok_and(|t| t.get_ref().len() == 1);
        (parts(key), if holds { as_is } else { format!("v = {}", toml::Value::String(raw.clone())) })
    };
    overlay.define.iter().map(document).filter(|(path, _)| is_outside(path)).collect()
}

/// Lays them over a manifest's tables, making tables that are missing.
pub(super) fn lay<'t>(documents: &'t [(Vec<String>, String)], root: &mut DeTable<'t>) {
    for (path, document) in documents {
        let Ok(mut value) = DeTable::parse(document) else { continue };
        let Some((_, value)) = std::mem::take(value.get_mut()).into_iter().next() else { continue };
        let Some((last, groups)) = path.split_last() else { continue };
        if let Some(table) = groups.iter().try_fold(&mut *root, |table, group| within(table, group)) {
            table.insert(Spanned::new(0..0, last.as_str().into()), Spanned::new(0..0, value.into_inner()));
        }
    }
}

/// A table of a table; `None` where something else stands there, which the reader will say.
fn within<'a, 't>(table: &'a mut DeTable<'t>, name: &'t str) -> Option<&'a mut DeTable<'t>> {
    let key = Spanned::new(0..0, name.into());
    if !table.contains_key(name) {
        table.insert(key, Spanned::new(0..0, DeValue::Table(DeTable::new())));
    }
    match table.get_mut(name)?.get_mut() {
        DeValue::Table(inner) => Some(inner),
        _ => None,
    }
}
