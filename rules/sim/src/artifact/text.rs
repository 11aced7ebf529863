//! A model as readable text: segments, plans, assembly.

use super::model::{Body, LayerPlan, Model, Segment};
use crate::dump;
use ptq_ir::{QNode, TensorId};

impl Model {
    /// The model as text, for `ptq dump`, snapshots and diffs.
    pub fn to_text(&self) -> String {
        let mut lines = vec![
            format!("model {} for march {} at {}", self.name, self.march, self.optimize_level),
            format!("  inputs {}", self.names(&self.inputs)),
            format!("  outputs {}", self.names(&self.outputs)),
        ];
        for (i, segment) in self.segments.iter().enumerate() {
            self.segment_text(i, segment, &mut lines);
        }
        lines.push(String::new());
        lines.join("\n")
    }

    fn segment_text(&self, index: usize, segment: &Segment, lines: &mut Vec<String>) {
        let id = segment.subgraph.map(|id| format!(" id({id})")).unwrap_or_default();
        let (inputs, outputs) = (self.names(&segment.inputs), self.names(&segment.outputs));
        lines.push(format!("segment {index} {}{id}: {inputs} -> {outputs}", segment.device));
        match &segment.body {
            Body::Float(nodes) | Body::Int(nodes) => lines.extend(nodes.iter().map(|n| self.node_text(n))),
            Body::Npu(npu) => {
                if !npu.follows.is_empty() {
                    lines.push(format!("  follows {}", npu.follows));
                }
                lines.extend(npu.plan.iter().map(plan_text));
                let placed = npu.placed.iter().map(|p| format!("  {} at ddr:{:#x}", self.name(p.tensor), p.address));
                lines.extend(placed);
                lines.push(dump(&npu.program).trim_end().to_owned());
            }
        }
    }

    fn node_text(&self, node: &QNode) -> String {
        let (inputs, outputs) = (self.names(&node.inputs), self.names(&node.outputs));
        format!("  {} = {}({inputs}) -> {outputs}", node.name, node.op.name())
    }

    fn name(&self, id: TensorId) -> &str {
        self.tensors.get(id.0 as usize).map_or("?", |t| t.name.as_str())
    }

    fn names(&self, ids: &[TensorId]) -> String {
        let typed = |id: &TensorId| match self.tensors.get(id.0 as usize) {
            Some(t) => format!("{}:{}{:?}", t.name, t.dtype, t.shape),
            None => "?".to_owned(),
        };
        ids.iter().map(typed).collect::<Vec<_>>().join(", ")
    }
}

fn plan_text(layer: &LayerPlan) -> String {
    let tile: Vec<String> = layer.tile.iter().map(|t| format!("{} {}/{}", t.axis, t.extent, t.total)).collect();
    let tile = if tile.is_empty() { "nothing moves".to_owned() } else { tile.join(", ") };
    format!("  plan {} {}: {tile}", layer.node, layer.op)
}
