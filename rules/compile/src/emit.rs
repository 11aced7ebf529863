//! A plan's groups → steps.
//!
//! A fused group passes stripes of its last layer's rows through all its layers. For every stripe, needs go backwards: the
//! rows of each tensor that the layers behind it read, and, of a tensor that leaves the group, rows up to its share of
//! the stripes. Then the layers run forwards, each over the rows that are needed and not there yet.

use crate::base::Base;
use crate::ddr::Place;
use crate::flow::{Flow, Operand};
use crate::fusable::{Extents, Fusable, Input, Rows};
use crate::plan::{Form, Plan};
use crate::rows::{input_rows, join, own_rows, window};
use crate::transfer::BoxTransfer;
use ptq_ir::TensorId;
use ptq_sim::{CHANNEL_CONSTANT_BYTES, Command, Conv, Ddr, Elem, QUEUES, Record, Sram, TAP_CONSTANT_BYTES, Trans};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// Output channels of a part of a convolution are a multiple of this, and of the array's columns.
const CHANNEL_STEP: usize = 32;

/// A part of a convolution's weights takes at most this share of the SRAM.
const WEIGHT_SHARE: usize = 8;

/// The whole of something: the only core.
const ALONE: (usize, usize) = (0, 1);

/// The steps of a plan; `None` when it cannot be followed.
pub(crate) fn emit(base: &Base<'_>, plan: &Plan) -> Option<Flow> {
    emit_groups(base, plan, 0..plan.groups.len())
}

/// The steps of some of a plan's groups. What they keep in SRAM, no other group reads.
pub(crate) fn emit_groups(base: &Base<'_>, plan: &Plan, groups: Range<usize>) -> Option<Flow> {
    let mut emission = Emission { base, flow: Flow::default(), kept: kept(base, plan)?, resident: BTreeMap::new() };
    for (start, group) in plan.starts().skip(groups.start).take(groups.len()) {
        let nodes = start..start + group.layers as usize;
        match group.form {
            Form::Layer => emission.flow.import(&base.layers[start])?,
            Form::Fused { stripes, cache, stream } => {
                emission.fused(nodes, usize::from(stripes), cache, stream, ALONE)?;
            }
        }
    }
    Some(emission.flow)
}

/// The steps of one core of several that share a group: each computes its part of the rows of everything that leaves the
/// group, and again what the parts have in common. `part`: core and number of cores.
pub(crate) fn emit_part(
    base: &Base<'_>,
    nodes: Range<usize>,
    stripes: usize,
    cache: bool,
    stream: bool,
    part: (usize, usize),
) -> Option<Flow> {
    let mut e = Emission { base, flow: Flow::default(), kept: BTreeSet::new(), resident: BTreeMap::new() };
    e.fused(nodes, stripes, cache, stream, part)?;
    Some(e.flow)
}

/// The steps of one group by itself. Inputs come from DDR, apart from `resident` ones, which are in SRAM; the last result
/// stays there where `stays`.
pub(crate) fn emit_group(
    base: &Base<'_>,
    nodes: Range<usize>,
    form: Form,
    resident: Option<TensorId>,
    stays: bool,
) -> Option<Flow> {
    let mut e = Emission { base, flow: Flow::default(), kept: BTreeSet::new(), resident: BTreeMap::new() };
    match form {
        Form::Layer => e.flow.import(&base.layers[nodes.start])?,
        Form::Fused { stripes, cache, stream } => {
            if let Some(id) = resident {
                let extents = base.fusable[nodes.clone()].iter().flatten().flat_map(|f| &f.inputs);
                let extents = extents.clone().find(|i| i.tensor == id)?.extents;
                let buffer = e.flow.buffer(extents.h * extents.row());
                e.resident.insert(id, buffer);
            }
            if stays {
                e.kept.insert(base.fusable[nodes.end - 1].as_ref()?.output);
            }
            e.fused(nodes, usize::from(stripes), cache, stream, ALONE)?;
        }
    }
    Some(e.flow)
}

/// Results that stay in SRAM. Only fused groups can make and read them.
fn kept(base: &Base<'_>, plan: &Plan) -> Option<BTreeSet<TensorId>> {
    let mut fused = vec![false; base.nodes.len()];
    for (start, group) in plan.starts() {
        fused[start..start + group.layers as usize].fill(group.form != Form::Layer);
    }
    let keep = |&node: &u32| {
        let id = base.fusable.get(node as usize)?.as_ref()?.output;
        let by_groups = fused[node as usize] && base.consumers(id).iter().all(|&c| fused[c]);
        by_groups.then_some(id)
    };
    plan.kept.iter().map(keep).collect()
}

