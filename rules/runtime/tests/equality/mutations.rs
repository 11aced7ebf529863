//! Every field of every command is changed, one at a time: at least 99 in 100 changes are refused when loading, trap, or change
//! a tensor. What survives is listed, each with the reason that the changed program is equivalent.

#![allow(clippy::print_stdout)] // The list of survivors, for the log of a run with --nocapture.

use crate::builder::Builder;
use crate::compare::{compiled, inputs, march, searched};
use crate::hostile::graph;
use ptq_compile::{OptimizeLevel, Search};
use ptq_ir::ops::{BlockMove, BlockOrder, ConvGeom, PoolGeom};
use ptq_ir::{DType, QGraph, Rounding, Tensor};
use ptq_runtime::{Model, RunOptions};
use ptq_sim::artifact::{self, Body};
use ptq_sim::{Command, ELTWISE_RANK, Elem, Pool, RECORD_BYTES, Record, record_table};
use std::collections::BTreeMap;

/// A field of a command: its name, where it begins, and the bytes of one of its elements.
#[derive(Clone, Debug)]
struct Field {
    name: String,
    at: usize,
    width: usize,
    count: usize,
}

/// Fields of every command by its name, from the format's own table.
fn fields() -> BTreeMap<String, Vec<Field>> {
    let mut out: BTreeMap<String, Vec<Field>> = BTreeMap::new();
    let mut commands: Vec<String> = Vec::new();
    for line in record_table().lines().skip(2) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, opcode, at, bytes, name, ty, _] = cells[..] else { panic!("{line}") };
        if !opcode.is_empty() {
            let word = |part: &str| part.split(' ').nth(1).unwrap().to_owned();
            commands = opcode.split(", ").map(word).collect();
        }
        let Ok(bytes) = bytes.parse::<usize>() else { continue };
        let width = match ty {
            "u16" | "i16" => 2,
            "u8" => 1,
            _ if ty.starts_with("byte") => 1,
            _ => 4,
        };
        let name = name.trim_matches('`').to_owned();
        let field = Field { name, at: at.parse().unwrap(), width, count: bytes / width };
        commands.iter().for_each(|c| out.entry(c.clone()).or_default().push(field.clone()));
    }
    out
}

/// Every operator family that the small program of the other tests has not.
fn others() -> QGraph {
    let mut b = Builder::new(Rounding::Float, DType::U8, 9);
    let x = b.input(&[1, 8, 10, 9]);
    let geom = ConvGeom { kernel: [3, 2], strides: [1, 2], pads: [1, 0, 1, 1], dilations: [1, 1], group: 2 };
    let a = b.conv(x, 8, geom, false);
    let t = b.transpose(a, &[0, 2, 3, 1]);
    let t = b.transpose(t, &[0, 3, 1, 2]);
    let d = b.depth_to_space(t, BlockMove { block: 2, order: BlockOrder::Crd });
    let m = b.constant(&[1, 2, 1, 1]);
    let m = b.mul(d, m);
    let p =
        b.average_pool(m, PoolGeom { kernel: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1], ..PoolGeom::global([1, 1]) });
    let s = b.slice(p, &[0, 0, 1, 0], &[1, 2, 6, 5]);
    b.output(s);
    b.finish()
}

