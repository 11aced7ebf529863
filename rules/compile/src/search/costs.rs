//! What groups cost by themselves, by structure: two blocks of equal layers share one entry, in one graph or in many.

use super::{Cost, measure};
use crate::allocate::Effort;
use crate::arrange::arrange;
use crate::base::Base;
use crate::ddr::Place;
use crate::emit::emit_group;
use crate::flow::Emitted;
use crate::plan::Form;
use ptq_sim::{Record, Sram};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

/// How far loads go ahead inside a group that is costed by itself.
const AHEAD: usize = 16;

/// What groups cost on one target, by the hash of their structure. It can be kept from one compilation to the next: it saves
/// time and changes no result.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CostTable(BTreeMap<Key, Option<Cost>>);

/// Hash of everything that decides a group's cost on a target.
type Key = [u8; 32];

/// First bytes of a table: what the numbers mean.
const MAGIC: &[u8; 8] = b"ptqcost1";

/// Bytes of an entry: key, cycles, bytes; all ones where a group cannot be computed.
const ENTRY: usize = 48;

/// Most entries of a table that is kept.
const MOST: usize = 1 << 18;

impl CostTable {
    /// The table as bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        for (key, cost) in &self.0 {
            out.extend(key);
            let Cost { cycles, bytes } = cost.unwrap_or(Cost { cycles: u64::MAX, bytes: u64::MAX });
            out.extend(cycles.to_le_bytes());
            out.extend(bytes.to_le_bytes());
        }
        out
    }

    /// Reads a table; `None` when the bytes are none.
    pub fn from_bytes(bytes: &[u8]) -> Option<CostTable> {
        let (entries, rest) = bytes.strip_prefix(MAGIC)?.as_chunks::<ENTRY>();
        let entry = |e: &[u8; ENTRY]| {
            let (key, numbers) = e.split_first_chunk::<32>()?;
            let (cycles, bytes) = numbers.split_first_chunk::<8>()?;
            let (cycles, bytes) = (u64::from_le_bytes(*cycles), u64::from_le_bytes(bytes.try_into().ok()?));
            Some((*key, (cycles != u64::MAX).then_some(Cost { cycles, bytes })))
        };
        let table: BTreeMap<Key, Option<Cost>> = entries.iter().map(entry).collect::<Option<_>>()?;
        (rest.is_empty() && table.len() == entries.len()).then_some(CostTable(table))
    }

    /// Takes over the entries of another table for the same target, if both together are not too many.
    pub fn merge(&mut self, other: CostTable) {
        if self.0.len() + other.0.len() <= MOST {
            self.0.extend(other.0);
        }
    }

    /// Number of groups.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no groups.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Costs of the groups that one search asks for.
#[derive(Debug)]
pub(crate) struct Costs<'t> {
    /// What is known from elsewhere.
    shared: Option<&'t Mutex<CostTable>>,
    own: CostTable,
}

/// How a group is computed, and which of its borders are in SRAM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Way {
    pub(crate) form: Form,
    /// The last result of the layers before.
    pub(crate) resident: bool,
    /// Its own last result.
    pub(crate) stays: bool,
}

impl From<Form> for Way {
    fn from(form: Form) -> Way {
        Way { form, resident: false, stays: false }
    }
}

