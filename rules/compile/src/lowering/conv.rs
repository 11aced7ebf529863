//! Conv → CONV or DWCONV over stripes of rows and chunks of output channels.
//!
//! Weights of a chunk are loaded once and stay while its stripes pass; the input passes once a chunk.

use super::constants::{entry_bytes, rounding, small};
use super::stripe::{Stripe, WindowRows};
use super::{Lowered, Lowering, axis, does_not_fit, field, nchw};
use crate::ddr::Place;
use crate::sram::{SramBump, cut, halvings};
use crate::transfer::BoxTransfer;
use ptq_ir::{Diagnostic, QConv, QNode, Requant, Rounding, Tensor, TensorId};
use ptq_sim::{CHANNEL_CONSTANT_BYTES, Command, Conv, Elem, Sram};

/// Geometry of a layer, in storage terms.
struct Layer<'a> {
    conv: &'a QConv,
    n: usize,
    c: usize,
    h: usize,
    w: usize,
    oc: usize,
    oh: usize,
    ow: usize,
    group_channels: usize,
    filters: usize,
    depthwise: bool,
    /// Bytes of an input element.
    elem: usize,
    out: Elem,
    rows: WindowRows,
}

/// Output channels of one pass and the input channels that they read: (start, count) each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Chunk {
    out: (usize, usize),
    input: (usize, usize),
}

/// Scratch addresses of a pass.
#[derive(Clone, Copy)]
struct Tiles {
    weights: Sram,
    constants: Sram,
    ifm: Sram,
    ofm: Sram,
}

impl<'a> Layer<'a> {
    fn new(l: &Lowering<'_>, node: &QNode, conv: &'a QConv) -> Result<Layer<'a>, Diagnostic> {
        let [n, c, h, w] = nchw(l.tensor(node.inputs[0]))?;
        let [_, oc, oh, ow] = nchw(l.tensor(node.outputs[0]))?;
        let g = &conv.geom;
        let span = (g.kernel[0] - 1) * g.dilations[0] + 1;
        let filters = oc / g.group;
        Ok(Layer {
            conv,
            n,
            c,
            h,
            w,
            oc,
            oh,
            ow,
            group_channels: c / g.group,
            filters,
            depthwise: c == g.group && filters == 1,
            elem: l.elem(node.inputs[0])?.bytes(),
            out: l.elem(node.outputs[0])?,
            rows: WindowRows { in_rows: h, out_rows: oh, stride: g.strides[0], span, pad_top: g.pads[0] },
        })
    }

    fn taps(&self) -> usize {
        self.conv.geom.kernel[0] * self.conv.geom.kernel[1]
    }

    /// Chunks of about `size` output channels; none crosses a group unless it holds whole groups.
    fn chunks(&self, size: usize) -> Vec<Chunk> {
        let input_of = |start: usize, count: usize| {
            let (first, last) = (start / self.filters, (start + count - 1) / self.filters);
            (first * self.group_channels, (last + 1 - first) * self.group_channels)
        };
        let chunk = |(start, count)| Chunk { out: (start, count), input: input_of(start, count) };
        if size >= self.filters {
            return cut(self.oc, size / self.filters * self.filters).map(chunk).collect();
        }
        let groups = 0..self.conv.geom.group;
        groups.flat_map(|g| cut(self.filters, size).map(move |(s, n)| chunk((g * self.filters + s, n)))).collect()
    }

    /// Bytes of weights, constants, input and output tiles.
    fn tile_bytes(&self, chunk: Chunk, height: usize) -> [usize; 4] {
        [
            chunk.out.1 * self.taps() * self.group_channels,
            chunk.out.1 * CHANNEL_CONSTANT_BYTES,
            self.rows.rows_for(height) * self.w * chunk.input.1 * self.elem,
            height * self.ow * chunk.out.1 * self.out.bytes(),
        ]
    }

    /// The first tiling that fits: all channels at the greatest height, then fewer rows, then fewer channels.
    fn plan(&self, l: &Lowering<'_>) -> Result<(Vec<Chunk>, usize, Tiles), Diagnostic> {
        for size in halvings(self.oc) {
            let chunks = self.chunks(size);
            // The first chunk is the largest.
            for height in halvings(self.oh) {
                if let Some([weights, constants, ifm, ofm]) =
                    SramBump::all(l.target, self.tile_bytes(chunks[0], height))
                {
                    return Ok((chunks, height, Tiles { weights, constants, ifm, ofm }));
                }
            }
        }
        let [w, k, x, y] = self.tile_bytes(self.chunks(1)[0], 1);
        let what = format!("weights {w}, constants {k}, input rows {x}, output row {y}");
        Err(does_not_fit(l.target, &what, w + k + x + y))
    }

    /// The command's fields that all passes share.
    fn template(&self, l: &Lowering<'_>, node: &QNode, tiles: Tiles) -> Result<Conv, Diagnostic> {
        let (conv, g) = (self.conv, &self.conv.geom);
        let int32 = self.out == Elem::I32;
        Ok(Conv {
            ifm: tiles.ifm,
            weights: tiles.weights,
            constants: tiles.constants,
            ofm: tiles.ofm,
            in_hwc: [0, field("input width", self.w)?, 0],
            out_hwc: [0, field("output width", self.ow)?, 0],
            kernel: [field("kernel height", g.kernel[0])?, field("kernel width", g.kernel[1])?],
            strides: [field("stride", g.strides[0])?, field("stride", g.strides[1])?],
            dilations: [field("dilation", g.dilations[0])?, field("dilation", g.dilations[1])?],
            pad_top: 0,
            pad_left: field("padding", g.pads[1])?,
            group_channels: field("channels of a group", self.group_channels)?,
            ofm_pixel: 0,
            x_type: l.elem(node.inputs[0])?,
            out_type: self.out,
            rounding: conv.requant.as_ref().map_or(Rounding::Fixed, rounding),
            x_zero: l.zero(node.inputs[0])?,
            out_zero: if int32 { 0 } else { small(conv.out_zero)? },
            clamp_lo: if int32 { 0 } else { small(conv.clamp_lo)? },
            clamp_hi: if int32 { 0 } else { small(conv.clamp_hi)? },
        })
    }

    /// The command of one pass.
    fn command(&self, template: Conv, chunk: Chunk, stripe: Stripe) -> Result<Command, Diagnostic> {
        let conv = Conv {
            in_hwc: [field("input rows", stripe.in_rows)?, template.in_hwc[1], field("input channels", chunk.input.1)?],
            out_hwc: [
                field("output rows", stripe.out_rows)?,
                template.out_hwc[1],
                field("output channels", chunk.out.1)?,
            ],
            pad_top: field("padding", stripe.pad_top)?,
            ofm_pixel: field("output channels", chunk.out.1)?,
            ..template
        };
        Ok(if self.depthwise { Command::DwConv(conv) } else { Command::Conv(conv) })
    }
}