/// Why a changed command that nobody notices computes the same; `None` when there is no such reason.
fn reason(record: &Record, changed: &Record, field: &str) -> Option<&'static str> {
    if let Some(why) = longer(&record.command, &changed.command, field) {
        return Some(why);
    }
    match (&record.command, &changed.command) {
        (Command::Load(a), Command::Store(b)) if a == b => {
            Some("what is loaded is still there: it was stored from the same place just before")
        }
        (Command::Conv(a) | Command::DwConv(a), Command::Conv(b) | Command::DwConv(b)) => match field {
            "strides"
                if axis_alone(a.strides != b.strides, a.strides[0] != b.strides[0], [a.out_hwc[0], a.out_hwc[1]]) =>
            {
                Some("a stride along an axis with one window")
            }
            "in_hwc" if a.in_hwc[1..] == b.in_hwc[1..] => Some("a last row that no window reads"),
            "clamp_lo" | "clamp_hi" => Some("a bound that no value meets"),
            "dilations" => Some("a dilation of one tap"),
            "x_zero" => Some("a zero point whose change all weights of a filter cancel or rounding hides"),
            "opcode" => Some("one channel a group: both commands compute the same"),
            "x_type" if of_both_signs(a.x_type, b.x_type) => Some("no value that is read is negative"),
            "out_type" if of_both_signs(a.out_type, b.out_type) && a.clamp_lo >= 0 && a.clamp_hi <= 127 => {
                Some("no value that is written is negative")
            }
            _ => None,
        },
        (Command::Pool(a), Command::Pool(b)) => match field {
            "strides" if axis_alone(true, a.strides[0] != b.strides[0], a.out_hw) => {
                Some("a stride along an axis with one window")
            }
            "in_hwc" if a.in_hwc[1..] == b.in_hwc[1..] => Some("a last row that no window reads"),
            "dilations" => Some("a dilation of one tap"),
            "taps" | "first_taps" => Some("a tap count that no window has"),
            "x_zero" | "out_zero" if a.kind == ptq_sim::PoolKind::Max => Some("a maximum has no zero points"),
            "kernel" if (0..2).all(|i| a.kernel[i] == b.kernel[i] || covers_all(a, b, i)) => {
                Some("a window over the whole axis has nothing more to take in")
            }
            "kernel" if a.kind == ptq_sim::PoolKind::Max && a.kernel == [2, 2] && b.kernel == [1, 2] => {
                Some("the input was enlarged: the second row of a window repeats the first")
            }
            _ => None,
        },
        (Command::Eltwise(a), Command::Eltwise(b)) => match field {
            "a_type" if of_both_signs(a.a_type, b.a_type) => Some("no value that is read is negative"),
            "b_type" if of_both_signs(a.b_type, b.b_type) => Some("no value that is read is negative"),
            "broadcast"
                if (0..2 * ELTWISE_RANK)
                    .all(|i| (a.broadcast ^ b.broadcast) >> i & 1 == 0 || a.dims[i % ELTWISE_RANK] == 1) =>
            {
                Some("a repetition along an axis of one element")
            }
            "clamp_lo" | "clamp_hi" => Some("a bound that no value meets"),
            "mul_a" | "mul_b" => Some("a last bit of a multiplier that rounding hides"),
            _ => None,
        },
        (Command::MatMul(_), Command::MatMul(_)) | (Command::Softmax(_), Command::Softmax(_)) => match field {
            "clamp_lo" | "clamp_hi" => Some("a bound that no value meets"),
            "mul" => Some("a last bit of a multiplier that rounding hides"),
            _ => None,
        },
        (Command::Trans(a), Command::Trans(b)) if field == "src_strides" => {
            let alone = (0..4).filter(|&i| a.src_strides[i] != b.src_strides[i]).all(|i| a.dims[i] == 1);
            alone.then_some("a stride along an axis of one element")
        }
        (Command::Trans(a), Command::Trans(b)) if field == "elem" && of_both_signs(a.elem, b.elem) => {
            Some("a move of bytes whose sign does not matter")
        }
        (Command::Gather(_), Command::Gather(_)) | (Command::Interp(_), Command::Interp(_)) if field == "in_hw" => {
            Some("a row or column that the tables never name")
        }
        _ => None,
    }
}

/// More elements along the outermost axis, behind those that are wanted: nobody reads them, or others are written over them.
fn longer(a: &Command, b: &Command, field: &str) -> Option<&'static str> {
    let outermost = |a: &[u32], b: &[u32]| {
        let outer = a.iter().zip(b).position(|(a, b)| a != b).unwrap_or(0);
        b[outer] > a[outer] && a[..outer].iter().all(|&n| n == 1)
    };
    let grown = match (a, b) {
        (Command::Conv(a) | Command::DwConv(a), Command::Conv(b) | Command::DwConv(b)) if field == "out_hwc" => {
            outermost(&a.out_hwc.map(u32::from), &b.out_hwc.map(u32::from))
        }
        (Command::Pool(a), Command::Pool(b)) if field == "out_hw" => {
            outermost(&a.out_hw.map(u32::from), &b.out_hw.map(u32::from))
        }
        (Command::Lut(a), Command::Lut(b)) if field == "count" => b.count > a.count,
        (Command::Trans(a), Command::Trans(b)) if field == "dims" => outermost(&a.dims, &b.dims),
        (Command::Eltwise(a), Command::Eltwise(b)) if field == "dims" => outermost(&a.dims, &b.dims),
        _ => false,
    };
    grown.then_some("computes elements more, behind those that are read")
}

/// Whether one type is the other with a sign.
fn of_both_signs(a: Elem, b: Elem) -> bool {
    matches!((a, b), (Elem::I8, Elem::U8) | (Elem::U8, Elem::I8))
}

/// Whether the one window along an axis covers all of it, before and after.
fn covers_all(a: &Pool, b: &Pool, axis: usize) -> bool {
    a.out_hw[axis] == 1 && a.kernel[axis] >= a.in_hwc[axis] && b.kernel[axis] >= a.in_hwc[axis]
}

