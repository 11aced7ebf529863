//! From tables to variants: inheritance, matrices, overrides.

use super::settings::{Reader, Setting, Settings, override_value, unknown_key};
use super::{Manifest, keys};
use ptq_ir::Diagnostic;
use ptq_place::nearest;
use std::collections::BTreeMap;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// One variant: a model with all its settings.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Variant {
    /// Name.
    pub name: String,
    /// Name of its model.
    pub model: String,
    /// Settings after inheritance.
    pub settings: Settings,
}

const TABLES: [&str; 6] = ["project", "cache", "defaults", "model", "variant", "matrix"];
/// Most variants that one manifest may expand to.
const MAX_VARIANTS: usize = 100_000;

/// What variants inherit from.
struct Base {
    defaults: Settings,
    models: BTreeMap<String, Settings>,
    overrides: Settings,
}

pub(super) fn expand(r: &mut Reader<'_>, root: DeTable<'_>, overrides: &[(String, String)]) -> Manifest {
    let mut out = Manifest { out: "out".into(), cache_dir: ".ptq".into(), ..Manifest::default() };
    for (key, _) in root.iter() {
        let name = key.get_ref().to_string();
        if !TABLES.contains(&name.as_str()) {
            let line = r.line(key);
            let hint = nearest(&name, TABLES.into_iter()).map(|c| format!("did you mean [{c}]?"));
            let later = ["gate", "profile", "rule", "stage"].contains(&name.as_str());
            let what = if later { "is not supported yet by this version" } else { "is not a table of a manifest" };
            r.problem("MANIFEST02", format!("[{name}] {what}"), line, hint);
        }
    }
    let field = |r: &mut Reader<'_>, table: &str, name: &str, into: &mut String| {
        let Some(DeValue::Table(t)) = root.get(table).map(Spanned::get_ref) else { return };
        for (key, value) in t.iter() {
            if key.get_ref() == name {
                if let Some(text) = r.text(&format!("{table}.{name}"), value) {
                    *into = text;
                }
            } else {
                let line = r.line(key);
                r.problem("MANIFEST02", format!("unknown key {table}.{}", key.get_ref()), line, None);
            }
        }
    };
    field(r, "project", "out", &mut out.out);
    field(r, "cache", "dir", &mut out.cache_dir);
    let base = base(r, &root, overrides);
    if let Some(DeValue::Array(list)) = root.get("variant").map(Spanned::get_ref) {
        for item in list.iter() {
            let line = r.line(item);
            match item.get_ref() {
                DeValue::Table(table) => single(r, table, line, &base, &mut out.variants),
                _ => r.problem("MANIFEST03", "[[variant]] must be a table".into(), line, None),
            }
        }
    }
    if let Some(DeValue::Table(matrices)) = root.get("matrix").map(Spanned::get_ref) {
        for (key, value) in matrices.iter() {
            let line = r.line(key);
            match value.get_ref() {
                DeValue::Table(table) => matrix(r, table, line, &base, &mut out.variants),
                _ => r.problem("MANIFEST03", "a matrix must be a table".into(), line, None),
            }
        }
    }
    if out.variants.is_empty() && r.problems.is_empty() {
        r.problem(
            "MANIFEST05",
            "there is no variant to build".into(),
            1,
            Some("add a [[variant]] with name and model".into()),
        );
    }
    out
}

fn base(r: &mut Reader<'_>, root: &DeTable<'_>, overrides: &[(String, String)]) -> Base {
    let mut base = Base { defaults: Settings::default(), models: BTreeMap::new(), overrides: Settings::default() };
    if let Some(DeValue::Table(t)) = root.get("defaults").map(Spanned::get_ref) {
        base.defaults = r.settings(t, &[]);
    }
    if let Some(DeValue::Table(models)) = root.get("model").map(Spanned::get_ref) {
        for (key, value) in models.iter() {
            let line = r.line(key);
            match value.get_ref() {
                DeValue::Table(t) => {
                    let settings = r.settings(t, &[]);
                    base.models.insert(key.get_ref().to_string(), settings);
                }
                _ => r.problem("MANIFEST03", format!("[model.{}] must be a table", key.get_ref()), line, None),
            }
        }
    }
    for (key, raw) in overrides {
        let path: Vec<String> = key.split('.').map(str::to_owned).collect();
        let result = match keys::find(&path) {
            Some(known) => override_value(known.kind, raw).map_err(|why| (format!("-D {key} {why}"), None)),
            None => Err(unknown_key(&path)),
        };
        match result {
            Ok(value) => drop(base.overrides.0.insert(path, Setting { value, line: None })),
            Err((message, hint)) => {
                let mut d = Diagnostic::error("MANIFEST06", format!("-D {key}: {message}"));
                d.hint = hint;
                r.problems.push(d);
            }
        }
    }
    base
}

fn single(r: &mut Reader<'_>, table: &DeTable<'_>, line: u32, base: &Base, out: &mut BTreeMap<String, Variant>) {
    let own = r.settings(table, &["name", "model"]);
    let mut word = |name: &str| match table.get(name) {
        Some(value) => {
            let at = r.line(value);
            r.text(name, value).map(|t| (t, at))
        }
        None => {
            r.problem("MANIFEST05", format!("a [[variant]] needs {name}"), line, None);
            None
        }
    };
    let (Some((name, name_line)), Some((model, model_line))) = (word("name"), word("model")) else { return };
    add(r, name, name_line, model, model_line, &own, base, out);
}