/// A tensor's rows in a buffer.
#[derive(Clone, Copy)]
struct Tile {
    buffer: u32,
    first_row: usize,
    /// Behind the last row.
    end: usize,
}

/// A convolution's weights in SRAM: output channels (start, count), weights, channel constants.
type Weights = Vec<((usize, usize), u32, u32)>;

struct Emission<'a, 'b> {
    base: &'b Base<'a>,
    flow: Flow,
    kept: BTreeSet<TensorId>,
    /// Whole tensors that stay in SRAM.
    resident: BTreeMap<TensorId, u32>,
}

/// What a group remembers from stripe to stripe.
#[derive(Default)]
struct Stripes {
    /// The core and the number of cores that share the group.
    part: (usize, usize),
    /// Rows of a tensor that have been computed, up to this one.
    covered: BTreeMap<TensorId, usize>,
    /// Rows of a tensor that are there for good, up to this one: stored, or in a buffer of the whole tensor.
    delivered: BTreeMap<TensorId, usize>,
    /// Buffers of whole tensors.
    whole: BTreeMap<TensorId, u32>,
    /// Tensors whose rows move from one stripe's tile to the next one's where both read them.
    rolling: BTreeSet<TensorId>,
    /// Tiles of the stripe before.
    before: BTreeMap<TensorId, Tile>,
    weights: BTreeMap<usize, Weights>,
    tables: BTreeMap<(usize, usize), u32>,
    tiles: BTreeMap<TensorId, Tile>,
}

impl Emission<'_, '_> {
    fn fused(
        &mut self,
        nodes: Range<usize>,
        stripes: usize,
        cache: bool,
        stream: bool,
        part: (usize, usize),
    ) -> Option<()> {
        let layers: Vec<&Fusable> =
            self.base.fusable[nodes.clone()].iter().map(Option::as_ref).collect::<Option<_>>()?;
        let height = layers.last()?.extents.h;
        let own = own_rows(height, part);
        let step = height.div_ceil(stripes.clamp(1, height)).min(own.len());
        let count = own.len().div_ceil(step.max(1));
        let shared = layers.iter().filter(|l| self.base.escapes(l.output, &nodes)).map(|l| l.extents.h).min();
        if count == 0 || shared.is_some_and(|h| h < part.1) {
            return None;
        }
        let mut state = Stripes { part, ..Stripes::default() };
        for (i, layer) in layers.iter().enumerate() {
            let id = layer.output;
            let inside = cache && count > 1 && self.halo(&layers[i..], id);
            if inside && !self.kept.contains(&id) && self.rolls(layer.extents) {
                state.rolling.insert(id);
            } else if self.kept.contains(&id) || inside {
                let buffer = self.flow.buffer(layer.extents.h * layer.extents.row());
                state.whole.insert(id, buffer);
            }
            let outside = layer.inputs.iter().filter(|x| cache && count > 1 && x.overlaps() && self.rolls(x.extents));
            state.rolling.extend(outside.map(|x| x.tensor).filter(|t| layers.iter().all(|l| l.output != *t)));
        }
        for s in 0..count {
            let rows = (own.start + s * step, own.end.min(own.start + (s + 1) * step));
            let (need, work) = self.needs(&nodes, &layers, &state, rows, (s + 1, count))?;
            state.before = std::mem::take(&mut state.tiles);
            if stream {
                state.weights.clear();
            }
            for (i, layer) in layers.iter().enumerate() {
                if let Some(rows) = work[i] {
                    self.layer(nodes.start + i, layer, rows, &need, &mut state)?;
                    self.leave(&nodes, nodes.start + i, layer, rows, &mut state)?;
                } else if let Some(&tile) = state.before.get(&layer.output)
                    && need.contains_key(&layer.output)
                    && state.rolling.contains(&layer.output)
                {
                    // All its rows are there already.
                    state.tiles.insert(layer.output, tile);
                }
            }
        }
        let whole = state.whole.into_iter().filter(|(id, _)| self.kept.contains(id));
        self.resident.extend(whole);
        Some(())
    }

