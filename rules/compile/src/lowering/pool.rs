//! AveragePool and MaxPool → POOL over stripes of rows and chunks of channels.

use super::constants::{entry_bytes, rounding, small};
use super::stripe::WindowRows;
use super::{Lowered, Lowering, axis, does_not_fit, field, nchw};
use crate::sram::{SramBump, cut, halvings};
use crate::transfer::BoxTransfer;
use ptq_ir::{Diagnostic, QNode, QPool, Rounding, ops::PoolGeom};
use ptq_sim::{Command, Pool, PoolKind, Sram, TAP_CONSTANT_BYTES};

/// What the two kinds differ in.
struct Kind {
    kind: PoolKind,
    /// Constants of the tap counts from `first_taps` on.
    table: Vec<u8>,
    first_taps: usize,
    rounding: Rounding,
    x_zero: i16,
    out_zero: i16,
}

/// Lowers an average.
pub(super) fn lower_average(l: &mut Lowering<'_>, node: &QNode, pool: &QPool) -> Lowered {
    let (first, last) = tap_counts(&pool.geom, nchw(l.tensor(node.inputs[0]))?, nchw(l.tensor(node.outputs[0]))?);
    let kind = Kind {
        kind: PoolKind::Average,
        table: (first..=last).flat_map(|n| entry_bytes(&pool.requant, n - 1)).collect(),
        first_taps: first,
        rounding: rounding(&pool.requant),
        x_zero: l.zero(node.inputs[0])?,
        out_zero: small(pool.out_zero)?,
    };
    lower(l, node, &pool.geom, kind)
}

/// Lowers a maximum.
pub(super) fn lower_max(l: &mut Lowering<'_>, node: &QNode, geom: &PoolGeom) -> Lowered {
    let kind = Kind {
        kind: PoolKind::Max,
        table: Vec::new(),
        first_taps: 0,
        rounding: Rounding::Fixed,
        x_zero: 0,
        out_zero: 0,
    };
    lower(l, node, geom, kind)
}

/// Smallest and largest number of taps inside the image, windows without any left out (they need no constant).
fn tap_counts(g: &PoolGeom, [_, _, h, w]: [usize; 4], [_, _, oh, ow]: [usize; 4]) -> (usize, usize) {
    let counts = |d: usize, extent: usize, out: usize| {
        let inside = move |o: usize| {
            let place = |k: usize| (o * g.strides[d] + k * g.dilations[d]).checked_sub(g.pads[d]);
            (0..g.kernel[d]).filter(|&k| place(k).is_some_and(|p| p < extent)).count()
        };
        let counts: Vec<usize> = (0..out).map(inside).filter(|&n| n > 0).collect();
        (counts.iter().min().copied().unwrap_or(1), counts.iter().max().copied().unwrap_or(1))
    };
    let (rows, cols) = (counts(0, h, oh), counts(1, w, ow));
    (rows.0 * cols.0, rows.1 * cols.1)
}

fn lower(l: &mut Lowering<'_>, node: &QNode, g: &PoolGeom, kind: Kind) -> Lowered {
    let [n, c, h, w] = nchw(l.tensor(node.inputs[0]))?;
    let [_, _, oh, ow] = nchw(l.tensor(node.outputs[0]))?;
    let elem = l.elem(node.inputs[0])?;
    let span = (g.kernel[0] - 1) * g.dilations[0] + 1;
    let rows = WindowRows { in_rows: h, out_rows: oh, stride: g.strides[0], span, pad_top: g.pads[0] };
    let bytes = |channels: usize, height: usize| {
        let pixel = channels * elem.bytes();
        [kind.table.len(), rows.rows_for(height) * w * pixel, height * ow * pixel]
    };
    let candidates = halvings(c).flat_map(|t| halvings(oh).map(move |s| (t, s)));
    let found = candidates.into_iter().find_map(|(t, s)| SramBump::all(l.target, bytes(t, s)).map(|a| (t, s, a)));
    let Some((chunk, height, [table_at, ifm, ofm])) = found else {
        let [k, x, y] = bytes(1, 1);
        return Err(does_not_fit(l.target, &format!("constants {k}, input rows {x}, output row {y}"), k + x + y));
    };
    let constants = if kind.table.is_empty() { Sram(0) } else { table_at };
    let template = template(g, w, ow, &kind, elem, [ifm, constants, ofm])?;
    let (x, y) = (l.place(node.inputs[0])?, l.result(node.outputs[0])?);
    let broken = || Diagnostic::error("COMP04", "a tile is larger than a transfer can hold");
    if !kind.table.is_empty() {
        let table = l.constant(&kind.table);
        l.note(node, [table]);
        l.load(BoxTransfer::linear(kind.table.len()).ok_or_else(broken)?, table, constants);
    }
    for (c0, channels) in cut(c, chunk) {
        for (image, s) in (0..n).flat_map(|i| rows.stripes(height).into_iter().map(move |s| (i, s))) {
            if s.in_rows > 0 {
                let shape = BoxTransfer::new(&[s.in_rows, w, channels], &[w * c, c, 1], elem.bytes());
                let start = ((image * h + s.input) * w * c + c0) * elem.bytes();
                l.load(shape.ok_or_else(broken)?, x.offset(start), ifm);
            }
            let in_hwc = [field("input rows", s.in_rows)?, template.in_hwc[1], field("channels", channels)?];
            let out_hw = [field("output rows", s.out_rows)?, template.out_hw[1]];
            l.push(Command::Pool(Pool { in_hwc, out_hw, pad_top: field("padding", s.pad_top)?, ..template }));
            let shape = BoxTransfer::new(&[s.out_rows, ow, channels], &[ow * c, c, 1], elem.bytes());
            let start = ((image * oh + s.out) * ow * c + c0) * elem.bytes();
            l.store(shape.ok_or_else(broken)?, ofm, y.offset(start));
        }
    }
    Ok(vec![axis("channels", chunk, c), axis("rows", height, oh)])
}

fn template(
    g: &PoolGeom,
    w: usize,
    ow: usize,
    kind: &Kind,
    elem: ptq_sim::Elem,
    [ifm, constants, ofm]: [Sram; 3],
) -> Result<Pool, Diagnostic> {
    Ok(Pool {
        ifm,
        constants,
        ofm,
        in_hwc: [0, field("input width", w)?, 0],
        out_hw: [0, field("output width", ow)?],
        kernel: [field("window height", g.kernel[0])?, field("window width", g.kernel[1])?],
        strides: [field("stride", g.strides[0])?, field("stride", g.strides[1])?],
        dilations: [field("dilation", g.dilations[0])?, field("dilation", g.dilations[1])?],
        pad_top: 0,
        pad_left: field("padding", g.pads[1])?,
        first_taps: field("taps", kind.first_taps)?,
        taps: field("taps", kind.table.len() / TAP_CONSTANT_BYTES)?,
        kind: kind.kind,
        elem,
        rounding: kind.rounding,
        x_zero: kind.x_zero,
        out_zero: kind.out_zero,
    })
}
