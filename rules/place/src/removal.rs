//! Borders beside the model's own inputs and outputs that are left away on request (`remove_node_type`, `remove_node_name`): whoever
//! runs the model then gives or takes the integers. Called by `ptq check` and partition.

use crate::{Border, Placement, borders};
use ptq_ir::{Device, Diagnostic, Graph, NodeId, ValueId, border_name, is_border_of_model};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Which borders to leave away.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Removal {
    /// Every Quantize of a model input.
    pub quantize: bool,
    /// Every Dequantize of a model output.
    pub dequantize: bool,
    /// Single ones: `<input>_quantize`, `<output>_dequantize`. Other names are not for borders.
    pub names: Vec<String>,
    /// Inputs that pictures fill at run time: their Quantize is part of how a picture arrives.
    pub images: BTreeSet<String>,
}

impl Removal {
    /// Whether nothing is asked for.
    pub fn is_nothing(&self) -> bool {
        !self.quantize && !self.dequantize && self.names.is_empty()
    }

    fn asks(&self, border: &Border) -> bool {
        let all = if border.kind == "Quantize" { self.quantize } else { self.dequantize };
        all || self.names.contains(&name(border))
    }
}

/// Name of a border.
fn name(border: &Border) -> String {
    border_name(border.kind, &border.value)
}

/// What becomes of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// Model inputs and outputs that carry integers.
    pub ports: BTreeSet<ValueId>,
    /// Borders that were asked for and stay, and requests that meet no border, each with its reason.
    pub notes: Vec<Diagnostic>,
}

impl Removed {
    /// Borders without those that go.
    pub fn rest(&self, graph: &Graph, borders: Vec<Border>) -> Vec<Border> {
        let gone: BTreeSet<&str> = self.ports.iter().map(|&v| graph.value(v).name.as_str()).collect();
        borders.into_iter().filter(|b| !gone.contains(b.value.as_str())).collect()
    }
}

/// Decides which borders go: those that alone read an input of the model, or alone make an output that no CPU node reads.
pub fn removed(graph: &Graph, placement: &Placement, removal: &Removal) -> Removed {
    let mut out = Removed::default();
    if removal.is_nothing() {
        return out;
    }
    let named = |values: &[ValueId]| -> BTreeMap<&str, ValueId> {
        values.iter().map(|&v| (graph.value(v).name.as_str(), v)).collect()
    };
    let (inputs, outputs) = (named(&graph.inputs), named(&graph.outputs));
    let mut met = BTreeSet::new();
    for border in borders(graph, placement).iter().filter(|b| removal.asks(b)) {
        let ports = if border.kind == "Quantize" { &inputs } else { &outputs };
        let Some(&v) = ports.get(border.value.as_str()) else { continue };
        met.extend([border.kind.to_owned(), name(border)]);
        match obstacle(graph, placement, removal, border, v) {
            None => _ = out.ports.insert(v),
            Some(why) => out.notes.push(
                Diagnostic::warning("PLACE28", format!("{} stays: {why}", name(border)))
                    .value(&border.value)
                    .hint("only a border that alone stands between the accelerator and the model's end can be removed"),
            ),
        }
    }
    let kinds = [("Quantize", removal.quantize), ("Dequantize", removal.dequantize)];
    let kinds = kinds.iter().filter(|(_, asked)| *asked).map(|(kind, _)| ((*kind).to_owned(), "remove_node_type"));
    let names = removal.names.iter().filter(|n| is_border_of_model(graph, n)).map(|n| (n.clone(), "remove_node_name"));
    for (wanted, key) in kinds.chain(names).filter(|(wanted, _)| !met.contains(wanted)) {
        let why = format!("{key} {wanted}: the build puts no such border beside an input or output of the model");
        out.notes.push(
            Diagnostic::warning("PLACE28", why)
                .hint("`ptq check` lists the borders; what stands there runs on the CPU in float"),
        );
    }
    out
}

/// Why a border that was asked for stays.
fn obstacle(graph: &Graph, placement: &Placement, removal: &Removal, border: &Border, v: ValueId) -> Option<String> {
    let consumers = graph.consumers();
    let on_cpu = |id: &&NodeId| placement.nodes[id.0 as usize].on == Device::Cpu;
    let reader = consumers[v.0 as usize].iter().find(on_cpu).map(|id| graph.node(*id).name.clone());
    let enters = border.kind == "Quantize";
    if enters && removal.images.contains(&border.value) {
        return Some(format!("{} is filled by a picture, and this is a step of how it arrives", border.value));
    }
    if graph.inputs.contains(&v) && graph.is_output(v) {
        return Some(format!("{} is an input and an output", border.value));
    }
    reader.map(|node| format!("{node} runs on the CPU and reads the real numbers of {}", border.value))
}