    /// Whether rows of such a tensor can move between tiles: each begins at an aligned address.
    fn rolls(&self, e: Extents) -> bool {
        e.row().is_multiple_of(self.base.target.align as usize)
    }

    /// Whether a layer behind reads rows of this tensor twice.
    fn halo(&self, behind: &[&Fusable], id: TensorId) -> bool {
        behind.iter().any(|l| l.inputs.iter().any(|i| i.tensor == id && i.overlaps()))
    }

    /// The rows of every tensor that this stripe reads, and those that each layer computes.
    #[allow(clippy::type_complexity)]
    fn needs(
        &self,
        nodes: &Range<usize>,
        layers: &[&Fusable],
        state: &Stripes,
        last_rows: (usize, usize),
        (part, parts): (usize, usize),
    ) -> Option<(BTreeMap<TensorId, (usize, usize)>, Vec<Option<(usize, usize)>>)> {
        let mut need: BTreeMap<TensorId, (usize, usize)> = BTreeMap::new();
        let mut work = vec![None; layers.len()];
        for (i, layer) in layers.iter().enumerate().rev() {
            let id = layer.output;
            let own = own_rows(layer.extents.h, state.part);
            let delivered = state.delivered.get(&id).copied().unwrap_or(own.start);
            if i + 1 == layers.len() {
                join(&mut need, id, last_rows);
            }
            if self.base.escapes(id, nodes) {
                let share = if part == parts { own.end } else { own.start + own.len() * part / parts };
                if share > delivered || need.contains_key(&id) {
                    join(&mut need, id, (delivered, share.max(delivered)));
                }
            }
            let Some(&(start, end)) = need.get(&id) else { continue };
            // A core that is not the first begins where its neighbour's rows are needed too.
            let first = if state.part.0 == 0 { 0 } else { start };
            let from = match state.tiles.get(&id) {
                _ if state.whole.contains_key(&id) => state.covered.get(&id).copied().unwrap_or(first),
                // Tiles are still those of the stripe before.
                Some(t) if state.rolling.contains(&id) && t.first_row <= start && start < t.end => t.end,
                _ => start,
            };
            if from >= end {
                continue;
            }
            work[i] = Some((from, end));
            for input in layer.inputs.iter().filter(|i| i.constant.is_none()) {
                join(&mut need, input.tensor, input_rows(input, (from, end))?);
            }
        }
        Some((need, work))
    }

    /// Computes rows of a layer.
    fn layer(
        &mut self,
        node: usize,
        layer: &Fusable,
        rows: (usize, usize),
        need: &BTreeMap<TensorId, (usize, usize)>,
        state: &mut Stripes,
    ) -> Option<()> {
        let x: Vec<Operand> = layer
            .inputs
            .iter()
            .enumerate()
            .map(|(i, input)| self.input(node, i, input, rows, need, state).map(Some))
            .collect::<Option<_>>()?;
        let y = match state.whole.get(&layer.output) {
            Some(&buffer) => Tile { buffer, first_row: 0, end: layer.extents.h },
            None => {
                let first = need.get(&layer.output).map_or(rows.0, |n| n.0).min(rows.0);
                self.rolled(node, layer.output, layer.extents, (first, rows.0, rows.1), state)?
            }
        };
        state.tiles.insert(layer.output, y);
        let at = ((rows.0 - y.first_row) * layer.extents.row()) as u64;
        let ofm = Some((y.buffer, at));
        let (count, e) = (rows.1 - rows.0, layer.extents);
        let elements = count * e.w * e.c;
        match layer.pattern {
            Command::Conv(c) | Command::DwConv(c) => {
                self.weights(node, layer, &c, state)?;
                let whole = Conv { out_hwc: [u16::try_from(count).ok()?, c.out_hwc[1], u16::try_from(e.c).ok()?], ..c };
                let conv = self.conv(layer, whole, rows)?;
                for &((start, n), weights, constants) in &state.weights[&node] {
                    let part = Conv { out_hwc: [conv.out_hwc[0], conv.out_hwc[1], n as u16], ..conv };
                    let command = if matches!(layer.pattern, Command::Conv(_)) {
                        Command::Conv(part)
                    } else {
                        Command::DwConv(part)
                    };
                    let ofm = Some((y.buffer, at + (start * e.elem) as u64));
                    self.compute(node, command, vec![x[0], Some((weights, 0)), Some((constants, 0)), ofm]);
                }
            }
            Command::Pool(mut c) => {
                let (in_rows, pad_top) = window(&layer.inputs[0], rows)?;
                c.in_hwc = [in_rows, c.in_hwc[1], u16::try_from(e.c).ok()?];
                c.out_hw[0] = u16::try_from(count).ok()?;
                c.pad_top = pad_top;
                let table = match layer.constants.first() {
                    Some(&place) => Some((self.table(node, 9, place, c.taps as usize * TAP_CONSTANT_BYTES, state)?, 0)),
                    None => None,
                };
                self.compute(node, Command::Pool(c), vec![x[0], table, ofm]);
            }
            Command::Lut(mut c) => {
                c.count = u32::try_from(elements).ok()?;
                let table = self.table(node, 9, *layer.constants.first()?, c.table_bytes(), state)?;
                self.compute(node, Command::Lut(c), vec![x[0], Some((table, 0)), ofm]);
            }
            Command::Eltwise(mut c) => {
                c.dims = [1, u32::try_from(count * e.w).ok()?, u32::try_from(e.c).ok()?];
                let whole = |i: usize| matches!(layer.inputs[i].rows, Rows::Whole);
                c.broadcast = u8::from(whole(0)) << 1 | u8::from(whole(1)) << 4;
                self.compute(node, Command::Eltwise(c), vec![x[0], x[1], ofm]);
            }
            _ => return None,
        }
        Some(())
    }

