//! PLACE08 passive-neighbour.

use crate::{Reason, origin};
use ptq_ir::{Graph, Node};
use ptq_rule::GraphRuleMeta;

/// What `ptq rule PLACE08` prints.
pub const META: GraphRuleMeta = GraphRuleMeta {
    code: "PLACE08",
    name: "passive-neighbour",
    summary: "A passive node runs on the BPU only between nodes that run there.",
    why: "It has no scale of its own; next to float data it would only add conversions. Behind a tail node it moves int32, where \
          every channel stays on one axis with its scale.",
    example: "CPU node -> Reshape -> Conv: Reshape on the CPU (its producer runs on the CPU)",
    since: "0.1.0",
};

/// The reason for a passive node next to `neighbour` on the CPU, or at the model's border.
pub(crate) fn reason(graph: &Graph, node: &Node, neighbour: &Neighbour<'_>) -> Reason {
    let ask = |nodes: &[&str]| format!("run_on_bpu = {nodes:?}");
    let own = ask(&[&node.name]);
    let (why, remedy) = match neighbour {
        Neighbour::Input(name) => {
            (format!("its input {name} is a model input"), format!("{own}, which quantizes {name} in front of it"))
        }
        Neighbour::Output(name) => (
            format!("its result {name} is a model output"),
            format!("{own}, which moves integers and dequantizes {name} behind it"),
        ),
        Neighbour::Int32 { tail, why, movers } => (
            format!("it cannot move the int32 of {tail}, the model's tail: {why}"),
            format!("{}, which makes the output int8", ask(movers)),
        ),
        Neighbour::Producer(name, cause) => {
            (format!("its producer {name} {}", because(name, cause)), first_move(cause))
        }
        Neighbour::Consumer(name, cause) => {
            (format!("its consumer {name} {}", because(name, cause)), first_move(cause))
        }
    };
    let made = origin::added_for(graph, node).map(|o| format!(" (ptq made this {} for {o})", node.op));
    Reason::new(META.code, format!("passive, {why}{}", made.unwrap_or_default()), remedy)
}

/// Why neighbour `name` is on the CPU: its own reason, or that of the node that moved it there.
fn because(name: &str, cause: &Cause<'_>) -> String {
    let text = cause.reason.text.strip_prefix("passive, ").unwrap_or(&cause.reason.text);
    // The code of this rule stands behind the whole sentence already.
    let code = if cause.reason.code == META.code { String::new() } else { format!(" ({})", cause.reason.code) };
    if cause.node == name {
        format!("runs on the CPU because {text}{code}")
    } else {
        format!("runs on the CPU with {}, because {text}{code}", cause.node)
    }
}

fn first_move(cause: &Cause<'_>) -> String {
    format!("first move {}: {}", cause.node, cause.reason.remedy)
}

/// The node that is on the CPU for a reason of its own.
pub(crate) struct Cause<'a> {
    /// Its name.
    pub(crate) node: &'a str,
    /// Its reason.
    pub(crate) reason: &'a Reason,
}

/// What stands next to a passive node and keeps it on the CPU.
pub(crate) enum Neighbour<'a> {
    /// The model's own input.
    Input(&'a str),
    /// The model's own output.
    Output(&'a str),
    /// A tail node whose int32 this node cannot move.
    Int32 {
        /// The tail node.
        tail: &'a str,
        /// What it would do to the channels.
        why: &'a str,
        /// This node and the passive ones up to the output.
        movers: &'a [&'a str],
    },
    /// A producer, and why it is on the CPU.
    Producer(&'a str, Cause<'a>),
    /// A consumer, and why it is on the CPU.
    Consumer(&'a str, Cause<'a>),
}
