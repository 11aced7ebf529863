//! Whether transfers move what they may: constants and tensors, each whole or a part of it, and of a layer its own results.

use super::BinError;
use super::from_wire::inconsistent;
use super::model::Npu;
use crate::Command;
use std::collections::BTreeMap;
use std::ops::Range;

/// Checks every LOAD and STORE against the tensors' places; `bytes` are the sizes of `placed`, in its order. What touches no tensor and
/// no constant is a layer's own scratch.
pub(super) fn check(npu: &Npu, bytes: &[u64]) -> Result<(), BinError> {
    let program = &npu.program;
    let constants = 0..program.constants.len() as u64;
    let mut all = vec![constants];
    let mut made: BTreeMap<u16, Vec<Range<u64>>> = BTreeMap::new();
    for (p, bytes) in npu.placed.iter().zip(bytes) {
        let range = u64::from(p.address)..u64::from(p.address) + bytes;
        all.push(range.clone());
        if let Some(layer) = p.layer {
            made.entry(layer).or_default().push(range);
        }
    }
    let all = Places::of(all);
    let made: BTreeMap<u16, Places> = made.into_iter().map(|(layer, list)| (layer, Places::of(list))).collect();
    let mut stored: BTreeMap<u16, Vec<(Range<u64>, usize)>> = BTreeMap::new();
    for (index, record) in program.commands.iter().enumerate() {
        let (moved, fits, what) = match &record.command {
            Command::Load(t) => {
                let moved = t.ddr_range();
                (moved.clone(), all.hold_or_miss(&moved), "is no part of one tensor or of the constants")
            }
            Command::Store(t) => {
                let moved = t.ddr_range();
                let own = made.get(&record.layer);
                let fits = own.is_none_or(|own| own.hold_or_miss(&moved));
                if own.is_some_and(|own| own.hold(&moved)) {
                    let runs = t.runs().map(|(ddr, _)| u64::from(t.ddr.0) + ddr);
                    let runs = runs.map(|at| (at..at + u64::from(t.bytes), index));
                    stored.entry(record.layer).or_default().extend(runs);
                }
                (moved, fits, "is no part of a result of the layer")
            }
            _ => continue,
        };
        if !fits {
            let (name, layer) = (record.command.name(), &program.layers[usize::from(record.layer)]);
            let Range { start, end } = moved;
            return Err(inconsistent(format!(
                "command {index} ({name} of layer {layer}): DDR {start:#x}..{end:#x} {what}"
            )));
        }
    }
    for list in stored.values_mut() {
        list.sort_by_key(|(range, index)| (range.start, *index));
        let neighbours = || list.iter().zip(list.iter().skip(1)).filter(|(a, b)| a.0.end > b.0.start);
        // A layer may fill a result and then replace parts of it, as a border and its middle; elsewhere, to reach into a neighbour is an
        // accident.
        if neighbours().any(|(a, b)| a.0.end >= b.0.end || a.0.start == b.0.start) {
            continue;
        }
        if let Some(((range, index), (_, other))) = neighbours().next() {
            let what = format!("commands {index} and {other} both store byte {:#x} of a result", range.end - 1);
            return Err(inconsistent(what));
        }
    }
    Ok(())
}

/// Ranges by start, and the length of the longest.
struct Places {
    sorted: Vec<Range<u64>>,
    longest: u64,
}

impl Places {
    fn of(mut sorted: Vec<Range<u64>>) -> Places {
        sorted.sort_by_key(|r| (r.start, r.end));
        let longest = sorted.iter().map(|r| r.end - r.start).max().unwrap_or(0);
        Places { sorted, longest }
    }

    /// Whether one of them holds all of a range.
    fn hold(&self, moved: &Range<u64>) -> bool {
        let from = self.sorted.partition_point(|r| r.start + self.longest <= moved.start);
        let mut near = self.sorted[from..].iter().take_while(|r| r.start < moved.end);
        near.any(|place| place.start <= moved.start && moved.end <= place.end)
    }

    /// Whether one of them holds all of a range, or none of them any of it.
    fn hold_or_miss(&self, moved: &Range<u64>) -> bool {
        let from = self.sorted.partition_point(|r| r.start + self.longest <= moved.start);
        let near = self.sorted[from..].iter().take_while(|r| r.start < moved.end).filter(|r| r.end > moved.start);
        let mut touched = false;
        for place in near {
            if place.start <= moved.start && moved.end <= place.end {
                return true;
            }
            touched = true;
        }
        !touched
    }
}

#[cfg(test)]
mod tests {
    use super::Places;

    #[test]
    fn a_range_is_in_one_place_or_in_none() {
        let places = Places::of(vec![10..20, 0..5, 12..40, 50..51]);
        for inside in [10..20, 0..5, 13..40, 50..51, 5..10, 41..50, 60..70] {
            assert!(places.hold_or_miss(&inside), "{inside:?}");
        }
        for across in [4..6, 9..11, 11..21, 39..41, 40..51, 0..100] {
            assert!(!places.hold_or_miss(&across), "{across:?}");
        }
    }
}