    /// The convolution over these rows and all channels.
    fn conv(&self, layer: &Fusable, c: Conv, rows: (usize, usize)) -> Option<Conv> {
        let (in_rows, pad_top) = window(&layer.inputs[0], rows)?;
        let channels = u16::try_from(layer.inputs[0].extents.c).ok()?;
        Some(Conv { in_hwc: [in_rows, c.in_hwc[1], channels], pad_top, ofm_pixel: c.out_hwc[2], ..c })
    }

    /// A tile for rows `first..end`, of which those before `from` come from the stripe before.
    fn rolled(
        &mut self,
        node: usize,
        id: TensorId,
        extents: Extents,
        (first, from, end): (usize, usize, usize),
        state: &Stripes,
    ) -> Option<Tile> {
        let row = extents.row();
        let tile = Tile { buffer: self.flow.buffer((end - first) * row), first_row: first, end };
        if from > first {
            let before = state.before.get(&id)?;
            let bytes = u32::try_from((from - first) * row).ok()?;
            let at = (first.checked_sub(before.first_row)? * row) as u64;
            let copy = Trans {
                src: Sram(0),
                dst: Sram(0),
                dims: [1, 1, 1, bytes],
                src_strides: [0, 0, 0, u32::from(bytes > 1)],
                elem: Elem::I8,
            };
            self.compute(node, Command::Trans(copy), vec![Some((before.buffer, at)), Some((tile.buffer, 0))]);
        }
        Some(tile)
    }

    fn compute(&mut self, node: usize, command: Command, operands: Vec<Operand>) {
        self.flow.push(record(node, command), None, operands);
    }

    /// Contiguous bytes from DDR in a buffer of their own.
    fn load(&mut self, node: usize, place: Place, bytes: usize) -> Option<u32> {
        let buffer = self.flow.buffer(bytes);
        let command = Command::Load(BoxTransfer::linear(bytes)?.at(Ddr(0), Sram(0)));
        self.flow.push(record(node, command), Some(place), vec![Some((buffer, 0))]);
        Some(buffer)
    }

    fn table(&mut self, node: usize, slot: usize, place: Place, bytes: usize, state: &mut Stripes) -> Option<u32> {
        if let Some(&buffer) = state.tables.get(&(node, slot)) {
            return Some(buffer);
        }
        let buffer = self.load(node, place, bytes)?;
        state.tables.insert((node, slot), buffer);
        Some(buffer)
    }

