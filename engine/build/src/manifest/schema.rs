//! The JSON Schema of a manifest, from the table of keys: editors complete and check `ptq.toml` with it.

use super::expand::TABLES;
use super::keys::{KEYS, Key, KeyType};
use super::matrix::OWN_KEYS;
use serde_json::{Map, Value, json};

/// A tree of keys: groups by name, `*` for any name, leaves at the ends.
#[derive(Default)]
struct Node {
    leaf: Option<&'static Key>,
    below: std::collections::BTreeMap<&'static str, Node>,
}

/// The schema as pretty JSON with a final newline.
pub fn schema() -> String {
    let mut root = Node::default();
    for key in KEYS {
        let node = key.path.split('.').fold(&mut root, |node, part| node.below.entry(part).or_default());
        node.leaf = Some(key);
    }
    let text = json!({ "type": "string" });
    let settings = |more: &[(&str, Value)], each: fn(Value) -> Value| {
        let mut properties = properties(&root, each);
        properties.extend(more.iter().map(|(k, v)| ((*k).to_owned(), v.clone())));
        json!({ "type": "object", "properties": properties, "additionalProperties": false })
    };
    let same = |value: Value| value;
    let named = |what: Value| json!({ "type": "object", "additionalProperties": what });
    let mut variant = settings(&[("name", text.clone()), ("model", text.clone())], same);
    variant["required"] = json!(["name", "model"]);
    let points = json!({ "type": "array", "items": settings(&[("model", text.clone())], same) });
    let mut matrix = settings(&[("model", several(text.clone()))], several);
    for name in OWN_KEYS {
        matrix["properties"][name] = if name == "name" { text.clone() } else { points.clone() };
    }
    matrix["required"] = json!(["name", "model"]);
    let mut tables = Map::new();
    for table in TABLES {
        let value = match table {
            "project" => json!({ "type": "object", "additionalProperties": false, "properties": {
                "out": { "type": "string", "default": "out", "description": "folder for artifacts: OUT/VARIANT/" },
                "env": { "type": "array", "items": text, "description": "environment variables that texts may use as ${NAME}" },
            } }),
            "cache" => {
                let keys: Map<String, Value> =
                    super::remote::KEYS.iter().map(|k| (k.path.to_owned(), described(k, same))).collect();
                json!({ "type": "object", "additionalProperties": false, "properties": {
                    "dir": { "type": "string", "default": ".ptq", "description": "folder of the store" },
                    "remote": { "type": "object", "additionalProperties": false, "properties": keys, "required": ["url"] },
                } })
            }
            "remote" => {
                let keys: Map<String, Value> =
                    super::execution::KEYS.iter().map(|k| (k.path.to_owned(), described(k, same))).collect();
                json!({ "type": "object", "additionalProperties": false, "properties": keys })
            }
            "variant" => json!({ "type": "array", "items": variant }),
            "stage" => {
                let keys: Map<String, Value> =
                    super::stage::KEYS.iter().map(|k| (k.path.to_owned(), described(k, same))).collect();
                named(json!({ "type": "object", "additionalProperties": false, "properties": keys,
                    "required": ["command", "outputs"] }))
            }
            "custom_op" => {
                let keys: Map<String, Value> =
                    super::stage::KEYS.iter().map(|k| (k.path.to_owned(), described(k, same))).collect();
                named(super::custom::schema(&keys))
            }
            "matrix" => named(matrix.clone()),
            "rewrite" => super::rewrite::schema(),
            "defaults" => settings(&[], same),
            "gate" => root.below.get("gate").map_or(Value::Null, |gate| schema_of(gate, same)),
            _ => named(settings(&[], same)),
        };
        tables.insert(table.to_owned(), value);
    }
    let schema = json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "ptq.toml",
        "type": "object",
        "properties": tables,
        "additionalProperties": false,
    });
    format!("{schema:#}\n")
}

fn properties(node: &Node, each: fn(Value) -> Value) -> Map<String, Value> {
    node.below.iter().map(|(name, below)| ((*name).to_owned(), schema_of(below, each))).collect()
}

fn schema_of(node: &Node, each: fn(Value) -> Value) -> Value {
    if let Some(key) = node.leaf {
        return described(key, each);
    }
    match node.below.get("*") {
        Some(any) => json!({ "type": "object", "additionalProperties": schema_of(any, each) }),
        None => {
            json!({ "type": "object", "properties": properties(node, each), "additionalProperties": false })
        }
    }
}

fn described(key: &Key, each: fn(Value) -> Value) -> Value {
    let mut value = each(kind(key.kind));
    value["description"] = json!(format!("{} (read by {}; default {})", key.meaning, key.stage, key.default));
    value
}

/// In a matrix: a value, or a list of values to try.
fn several(value: Value) -> Value {
    json!({ "anyOf": [value, { "type": "array", "items": value, "minItems": 1 }] })
}

fn kind(kind: KeyType) -> Value {
    let list = |of: &str| json!({ "type": "array", "items": { "type": of } });
    match kind {
        KeyType::Text => json!({ "type": "string" }),
        KeyType::Word(words) => json!({ "enum": words }),
        KeyType::Flag => json!({ "type": "boolean" }),
        KeyType::Number => json!({ "type": "number" }),
        KeyType::Numbers => json!({ "anyOf": [{ "type": "number" }, list("number")] }),
        KeyType::Integers => list("integer"),
        KeyType::Texts => list("string"),
        KeyType::TextOrTable => {
            json!({ "anyOf": [{ "type": "string" }, { "type": "object", "additionalProperties": { "type": "string" } }] })
        }
        KeyType::Table => json!({ "type": "object" }),
        KeyType::Commands => json!({ "type": "array", "items": list("string") }),
        KeyType::Any => json!({}),
        KeyType::Integer => json!({ "type": "integer", "minimum": 1 }),
        KeyType::Count => json!({ "type": "integer", "minimum": 0 }),
        KeyType::Size => json!({ "anyOf": [{ "type": "integer", "minimum": 1 }, { "type": "string" }] }),
    }
}
