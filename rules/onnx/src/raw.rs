//! A model as the file states it: names instead of ids, shapes that may be open. Made by import, turned into a graph
//! by parse.

use ptq_ir::{Attrs, DType, Diagnostic, Tensor};
use std::collections::BTreeMap;

/// An imported model. Names of nodes are unique and not empty; every name that is read is made exactly once.
#[derive(Clone, Debug, PartialEq)]
pub struct RawModel {
    /// Version of the standard operator set that gives the nodes their meaning; see [`crate::convert()`].
    pub opset: i64,
    /// Inputs in the file's order, without those that have an initializer.
    pub inputs: Vec<RawInput>,
    /// Names of the outputs in the file's order.
    pub outputs: Vec<String>,
    /// Nodes in the file's order, which need not be topological.
    pub nodes: Vec<RawNode>,
    /// Initializers and Constant nodes by value name.
    pub constants: BTreeMap<String, Tensor>,
    /// What the reader of the file should know.
    pub notes: Vec<Diagnostic>,
    /// Sub-graphs of If, Loop and Scan, by node name.
    pub control: BTreeMap<String, RawControl>,
}

/// The sub-graphs of a node. Outer values that they read are further inputs of the node, so that whoever follows
/// inputs sees them.
#[derive(Clone, Debug, PartialEq)]
pub struct RawControl {
    /// Number of the node's own inputs; the captured ones follow.
    pub own: usize,
    /// Names of captured outer values, in the order of the further inputs.
    pub captured: Vec<String>,
    /// Sub-graphs by attribute name.
    pub bodies: BTreeMap<String, RawBody>,
}

/// A sub-graph. Every name that it reads is made in it, is its input, or is captured.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RawBody {
    /// Names of the inputs.
    pub inputs: Vec<String>,
    /// Names of the outputs.
    pub outputs: Vec<String>,
    /// Nodes in the file's order.
    pub nodes: Vec<RawNode>,
    /// Initializers and Constant nodes by value name.
    pub constants: BTreeMap<String, Tensor>,
    /// Sub-graphs of its nodes, by node name.
    pub control: BTreeMap<String, RawControl>,
}

/// Whether an operator of the standard domain has sub-graphs.
pub(crate) fn is_control(op: &str) -> bool {
    matches!(op, "If" | "Loop" | "Scan")
}

/// One model input.
#[derive(Clone, Debug, PartialEq)]
pub struct RawInput {
    /// Name.
    pub name: String,
    /// Element type.
    pub dtype: DType,
    /// Dimensions; `None` when not even the rank is stated.
    pub dims: Option<Vec<RawDim>>,
}

/// One dimension of an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RawDim {
    /// Fixed.
    Fixed(usize),
    /// Open, with its name when it has one.
    Open(Option<String>),
}

impl std::fmt::Display for RawDim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            RawDim::Fixed(n) => write!(f, "{n}"),
            RawDim::Open(name) => f.write_str(name.as_deref().unwrap_or("?")),
        }
    }
}

/// One node.
#[derive(Clone, Debug, PartialEq)]
pub struct RawNode {
    /// Unique, never empty.
    pub name: String,
    /// Operator.
    pub op: String,
    /// Name space; empty for the standard one.
    pub domain: String,
    /// Values read; `None` for an omitted optional one. Never ends in `None`.
    pub inputs: Vec<Option<String>>,
    /// Values made. Optional outputs that nothing reads are left out.
    pub outputs: Vec<String>,
    /// Attributes.
    pub attrs: Attrs,
}

impl RawNode {
    /// Name of input `i`, if given.
    pub fn input(&self, i: usize) -> Option<&str> {
        self.inputs.get(i).and_then(|n| n.as_deref())
    }

    /// Sets input `i`, filling omitted ones in between.
    pub(crate) fn set_input(&mut self, i: usize, name: Option<String>) {
        if self.inputs.len() <= i {
            self.inputs.resize(i + 1, None);
        }
        self.inputs[i] = name;
        self.trim_inputs();
    }

    /// Keeps the first `n` inputs.
    pub(crate) fn keep_inputs(&mut self, n: usize) {
        self.inputs.truncate(n);
        self.trim_inputs();
    }

    pub(crate) fn trim_inputs(&mut self) {
        while self.inputs.last().is_some_and(Option::is_none) {
            self.inputs.pop();
        }
    }
}
