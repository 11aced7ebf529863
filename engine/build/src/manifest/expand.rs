//! From tables to variants: inheritance, profiles, overrides. Matrices are in `matrix.rs`.

use super::overlay::Overlay;
use super::settings::{Reader, Setting, Settings, Spot, override_value, parts, unknown_key};
use super::{CustomOpConfig, Manifest, RewriteConfig, custom, define, execution, keys, matrix, remote, rewrite, stage};
use ptq_ir::Diagnostic;
use ptq_place::nearest;
use std::collections::BTreeMap;
use std::sync::Arc;
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
    /// Graph rewrites that it takes, by name.
    pub rewrites: BTreeMap<String, Arc<ptq_fuse::Rewrite>>,
    /// Custom operators that it may use, by the names of their declarations.
    pub customs: BTreeMap<String, Arc<CustomOpConfig>>,
    /// What all of these mean, where nothing is wrong with them.
    pub(crate) config: Option<Arc<super::VariantConfig>>,
}

/// Tables of a manifest.
pub(super) const TABLES: [&str; 12] = [
    "project",
    "cache",
    "remote",
    "defaults",
    "gate",
    "model",
    "variant",
    "matrix",
    "profile",
    "stage",
    "rewrite",
    "custom_op",
];

/// What variants inherit from.
pub(super) struct Base {
    rewrites: BTreeMap<String, RewriteConfig>,
    customs: BTreeMap<String, Arc<CustomOpConfig>>,
    defaults: Settings,
    models: BTreeMap<String, Settings>,
    /// The chosen profile, and `-D` over it.
    over: Settings,
}

impl Base {
    /// Whether a setting is of an input that other models declare and this one does not: a profile or `-D` means those.
    fn is_of_another_input(&self, path: &[String], own: &Settings) -> bool {
        let [group, input, ..] = path else { return false };
        let declares = |s: &Settings| s.0.keys().any(|k| k.len() > 2 && k[0] == "input" && k[1] == *input);
        group == "input" && !declares(own) && self.models.values().any(declares)
    }
}

