//! `[[rewrite]]`: graph rewrites as data, in the manifest or in files that it names. Read by [`super::expand`]; what they
//! mean is the business of `ptq-fuse`.

mod check;
mod read;

use super::overlay::Overlay;
use super::settings::{Reader, Spot};
use ptq_fuse::Rewrite;
use ptq_place::nearest;
use read::Source;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Code of problems with rewrites.
pub(super) const CODE: &str = "MANIFEST21";
/// Most rewrites of a manifest.
const MAX: usize = 1000;

/// Keys of `[[rewrite]]` with their meaning, for pages and suggestions.
pub(super) const KEYS: [(&str, &str); 9] = [
    ("name", "its name: letters, digits, '_' and '-'"),
    ("file", "instead of all others: a file of `[[rewrite]]` tables, relative to the manifest"),
    ("summary", "one sentence for its page (`ptq rule NAME`)"),
    ("when", "`before` the built-in rules (the default) or `after` them"),
    ("order", "a whole number: lower ones are asked first, equal ones by name; default 0"),
    ("match", "nodes to find, each `{ op, domain, inputs, outputs, attributes }`"),
    (
        "where",
        "what must hold, by tensor: constant, equals, min, max, tolerance, type, rank, shape, elements, single_consumer, output",
    ),
    ("constants", "constants of the replacement, by name: `{ value, type, shape }`"),
    ("replace", "nodes that take their place, each `{ op, domain, inputs, outputs, attributes }`"),
];
/// What must hold for dimensions that `shape` names; beside [`KEYS`].
pub(super) const DIMENSIONS: (&str, &str) =
    ("dimensions", "what must hold for words of `shape`: `{ min, max, multiple_of }`");

/// A rewrite of the manifest.
#[derive(Clone, Debug, PartialEq)]
pub struct RewriteConfig {
    /// Name.
    pub name: String,
    /// What it does, for people.
    pub summary: Option<String>,
    /// What it does, for fuse.
    pub rewrite: Arc<Rewrite>,
    /// File that holds it, as messages show it.
    pub file: String,
    /// Line of its table.
    pub line: u32,
    /// Lines of its keys, by dotted path of the parameters.
    pub lines: BTreeMap<String, u32>,
}

/// Files that hold rewrites, as the manifest's text names them.
pub(crate) fn files(text: &str) -> Vec<String> {
    if !text.contains("rewrite") {
        return Vec::new();
    }
    let table = toml::from_str::<toml::Table>(text).unwrap_or_default();
    let list = table.get("rewrite").and_then(toml::Value::as_array);
    let file = |t: &toml::Value| Some(t.get("file")?.as_str()?.to_owned());
    list.into_iter().flatten().filter_map(file).collect()
}

/// All rewrites of a manifest by name.
pub(super) fn rewrites(r: &mut Reader<'_>, root: &DeTable<'_>, overlay: &Overlay) -> BTreeMap<String, RewriteConfig> {
    let mut out = BTreeMap::new();
    let keys = |t: &DeTable<'_>| t.get("file").is_some();
    for (table, spot) in tables(r, root) {
        if !keys(table) {
            one(r, table, &spot, &mut out);
            continue;
        }
        for (key, _) in table.iter().filter(|(k, _)| k.get_ref() != "file") {
            let spot = r.spot(key);
            r.problem(CODE, format!("{} does not go with file", key.get_ref()), &spot, None);
        }
        let Some(value) = table.get("file") else { continue };
        let Some(path) = r.text("file", value) else { continue };
        let spot = r.spot(value);
        match overlay.files.get(&path) {
            Some(Ok(text)) => from_file(r, text, &path, &mut out),
            Some(Err(why)) => r.problem(CODE, format!("{path}: {why}"), &spot, None),
            None => r.problem(CODE, format!("{path} was not read"), &spot, Some("give it as plain text".into())),
        }
    }
    out
}

fn tables<'d>(r: &mut Reader<'_>, root: &'d DeTable<'_>) -> Vec<(&'d DeTable<'d>, Spot)> {
    let Some(found) = root.get("rewrite") else { return Vec::new() };
    let spot = r.spot(found);
    let DeValue::Array(list) = found.get_ref() else {
        r.problem("MANIFEST03", "rewrite must be a list of tables: [[rewrite]]".into(), &spot, None);
        return Vec::new();
    };
    let mut out = Vec::new();
    for item in list.iter() {
        let spot = r.spot(item);
        match item.get_ref() {
            DeValue::Table(table) => out.push((table, spot)),
            _ => r.problem("MANIFEST03", "[[rewrite]] must be a table".into(), &spot, None),
        }
    }
    out
}

/// Rewrites of a file of their own.
fn from_file(r: &mut Reader<'_>, text: &str, path: &str, out: &mut BTreeMap<String, RewriteConfig>) {
    let mut inner = Reader::new(text, path);
    if let Some(root) = inner.root() {
        for (key, _) in root.iter().filter(|(k, _)| k.get_ref() != "rewrite") {
            let spot = inner.spot(key);
            let hint = Some("a file of rewrites holds [[rewrite]] tables only".to_owned());
            inner.problem(CODE, format!("unknown key {}", key.get_ref()), &spot, hint);
        }
        for (table, spot) in tables(&mut inner, &root) {
            one(&mut inner, table, &spot, out);
        }
    }
    inner.add_excerpts();
    r.problems.append(&mut inner.problems);
}

