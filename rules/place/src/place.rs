//! The placement function: candidates, tail, passive fixed point, absorption, levels.

use crate::entry::entry;
use crate::rules::passive::{Cause, Neighbour};
use crate::rules::{attribute, float_only, limit, manual, no_route, passive, requested, tail};
use crate::{NodePlacement, Placement, Reason, Requests, answer, heads, int32, levels, types, widths};
use ptq_ir::{Activation, Device, Diagnostic, Graph, Node, NodeId, ValueId, ops};
use ptq_march::{Class, March};

/// A placement, and requests that could not be fulfilled.
#[derive(Clone, Debug)]
pub struct PlaceResult {
    /// Where every node runs.
    pub placement: Placement,
    /// Warnings about requests: what they could not change, and what they cost.
    pub warnings: Vec<Diagnostic>,
    /// Requests that make no sense.
    pub problems: Vec<Diagnostic>,
}

impl PlaceResult {
    /// The placement and its warnings.
    ///
    /// # Errors
    /// The requests that make no sense.
    pub fn checked(self) -> Result<(Placement, Vec<Diagnostic>), Vec<Diagnostic>> {
        if self.problems.is_empty() { Ok((self.placement, self.warnings)) } else { Err(self.problems) }
    }
}

/// Decides device, class, type and reason of every node of an optimized graph.
///
/// Order: what a node alone decides (operator, limits, requests); the tail; limits of activations that their producers do
/// not absorb; then passive nodes against their neighbours until nothing changes; last the execution levels.
pub fn place(graph: &Graph, march: &March, requests: &Requests) -> PlaceResult {
    let mut placer = Placer::new(graph, march, requests);
    placer.candidates();
    placer.tail();
    placer.absorb();
    placer.settle_passive();
    let mut placement = Placement { nodes: placer.rows() };
    levels::assign(graph, &mut placement);
    widths::assign(graph, march, requests, &mut placement);
    let mut warnings = answer::unfulfilled(&placement, requests);
    warnings.append(&mut placer.costs);
    warnings.extend(answer::contradictory(requests));
    warnings.extend(heads::mixed(graph, &placement));
    warnings.extend(types::unfulfilled(graph, &placement, march, requests));
    let problems = [answer::unknown(graph, requests), types::unknown(requests)].concat();
    PlaceResult { placement, warnings, problems }
}

struct Placer<'a> {
    graph: &'a Graph,
    march: &'a March,
    requests: &'a Requests,
    producers: Vec<Option<NodeId>>,
    consumers: Vec<Vec<NodeId>>,
    /// Why each node is on the CPU; `None` on the BPU.
    cpu: Vec<Option<Reason>>,
    /// The node that moved each passive one to the CPU.
    moved_by: Vec<Option<NodeId>>,
    /// Activations that exceed a limit unless their producer computes them.
    alone: Vec<(NodeId, Reason)>,
    int32: Vec<bool>,
    /// What requests cost.
    costs: Vec<Diagnostic>,
    absorbed_by: Vec<Option<NodeId>>,
}

