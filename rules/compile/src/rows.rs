//! Which rows a stripe of a group needs, and which are a core's own. Called by `emit.rs`.

use crate::fusable::{Input, Rows};
use ptq_ir::TensorId;
use std::collections::BTreeMap;
use std::ops::Range;

/// The rows of one core's part.
pub(crate) fn own_rows(height: usize, (core, cores): (usize, usize)) -> Range<usize> {
    height * core / cores..height * (core + 1) / cores
}

/// Widens the rows that are needed of a tensor.
pub(crate) fn join(need: &mut BTreeMap<TensorId, (usize, usize)>, id: TensorId, rows: (usize, usize)) {
    let n = need.entry(id).or_insert(rows);
    *n = (n.0.min(rows.0), n.1.max(rows.1));
}

/// Rows of an input that these output rows read; `None` when they lie wholly in the padding.
pub(crate) fn input_rows(input: &Input, (start, end): (usize, usize)) -> Option<(usize, usize)> {
    match input.rows {
        Rows::Same => Some((start, end)),
        Rows::Whole => Some((0, input.extents.h)),
        Rows::Window(w) => {
            let s = w.stripe(start, end - start);
            (s.in_rows > 0).then_some((s.input, s.input + s.in_rows))
        }
    }
}

/// Input rows and top padding of a window operator as fields.
pub(crate) fn window(input: &Input, (start, end): (usize, usize)) -> Option<(u16, u16)> {
    let Rows::Window(w) = input.rows else { return None };
    let s = w.stripe(start, end - start);
    Some((u16::try_from(s.in_rows).ok()?, u16::try_from(s.pad_top).ok()?))
}
