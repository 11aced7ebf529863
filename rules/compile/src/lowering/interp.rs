//! Linear Resize → INTERP over stripes of rows and chunks of channels.

use super::{Lowered, Lowering, axis, does_not_fit, field};
use crate::ddr::Place;
use crate::sram::{SramBump, cut, halvings};
use crate::transfer::BoxTransfer;
use ptq_ir::ops::{LinearResize, LinearTap};
use ptq_ir::{Diagnostic, QNode};
use ptq_sim::{Command, Interp};

/// Bytes of a table's entry.
const TAP_BYTES: usize = 6;

/// Lowers a linear resize of a rank-4 tensor.
pub(super) fn lower(l: &mut Lowering<'_>, node: &QNode, resize: &LinearResize) -> Lowered {
    let [images, channels, h, w] = super::nchw(l.tensor(node.inputs[0]))?;
    let (oh, ow) = (resize.rows.len(), resize.cols.len());
    let source = |start: usize, rows: usize| {
        let table = &resize.rows[start..start + rows];
        let first = table.iter().map(|t| t.lo.min(t.hi) as usize).min().unwrap_or(0);
        (first, table.iter().map(|t| t.lo.max(t.hi) as usize + 1).max().unwrap_or(0))
    };
    let most_rows = |s: usize| cut(oh, s).map(|(y, n)| source(y, n)).map(|(a, b)| b - a).max().unwrap_or(0);
    let bytes = |t: usize, s: usize| [TAP_BYTES * s, TAP_BYTES * ow, most_rows(s) * w * t, s * ow * t];
    let candidates = halvings(channels).flat_map(|t| halvings(oh).map(move |s| (t, s)));
    let found = candidates.into_iter().find_map(|(t, s)| SramBump::all(l.target, bytes(t, s)).map(|a| (t, s, a)));
    let Some((chunk, height, [rows_at, cols_at, src, dst])) = found else {
        let needed = bytes(1, 1);
        return Err(does_not_fit(l.target, &format!("tables, input and output row {needed:?}"), needed.iter().sum()));
    };
    let (zero, elem) = (l.zero(node.inputs[0])?, l.elem(node.inputs[0])?);
    let (x, y) = (l.place(node.inputs[0])?, l.result(node.outputs[0])?);
    let rows_table = table(l, &resize.rows)?;
    let cols_table = table(l, &resize.cols)?;
    let broken = || Diagnostic::error("COMP04", "a tile is larger than a transfer can hold");
    l.load(BoxTransfer::linear(TAP_BYTES * ow).ok_or_else(broken)?, cols_table, cols_at);
    for (y0, rows) in cut(oh, height) {
        l.load(BoxTransfer::linear(TAP_BYTES * rows).ok_or_else(broken)?, rows_table.offset(TAP_BYTES * y0), rows_at);
        let (first, end) = source(y0, rows);
        for (n, (c0, t)) in (0..images).flat_map(|n| cut(channels, chunk).map(move |c| (n, c))) {
            let load = BoxTransfer::new(&[end - first, w, t], &[w * channels, channels, 1], 1).ok_or_else(broken)?;
            l.load(load, x.offset((n * h + first) * w * channels + c0), src);
            l.push(Command::Interp(Interp {
                src,
                dst,
                rows: rows_at,
                cols: cols_at,
                in_hw: [field("input rows", end - first)?, field("input width", w)?],
                out_hw: [field("output rows", rows)?, field("output width", ow)?],
                row_base: field("input row", first)?,
                channels: field("channels", t)?,
                zero,
                elem,
            }));
            let store = BoxTransfer::new(&[rows, ow, t], &[ow * channels, channels, 1], 1).ok_or_else(broken)?;
            l.store(store, dst, y.offset((n * oh + y0) * ow * channels + c0));
        }
    }
    Ok(vec![axis("rows", height, oh), axis("channels", chunk, channels)])
}

/// Taps as 16-bit constants.
fn table(l: &mut Lowering<'_>, taps: &[LinearTap]) -> Result<Place, Diagnostic> {
    let mut bytes = Vec::with_capacity(TAP_BYTES * taps.len());
    for tap in taps {
        for value in [tap.lo, tap.hi, tap.weight] {
            bytes.extend_from_slice(&field::<u16>("a source index", value as usize)?.to_le_bytes());
        }
    }
    Ok(l.constant(&bytes))
}