/// Lowers a convolution.
pub(super) fn lower(l: &mut Lowering<'_>, node: &QNode, conv: &QConv) -> Lowered {
    let layer = Layer::new(l, node, conv)?;
    let (chunks, height, tiles) = layer.plan(l)?;
    let template = layer.template(l, node, tiles)?;
    let weights = constant(l, node.inputs[1])?.i8s().map_err(|e| Diagnostic::error("COMP05", e.to_string()))?;
    let weights = l.ddr.constant_with(|out| pack_weights(&layer, weights, out));
    let bias = node.inputs.get(2).map(|&b| constant(l, b)).transpose()?;
    let constants = l.constant(&channel_constants(&layer, bias)?);
    l.note(node, [weights, constants]);
    let (x, y) = (l.place(node.inputs[0])?, l.result(node.outputs[0])?);
    let broken = || Diagnostic::error("COMP04", "a tile is larger than a transfer can hold");
    for &chunk in &chunks {
        load_weights(l, &layer, chunk, weights, constants, tiles).ok_or_else(broken)?;
        for n in 0..layer.n {
            for stripe in layer.rows.stripes(height) {
                load_rows(l, &layer, chunk, stripe, x.offset(n * layer.h * layer.w * layer.c * layer.elem), tiles)
                    .ok_or_else(broken)?;
                let command = layer.command(template, chunk, stripe)?;
                l.push(command);
                store_rows(l, &layer, chunk, stripe, y, n, tiles).ok_or_else(broken)?;
            }
        }
    }
    Ok(vec![axis("channels", chunks[0].out.1, layer.oc), axis("rows", height, layer.oh)])
}

fn constant<'a>(l: &Lowering<'a>, id: TensorId) -> Result<&'a Tensor, Diagnostic> {
    let t = l.tensor(id);
    t.data.as_ref().ok_or_else(|| Diagnostic::error("COMP05", format!("{} is not constant", t.name)))
}

