//! Whether transfers move what they may: constants and tensors, each whole or a part of it, and of a layer its own results.

use super::BinError;
use super::from_wire::inconsistent;
use super::model::Npu;
use crate::Command;
use std::collections::BTreeMap;
use std::ops::Range;

/// Checks every LOAD and STORE against the tensors' places; `bytes` are the sizes of `placed`, in its order.
pub(super) fn check(npu: &Npu, bytes: &[u64]) -> Result<(), BinError> {
    let program = &npu.program;
    let mut all: BTreeMap<u64, u64> = BTreeMap::from([(0, program.constants.len() as u64)]);
    let mut made: BTreeMap<u16, Vec<Range<u64>>> = BTreeMap::new();
    for (p, bytes) in npu.placed.iter().zip(bytes) {
        let range = u64::from(p.address)..u64::from(p.address) + bytes;
        // Of places that begin together the longest holds the others.
        let end = all.entry(range.start).or_default();
        *end = range.end.max(*end);
        if let Some(layer) = p.layer {
            made.entry(layer).or_default().push(range);
        }
    }
    let longest = all.iter().map(|(start, end)| end - start).max().unwrap_or(0);
    let holds = |place: &Range<u64>, moved: &Range<u64>| place.start <= moved.start && moved.end <= place.end;
    for (index, record) in program.commands.iter().enumerate() {
        let (moved, known) = match &record.command {
            Command::Load(t) => {
                let moved = t.ddr_range();
                let mut near = all.range(moved.start.saturating_sub(longest)..=moved.start);
                let known = near.any(|(&start, &end)| holds(&(start..end), &moved));
                (moved, known)
            }
            Command::Store(t) => {
                let moved = t.ddr_range();
                let known = made.get(&record.layer).is_some_and(|own| own.iter().any(|place| holds(place, &moved)));
                (moved, known)
            }
            _ => continue,
        };
        if !known {
            let (name, layer) = (record.command.name(), &program.layers[usize::from(record.layer)]);
            let what = match &record.command {
                Command::Load(_) => "is no part of one tensor or of the constants",
                _ => "is no part of a result of the layer",
            };
            let Range { start, end } = moved;
            return Err(inconsistent(format!("command {index} ({name} of layer {layer}): DDR {start:#x}..{end:#x} {what}")));
        }
    }
    Ok(())
}
