//! `[custom_op.NAME]`: operators that no standard knows, with their shapes and the command that computes them. Read by
//! [`super::expand`]; run by `custom.rs` of the engine.

use super::overlay::Overlay;
use super::settings::{Reader, Spot, to_value};
use super::stage::{self, StageConfig};
use ptq_ir::DType;
use ptq_ir::ops::{CustomInput, CustomOp, CustomOutput, evaluate};
use ptq_place::nearest;
use serde_json::{Value, json};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// In front of a declaration's name where problems and sources are listed.
pub(crate) const PREFIX: &str = "custom_op:";
/// Code of problems with declarations.
const CODE: &str = "MANIFEST20";
/// Keys beside those of the command.
pub(super) const KEYS: [(&str, &str); 5] = [
    ("op", "operator, as the model's nodes name it; the table's name where it is not given"),
    ("domain", "its domain (required)"),
    ("inputs", "what its inputs are, in order: `{ type, shape }`; words of a shape stand for sizes, `*` for any"),
    (
        "outputs",
        "what its outputs are, in order: `{ type, shape, like }`; a shape computes with words and `$attribute`s",
    ),
    ("files", "files, folders and patterns that its command needs, as `inputs` of a stage"),
];

/// A declared operator.
#[derive(Clone, Debug, PartialEq)]
pub struct CustomOpConfig {
    /// Name of the declaration.
    pub name: String,
    /// Operator.
    pub op: String,
    /// Domain.
    pub domain: String,
    /// What its inputs must be.
    pub inputs: Vec<CustomInput>,
    /// What its outputs are.
    pub outputs: Vec<CustomOutput>,
    /// Its command, as that of a stage.
    pub command: StageConfig,
}

impl CustomOpConfig {
    /// The declaration as nodes carry it, with the digest of its program.
    pub fn declared(&self, program: String) -> CustomOp {
        CustomOp { name: self.name.clone(), program, inputs: self.inputs.clone(), outputs: self.outputs.clone() }
    }
}

/// All declarations of a manifest by name.
pub(super) fn customs(
    r: &mut Reader<'_>,
    root: &DeTable<'_>,
    overlay: &Overlay,
) -> BTreeMap<String, Arc<CustomOpConfig>> {
    let mut out: BTreeMap<String, Arc<CustomOpConfig>> = BTreeMap::new();
    super::expand::each_table(r, root, "custom_op", |r, name, spot, table| {
        if let Some(config) = one(r, &name, spot, table, overlay) {
            let same = |c: &&Arc<CustomOpConfig>| (&c.op, &c.domain) == (&config.op, &config.domain);
            if let Some(other) = out.values().find(same) {
                let why = format!("[custom_op.{name}] declares {}.{} again", config.domain, config.op);
                r.problem(CODE, why, spot, Some(format!("see [custom_op.{}]", other.name)));
            }
            out.insert(name, Arc::new(config));
        }
    });
    out
}

fn one(r: &mut Reader<'_>, name: &str, spot: &Spot, table: &DeTable<'_>, overlay: &Overlay) -> Option<CustomOpConfig> {
    let before = r.problems.len();
    let own: Vec<&str> = KEYS.iter().map(|k| k.0).filter(|k| *k != "files").collect();
    let mut word = |key: &str| table.get(key).and_then(|v| r.text(&format!("custom_op.{key}"), v));
    let op = word("op").unwrap_or_else(|| name.to_owned());
    let domain = word("domain").unwrap_or_default();
    if domain.is_empty() || domain == "ai.onnx" {
        let hint = Some("operators of the standard are computed by ptq".to_owned());
        r.problem(CODE, format!("[custom_op.{name}] needs the domain of its operator"), spot, hint);
    }
    let inputs = ports(r, table, "inputs", |port| CustomInput { dtype: port.dtype, shape: port.shape });
    let outputs = ports(r, table, "outputs", |p| CustomOutput { dtype: p.dtype, shape: p.shape, like: p.like });
    if outputs.is_empty() {
        r.problem(CODE, format!("[custom_op.{name}] has no outputs"), spot, Some("outputs = [{ like = 0 }]".into()));
    }
    let command = stage::command(r, &format!("custom_op {name}"), &own, spot.line, table, overlay);
    let config = CustomOpConfig { name: name.to_owned(), op, domain, inputs, outputs, command };
    if r.problems.len() == before {
        check(r, table, spot, &config);
    }
    Some(config)
}