impl<'a> Placer<'a> {
    fn new(graph: &'a Graph, march: &'a March, requests: &'a Requests) -> Placer<'a> {
        let n = graph.nodes.len();
        Placer {
            graph,
            march,
            requests,
            producers: graph.producers(),
            consumers: graph.consumers(),
            cpu: vec![None; n],
            moved_by: vec![None; n],
            alone: Vec::new(),
            int32: vec![false; n],
            costs: Vec::new(),
            absorbed_by: vec![None; n],
        }
    }

    fn class(&self, node: &Node) -> Class {
        entry(self.march, self.graph, node).map_or(Class::Cpu, |e| e.class)
    }

    /// What each node alone decides.
    fn candidates(&mut self) {
        for (id, node) in self.graph.nodes() {
            let (graph, march, asked) = (self.graph, self.march, self.requests.device_of(node));
            let outside = || {
                attribute::reason(march, graph, node)
                    .or_else(|| limit::reason(march, graph, node))
                    .or_else(|| no_route::not_computed(march, graph, node))
                    .or_else(|| attribute::not_yet_reason(march, graph, node))
                    .or_else(|| limit::own_reason(march, graph, node))
            };
            let mut reason = requested::reason(node, asked)
                .or_else(|| limit::of_replaced(march, graph, node))
                .or_else(|| no_route::reason(march, graph, node))
                .or_else(|| self.not_float(node));
            if reason.is_none() {
                reason = outside();
                if node.fusible_into.is_some() {
                    self.alone.extend(reason.take().map(|r| (id, r)));
                }
            }
            self.cpu[id.0 as usize] = reason.or_else(|| manual::reason(march, graph, node, asked));
        }
    }

    /// What only the march computes may have integer results (ArgMax); its limits say more than those.
    fn not_float(&self, node: &Node) -> Option<Reason> {
        match entry(self.march, self.graph, node) {
            Some(entry) if !entry.computed => float_only::input_reason(self.graph, node),
            _ => float_only::reason(self.graph, node),
        }
    }

    fn on_bpu(&self, id: NodeId) -> bool {
        self.cpu[id.0 as usize].is_none()
    }

    /// From each output walks back through single-consumer nodes to the first int32-capable node. Active nodes on the
    /// way stay on the CPU unless asked for; asking for one brings everything in front of it along, with int8. Asking for
    /// the tail node itself gives up its int32, and with it the rule.
    fn tail(&mut self) {
        if self.march.quantization.tail_int32.is_empty() {
            return;
        }
        for &output in &self.graph.outputs {
            let Some((conv, path)) = self.tail_path(output) else { continue };
            let finds = path.iter().any(|&id| float_only::finds(self.graph.node(id)));
            if self.requests.gives_up_int32(self.graph.node(conv)) {
                let words = self.gives_words(conv);
                let (conv, output) = (&self.graph.node(conv).name, &self.graph.value(output).name);
                self.costs.push(answer::coarser_output(conv, conv, output, words, finds));
                continue;
            }
            if let Some(why) = limit::narrow(self.march, self.graph, self.graph.node(conv)) {
                let (conv, output) = (&self.graph.node(conv).name, &self.graph.value(output).name);
                self.costs.push(answer::narrow_output(conv, output, &why));
                continue;
            }
            let asked = |id: &NodeId| self.requests.device_of(self.graph.node(*id)) == Some(Device::Bpu);
            let keep = path.iter().rposition(|id| asked(id) && self.on_bpu(*id)).map_or(0, |i| i + 1);
            let conv_name = self.graph.node(conv).name.clone();
            for id in &path[keep..] {
                let node = self.graph.node(*id);
                if self.on_bpu(*id) && self.class(node) != Class::Passive {
                    self.cpu[id.0 as usize] = Some(tail::reason(node, &conv_name));
                }
            }
            if let Some(asked) = keep.checked_sub(1) {
                let words = self.gives_words(path[asked]);
                let asked = &self.graph.node(path[asked]).name;
                let output = &self.graph.value(output).name;
                self.costs.push(answer::coarser_output(asked, &conv_name, output, words, finds));
            } else {
                self.int32[conv.0 as usize] = true;
                self.keep_int32(conv, &path);
            }
        }
    }

    /// Whether an output that this node gives has 16 bits.
    fn gives_words(&self, id: NodeId) -> bool {
        let node = self.graph.node(id);
        self.requests.output_width(node, true).is_some_and(|w| w.words) && self.march.int16_of(&node.op).output()
    }

    /// The nodes between a tail node and this output, nearest the tail node first; `None` when a merge comes first.
    fn tail_path(&self, output: ValueId) -> Option<(NodeId, Vec<NodeId>)> {
        let mut path = Vec::new();
        let mut value = output;
        loop {
            let id = self.producers[value.0 as usize]?;
            let node = self.graph.node(id);
            let read_once = self.consumers[value.0 as usize].len() == usize::from(value != output);
            let leads_out = value == output || !self.graph.is_output(value);
            if !read_once || !leads_out {
                return None;
            }
            if self.march.quantization.tail_int32.contains(&node.op) && self.on_bpu(id) {
                path.reverse();
                return Some((id, path));
            }
            let mut dynamic = node.inputs.iter().flatten().filter(|v| self.graph.constant(**v).is_none());
            let (Some(&input), None) = (dynamic.next(), dynamic.next()) else { return None };
            path.push(id);
            value = input;
        }
    }

    /// Where only passive nodes lie between an int32 tail and the output, they move its accumulators, as long as the
    /// channels stay one axis (the dequantization is per channel).
    fn keep_int32(&mut self, conv: NodeId, path: &[NodeId]) {
        if !path.iter().all(|&id| self.on_bpu(id)) {
            return;
        }
        let mut axis = 1;
        for (i, &id) in path.iter().enumerate() {
            match int32::axis_behind(self.graph, self.graph.node(id), axis) {
                Ok(behind) => axis = behind,
                Err(why) => return self.refuse_int32(conv, &path[i..], &why),
            }
        }
        for &id in path {
            self.int32[id.0 as usize] = true;
        }
    }

    /// Leaves the first of these nodes, which lead to an output, on the CPU; the others follow it.
    fn refuse_int32(&mut self, conv: NodeId, path: &[NodeId], why: &str) {
        let Some(&first) = path.first() else { return };
        let graph = self.graph;
        let movers: Vec<&str> = path.iter().map(|&id| graph.node(id).name.as_str()).collect();
        let neighbour = Neighbour::Int32 { tail: &graph.node(conv).name, why, movers: &movers };
        self.cpu[first.0 as usize] = Some(passive::reason(graph, graph.node(first), &neighbour));
    }

    /// Moves passive nodes without accelerated neighbours on both sides to the CPU until nothing changes. One that was asked
    /// for stays, with borders around it.
    fn settle_passive(&mut self) {
        loop {
            let moved: Vec<(NodeId, Option<NodeId>, Reason)> = self
                .graph
                .nodes()
                .filter(|(id, node)| self.on_bpu(*id) && self.class(node) == Class::Passive)
                .filter_map(|(id, node)| {
                    let (by, neighbour) = self.cpu_neighbour(id, node)?;
                    Some((id, by, passive::reason(self.graph, node, &neighbour)))
                })
                .collect();
            if moved.is_empty() {
                return;
            }
            for (id, by, reason) in moved {
                self.int32[id.0 as usize] = false;
                self.moved_by[id.0 as usize] = by;
                self.cpu[id.0 as usize] = Some(reason);
            }
        }
    }

    /// The node with a reason of its own that keeps node `id` on the CPU.
    fn cause(&self, id: NodeId) -> Option<(NodeId, Cause<'_>)> {
        let root = self.moved_by[id.0 as usize].unwrap_or(id);
        let reason = self.cpu[root.0 as usize].as_ref()?;
        Some((root, Cause { node: &self.graph.node(root).name, reason }))
    }

    /// What keeps a passive node from the BPU, and the node that is to blame for it.
    fn cpu_neighbour<'s>(&'s self, id: NodeId, node: &Node) -> Option<(Option<NodeId>, Neighbour<'s>)> {
        let source = node.input(0)?;
        let asked = self.requests.device_of(node) == Some(Device::Bpu);
        let producer = self.producers[source.0 as usize];
        match producer {
            _ if asked => return None,
            None => return Some((None, Neighbour::Input(&self.graph.value(source).name))),
            Some(p) => {
                if let Some((root, cause)) = self.cause(p) {
                    return Some((Some(root), Neighbour::Producer(&self.graph.node(p).name, cause)));
                }
            }
        }
        if self.int32[id.0 as usize] {
            return None;
        }
        if let Some(&result) = node.outputs.iter().find(|v| self.graph.is_output(**v)) {
            return Some((None, Neighbour::Output(&self.graph.value(result).name)));
        }
        let mut consumers = node.outputs.iter().flat_map(|v| &self.consumers[v.0 as usize]);
        consumers.find_map(|&c| {
            let (root, cause) = self.cause(c)?;
            Some((Some(root), Neighbour::Consumer(&self.graph.node(c).name, cause)))
        })
    }