#[allow(clippy::too_many_arguments)]
fn add(
    r: &mut Reader<'_>,
    name: String,
    name_line: u32,
    model: String,
    model_line: u32,
    own: &Settings,
    base: &Base,
    out: &mut BTreeMap<String, Variant>,
) {
    let legal = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if name.is_empty() || !name.chars().all(legal) || name.starts_with('.') {
        r.problem(
            "MANIFEST07",
            format!("{name:?} is not a variant name"),
            name_line,
            Some("use letters, digits, '.', '_' and '-'".into()),
        );
    }
    let Some(of_model) = base.models.get(&model) else {
        let hint = nearest(&model, base.models.keys().map(String::as_str)).map(|c| format!("did you mean {c}?"));
        r.problem("MANIFEST08", format!("there is no [model.{model}]"), model_line, hint);
        return;
    };
    let mut settings = base.defaults.clone();
    for layer in [of_model, own, &base.overrides] {
        settings.lay(layer);
    }
    let variant = Variant { name: name.clone(), model, settings };
    if let Err(problems) = super::VariantConfig::of(&variant) {
        for mut d in problems {
            d.place.file.get_or_insert_with(|| "ptq.toml".into());
            d.place.line.get_or_insert(name_line);
            if !r.problems.contains(&d) {
                r.problems.push(d);
            }
        }
    }
    if out.insert(name.clone(), variant).is_some() {
        r.problem("MANIFEST07", format!("two variants are called {name}"), name_line, None);
    }
}

/// One axis of a matrix: a path and the values to try.
type Axis = (Vec<String>, Vec<Setting>);

fn matrix(r: &mut Reader<'_>, table: &DeTable<'_>, line: u32, base: &Base, out: &mut BTreeMap<String, Variant>) {
    let Some(template) = table.get("name").and_then(|v| r.text("name", v)) else {
        r.problem("MANIFEST05", "a matrix needs name, such as \"{model}-{march}\"".into(), line, None);
        return;
    };
    let mut axes: Vec<Axis> = Vec::new();
    for (key, value) in table.iter().filter(|(k, _)| !["name", "exclude"].contains(&k.get_ref().as_ref())) {
        let path: Vec<String> = key.get_ref().split('.').map(str::to_owned).collect();
        axes.extend(axis(r, path, value));
    }
    let excluded: Vec<toml::Table> = table.get("exclude").map(|v| tables(v.get_ref())).unwrap_or_default();
    let total = axes.iter().try_fold(1usize, |n, (_, v)| n.checked_mul(v.len())).filter(|n| *n <= MAX_VARIANTS);
    let Some(total) = total else {
        r.problem("MANIFEST09", format!("the matrix has more than {MAX_VARIANTS} variants"), line, None);
        return;
    };
    for mut i in 0..total {
        let mut own = Settings::default();
        let mut name = template.clone();
        let mut point: BTreeMap<String, toml::Value> = BTreeMap::new();
        for (path, values) in axes.iter().rev() {
            let setting = &values[i % values.len()];
            i /= values.len();
            let key = path.join(".");
            let shown = setting.value.as_str().map_or_else(|| setting.value.to_string(), str::to_owned);
            name = name.replace(&format!("{{{key}}}"), &shown);
            point.insert(key, setting.value.clone());
            own.0.insert(path.clone(), setting.clone());
        }
        if excluded.iter().any(|e| e.iter().all(|(k, v)| point.get(k) == Some(v))) {
            continue;
        }
        let model = own.0.remove(&vec!["model".to_owned()]).and_then(|s| s.value.as_str().map(str::to_owned));
        match model {
            Some(model) => add(r, name, line, model, line, &own, base, out),
            None => {
                r.problem("MANIFEST05", "a matrix needs model, a list of model names".into(), line, None);
                return;
            }
        }
    }
}

fn axis(r: &mut Reader<'_>, path: Vec<String>, value: &Spanned<DeValue<'_>>) -> Option<Axis> {
    let line = r.line(value);
    let DeValue::Array(items) = value.get_ref() else {
        r.problem("MANIFEST03", format!("{} in a matrix must be a list of values to try", path.join(".")), line, None);
        return None;
    };
    let kind = if path == ["model"] { Some(keys::KeyType::Text) } else { keys::find(&path).map(|k| k.kind) };
    let Some(kind) = kind else {
        r.unknown(&path, line);
        return None;
    };
    let mut values = Vec::new();
    for item in items.iter() {
        let at = r.line(item);
        let raw = match item.get_ref() {
            DeValue::String(s) => Ok(s.to_string()),
            DeValue::Integer(i) => Ok(i.as_str().to_owned()),
            DeValue::Float(f) => Ok(f.as_str().to_owned()),
            _ => Err("must be text or a number".to_owned()),
        };
        match raw.and_then(|raw| override_value(kind, &raw)) {
            Ok(value) => values.push(Setting { value, line: Some(at) }),
            Err(why) => r.problem("MANIFEST03", format!("{} {why}", path.join(".")), at, None),
        }
    }
    (!values.is_empty()).then_some((path, values))
}

fn tables(value: &DeValue<'_>) -> Vec<toml::Table> {
    let DeValue::Array(items) = value else { return Vec::new() };
    let text = |v: &DeValue<'_>| match v {
        DeValue::String(s) => Some(toml::Value::String(s.to_string())),
        DeValue::Integer(i) => i.as_str().parse().ok().map(toml::Value::Integer),
        DeValue::Float(f) => f.as_str().parse().ok().map(toml::Value::Float),
        _ => None,
    };
    items
        .iter()
        .filter_map(|item| match item.get_ref() {
            DeValue::Table(t) => {
                Some(t.iter().filter_map(|(k, v)| Some((k.get_ref().to_string(), text(v.get_ref())?))).collect())
            }
            _ => None,
        })
        .collect()
}
