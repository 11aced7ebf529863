//! What groups cost by themselves, by structure: two blocks of equal layers share one entry.

use super::{Cost, measure};
use crate::arrange::arrange;
use crate::base::Base;
use crate::emit::emit_group;
use crate::plan::Form;
use ptq_sim::{Record, Sram};
use std::collections::BTreeMap;
use std::ops::Range;

/// How far loads go ahead inside a group that is costed by itself.
const AHEAD: usize = 16;

/// The table.
#[derive(Debug, Default)]
pub(crate) struct Costs {
    groups: BTreeMap<(Vec<u8>, Form), Option<Cost>>,
}

impl Costs {
    /// The cost of a group; `None` when it cannot be computed this way.
    pub(crate) fn of(&mut self, base: &Base<'_>, nodes: Range<usize>, form: Form) -> Option<Cost> {
        let key = (structure(base, &nodes, form), form);
        if let Some(&known) = self.groups.get(&key) {
            return known;
        }
        let flow = emit_group(base, nodes, form);
        let arranged = flow.and_then(|flow| arrange(&flow, base.target, AHEAD));
        let cost = arranged.map(|commands| measure(&base.program(&commands), base));
        self.groups.insert(key, cost);
        cost
    }

    /// Groups in the table.
    pub(crate) fn evaluated(&self) -> u64 {
        self.groups.len() as u64
    }
}

/// Everything that decides a group's cost: commands without addresses, who reads whom, what leaves.
fn structure(base: &Base<'_>, nodes: &Range<usize>, form: Form) -> Vec<u8> {
    let mut key = Vec::new();
    let mut outside = Vec::new();
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
        key.push(u8::from(base.escapes(base.nodes[i].outputs[0], nodes)));
        match (&base.fusable[i], form) {
            (Some(f), Form::Fused { .. }) => {
                let command = f.pattern.at_sram(&[Sram(0); 4]);
                key.extend(Record { layer: 0, wait: [0; 4], command }.encode());
                for n in [f.extents.h, f.extents.w, f.extents.c].into_iter().chain(f.inputs.iter().map(|i| i.extents.h))
                {
                    key.extend((n as u32).to_le_bytes());
                }
            }
            // A layer by itself is its commands.
            _ => key.extend((i as u64).to_le_bytes()),
        }
    }
    key
}