impl<'t> Costs<'t> {
    pub(crate) fn new(shared: Option<&'t Mutex<CostTable>>) -> Costs<'t> {
        Costs { shared, own: CostTable::default() }
    }

    /// The cost of a group; `None` when it cannot be computed this way.
    pub(crate) fn of(&mut self, base: &Base<'_>, nodes: Range<usize>, way: Way) -> Option<Cost> {
        let key = *blake3::hash(&structure(base, &nodes, way)).as_bytes();
        if let Some(&known) = self.own.0.get(&key) {
            return known;
        }
        let elsewhere = self.shared.and_then(|shared| {
            let table = shared.lock().unwrap_or_else(PoisonError::into_inner);
            table.0.get(&key).copied()
        });
        let cost = elsewhere.unwrap_or_else(|| timed(base, nodes, way));
        self.own.0.insert(key, cost);
        cost
    }

    /// Gives what this search found out to others.
    pub(crate) fn keep(&self) {
        if let Some(shared) = self.shared {
            shared.lock().unwrap_or_else(PoisonError::into_inner).merge(self.own.clone());
        }
    }

    /// Different groups that this search asked for, whether their costs were known or not.
    pub(crate) fn evaluated(&self) -> u64 {
        self.own.len() as u64
    }
}

/// The cost of a group by its own commands.
fn timed(base: &Base<'_>, nodes: Range<usize>, way: Way) -> Option<Cost> {
    let before = (way.resident && nodes.start > 0).then(|| base.nodes[nodes.start - 1].outputs[0]);
    let flow = emit_group(base, nodes, way.form, before, way.stays)?;
    let commands = arrange(&flow, base.target, AHEAD, Effort::First)?;
    Some(measure(&base.program(&commands), base))
}

/// Everything that decides a group's cost: commands without addresses, who reads whom, what leaves.
fn structure(base: &Base<'_>, nodes: &Range<usize>, way: Way) -> Vec<u8> {
    let mut key = match way.form {
        Form::Layer => vec![0],
        Form::Fused { stripes, cache, stream } => {
            let [low, high] = stripes.to_le_bytes();
            vec![1, low, high, u8::from(cache), u8::from(stream), u8::from(way.resident), u8::from(way.stays)]
        }
    };
    let mut outside = Vec::new();
    if way.resident && nodes.start > 0 {
        // The resident one is the first outside.
        outside.push(base.nodes[nodes.start - 1].outputs[0]);
    }
    for i in nodes.clone() {
        let inputs = &base.nodes[i].inputs;
        let makers = inputs.iter().map(|id| match nodes.clone().find(|&n| base.nodes[n].outputs.contains(id)) {
            Some(n) => n - nodes.start,
            None => {
                let known = outside.iter().position(|o| o == id).unwrap_or_else(|| {
                    outside.push(*id);
                    outside.len() - 1
                });
                usize::MAX - known
            }
        });
        makers.for_each(|n| key.extend((n as u32).to_le_bytes()));
        let result = base.nodes[i].outputs[0];
        key.push(u8::from(base.escapes(result, nodes)) << 1 | u8::from(base.leaves(result)));
        match (&base.fusable[i], way.form) {
            (Some(f), Form::Fused { .. }) => {
                let command = f.pattern.at_sram(&[Sram(0); 4]);
                key.extend(Record { layer: 0, wait: [0; 4], core: 0, command }.encode());
                let inputs = f.inputs.iter().flat_map(|x| {
                    let e = x.extents;
                    [e.h, e.w, e.c, usize::from(x.constant.is_some())]
                });
                for n in [f.extents.h, f.extents.w, f.extents.c].into_iter().chain(inputs) {
                    key.extend((n as u32).to_le_bytes());
                }
            }
            _ => commands(&base.layers[i], &mut key),
        }
    }
    key
}

/// A layer's own commands: where they are in DDR counts from the first byte that they touch of each kind.
fn commands(layer: &[Emitted], key: &mut Vec<u8>) {
    let offset = |place: Option<Place>| match place {
        None => (0, 0),
        Some(Place::Constant(at)) => (1, at),
        Some(Place::Arena(at)) => (2, at),
    };
    let first = |kind: u8| layer.iter().map(|e| offset(e.1)).filter(|o| o.0 == kind).map(|o| o.1).min().unwrap_or(0);
    let firsts = [0, first(1), first(2)];
    for (record, place) in layer {
        key.extend(Record { layer: 0, wait: [0; 4], core: 0, command: record.command }.encode());
        let (kind, at) = offset(*place);
        key.push(kind);
        key.extend((at - firsts[usize::from(kind)]).to_le_bytes());
    }
}
