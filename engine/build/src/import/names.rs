//! Names of nodes, against those of the ONNX file.

use super::keys::{CALIBRATION, MODEL};
use super::model::Model;
use super::settings::{Settings, split};
use super::yaml::Value;
use crate::manifest::nearest;

/// Keys that list names of nodes.
const LISTS: [(&str, &str); 4] =
    [(MODEL, "output_nodes"), (MODEL, "remove_node_name"), (CALIBRATION, "run_on_cpu"), (CALIBRATION, "run_on_bpu")];
/// Names for which a close one is looked up.
const MAX_SUGGESTIONS: usize = 20;
/// Most names of a model that a hint lists.
const MAX_LISTED: usize = 8;

/// A name where it is asked for.
struct Asked {
    key: &'static str,
    name: String,
    line: u32,
}

/// Checks every name that a file gives a node.
pub(super) fn check(s: &mut Settings, model: &Model) {
    let absent = asked(s).into_iter().filter(|a| !a.name.is_empty() && !model.nodes.contains(&a.name));
    for (i, asked) in absent.collect::<Vec<_>>().into_iter().enumerate() {
        let what = format!("{} names {}, which is no node of the ONNX file", asked.key, asked.name);
        let hint = hint(model, &asked.name, i < MAX_SUGGESTIONS);
        // A node of which several are made keeps its name as their beginning: the build knows better.
        if may_be_made(model, &asked.name) {
            s.warn("IMPORT13", asked.line, what, &hint);
        } else {
            s.error("IMPORT13", asked.line, what, &hint);
        }
    }
}

fn asked(s: &Settings) -> Vec<Asked> {
    let mut all = Vec::new();
    for (group, key) in LISTS {
        if let Some((names, line)) = s.list(group, key) {
            all.extend(names.into_iter().map(|name| Asked { key, name, line }));
        }
    }
    for key in ["node_info", "set_node_data_type"] {
        let Some(setting) = s.get(MODEL, key) else { continue };
        match &setting.node.value {
            Value::Map(map) => {
                all.extend(map.iter().map(|(name, line, _)| Asked { key, name: name.clone(), line: *line }))
            }
            _ => {
                let parts = split(setting.node.text().unwrap_or_default(), ';');
                let names = parts.iter().filter_map(|p| p.rsplit_once(':'));
                all.extend(names.map(|(name, _)| Asked { key, name: name.trim().to_owned(), line: setting.line }));
            }
        }
    }
    all
}

fn may_be_made(model: &Model, name: &str) -> bool {
    name.char_indices().filter(|(_, c)| "_/.:".contains(*c)).any(|(i, _)| i > 0 && model.nodes.contains(&name[..i]))
}

fn hint(model: &Model, name: &str, search: bool) -> String {
    if let Some(node) = model.makers.get(name) {
        return format!("{name} is a value, the node that makes it is {node}");
    }
    let close = if search { nearest(name, model.nodes.iter().map(String::as_str)) } else { None };
    match close {
        Some(close) => format!("did you mean {close}?"),
        None if model.nodes.len() <= MAX_LISTED => {
            format!("nodes: {}", model.nodes.iter().map(String::as_str).collect::<Vec<_>>().join(", "))
        }
        None => "take the name from the ONNX file, or remove it; `ptq check` lists the nodes".to_owned(),
    }
}
