//! The record layout as a table of `docs/format.md`; a test keeps the two equal.

use super::field::FieldLayout;
use super::{Conv, Eltwise, Gather, HEADER_BYTES, Interp, Lut, MatMul, Pool, Softmax, Trans, Transfer};
use std::fmt::Write as _;

/// Every command's fields with their offsets, as Markdown.
pub fn record_table() -> String {
    let commands: [(&str, Vec<FieldLayout>); 12] = [
        ("1 LOAD, 2 STORE", Transfer::layout()),
        ("3 CONV, 4 DWCONV", Conv::layout()),
        ("5 POOL", Pool::layout()),
        ("6 ELTWISE", Eltwise::layout()),
        ("7 LUT", Lut::layout()),
        ("8 TRANS", Trans::layout()),
        ("9 GATHER", Gather::layout()),
        ("10 SYNC", Vec::new()),
        ("11 END", Vec::new()),
        ("12 INTERP", Interp::layout()),
        ("13 MATMUL", MatMul::layout()),
        ("14 SOFTMAX", Softmax::layout()),
    ];
    let mut out = String::from("| opcode | offset | bytes | field | type |\n| --- | --- | --- | --- | --- |\n");
    for (name, fields) in commands {
        if fields.is_empty() {
            writeln!(out, "| {name} | | | | |").expect("invariant: a String takes text");
        }
        let mut at = HEADER_BYTES;
        for (i, (field, bytes, ty)) in fields.into_iter().enumerate() {
            let shown = if i == 0 { name } else { "" };
            writeln!(out, "| {shown} | {at} | {bytes} | `{field}` | {ty} |").expect("invariant: a String takes text");
            at += bytes;
        }
    }
    out
}