/// Appends weights in the order of the command: output channel, row, column, channel; tap, channel when depthwise.
fn pack_weights(layer: &Layer<'_>, weights: &[i8], out: &mut Vec<u8>) {
    let (taps, depth) = (layer.taps(), layer.group_channels);
    if taps == 1 {
        return out.extend(weights.iter().map(|&w| w as u8));
    }
    let start = out.len();
    out.resize(start + weights.len(), 0);
    // One filter's channels, or all channels of a depthwise layer, get tap by tap.
    let channels = if layer.depthwise { layer.oc } else { depth };
    let filters = weights.chunks_exact(channels * taps).zip(out[start..].chunks_exact_mut(channels * taps));
    match taps {
        9 => filters.for_each(|(filter, out)| taps_first::<9>(filter, out)),
        49 => filters.for_each(|(filter, out)| taps_first::<49>(filter, out)),
        _ => filters.for_each(|(filter, out)| any_taps_first(filter, channels, taps, out)),
    }
}

/// `[channels][TAPS]` as `[TAPS][channels]`.
fn taps_first<const TAPS: usize>(filter: &[i8], out: &mut [u8]) {
    let (columns, _) = filter.as_chunks::<TAPS>();
    for (tap, out) in out.chunks_exact_mut(columns.len()).enumerate().take(TAPS) {
        out.iter_mut().zip(columns).for_each(|(to, column)| *to = column[tap] as u8);
    }
}

/// `[channels][taps]` as `[taps][channels]`, any number of taps.
fn any_taps_first(filter: &[i8], channels: usize, taps: usize, out: &mut [u8]) {
    for (tap, out) in out.chunks_exact_mut(channels).enumerate() {
        out.iter_mut().zip(filter.iter().skip(tap).step_by(taps)).for_each(|(to, &w)| *to = w as u8);
    }
}

/// Bias, multiplier and shift of every output channel.
fn channel_constants(layer: &Layer<'_>, bias: Option<&Tensor>) -> Result<Vec<u8>, Diagnostic> {
    let bias = bias.map(Tensor::i32s).transpose().map_err(|e| Diagnostic::error("COMP05", e.to_string()))?;
    let none = Requant::Fixed(vec![(0, 0)]);
    let requant = layer.conv.requant.as_ref().unwrap_or(&none);
    let mut out = Vec::with_capacity(layer.oc * CHANNEL_CONSTANT_BYTES);
    for o in 0..layer.oc {
        out.extend_from_slice(&bias.map_or(0, |b| b[o]).to_le_bytes());
        out.extend_from_slice(&entry_bytes(requant, o));
    }
    Ok(out)
}

fn load_weights(
    l: &mut Lowering<'_>,
    layer: &Layer<'_>,
    chunk: Chunk,
    weights: Place,
    constants: Place,
    tiles: Tiles,
) -> Option<()> {
    let (start, count) = chunk.out;
    if layer.depthwise {
        let shape = BoxTransfer::new(&[layer.taps(), count], &[layer.oc, 1], 1)?;
        l.load(shape, weights.offset(start), tiles.weights);
    } else {
        let filter = layer.taps() * layer.group_channels;
        l.load(BoxTransfer::linear(count * filter)?, weights.offset(start * filter), tiles.weights);
    }
    let bytes = CHANNEL_CONSTANT_BYTES;
    l.load(BoxTransfer::linear(count * bytes)?, constants.offset(start * bytes), tiles.constants);
    Some(())
}

fn load_rows(
    l: &mut Lowering<'_>,
    layer: &Layer<'_>,
    chunk: Chunk,
    stripe: Stripe,
    image: Place,
    tiles: Tiles,
) -> Option<()> {
    if stripe.in_rows == 0 {
        return Some(());
    }
    let row = layer.w * layer.c;
    let shape = BoxTransfer::new(&[stripe.in_rows, layer.w, chunk.input.1], &[row, layer.c, 1], layer.elem)?;
    l.load(shape, image.offset((stripe.input * row + chunk.input.0) * layer.elem), tiles.ifm);
    Some(())
}

fn store_rows(
    l: &mut Lowering<'_>,
    layer: &Layer<'_>,
    chunk: Chunk,
    stripe: Stripe,
    result: Place,
    n: usize,
    tiles: Tiles,
) -> Option<()> {
    let (row, elem) = (layer.ow * layer.oc, layer.out.bytes());
    let shape = BoxTransfer::new(&[stripe.out_rows, layer.ow, chunk.out.1], &[row, layer.oc, 1], elem)?;
    let start = (n * layer.oh + stripe.out) * row + chunk.out.0;
    l.store(shape, tiles.ofm, result.offset(start * elem));
    Some(())
}