    /// Accepts fusible activations whose producer can compute them on this march. Others must meet limits of their own.
    fn absorb(&mut self) {
        for (id, node) in self.graph.nodes() {
            self.absorbed_by[id.0 as usize] = self.absorber(id, node);
        }
        for (id, reason) in std::mem::take(&mut self.alone) {
            let i = id.0 as usize;
            if self.absorbed_by[i].is_none() && self.cpu[i].is_none() {
                self.cpu[i] = Some(reason);
            }
        }
    }

    /// The node that computes this activation as part of itself.
    fn absorber(&self, id: NodeId, node: &Node) -> Option<NodeId> {
        let into = self.graph.find_node(node.fusible_into.as_deref()?)?;
        let clip_ok = match ops::activation_of(self.graph, node) {
            Some(Activation::Relu) => true,
            Some(Activation::Clip { min, .. }) => min == 0.0 || self.march.quantization.fuse_any_clip,
            _ => false,
        };
        let accepted = self.on_bpu(id)
            && self.on_bpu(into)
            && !self.int32[into.0 as usize]
            && clip_ok
            && self.march.quantization.fuse_activation_into.contains(&self.graph.node(into).op);
        accepted.then_some(into)
    }

    fn rows(&self) -> Vec<NodePlacement> {
        self.graph
            .nodes()
            .map(|(id, node)| {
                let i = id.0 as usize;
                let on = if self.on_bpu(id) { Device::Bpu } else { Device::Cpu };
                let entry = entry(self.march, self.graph, node);
                let shown = match (on, entry) {
                    (Device::Bpu, Some(entry)) => entry.shown.clone(),
                    _ => node.op.clone(),
                };
                NodePlacement {
                    name: node.name.clone(),
                    op: node.op.clone(),
                    on,
                    subgraph: None,
                    shown,
                    class: self.class(node),
                    absorbed_by: self.absorbed_by[i].map(|p| self.graph.node(p).name.clone()),
                    int32: self.int32[i],
                    int16_inputs: Vec::new(),
                    int16_output: false,
                    level: 0,
                    reason: self.cpu[i].clone(),
                }
            })
            .collect()
    }
}

/// Whether a march's table may name this operator: one of the standard domain, or our function of one number.
pub(crate) fn is_known(node: &Node) -> bool {
    node.domain.is_empty() || ops::is_function(node)
}