/// Whether what changed is along an axis with one output: rows, or else columns.
fn axis_alone(changed: bool, rows: bool, out: [u16; 2]) -> bool {
    changed && out[usize::from(!rows)] == 1
}

/// What of a model's run can be seen: every tensor and the outputs; `None` when it is refused or traps.
type Seen = Option<(Vec<(String, Tensor)>, Vec<Tensor>)>;

fn watch(model: artifact::Model, inputs: &[Tensor]) -> Seen {
    let mut seen = Vec::new();
    let model = Model::from_artifact(model).ok()?;
    let mut sink = |name: &str, t: &Tensor| seen.push((name.to_owned(), t.clone()));
    let outputs = model.run_with(inputs, &RunOptions::default(), &mut sink).ok()?;
    Some((seen, outputs))
}

/// Changes and, by command, field and reason, those that nobody noticed.
#[derive(Default)]
struct Tally {
    changes: usize,
    survivors: BTreeMap<(String, String, &'static str), usize>,
    unexplained: Vec<String>,
}

fn mutate(bin: &[u8], graph: &QGraph, tally: &mut Tally) {
    let inputs = inputs(graph, 5);
    let model = artifact::decode(bin).unwrap();
    let good = watch(model.clone(), &inputs);
    assert!(good.is_some());
    let at_segment = model.segments.iter().position(|s| matches!(s.body, Body::Npu(_))).unwrap();
    let Body::Npu(npu) = &model.segments[at_segment].body else { panic!("no program") };
    let records = npu.program.commands.clone();
    let known = fields();
    let header = [
        Field { name: "opcode".into(), at: 0, width: 1, count: 1 },
        Field { name: "core".into(), at: 1, width: 1, count: 1 },
    ];
    for (index, record) in records.iter().enumerate() {
        let name = record.command.name();
        let own = known.get(name).map_or(&[][..], Vec::as_slice);
        for field in header.iter().chain(own) {
            for element in 0..field.count {
                let at = field.at + element * field.width;
                for bytes in changes(&record.encode(), at, field.width) {
                    tally.changes += 1;
                    let Ok(changed) = Record::decode(&bytes) else { continue };
                    let mut model = model.clone();
                    if let Body::Npu(npu) = &mut model.segments[at_segment].body {
                        npu.program.commands[index] = changed;
                    }
                    if watch(model, &inputs) == good {
                        let Some(why) = reason(record, &changed, &field.name) else {
                            let (was, is) = (&record.command, &changed.command);
                            tally.unexplained.push(format!("command {index} {}: {was:?} -> {is:?}", field.name));
                            continue;
                        };
                        *tally.survivors.entry((name.to_owned(), field.name.clone(), why)).or_default() += 1;
                    }
                }
            }
        }
    }
}

/// The record with one more, one less, another high bit, or nothing in these bytes.
fn changes(record: &[u8; RECORD_BYTES], at: usize, width: usize) -> Vec<[u8; RECORD_BYTES]> {
    let mut value = [0u8; 4];
    value[..width].copy_from_slice(&record[at..at + width]);
    let value = u32::from_le_bytes(value);
    let bits = width as u32 * 8;
    let mask = u32::MAX >> (32 - bits);
    let mut values = vec![value.wrapping_add(1) & mask, value.wrapping_sub(1) & mask, value ^ 1 << (bits - 3), 0];
    values.sort_unstable();
    values.dedup();
    let other = values.into_iter().filter(|v| *v != value);
    other
        .map(|v| {
            let mut bytes = *record;
            bytes[at..at + width].copy_from_slice(&v.to_le_bytes()[..width]);
            bytes
        })
        .collect()
}

/// The layer (bytes 2 and 3) is for reports, and a wait (4 to 7) changes times; one that is missing is refused when loading.
#[test]
fn nearly_every_change_of_a_field_is_refused_trapped_or_visible() {
    let mut tally = Tally::default();
    for graph in [graph(), others()] {
        mutate(&compiled(&graph, Some(8192)), &graph, &mut tally);
        let search = Search { level: OptimizeLevel::O1, ..Search::default() };
        mutate(&searched(&graph, &march(&graph, Some(1 << 16)), search).0, &graph, &mut tally);
    }
    let survivors: usize = tally.survivors.values().sum();
    println!("{} changes, {survivors} not noticed:", tally.changes);
    for ((command, field, why), count) in &tally.survivors {
        println!("  {count:5} {command} {field}: {why}");
    }
    assert!(tally.unexplained.is_empty(), "nobody notices, for no reason:\n{}", tally.unexplained.join("\n"));
    assert!(tally.changes > 5_000, "{}", tally.changes);
    assert!(survivors * 100 <= tally.changes, "{survivors} of {} changes were not noticed", tally.changes);
}
