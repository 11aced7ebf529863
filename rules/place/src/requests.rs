//! What the manifest asks of placement.

use crate::widths::Wanted;
use ptq_ir::{Device, Node};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Requests by node name (Horizon's `run_on_bpu`, `run_on_cpu` and `node_info`) and by kind (`optimization`).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Requests {
    /// Nodes to run on the BPU where the march can.
    pub run_on_bpu: Vec<String>,
    /// Nodes to keep on the CPU.
    pub run_on_cpu: Vec<String>,
    /// `nodes.<name>.on`; wins over the two lists.
    pub on: BTreeMap<String, Device>,
    /// `nodes.<name>.InputType`, `InputType<n>` and `OutputType`: types by key, by node.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub types: BTreeMap<String, BTreeMap<String, String>>,
    /// Horizon's words, such as `set_model_output_int8`; see [`Optimization`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub optimization: Vec<String>,
}

/// Inputs or results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// What a node reads.
    Input,
    /// What it gives.
    Output,
}

/// What one word of `optimization` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Optimization<'a> {
    /// `set_model_output_<type>`: the type of every output that a Conv makes at the model's tail.
    ModelOutput(&'a str),
    /// `set_<Op>_input_<type>`, `set_<Op>_output_<type>`: every node of this operator runs on the BPU, with this type.
    Operator(&'a str, Side, &'a str),
    /// `set_all_nodes_int16`.
    AllInt16,
    /// `run_fast`: everything that the march can runs on the BPU, outputs in int8.
    RunFast,
}

impl Optimization<'_> {
    /// Reads a word; `None` when it means nothing here.
    pub fn of(word: &str) -> Option<Optimization<'_>> {
        match word {
            "set_all_nodes_int16" => return Some(Optimization::AllInt16),
            "run_fast" => return Some(Optimization::RunFast),
            _ => {}
        }
        let (subject, dtype) = word.strip_prefix("set_")?.rsplit_once('_')?;
        let (op, side) = subject.rsplit_once('_').filter(|(op, _)| !op.is_empty())?;
        match (op, side) {
            _ if !matches!(dtype, "int8" | "int16") => None,
            ("model", "output") => Some(Optimization::ModelOutput(dtype)),
            (_, "input") => Some(Optimization::Operator(op, Side::Input, dtype)),
            (_, "output") => Some(Optimization::Operator(op, Side::Output, dtype)),
            _ => None,
        }
    }
}

impl Requests {
    /// The device that was asked for a node by its name, if any.
    pub fn device(&self, node: &str) -> Option<Device> {
        self.on.get(node).copied().or_else(|| {
            let named = |list: &[String]| list.iter().any(|n| n == node);
            if named(&self.run_on_cpu) {
                Some(Device::Cpu)
            } else if named(&self.run_on_bpu) {
                Some(Device::Bpu)
            } else {
                None
            }
        })
    }

    /// The device that was asked for a node by its name, or for its operator by `optimization`.
    pub(crate) fn device_of(&self, node: &Node) -> Option<Device> {
        self.device(&node.name).or_else(|| {
            let asked = self.optimizations().any(|o| match o {
                Optimization::Operator(op, ..) => node.is(op),
                Optimization::RunFast => true,
                Optimization::ModelOutput(_) | Optimization::AllInt16 => false,
            });
            asked.then_some(Device::Bpu)
        })
    }

    /// Whether the int32 output of a tail node is to be given up: the node itself is asked for, its output type or that of
    /// the model is named.
    pub(crate) fn gives_up_int32(&self, node: &Node) -> bool {
        let by_type = self.types.get(&node.name).is_some_and(|t| t.contains_key("OutputType"));
        let by_kind =
            || self.optimizations().any(|o| matches!(o, Optimization::ModelOutput(_) | Optimization::RunFast));
        by_type || by_kind() || self.device(&node.name) == Some(Device::Bpu)
    }

    /// Whether anything is asked for in 16 bits.
    pub(crate) fn asks_for_words(&self) -> bool {
        let by_name = || self.types.values().flat_map(BTreeMap::values).any(|t| t == "int16");
        let by_kind = |o: Optimization<'_>| {
            matches!(
                o,
                Optimization::AllInt16 | Optimization::ModelOutput("int16") | Optimization::Operator(_, _, "int16")
            )
        };
        by_name() || self.optimizations().any(by_kind)
    }

    /// The width that is asked of input `i` of a node: by its name, by its operator, for all.
    pub(crate) fn input_width(&self, node: &Node, i: usize) -> Option<Wanted> {
        let types = self.types.get(&node.name);
        let named = types.and_then(|t| t.get(&format!("InputType{i}")).or_else(|| t.get("InputType")));
        named.map(|t| wanted(t)).or_else(|| self.kind_width(node, Side::Input)).or_else(|| self.all_width())
    }

    /// The width that is asked of a node's result.
    pub(crate) fn output_width(&self, node: &Node, is_output: bool) -> Option<Wanted> {
        let named = self.types.get(&node.name).and_then(|t| t.get("OutputType"));
        let of_model = || {
            let types = self.optimizations().filter_map(|o| match o {
                Optimization::ModelOutput(t) if is_output => Some(t),
                _ => None,
            });
            types.last().map(wanted)
        };
        let named = named.map(|t| wanted(t)).or_else(|| self.kind_width(node, Side::Output));
        named.or_else(of_model).or_else(|| self.all_width())
    }

    fn kind_width(&self, node: &Node, side: Side) -> Option<Wanted> {
        let types = self.optimizations().filter_map(|o| match o {
            Optimization::Operator(op, s, t) if s == side && node.is(op) => Some(t),
            _ => None,
        });
        types.last().map(wanted)
    }

    fn all_width(&self) -> Option<Wanted> {
        let all = self.optimizations().any(|o| o == Optimization::AllInt16);
        all.then_some(Wanted { words: true, named: false })
    }

    /// The words of `optimization` that mean something.
    pub(crate) fn optimizations(&self) -> impl Iterator<Item = Optimization<'_>> {
        self.optimization.iter().filter_map(|word| Optimization::of(word))
    }

    /// Every node name mentioned, sorted and without repetition.
    pub fn names(&self) -> Vec<&str> {
        let lists = self.run_on_bpu.iter().chain(&self.run_on_cpu).chain(self.on.keys()).chain(self.types.keys());
        let mut names: Vec<&str> = lists.map(String::as_str).collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

fn wanted(dtype: &str) -> Wanted {
    Wanted { words: dtype == "int16", named: true }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_optimization_are_read_whole() {
        let of = Optimization::of;
        assert_eq!(of("set_model_output_int8"), Some(Optimization::ModelOutput("int8")));
        assert_eq!(of("set_Softmax_input_int16"), Some(Optimization::Operator("Softmax", Side::Input, "int16")));
        assert_eq!(of("set_all_nodes_int16"), Some(Optimization::AllInt16));
        assert_eq!(of("run_fast"), Some(Optimization::RunFast));
        for word in ["set_model_input", "set_Softmax_int8", "set__input_int8", "set_Add_output_int4", "faster"] {
            assert_eq!(of(word), None, "{word}");
        }
    }
}
