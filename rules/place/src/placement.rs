//! The result of placement, one row a node of the optimized graph.

use ptq_ir::Device;
use ptq_march::Class;
use serde::{Deserialize, Serialize};

/// Why a node is where it is: the rule's code, a sentence with the limit and the actual value, and a remedy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// Code of the placement rule, such as `PLACE02`.
    pub code: String,
    /// What decided, with the limit and the actual value.
    pub text: String,
    /// What would move the node to the BPU.
    #[serde(default)]
    pub remedy: String,
}

impl Reason {
    pub(crate) fn new(code: &str, text: impl Into<String>, remedy: impl Into<String>) -> Reason {
        Reason { code: code.to_owned(), text: text.into(), remedy: remedy.into() }
    }
}

/// Where one node runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodePlacement {
    /// Node name.
    pub name: String,
    /// ONNX operator.
    pub op: String,
    /// Device.
    pub on: Device,
    /// Number shown as `id(n)`; `None` on the CPU.
    pub subgraph: Option<u32>,
    /// Type shown in tables.
    #[serde(rename = "type")]
    pub shown: String,
    /// Quantization class.
    pub class: Class,
    /// Name of the node that computes this one as part of itself.
    pub absorbed_by: Option<String>,
    /// Whether the result stays an int32 accumulator (a tail, or a passive node behind it).
    pub int32: bool,
    /// Positions of the inputs that it reads as 16-bit integers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub int16_inputs: Vec<usize>,
    /// Whether it gives its result, or that of the activation it absorbs, as 16-bit integers.
    #[serde(default, skip_serializing_if = "is_false")]
    pub int16_output: bool,
    /// Execution level: segments run in this order; odd levels are BPU, even ones CPU.
    pub level: u32,
    /// Why it is on the CPU; always set there.
    pub reason: Option<Reason>,
}

fn is_false(b: &bool) -> bool {
    !b
}

/// Where every node runs, in node order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Placement {
    /// One row a node of the optimized graph.
    pub nodes: Vec<NodePlacement>,
}

impl Placement {
    /// Number of BPU subgraphs.
    pub fn subgraphs(&self) -> u32 {
        self.nodes.iter().filter_map(|n| n.subgraph).max().map_or(0, |n| n + 1)
    }
}
