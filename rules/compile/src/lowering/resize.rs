//! Nearest-neighbour Resize → GATHER over stripes of rows and chunks of channels.

use super::{Lowered, Lowering, axis, does_not_fit, field};
use crate::ddr::Place;
use crate::sram::{SramBump, cut, halvings};
use crate::transfer::BoxTransfer;
use ptq_ir::{Diagnostic, QNode, ops::NearestResize};
use ptq_sim::{Command, Gather};

/// Lowers a resize.
pub(super) fn lower(l: &mut Lowering<'_>, node: &QNode, resize: &NearestResize) -> Lowered {
    let shape = &l.tensor(node.inputs[0]).shape;
    let (h, w) = (shape[shape.len() - 2], shape[shape.len() - 1]);
    let outer: usize = shape[..shape.len() - 2].iter().product();
    // Channels-last where there are channels; otherwise every outer index is an image of its own.
    let (images, channels) = if shape.len() == 4 { (shape[0], shape[1]) } else { (outer, 1) };
    let elem = l.elem(node.inputs[0])?.bytes();
    let (oh, ow) = (resize.rows.len(), resize.cols.len());
    let source = |start: usize, rows: usize| {
        let table = &resize.rows[start..start + rows];
        let (first, last) = (table.iter().min(), table.iter().max());
        (first.map_or(0, |&v| v as usize), last.map_or(0, |&v| v as usize + 1))
    };
    let most_rows = |s: usize| cut(oh, s).map(|(y, n)| source(y, n)).map(|(a, b)| b - a).max().unwrap_or(0);
    let bytes = |t: usize, s: usize| [2 * s, 2 * ow, most_rows(s) * w * t * elem, s * ow * t * elem];
    let candidates = halvings(channels).flat_map(|t| halvings(oh).map(move |s| (t, s)));
    let found = candidates.into_iter().find_map(|(t, s)| SramBump::all(l.target, bytes(t, s)).map(|a| (t, s, a)));
    let Some((chunk, height, [rows_at, cols_at, src, dst])) = found else {
        let needed = bytes(1, 1);
        return Err(does_not_fit(l.target, &format!("tables, input and output row {needed:?}"), needed.iter().sum()));
    };
    let (x, y) = (l.place(node.inputs[0])?, l.result(node.outputs[0])?);
    let rows_table = index_table(l, &resize.rows)?;
    let cols_table = index_table(l, &resize.cols)?;
    let broken = || Diagnostic::error("COMP04", "a tile is larger than a transfer can hold");
    l.load(BoxTransfer::linear(2 * ow).ok_or_else(broken)?, cols_table, cols_at);
    for (y0, rows) in cut(oh, height) {
        l.load(BoxTransfer::linear(2 * rows).ok_or_else(broken)?, rows_table.offset(2 * y0), rows_at);
        let (first, end) = source(y0, rows);
        for (n, (c0, t)) in (0..images).flat_map(|n| cut(channels, chunk).map(move |c| (n, c))) {
            let load = BoxTransfer::new(&[end - first, w, t], &[w * channels, channels, 1], elem);
            l.load(load.ok_or_else(broken)?, x.offset(((n * h + first) * w * channels + c0) * elem), src);
            l.push(Command::Gather(Gather {
                src,
                dst,
                rows: rows_at,
                cols: cols_at,
                in_hw: [field("input rows", end - first)?, field("input width", w)?],
                out_hw: [field("output rows", rows)?, field("output width", ow)?],
                row_base: field("input row", first)?,
                pixel_bytes: field("channels", t * elem)?,
            }));
            let store = BoxTransfer::new(&[rows, ow, t], &[ow * channels, channels, 1], elem);
            l.store(store.ok_or_else(broken)?, dst, y.offset(((n * oh + y0) * ow * channels + c0) * elem));
        }
    }
    Ok(vec![axis("rows", height, oh), axis("channels", chunk, channels)])
}

/// Indices as 16-bit constants.
pub(super) fn index_table(l: &mut Lowering<'_>, indices: &[u32]) -> Result<Place, Diagnostic> {
    let mut bytes = Vec::with_capacity(2 * indices.len());
    for &i in indices {
        bytes.extend_from_slice(&field::<u16>("a source index", i as usize)?.to_le_bytes());
    }
    Ok(l.constant(&bytes))
}