/// A variant as its table or its point of a matrix gives it: texts with their places.
pub(super) struct Draft<'a> {
    pub(super) name: (String, &'a Spot),
    pub(super) model: (String, &'a Spot),
    pub(super) own: &'a Settings,
}

pub(super) fn expand(r: &mut Reader<'_>, root: DeTable<'_>, overlay: &Overlay) -> Manifest {
    let mut out = Manifest { out: "out".into(), cache_dir: super::CACHE_DIR.into(), ..Manifest::default() };
    for (key, _) in root.iter() {
        let name = key.get_ref().to_string();
        if !TABLES.contains(&name.as_str()) {
            let hint = nearest(&name, TABLES.into_iter()).map(|c| format!("did you mean [{c}]?"));
            let spot = r.spot(key);
            r.problem("MANIFEST02", format!("[{name}] is not a table of a manifest"), &spot, hint);
        }
    }
    environment(r, &root, overlay);
    texts(r, &root, "project", &["env"], &mut [("out", &mut out.out)]);
    texts(r, &root, "cache", &["remote"], &mut [("dir", &mut out.cache_dir)]);
    out.remote = remote::remote(r, &root, &overlay.define);
    out.execution = execution::execution(r, &root);
    out.stages = stage::stages(r, &root, overlay);
    let base = base(r, &root, overlay);
    out.rewrites.clone_from(&base.rewrites);
    out.customs.clone_from(&base.customs);
    if let Some(DeValue::Array(list)) = root.get("variant").map(Spanned::get_ref) {
        for item in list.iter() {
            let spot = r.spot(item);
            match item.get_ref() {
                DeValue::Table(table) => single(r, table, &spot, &base, &mut out.variants),
                _ => r.problem("MANIFEST03", "[[variant]] must be a table".into(), &spot, None),
            }
        }
    }
    each_table(r, &root, "matrix", |r, _, spot, table| matrix::matrix(r, table, spot, &base, &mut out.variants));
    let unknown = stage::check_variants(&out.variants, &out.stages);
    r.problems.extend(unknown.into_iter().map(|d| d.file(r.file())).collect::<Vec<_>>());
    if out.variants.is_empty() && r.problems.is_empty() {
        let hint = "add a [[variant]] with name and model".to_owned();
        let d = Diagnostic::error("MANIFEST05", "there is no variant to build").hint(hint);
        r.problems.push(d.file(r.file()));
    }
    out
}

/// Calls a function for every `[group.NAME]`.
pub(super) fn each_table<'d>(
    r: &mut Reader<'_>,
    root: &'d DeTable<'_>,
    group: &str,
    mut f: impl FnMut(&mut Reader<'_>, String, &Spot, &'d DeTable<'d>),
) {
    let Some(found) = root.get(group) else { return };
    let DeValue::Table(tables) = found.get_ref() else {
        let spot = r.spot(found);
        return r.problem("MANIFEST03", format!("{group} must be a table: [{group}.NAME]"), &spot, None);
    };
    for (key, value) in tables.iter() {
        let spot = r.spot(key);
        match value.get_ref() {
            DeValue::Table(t) => f(r, key.get_ref().to_string(), &spot, t),
            _ => r.problem("MANIFEST03", format!("[{group}.{}] must be a table", key.get_ref()), &spot, None),
        }
    }
}

/// Fills the known texts of a table, and refuses other keys.
fn texts(r: &mut Reader<'_>, root: &DeTable<'_>, table: &str, also: &[&str], fields: &mut [(&str, &mut String)]) {
    let Some(DeValue::Table(t)) = root.get(table).map(Spanned::get_ref) else { return };
    for (key, value) in t.iter() {
        let name = key.get_ref().to_string();
        if let Some((_, into)) = fields.iter_mut().find(|(n, _)| *n == name) {
            if let Some(text) = r.text(&format!("{table}.{name}"), value) {
                **into = text;
            }
        } else if !also.contains(&name.as_str()) {
            let known = fields.iter().map(|(n, _)| *n).chain(also.iter().copied());
            let hint = nearest(&name, known).map(|c| format!("did you mean {c}?"));
            let spot = r.spot(key);
            r.problem("MANIFEST02", format!("unknown key {table}.{name}"), &spot, hint);
        }
    }
}

/// Reads `[project] env`: names of variables that texts may use.
fn environment(r: &mut Reader<'_>, root: &DeTable<'_>, overlay: &Overlay) {
    let Some(DeValue::Table(project)) = root.get("project").map(Spanned::get_ref) else { return };
    let Some(list) = project.get("env") else { return };
    let path = ["project".to_owned(), "env".to_owned()];
    let names = r.value(keys::KeyType::Texts, &path, list).and_then(|s| s.value.as_array().cloned());
    for name in names.iter().flatten().filter_map(toml::Value::as_str) {
        r.environment.insert(name.to_owned(), overlay.environment.get(name).cloned());
    }
}

fn base(r: &mut Reader<'_>, root: &DeTable<'_>, overlay: &Overlay) -> Base {
    let rewrites = rewrite::rewrites(r, root, overlay);
    let customs = custom::customs(r, root, overlay);
    let mut base =
        Base { rewrites, customs, defaults: Settings::default(), models: BTreeMap::new(), over: Settings::default() };
    // `[gate]` is short for `[defaults.gate]`, which wins.
    let others: Vec<String> = root.keys().map(|k| k.get_ref().to_string()).filter(|k| k != "gate").collect();
    base.defaults = r.settings(root, &others.iter().map(String::as_str).collect::<Vec<_>>());
    if let Some(DeValue::Table(t)) = root.get("defaults").map(Spanned::get_ref) {
        let over = r.settings(t, &[]);
        base.defaults.lay(&over);
    }
    each_table(r, root, "model", |r, name, _, t| drop(base.models.insert(name, r.settings(t, &[]))));
    let mut profiles: BTreeMap<String, Settings> = BTreeMap::new();
    each_table(r, root, "profile", |r, name, _, t| drop(profiles.insert(name, r.settings(t, &[]))));
    if let Some(wanted) = &overlay.profile {
        match profiles.remove(wanted) {
            Some(profile) => base.over = profile,
            None => {
                let close = nearest(wanted, profiles.keys().map(String::as_str));
                let known = profiles.keys().cloned().collect::<Vec<_>>().join(", ");
                let hint = close.map_or(format!("profiles: {known}"), |c| format!("did you mean {c}?"));
                r.problems.push(
                    Diagnostic::error("MANIFEST15", format!("--profile {wanted}: there is no [profile.{wanted}]"))
                        .hint(hint),
                );
            }
        }
    }
    for (key, raw) in &overlay.define {
        let path = parts(key);
        if path.first().is_some_and(|p| p == "stage") || key.starts_with("cache.remote.") || define::is_outside(&path) {
            continue;
        }
        let result = match keys::find(&path) {
            Some(known) => override_value(known.kind, raw).map_err(|why| (format!("-D {key} {why}"), None)),
            None => Err(unknown_key(&path)),
        };
        match result {
            Ok(value) => drop(base.over.0.insert(path, Setting { value, line: None })),
            Err((message, hint)) => {
                let mut d = Diagnostic::error("MANIFEST06", format!("-D {key}: {message}"));
                d.hint = hint;
                r.problems.push(d);
            }
        }
    }
    base
}

fn single(r: &mut Reader<'_>, table: &DeTable<'_>, spot: &Spot, base: &Base, out: &mut BTreeMap<String, Variant>) {
    let own = r.settings(table, &["name", "model"]);
    let mut word = |name: &str| match table.get(name) {
        Some(value) => r.text(name, value).map(|t| (t, r.spot(value))),
        None => {
            r.problem("MANIFEST05", format!("a [[variant]] needs {name}"), spot, None);
            None
        }
    };
    let (Some((name, name_spot)), Some((model, model_spot))) = (word("name"), word("model")) else { return };
    add(r, Draft { name: (name, &name_spot), model: (model, &model_spot), own: &own }, base, out);
}

/// A pattern of a setting that chooses nothing; nothing is chosen then.
fn unknown<T: Default>(r: &mut Reader<'_>, settings: &Settings, key: &str, (why, hint): (String, Option<String>)) -> T {
    let mut d = Diagnostic::error(rewrite::CODE, why).file(r.file());
    (d.place.line, d.hint) = (settings.get(key).and_then(|s| s.line), hint);
    if !r.problems.contains(&d) {
        r.problems.push(d);
    }
    T::default()
}

/// Lays the layers of a variant over each other, checks it and adds it.
pub(super) fn add(r: &mut Reader<'_>, draft: Draft<'_>, base: &Base, out: &mut BTreeMap<String, Variant>) {
    let ((name, name_spot), (model, model_spot)) = (draft.name, draft.model);
    let legal = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if name.is_empty() || !name.chars().all(legal) || name.starts_with('.') {
        let hint = Some("use letters, digits, '.', '_' and '-'".into());
        r.problem("MANIFEST07", format!("{name:?} is not a variant name"), name_spot, hint);
    }
    let Some(of_model) = base.models.get(&model) else {
        let hint = nearest(&model, base.models.keys().map(String::as_str)).map(|c| format!("did you mean {c}?"));
        r.problem("MANIFEST08", format!("there is no [model.{model}]"), model_spot, hint);
        return;
    };
    let mut settings = base.defaults.clone();
    settings.lay(of_model);
    settings.lay(draft.own);
    let over = base.over.0.iter().filter(|(path, _)| !base.is_of_another_input(path, &settings));
    settings.lay(&Settings(over.map(|(path, setting)| (path.clone(), setting.clone())).collect()));
    let patterns = |key: &str| settings.get(key).map(|s| super::config::texts_of(&s.value));
    let rewrites = rewrite::chosen(&base.rewrites, patterns("rewrites").as_deref());
    let rewrites = rewrites.unwrap_or_else(|why| unknown(r, &settings, "rewrites", why));
    let customs = custom::chosen(&base.customs, patterns("custom_op").as_deref());
    let customs = customs.unwrap_or_else(|why| unknown(r, &settings, "custom_op", why));
    let mut variant = Variant { name: name.clone(), model, settings, rewrites, customs, config: None };
    match super::VariantConfig::of(&variant) {
        Ok(config) => variant.config = Some(Arc::new(config)),
        Err(problems) => {
            for mut d in problems {
                let file = r.file().to_owned();
                d.place.file.get_or_insert(file);
                d.place.line.get_or_insert(name_spot.line);
                if !r.problems.contains(&d) {
                    r.problems.push(d);
                }
            }
        }
    }
    // A template that lacks a key of its matrix gives many variants one name: one of them says it.
    let told = "two variants are called";
    let is_told = |d: &Diagnostic| d.place.line == Some(name_spot.line) && d.message.starts_with(told);
    if out.insert(name.clone(), variant).is_some() && !r.problems.iter().any(is_told) {
        let hint = "every variant has a name of its own; a matrix needs every key with several values in it, such as \"{model}-{march}\"";
        r.problem("MANIFEST07", format!("{told} {name}"), name_spot, Some(hint.into()));
    }
}