/// An input or output as it is written.
struct Port {
    dtype: Option<String>,
    shape: Option<Vec<String>>,
    like: usize,
}

fn ports<T>(r: &mut Reader<'_>, table: &DeTable<'_>, key: &str, of: impl Fn(Port) -> T) -> Vec<T> {
    let Some(found) = table.get(key) else { return Vec::new() };
    let DeValue::Array(list) = found.get_ref() else {
        let spot = r.spot(found);
        r.problem(CODE, format!("{key} must be a list of tables"), &spot, None);
        return Vec::new();
    };
    list.iter().filter_map(|item| port(r, item, key == "outputs")).map(of).collect()
}

fn port(r: &mut Reader<'_>, item: &Spanned<DeValue<'_>>, is_output: bool) -> Option<Port> {
    let spot = r.spot(item);
    let DeValue::Table(table) = item.get_ref() else {
        r.problem(CODE, "this must be a table: { type = \"float32\", shape = [\"N\", 3] }".into(), &spot, None);
        return None;
    };
    let mut port = Port { dtype: None, shape: None, like: 0 };
    for (key, value) in table.iter() {
        let (name, at) = (key.get_ref().as_ref(), r.spot(value));
        let plain = to_value(value.get_ref());
        match name {
            "type" => {
                let known = || DType::ALL.iter().map(|d| d.name());
                match plain.as_str().filter(|t| known().any(|d| d == *t)) {
                    Some(found) => port.dtype = Some(found.to_owned()),
                    None => {
                        let close =
                            plain.as_str().and_then(|t| nearest(t, known())).map(|c| format!("did you mean {c}?"));
                        r.problem(CODE, format!("there is no type {plain}"), &at, close);
                    }
                }
            }
            "shape" => {
                let dim = |v: &toml::Value| match v {
                    toml::Value::Integer(n) => Some(n.to_string()),
                    toml::Value::String(s) => Some(s.clone()),
                    _ => None,
                };
                let dims = plain.as_array().and_then(|list| list.iter().map(dim).collect::<Option<Vec<_>>>());
                if dims.is_none() {
                    r.problem(CODE, "shape must be a list of numbers and texts".into(), &at, None);
                }
                port.shape = dims;
            }
            "like" if is_output => match plain.as_integer().and_then(|n| usize::try_from(n).ok()) {
                Some(like) => port.like = like,
                None => r.problem(CODE, "like must be the number of an input, from 0".into(), &at, None),
            },
            _ => {
                let known = if is_output { ["type", "shape", "like"].as_slice() } else { &["type", "shape"] };
                let close = nearest(name, known.iter().copied()).map(|c| format!("did you mean {c}?"));
                let spot = r.spot(key);
                r.problem(CODE, format!("unknown key {name}"), &spot, close);
            }
        }
    }
    Some(port)
}

