//! How the rewrites of two recipes differ, in the words of the manifest.

use std::collections::{BTreeMap, BTreeSet};

/// In front of a rewrite's name among the parameters of fuse.
pub(super) const PARAMS: &str = "rewrites.";
/// Changes of one rewrite that are listed.
const NAMED: usize = 3;

type Params = BTreeMap<String, String>;

/// One text for each rewrite that was added, removed or changed; `changed` are the parameters that differ.
pub(super) fn differences(
    lines: &BTreeMap<String, (String, u32)>,
    old: &Params,
    new: &Params,
    changed: &[&String],
) -> Vec<String> {
    let parts = |param: &str| -> (String, String) {
        let rest = param.strip_prefix(PARAMS).unwrap_or(param);
        rest.split_once('.').map_or((rest.to_owned(), String::new()), |(name, path)| (name.to_owned(), path.to_owned()))
    };
    let line = |key: &str| lines.get(key).map(|(file, line)| format!(" ({file}:{line})"));
    let has = |params: &Params, name: &str| params.keys().any(|p| parts(p).0 == name && p.starts_with(PARAMS));
    let names: BTreeSet<String> = changed.iter().map(|p| parts(p).0).collect();
    names
        .into_iter()
        .map(|name| {
            let whole = line(&format!("rewrite.{name}")).unwrap_or_default();
            match (has(old, &name), has(new, &name)) {
                (false, _) => return format!("rewrite {name} added{whole}"),
                (_, false) => return format!("rewrite {name} removed"),
                _ => {}
            }
            let own: Vec<&&String> = changed.iter().filter(|p| parts(p).0 == name).collect();
            let shown = |v: Option<&String>| v.map_or("(unset)", String::as_str).to_owned();
            let mut texts: Vec<String> = own
                .iter()
                .take(NAMED)
                .map(|p| {
                    let path = parts(p).1;
                    let at = nearest(&path).find_map(|part| line(&format!("rewrite.{name}.{part}")));
                    let at = at.unwrap_or_else(|| whole.clone());
                    format!("{} {} → {}{at}", words(&path), shown(old.get(**p)), shown(new.get(**p)))
                })
                .collect();
            if own.len() > NAMED {
                texts.push(format!("and {} more", own.len() - NAMED));
            }
            format!("rewrite {name}: {}", texts.join(", "))
        })
        .collect()
}

/// A path and what it lies in, the inner first.
fn nearest(path: &str) -> impl Iterator<Item = &str> {
    let ends = path.char_indices().filter(|(i, c)| *i > 0 && (*c == '.' || *c == '[')).map(|(i, _)| i);
    let mut ends: Vec<usize> = ends.chain([path.len()]).collect();
    ends.reverse();
    ends.into_iter().map(|end| &path[..end])
}

/// A path of the parameters as the manifest writes it.
fn words(path: &str) -> String {
    for (param, key) in [("pattern", "match"), ("tensors", "where"), ("replacement", "replace")] {
        if let Some(rest) = path.strip_prefix(param) {
            return format!("{key}{rest}");
        }
    }
    path.to_owned()
}