fn one(r: &mut Reader<'_>, table: &DeTable<'_>, spot: &Spot, out: &mut BTreeMap<String, RewriteConfig>) {
    let Some(found) = table.get("name") else {
        let hint = Some("name = \"…\", or file = \"…\"".to_owned());
        return r.problem("MANIFEST05", "a [[rewrite]] needs name".into(), spot, hint);
    };
    let name_spot = r.spot(found);
    let Some(name) = r.text("name", found) else { return };
    if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c)) {
        let hint = Some("use letters, digits, '_' and '-'".to_owned());
        r.problem(CODE, format!("{name:?} is not the name of a rewrite"), &name_spot, hint);
    }
    let before = r.problems.len();
    let mut source = Source::new(r, &name);
    let (rewrite, summary) = source.rewrite(table);
    let lines = source.lines;
    if r.problems.len() == before {
        check::check(r, table, spot, &name, &rewrite);
    }
    let file = r.file().to_owned();
    let config =
        RewriteConfig { name: name.clone(), summary, rewrite: Arc::new(rewrite), file, line: spot.line, lines };
    if out.insert(name.clone(), config).is_some() {
        r.problem(CODE, format!("two rewrites are called {name}"), &name_spot, None);
    } else if out.len() > MAX {
        r.problem(CODE, format!("there are more than {MAX} rewrites"), &name_spot, None);
    }
}

/// The rewrites that a variant's patterns choose; all without patterns. The error is a pattern that chooses none.
pub(super) fn chosen(
    all: &BTreeMap<String, RewriteConfig>,
    patterns: Option<&[String]>,
) -> Result<BTreeMap<String, Arc<Rewrite>>, (String, Option<String>)> {
    let of = |c: &RewriteConfig| (c.name.clone(), c.rewrite.clone());
    let Some(patterns) = patterns else { return Ok(all.values().map(of).collect()) };
    let mut out = BTreeMap::new();
    for pattern in patterns {
        let before = out.len();
        out.extend(all.values().filter(|c| crate::sources::wildcard(pattern, &c.name)).map(of));
        if out.len() == before && !all.keys().any(|n| crate::sources::wildcard(pattern, n)) {
            let close = nearest(pattern, all.keys().map(String::as_str)).map(|c| format!("did you mean {c}?"));
            return Err((format!("rewrites: there is no rewrite {pattern:?}"), close));
        }
    }
    Ok(out)
}

/// The schema of one `[[rewrite]]`.
pub(super) fn schema() -> Value {
    let text = || json!({ "type": "string" });
    let number = || json!({ "type": "number" });
    let whole = || json!({ "type": "integer", "minimum": 0 });
    let operand = || json!({ "anyOf": [{ "type": "string" }, { "type": "number" }] });
    let shape = || json!({ "type": "array", "items": { "anyOf": [{ "type": "integer" }, { "type": "string" }] } });
    let object = |properties: Value, required: &[&str]| json!({ "type": "object", "additionalProperties": false, "properties": properties, "required": required });
    let named = |what: Value| json!({ "type": "object", "additionalProperties": what });
    let node = || {
        let properties = json!({
            "op": text(), "domain": text(),
            "inputs": { "type": "array", "items": operand() },
            "outputs": { "type": "array", "items": text() },
            "attributes": { "type": "object" },
        });
        json!({ "type": "array", "minItems": 1, "items": object(properties, &["op", "inputs", "outputs"]) })
    };
    let guard = json!({
        "constant": { "type": "boolean" }, "equals": {}, "min": number(), "max": number(), "tolerance": number(),
        "type": text(), "rank": whole(), "shape": shape(), "elements": whole(),
        "single_consumer": { "type": "boolean" }, "output": { "type": "boolean" },
    });
    let dimension = json!({ "min": whole(), "max": whole(), "multiple_of": whole() });
    let constant = json!({ "value": {}, "type": text(), "shape": shape() });
    let of = |key: &str| match key {
        "when" => json!({ "enum": ["before", "after"] }),
        "order" => json!({ "type": "integer" }),
        "match" | "replace" => node(),
        "where" => named(object(guard.clone(), &[])),
        "constants" => named(object(constant.clone(), &["value"])),
        "dimensions" => named(object(dimension.clone(), &[])),
        _ => text(),
    };
    let mut properties = json!({});
    for (key, meaning) in KEYS.into_iter().chain([DIMENSIONS]) {
        let mut value = of(key);
        value["description"] = json!(meaning);
        properties[key] = value;
    }
    json!({ "type": "array", "items": { "type": "object", "additionalProperties": false, "properties": properties } })
}

/// The value that a dotted path with `[n]` names, as far as it is there: for marks under it.
pub(super) fn at<'d>(table: &'d DeTable<'d>, path: &str) -> Option<&'d Spanned<DeValue<'d>>> {
    let mut found: Option<&'d Spanned<DeValue<'d>>> = None;
    for part in path.split('.') {
        let (name, index) =
            part.strip_suffix(']').and_then(|p| p.split_once('[')).map_or((part, None), |(n, i)| (n, Some(i)));
        let inner = match found.map(Spanned::get_ref) {
            None => table,
            Some(DeValue::Table(t)) => t,
            Some(_) => return found,
        };
        let Some(next) = inner.get(name) else { return found };
        found = Some(next);
        if let (Some(index), DeValue::Array(list)) = (index.and_then(|i| i.parse::<usize>().ok()), next.get_ref()) {
            found = list.get(index).or(found);
        }
    }
    found
}
