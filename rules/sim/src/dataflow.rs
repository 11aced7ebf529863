//! Which layers of a program read what which others made, found in its commands: no file says it beside them. Called by
//! performance reports for their graph.

use crate::access::Access;
use crate::{Command, Program};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// Who made bytes; constants have no maker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Maker {
    /// A layer of the program, by position.
    Layer(u16),
    /// An input of the program, by position in the list given to [`makers`].
    Input(usize),
}

/// For every layer, whose results it reads, itself excluded. `inputs`: DDR ranges of the program's inputs.
pub fn makers(program: &Program, inputs: &[Range<u64>]) -> Vec<BTreeSet<Maker>> {
    let mut out = vec![BTreeSet::new(); program.layers.len()];
    let mut ddr = Ranges::default();
    inputs.iter().enumerate().for_each(|(i, range)| ddr.set(range.clone(), BTreeSet::from([Maker::Input(i)])));
    let mut sram = Ranges::default();
    for record in &program.commands {
        let access = Access::of(&record.command);
        let Some(layer) = out.get_mut(usize::from(record.layer)) else { continue };
        match &record.command {
            Command::Load(_) | Command::Store(_) => {
                // Moving bytes does not make them.
                let (from, to) = if access.ddr_read.is_some() { (&ddr, &mut sram) } else { (&sram, &mut ddr) };
                let read = access.ddr_read.iter().chain(&access.sram_reads);
                let origins: BTreeSet<Maker> = read.flat_map(|r| from.over(r)).collect();
                for range in access.sram_write.into_iter().chain(access.ddr_write) {
                    to.set(range, origins.clone());
                }
            }
            _ => {
                for range in &access.sram_reads {
                    layer.extend(sram.over(range));
                }
                if let Some(range) = access.sram_write {
                    sram.set(range, BTreeSet::from([Maker::Layer(record.layer)]));
                }
            }
        }
    }
    for (i, makers) in out.iter_mut().enumerate() {
        makers.remove(&Maker::Layer(i as u16));
    }
    out
}

/// Ranges that do not overlap, with who made their bytes: end and makers by start.
#[derive(Default)]
struct Ranges(BTreeMap<u64, (u64, BTreeSet<Maker>)>);

impl Ranges {
    fn set(&mut self, range: Range<u64>, makers: BTreeSet<Maker>) {
        self.split(range.start);
        self.split(range.end);
        let gone: Vec<u64> = self.0.range(range.clone()).map(|(&start, _)| start).collect();
        gone.iter().for_each(|start| drop(self.0.remove(start)));
        self.0.insert(range.start, (range.end, makers));
    }

    /// Makes `at` a border.
    fn split(&mut self, at: u64) {
        if let Some((_, (end, makers))) = self.0.range_mut(..at).next_back()
            && *end > at
        {
            let upper = (*end, makers.clone());
            *end = at;
            self.0.insert(at, upper);
        }
    }

    fn over(&self, range: &Range<u64>) -> BTreeSet<Maker> {
        let before = self.0.range(..range.start).next_back().filter(|(_, (end, _))| *end > range.start);
        before
            .into_iter()
            .chain(self.0.range(range.clone()))
            .flat_map(|(_, (_, makers))| makers.iter().copied())
            .collect()
    }
}
