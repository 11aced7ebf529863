//! What all plans of a segment share: its layers as the first tiling cut them, places in DDR, who reads what.

use crate::ddr::Place;
use crate::flow::Emitted;
use crate::fusable::Fusable;
use crate::plan::{Form, Plan};
use crate::segment::SegmentNodes;
use ptq_ir::{QGraph, QNode, TensorId};
use ptq_march::Hardware;
use ptq_sim::{Command, Ddr, QUEUES, Record, Target, add_waits, serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// Constants and operands that layers placed, by the layers' results.
pub(crate) type Notes = BTreeMap<TensorId, Vec<Place>>;

/// A segment, ready for plans.
pub(crate) struct Base<'a> {
    pub(crate) nodes: &'a [&'a QNode],
    pub(crate) hardware: &'a Hardware,
    pub(crate) target: Target,
    /// Commands of each layer by itself, a SYNC behind each.
    pub(crate) layers: Vec<Vec<Emitted>>,
    /// How each layer joins a group; `None` where it cannot.
    pub(crate) fusable: Vec<Option<Fusable>>,
    /// First byte behind the constants.
    arena: u64,
    places: BTreeMap<TensorId, Place>,
    consumers: BTreeMap<TensorId, Vec<usize>>,
    makers: BTreeMap<TensorId, usize>,
    leaving: BTreeSet<TensorId>,
}

impl<'a> Base<'a> {
    pub(crate) fn new(
        graph: &'a QGraph,
        segment: &'a SegmentNodes<'a>,
        hardware: &'a Hardware,
        arena: u64,
        commands: Vec<Emitted>,
        notes: &Notes,
        places: &BTreeMap<TensorId, (Place, Option<u16>)>,
    ) -> Base<'a> {
        let nodes = &segment.nodes[..];
        let mut layers: Vec<Vec<Emitted>> = vec![Vec::new(); nodes.len()];
        for emitted in commands {
            layers[usize::from(emitted.0.layer)].push(emitted);
        }
        let mut consumers: BTreeMap<TensorId, Vec<usize>> = BTreeMap::new();
        for (i, node) in nodes.iter().enumerate() {
            node.inputs.iter().for_each(|&id| consumers.entry(id).or_default().push(i));
        }
        let none = Vec::new();
        let fusable = nodes.iter().zip(&layers).map(|(node, layer)| {
            let notes = notes.get(&node.outputs[0]).unwrap_or(&none);
            Fusable::of(graph, node, layer, notes)
        });
        Base {
            nodes,
            hardware,
            target: Target::from(hardware),
            fusable: fusable.collect(),
            layers,
            arena,
            places: places.iter().map(|(&id, &(place, _))| (id, place)).collect(),
            consumers,
            makers: nodes.iter().enumerate().flat_map(|(i, n)| n.outputs.iter().map(move |&id| (id, i))).collect(),
            leaving: segment.outputs.iter().copied().collect(),
        }
    }

    /// Where a tensor of this segment is in DDR, if it is there.
    pub(crate) fn place(&self, id: TensorId) -> Option<Place> {
        self.places.get(&id).copied()
    }

    /// A place as an address. Every place is inside the whole, which fits 32 bits.
    pub(crate) fn address(&self, place: Place) -> u32 {
        match place {
            Place::Constant(at) => at as u32,
            Place::Arena(at) => (self.arena + at) as u32,
        }
    }

    /// Bytes of a layer's result; 0 where it cannot be part of a group.
    pub(crate) fn result_bytes(&self, layer: usize) -> usize {
        self.fusable.get(layer).and_then(Option::as_ref).map_or(0, |f| f.extents.h * f.extents.row())
    }

    /// The layers that read a layer's results.
    pub(crate) fn readers(&self, layer: usize) -> Vec<usize> {
        self.nodes[layer].outputs.iter().flat_map(|&id| self.consumers(id)).copied().collect()
    }

    /// The layers that read a tensor.
    pub(crate) fn consumers(&self, id: TensorId) -> &[usize] {
        self.consumers.get(&id).map_or(&[], Vec::as_slice)
    }

    /// Whether other segments or the caller read a tensor.
    pub(crate) fn leaves(&self, id: TensorId) -> bool {
        self.leaving.contains(&id)
    }

    /// Whether somebody outside these layers reads a tensor.
    pub(crate) fn escapes(&self, id: TensorId, nodes: &Range<usize>) -> bool {
        self.leaves(id) || self.consumers(id).iter().any(|c| !nodes.contains(c))
    }

    /// Whether a tensor is whole in DDR when a program of this plan has ended.
    pub(crate) fn is_in_ddr(&self, id: TensorId, plan: &Plan) -> bool {
        let Some(&maker) = self.makers.get(&id) else { return true };
        let found = plan.starts().find(|(start, g)| (*start..start + g.layers as usize).contains(&maker));
        match found {
            Some((start, group)) if group.form != Form::Layer => {
                let stays = plan.kept.contains(&(maker as u32)) && !self.leaves(id);
                self.escapes(id, &(start..start + group.layers as usize)) && !stays
            }
            _ => true,
        }
    }

    /// The program of the serial plan.
    pub(crate) fn serial(&self) -> Vec<Record> {
        let mut commands = self.addressed(self.layers.iter().flatten());
        serialize(&mut commands);
        commands
    }

    /// A program of commands in this order, with their DDR addresses, waits and END.
    pub(crate) fn program(&self, commands: &[Emitted]) -> Vec<Record> {
        let mut commands = self.addressed(commands.iter());
        add_waits(&mut commands);
        commands
    }

    fn addressed<'e>(&self, commands: impl Iterator<Item = &'e Emitted>) -> Vec<Record> {
        let address = |&(mut record, place): &Emitted| {
            if let (Command::Load(t) | Command::Store(t), Some(place)) = (&mut record.command, place) {
                t.ddr = Ddr(self.address(place));
            }
            record
        };
        let end = Record { layer: 0, wait: [0; QUEUES], core: 0, command: Command::End };
        commands.map(address).chain([end]).collect()
    }
}
