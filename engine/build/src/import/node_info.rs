//! `node_info` and the deprecated `set_node_data_type`: devices and types of single nodes.

use super::MODEL;
use super::checks::{NO_INT16, has_int16};
use super::settings::{Settings, split};
use super::yaml::Value;
use crate::manifest::accepts;
use std::collections::BTreeMap;

/// Keys and values of the manifest's `nodes.NAME`, by node.
pub(super) type Nodes = BTreeMap<String, BTreeMap<String, String>>;

const TYPES: [&str; 3] = ["int8", "int16", "float32"];

/// Reads both keys.
pub(super) fn nodes(s: &mut Settings, march: &str) -> Nodes {
    let mut nodes = Nodes::new();
    for name in ["set_node_data_type", "node_info"] {
        let Some(setting) = s.get(MODEL, name).cloned() else { continue };
        match &setting.node.value {
            Value::Map(map) => {
                for (node, line, value) in map {
                    mapped(s, &mut nodes, node, *line, &value.value);
                }
            }
            _ => text(s, &mut nodes, name, setting.node.text().unwrap_or_default(), setting.line),
        }
        if nodes.values().flat_map(BTreeMap::values).any(|v| v == "int16") && !has_int16(march) {
            let what = format!("{name} asks for int16, which march {march} does not have");
            s.warn("IMPORT12", setting.line, what, NO_INT16);
        }
    }
    nodes
}

/// Remembers a setting; one that the manifest does not take is a comment there, and a warning.
fn put(s: &mut Settings, nodes: &mut Nodes, node: &str, line: u32, (key, value): (&str, &str)) {
    let path = ["nodes", node, key].map(str::to_owned);
    if accepts(&path, &toml::Value::String(value.to_owned())).is_err() {
        let what = format!("{key} {value} of node {node} has no counterpart: it is written as a comment");
        s.warn(
            "IMPORT12",
            line,
            what,
            "types are int8 and int16, of inputs 0 to 2; {'ON': 'CPU'} keeps a node in float",
        );
    }
    nodes.entry(node.to_owned()).or_default().insert(key.to_owned(), value.to_owned());
}

/// `name:int16;other:int16`: output types.
fn text(s: &mut Settings, nodes: &mut Nodes, key: &str, text: &str, line: u32) {
    for part in split(text, ';') {
        // Node names may hold colons; types do not.
        match part.rsplit_once(':') {
            Some((node, kind)) if !node.trim().is_empty() && TYPES.contains(&kind.trim()) => {
                put(s, nodes, node.trim(), line, ("OutputType", kind.trim()));
            }
            _ => {
                let what = format!("{key} {part:?} is not of the form name:int16");
                s.error(
                    "IMPORT12",
                    line,
                    what,
                    "write 'conv1:int16;conv2:int16', or a mapping with ON, InputType, OutputType",
                );
            }
        }
    }
}

fn mapped(s: &mut Settings, nodes: &mut Nodes, node: &str, line: u32, value: &Value) {
    let Value::Map(entries) = value else {
        let what = format!("node_info of {node} must be a mapping");
        s.error("IMPORT12", line, what, "for example {'ON': 'BPU', 'OutputType': 'int16'}");
        return;
    };
    for (key, line, value) in entries {
        let value = value.text().unwrap_or_default();
        let input = key.strip_prefix("InputType").is_some_and(|n| n.is_empty() || n.parse::<u16>().is_ok());
        let (key, legal): (&str, &[&str]) = match key.as_str() {
            "ON" => ("on", &["BPU", "CPU"]),
            "OutputType" => ("OutputType", &TYPES),
            k if input => (k, &TYPES),
            other => {
                let what = format!("node_info of {node}: unknown key {other}");
                s.error("IMPORT12", *line, what, "keys: ON, InputType, InputType<n>, OutputType");
                continue;
            }
        };
        if legal.contains(&value) {
            put(s, nodes, node, *line, (key, value));
        } else {
            let what = format!("node_info of {node}: {key} {value:?} is none of {}", legal.join(", "));
            s.error("IMPORT12", *line, what, "choose one of them");
        }
    }
}