    /// Where the rows of an input that a stripe reads begin.
    fn input(
        &mut self,
        node: usize,
        index: usize,
        input: &Input,
        rows: (usize, usize),
        need: &BTreeMap<TensorId, (usize, usize)>,
        state: &mut Stripes,
    ) -> Option<(u32, u64)> {
        if let Some(place) = input.constant {
            return Some((self.table(node, index, place, input.extents.h * input.extents.row(), state)?, 0));
        }
        let (start, _) = input_rows(input, rows)?;
        let tile = match (state.tiles.get(&input.tensor), self.whole(input.tensor, state)) {
            (_, Some(buffer)) => Tile { buffer, first_row: 0, end: input.extents.h },
            (Some(tile), _) => *tile,
            (None, None) => {
                let &(first, end) = need.get(&input.tensor)?;
                let there = state.before.get(&input.tensor).filter(|_| state.rolling.contains(&input.tensor));
                let from = there.filter(|t| t.first_row <= first && first < t.end).map_or(first, |t| t.end.min(end));
                let tile = match there {
                    Some(&tile) if from == end => tile,
                    _ => {
                        let tile = self.rolled(node, input.tensor, input.extents, (first, from, end), state)?;
                        let row = input.extents.row();
                        let place = self.base.place(input.tensor)?.offset(from * row);
                        let command = Command::Load(BoxTransfer::linear((end - from) * row)?.at(Ddr(0), Sram(0)));
                        let at = ((from - first) * row) as u64;
                        self.flow.push(record(node, command), Some(place), vec![Some((tile.buffer, at))]);
                        tile
                    }
                };
                state.tiles.insert(input.tensor, tile);
                tile
            }
        };
        Some((tile.buffer, (start.checked_sub(tile.first_row)? * input.extents.row()) as u64))
    }

    fn whole(&self, id: TensorId, state: &Stripes) -> Option<u32> {
        state.whole.get(&id).or_else(|| self.resident.get(&id)).copied()
    }

    /// Loads a convolution's weights, if they are not there.
    fn weights(&mut self, node: usize, layer: &Fusable, c: &Conv, state: &mut Stripes) -> Option<()> {
        if state.weights.contains_key(&node) {
            return Some(());
        }
        let &[weights, constants] = &layer.constants[..] else { return None };
        let channels = layer.extents.c;
        let filter = usize::from(c.kernel[0]) * usize::from(c.kernel[1]) * usize::from(c.group_channels);
        // Only a convolution of one group can be computed in parts.
        let dense = layer.inputs[0].extents.c == usize::from(c.group_channels);
        let most = self.base.target.sram_bytes as usize / WEIGHT_SHARE / filter.max(1);
        // Fewer channels than the array has columns would leave the rest of them idle.
        let step = CHANNEL_STEP.next_multiple_of(self.base.hardware.mac.oc.max(1) as usize);
        let part = if dense { (most / step).max(1).saturating_mul(step) } else { channels };
        let mut parts = Vec::new();
        for (start, n) in crate::sram::cut(channels, part.min(channels)) {
            let w = self.load(node, weights.offset(start * filter), n * filter)?;
            let k = CHANNEL_CONSTANT_BYTES;
            let k = self.load(node, constants.offset(start * k), n * k)?;
            parts.push(((start, n), w, k));
        }
        state.weights.insert(node, parts);
        Some(())
    }

    /// Stores new rows of a tensor that somebody outside reads from DDR.
    fn leave(
        &mut self,
        nodes: &Range<usize>,
        node: usize,
        layer: &Fusable,
        (_, end): (usize, usize),
        state: &mut Stripes,
    ) -> Option<()> {
        let id = layer.output;
        let own = own_rows(layer.extents.h, state.part);
        let delivered = state.delivered.get(&id).copied().unwrap_or(own.start);
        // Rows behind its own part are its neighbour's to store.
        let last = end.min(own.end);
        let stays = self.kept.contains(&id) && !self.base.leaves(id);
        if self.base.escapes(id, nodes) && !stays && last > delivered {
            let tile = *state.tiles.get(&id)?;
            let row = layer.extents.row();
            let command = Command::Store(BoxTransfer::linear((last - delivered) * row)?.at(Ddr(0), Sram(0)));
            let place = self.base.place(id)?.offset(delivered * row);
            let at = (delivered.checked_sub(tile.first_row)? * row) as u64;
            self.flow.push(record(node, command), Some(place), vec![Some((tile.buffer, at))]);
        }
        state.delivered.insert(id, delivered.max(last));
        let covered = state.covered.get(&id).copied().unwrap_or(0);
        state.covered.insert(id, covered.max(end));
        Some(())
    }
}

fn record(node: usize, command: Command) -> Record {
    Record { layer: node as u16, wait: [0; QUEUES], core: 0, command }
}
