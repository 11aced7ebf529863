//! Outputs of the model that one scale of 8 bits serves badly: results of different kinds, merged at the model's tail.

use crate::Placement;
use ptq_ir::{Device, Diagnostic, Graph, Node, NodeId, ValueId};
use ptq_march::Class;

/// What is known of the values of a tensor without data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Between 0 and 1.
    Share,
    /// Anything.
    Open,
}

/// A warning for each Concat on the BPU that gives an output, in 8 bits, of shares (scores) and of other numbers (boxes).
pub(crate) fn mixed(graph: &Graph, placement: &Placement) -> Vec<Diagnostic> {
    let producers = graph.producers();
    let walk = Walk { graph, placement, producers: &producers };
    graph.outputs.iter().filter_map(|&output| walk.mixed_merge(output)).collect()
}

struct Walk<'a> {
    graph: &'a Graph,
    placement: &'a Placement,
    producers: &'a [Option<NodeId>],
}

impl<'a> Walk<'a> {
    /// The node that makes a value on the BPU, behind nodes that only move it.
    fn source(&self, mut value: ValueId) -> Option<(NodeId, &'a Node)> {
        loop {
            let id = self.producers[value.0 as usize]?;
            let (node, row) = (self.graph.node(id), &self.placement.nodes[id.0 as usize]);
            if row.on != Device::Bpu {
                return None;
            }
            if row.class != Class::Passive {
                return Some((id, node));
            }
            value = node.input(0)?;
        }
    }

    fn mixed_merge(&self, output: ValueId) -> Option<Diagnostic> {
        let (id, merge) = self.source(output)?;
        if !merge.is("Concat") || self.placement.nodes[id.0 as usize].int16_output {
            return None;
        }
        let kinds: Vec<(ValueId, Kind)> = merge.inputs.iter().flatten().map(|&v| (v, self.kind(v))).collect();
        let name = |kind: Kind| kinds.iter().find(|(_, k)| *k == kind).map(|(v, _)| self.graph.value(*v).name.as_str());
        let (share, open) = (name(Kind::Share)?, name(Kind::Open)?);
        let what = format!(
            "output {} holds {share}, which lies between 0 and 1, and {open}, in one int8 scale; the wider range leaves few of \
             its 256 levels to the other",
            self.graph.value(output).name
        );
        let fix = format!(
            "run_on_cpu = [\"{}\"] gives each part a scale of its own, or make them outputs of their own",
            merge.name
        );
        Some(Diagnostic::warning("PLACE26", what).node(&merge.name).hint(fix))
    }

    fn kind(&self, value: ValueId) -> Kind {
        match self.source(value) {
            Some((_, n)) if ["Sigmoid", "HardSigmoid", "Softmax"].iter().any(|op| n.is(op)) => Kind::Share,
            _ => Kind::Open,
        }
    }
}
