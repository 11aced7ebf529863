//! Which nodes compute in 16 bits: requests by node, by operator, for the whole model, against the march's table. Called by
//! `place` when every device is decided.
//!
//! A node gives its result in 16 bits when that is asked of it (`OutputType`, `set_<Op>_output_int16`,
//! `set_model_output_int16`, `set_all_nodes_int16`), or when a reader asks for its input in 16 (`InputType`,
//! `set_<Op>_input_int16`), and the march can. Everything that can reads such a result in 16 bits, unless int8 is asked for;
//! what cannot gets a requantized copy of 8 bits. Operators of one width ([`is_uniform`]) have both sides alike.

use crate::requests::Side;
use crate::rules::limit;
use crate::{NodePlacement, Placement, Requests, absorbed_output};
use ptq_ir::{ActivationQuant, DType, Device, Graph, Node, NodeId, QuantTable, ValueId};
use ptq_march::{Class, March};

/// Operators whose inputs and results have one width: what moves elements, and what sums or shares them along lines and
/// windows.
pub fn is_uniform(row: &NodePlacement) -> bool {
    let lines =
        ["AveragePool", "GlobalAveragePool", "Softmax", "ReduceSum", "ReduceMean", "ReduceMax", "Resize", "GridSample"];
    row.class == Class::Passive || lines.contains(&row.op.as_str())
}

/// The widths that are asked of a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// 8 or 16 bits.
    pub(crate) words: bool,
    /// Whether the node or its operator is named, so that the request must be answered.
    pub(crate) named: bool,
}

/// Decides the widths of every accelerated node and enters them into the placement.
pub(crate) fn assign(graph: &Graph, march: &March, requests: &Requests, placement: &mut Placement) {
    if !requests.asks_for_words() {
        return;
    }
    let (out, inputs) = {
        let mut w = Widths::new(graph, march, requests, placement);
        w.ask_producers();
        w.flow();
        (w.out, w.inputs)
    };
    for ((row, out), inputs) in placement.nodes.iter_mut().zip(out).zip(inputs) {
        row.int16_output = out;
        row.int16_inputs = inputs;
    }
}

/// Enters into a placement the widths that a quantization table gives: calibration may have given more nodes 16 bits (a search
/// under a budget), or fewer (pixels are exact in 8). Partition and reports go by the table.
pub fn follow(graph: &Graph, placement: &mut Placement, table: &QuantTable) {
    let is_words = |a: Option<&ActivationQuant>| a.is_some_and(|a| a.params.dtype == DType::I16);
    for (id, node) in graph.nodes() {
        let i = id.0 as usize;
        let row = &placement.nodes[i];
        let computes = row.on == Device::Bpu && row.absorbed_by.is_none();
        let result = absorbed_output(graph, placement, id).filter(|_| computes && !row.int32);
        let output = result.is_some_and(|v| is_words(table.activations.get(&graph.value(v).name)));
        let dynamic = |&(_, v): &(usize, ValueId)| computes && graph.constant(v).is_none();
        let inputs = node.inputs.iter().enumerate().filter_map(|(i, v)| Some((i, (*v)?))).filter(dynamic);
        let read = |&(_, v): &(usize, ValueId)| is_words(table.read_by(&graph.value(v).name, &node.name));
        let inputs = inputs.filter(read).map(|(i, _)| i).collect();
        let row = &mut placement.nodes[i];
        (row.int16_output, row.int16_inputs) = (output, inputs);
    }
}

struct Widths<'a> {
    graph: &'a Graph,
    march: &'a March,
    requests: &'a Requests,
    placement: &'a Placement,
    producers: Vec<Option<NodeId>>,
    /// Whether the result has 16 bits.
    out: Vec<bool>,
    /// Positions of inputs that are read in 16 bits.
    inputs: Vec<Vec<usize>>,
    /// Values that a border makes in 16 bits.
    border: Vec<bool>,
}