/// Words of outputs that no input says, and inputs that `like` names and nobody declares.
fn check(r: &mut Reader<'_>, table: &DeTable<'_>, spot: &Spot, config: &CustomOpConfig) {
    if let Some(staged) = config.command.inputs.iter().find(|i| i.starts_with(stage::PREFIX)) {
        let why = format!("[custom_op.{}] names {staged}: files of stages do not reach a custom operator", config.name);
        r.problem(CODE, why, spot, Some("let the stage be a file of the project".into()));
    }
    let known: Vec<&str> =
        config.inputs.iter().filter_map(|i| i.shape.as_ref()).flatten().map(String::as_str).collect();
    let place = |r: &Reader<'_>, i: usize| {
        let list = table.get("outputs").map(Spanned::get_ref);
        let item = if let Some(DeValue::Array(list)) = list { list.get(i) } else { None };
        item.map_or_else(|| spot.clone(), |v| r.spot(v))
    };
    for (i, output) in config.outputs.iter().enumerate() {
        let uses_like = output.dtype.is_none() || output.shape.is_none();
        if uses_like && output.like >= config.inputs.len() {
            let why = format!("output {i} is like input {}, of {} declared", output.like, config.inputs.len());
            let at = place(r, i);
            r.problem(CODE, why, &at, Some("give its type and shape, or declare the input".into()));
        }
        for dim in output.shape.iter().flatten() {
            let unknown = RefCell::new(None);
            let read = evaluate(dim, &|name| {
                if !name.starts_with('$') && !known.contains(&name) {
                    unknown.borrow_mut().get_or_insert(name.to_owned());
                }
                Ok(2)
            });
            let problem = match (unknown.into_inner(), read) {
                (Some(word), _) => {
                    Some((format!("no input says what {word} is"), nearest(&word, known.iter().copied())))
                }
                (None, Err(why)) if !why.contains("divides") => Some((why, None)),
                _ => None,
            };
            if let Some((why, close)) = problem {
                let at = place(r, i);
                let hint = close.map(|c| format!("did you mean {c}?"));
                r.problem(CODE, format!("output {i}: {dim:?}: {why}"), &at, hint);
            }
        }
    }
}

/// The declarations that a variant's patterns choose; all without patterns. The error is a pattern that chooses none.
pub(super) fn chosen(
    all: &BTreeMap<String, Arc<CustomOpConfig>>,
    patterns: Option<&[String]>,
) -> Result<BTreeMap<String, Arc<CustomOpConfig>>, (String, Option<String>)> {
    let Some(patterns) = patterns else { return Ok(all.clone()) };
    let mut out = BTreeMap::new();
    for pattern in patterns {
        let found: Vec<_> = all.iter().filter(|(n, _)| crate::sources::wildcard(pattern, n)).collect();
        if found.is_empty() {
            let close = nearest(pattern, all.keys().map(String::as_str)).map(|c| format!("did you mean {c}?"));
            return Err((format!("custom_op: there is no [custom_op.{pattern}]"), close));
        }
        out.extend(found.into_iter().map(|(n, c)| (n.clone(), c.clone())));
    }
    Ok(out)
}

/// The schema of one `[custom_op.NAME]`; `command` holds the keys of a stage.
pub(super) fn schema(command: &serde_json::Map<String, Value>) -> Value {
    let shape = json!({ "type": "array", "items": { "anyOf": [{ "type": "integer" }, { "type": "string" }] } });
    let port = |also: Value| {
        let mut properties =
            json!({ "type": { "enum": DType::ALL.iter().map(|d| d.name()).collect::<Vec<_>>() }, "shape": shape });
        also.as_object().into_iter().flatten().for_each(|(k, v)| properties[k] = v.clone());
        json!({ "type": "array", "items": { "type": "object", "additionalProperties": false, "properties": properties } })
    };
    let mut properties = command.clone();
    properties.remove("outputs");
    properties.remove("inputs");
    for (key, meaning) in KEYS {
        let mut value = match key {
            "inputs" => port(json!({})),
            "outputs" => port(json!({ "like": { "type": "integer", "minimum": 0 } })),
            "files" => json!({ "type": "array", "items": { "type": "string" } }),
            _ => json!({ "type": "string" }),
        };
        value["description"] = json!(meaning);
        properties.insert(key.to_owned(), value);
    }
    json!({ "type": "object", "additionalProperties": false, "properties": properties,
        "required": ["domain", "outputs", "command"] })
}
