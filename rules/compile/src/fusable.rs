//! What a layer needs to be computed in stripes together with its neighbours: its command as a pattern, which rows of its
//! inputs a stripe reads. Read off the layer's own lowering, so nothing about operators is decided twice.

use crate::ddr::Place;
use crate::flow::Emitted;
use crate::lowering::{WindowRows, nchw};
use ptq_ir::{QGraph, QNode, QOp, TensorId};
use ptq_sim::Command;

/// Extents of a tensor of one image, stored channels-last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extents {
    pub(crate) h: usize,
    pub(crate) w: usize,
    pub(crate) c: usize,
    /// Bytes of an element.
    pub(crate) elem: usize,
}

impl Extents {
    fn of(graph: &QGraph, id: TensorId) -> Option<Extents> {
        let t = graph.tensor(id);
        let [n, c, h, w] = nchw(t).ok()?;
        (n == 1).then_some(Extents { h, w, c, elem: t.dtype.bytes() })
    }

    /// Bytes of a row.
    pub(crate) fn row(&self) -> usize {
        self.w * self.c * self.elem
    }
}

/// Which rows of an input a stripe of the output reads.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Rows {
    /// Those under a window.
    Window(WindowRows),
    /// The same ones.
    Same,
    /// All: one value a channel.
    Whole,
}

/// An input of a layer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Input {
    pub(crate) tensor: TensorId,
    pub(crate) extents: Extents,
    pub(crate) rows: Rows,
    /// Where it lies when it is constant.
    pub(crate) constant: Option<Place>,
}

/// A layer that can be part of a group.
#[derive(Clone, Debug)]
pub(crate) struct Fusable {
    pub(crate) output: TensorId,
    pub(crate) extents: Extents,
    pub(crate) inputs: Vec<Input>,
    /// The command, with addresses and rows of its first stripe.
    pub(crate) pattern: Command,
    /// Weights and channel constants, or a table.
    pub(crate) constants: Vec<Place>,
}

impl Fusable {
    /// Reads a layer; `None` when it has to be computed by itself. `notes`: constants and operands that its lowering placed.
    pub(crate) fn of(graph: &QGraph, node: &QNode, layer: &[Emitted], notes: &[Place]) -> Option<Fusable> {
        let output = node.outputs[0];
        let extents = Extents::of(graph, output)?;
        let input = |i: usize, rows: Rows, constant: Option<Place>| {
            let tensor = node.inputs[i];
            Some(Input { tensor, extents: Extents::of(graph, tensor)?, rows, constant })
        };
        let window = |kernel: usize, dilation: usize, stride: usize, pad_top: usize| -> Option<Rows> {
            let in_rows = Extents::of(graph, node.inputs[0])?.h;
            let span = (kernel - 1) * dilation + 1;
            Some(Rows::Window(WindowRows { in_rows, out_rows: extents.h, stride, span, pad_top }))
        };
        let (inputs, constants) = match &node.op {
            QOp::Conv(c) => {
                let g = &c.geom;
                (vec![input(0, window(g.kernel[0], g.dilations[0], g.strides[0], g.pads[0])?, None)?], notes.to_vec())
            }
            QOp::AveragePool(ptq_ir::QPool { geom: g, .. }) | QOp::MaxPool(g) => {
                (vec![input(0, window(g.kernel[0], g.dilations[0], g.strides[0], g.pads[0])?, None)?], notes.to_vec())
            }
            QOp::Lut(_) => (vec![input(0, Rows::Same, None)?], notes.to_vec()),
            QOp::Add(_) | QOp::Mul(_) => {
                let operand = |i: usize| {
                    let constant = graph.tensor(node.inputs[i]).data.is_some().then(|| notes[i]);
                    let found = input(i, Rows::Same, constant)?;
                    let x = found.extents;
                    let per_channel = (x.h, x.w, x.c) == (1, 1, extents.c);
                    match (x.h, x.w, x.c) == (extents.h, extents.w, extents.c) {
                        true => Some(found),
                        false => per_channel.then_some(Input { rows: Rows::Whole, ..found }),
                    }
                };
                let both = vec![operand(0)?, operand(1)?];
                // The same tensor twice, or a whole constant image, is left to the layer's own lowering.
                let plain = both[0].tensor != both[1].tensor
                    && both.iter().all(|o| o.constant.is_none() || matches!(o.rows, Rows::Whole))
                    && both.iter().any(|o| matches!(o.rows, Rows::Same));
                (plain.then_some(both)?, Vec::new())
            }
            _ => return None,
        };
        let mut computing = layer
            .iter()
            .map(|(r, _)| r.command)
            .filter(|c| !matches!(c, Command::Load(_) | Command::Store(_) | Command::Sync));
        let pattern = computing.next()?;
        let known = matches!(
            pattern,
            Command::Conv(_) | Command::DwConv(_) | Command::Pool(_) | Command::Lut(_) | Command::Eltwise(_)
        );
        known.then_some(Fusable { output, extents, inputs, pattern, constants })
    }

    /// Whether neighbouring stripes read some input rows twice.
    pub(crate) fn overlaps(&self) -> bool {
        self.inputs.iter().any(Input::overlaps)
    }
}

impl Input {
    /// Whether neighbouring stripes read some of its rows twice.
    pub(crate) fn overlaps(&self) -> bool {
        matches!(self.rows, Rows::Window(w) if w.span > w.stride)
    }
}