impl<'a> Widths<'a> {
    fn new(graph: &'a Graph, march: &'a March, requests: &'a Requests, placement: &'a Placement) -> Widths<'a> {
        let mut producers = graph.producers();
        // The result of an absorbed activation is made by the node that absorbs it.
        for (id, _) in graph.nodes() {
            if let Some(v) =
                absorbed_output(graph, placement, id).filter(|_| placement.nodes[id.0 as usize].on == Device::Bpu)
            {
                let absorbed = placement.nodes[id.0 as usize].absorbed_by.is_some();
                if !absorbed {
                    producers[v.0 as usize] = Some(id);
                }
            }
        }
        let n = graph.nodes.len();
        Widths {
            graph,
            march,
            requests,
            placement,
            producers,
            out: vec![false; n],
            inputs: vec![Vec::new(); n],
            border: vec![false; graph.values.len()],
        }
    }

    fn row(&self, id: NodeId) -> &'a NodePlacement {
        &self.placement.nodes[id.0 as usize]
    }

    /// Nodes that compute on the BPU themselves, in order.
    fn computing(&self) -> Vec<(NodeId, &'a Node)> {
        let computes = |id: NodeId| self.row(id).on == Device::Bpu && self.row(id).absorbed_by.is_none();
        self.graph.nodes().filter(|(id, _)| computes(*id)).collect()
    }

    /// What is asked of a node's result; a request for the activation that it absorbs counts.
    fn wanted_out(&self, id: NodeId) -> Option<Wanted> {
        let own = self.graph.node(id);
        let absorbed = self.placement.nodes.iter().position(|p| p.absorbed_by.as_deref() == Some(own.name.as_str()));
        let last = absorbed.map(|i| &self.graph.nodes[i]);
        let is_output = absorbed_output(self.graph, self.placement, id).is_some_and(|v| self.graph.is_output(v));
        last.and_then(|n| self.requests.output_width(n, is_output))
            .filter(|w| w.named)
            .or_else(|| self.requests.output_width(own, is_output))
    }

    fn can(&self, id: NodeId, side: Side) -> bool {
        let row = self.row(id);
        let allowed = self.march.int16_of(&row.op);
        match side {
            _ if row.int32 && side == Side::Output => false,
            Side::Output if limit::narrow(self.march, self.graph, self.graph.node(id)).is_some() => false,
            // What moves accumulators reads no scale.
            _ if row.int32 && row.class == Class::Passive => false,
            _ if is_uniform(row) => allowed.input() && allowed.output(),
            Side::Input => allowed.input(),
            Side::Output => allowed.output(),
        }
    }

    fn dynamic(&self, node: &'a Node) -> impl Iterator<Item = (usize, ValueId)> + 'a {
        let graph = self.graph;
        let inputs = node.inputs.iter().enumerate().filter_map(|(i, v)| Some((i, (*v)?)));
        inputs.filter(move |(_, v)| graph.constant(*v).is_none())
    }

    /// Results in 16 bits: those that are asked for, and those that a reader asks for.
    fn ask_producers(&mut self) {
        let nodes = self.computing();
        for &(id, _) in &nodes {
            let wanted = self.wanted_out(id).is_some_and(|w| w.words);
            self.out[id.0 as usize] = wanted && self.can(id, Side::Output);
        }
        // From the end, so that what is asked of an operator of one width reaches its producer.
        for &(id, node) in nodes.iter().rev() {
            let uniform = is_uniform(self.row(id)) && self.out[id.0 as usize];
            for (i, v) in self.dynamic(node) {
                let asked = self.requests.input_width(node, i);
                let words = asked.map_or(uniform, |w| w.words) && self.can(id, Side::Input);
                if !words {
                    continue;
                }
                match self.producers[v.0 as usize].filter(|p| self.row(*p).on == Device::Bpu) {
                    None => self.border[v.0 as usize] = true,
                    Some(p) if p != id => {
                        let refused = self.wanted_out(p).is_some_and(|w| w.named && !w.words);
                        if self.can(p, Side::Output) && !refused {
                            self.out[p.0 as usize] = true;
                        }
                    }
                    Some(_) => {}
                }
            }
        }
    }

    /// Reads follow values, and operators of one width what they read.
    fn flow(&mut self) {
        for (id, node) in self.computing() {
            let i = id.0 as usize;
            let uniform = is_uniform(self.row(id));
            for (at, v) in self.dynamic(node) {
                let made = self.producers[v.0 as usize].filter(|p| self.row(*p).on == Device::Bpu);
                let words = made.map_or(self.border[v.0 as usize], |p| self.out[p.0 as usize]);
                let refused = self.requests.input_width(node, at).is_some_and(|w| !w.words);
                // An active operator of one width widens its input where its result is asked for.
                let widened = uniform && self.row(id).class != Class::Passive && self.out[i];
                if (words && !refused && self.can(id, Side::Input)) || widened {
                    self.inputs[i].push(at);
                }
            }
            if uniform {
                self.out[i] = self.inputs[i].contains(&0);
            }
        }
    }
}
