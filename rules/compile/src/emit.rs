//! A plan's groups → steps.
//!
//! A fused group passes stripes of its last layer's rows through all its layers. For every stripe, needs go backwards: the
//! rows of each tensor that the layers behind it read, and, of a tensor that leaves the group, rows up to its share of
//! the stripes. Then the layers run forwards, each over the rows that are needed and not there yet.

use crate::base::Base;
use crate::ddr::Place;
use crate::flow::{Flow, Operand};
use crate::fusable::{Fusable, Input, Rows};
use crate::plan::{Form, Plan};
use crate::transfer::BoxTransfer;
use ptq_ir::TensorId;
use ptq_sim::{CHANNEL_CONSTANT_BYTES, Command, Conv, Ddr, QUEUES, Record, Sram, TAP_CONSTANT_BYTES};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// Output channels of a part of a convolution are a multiple of this.
const CHANNEL_STEP: usize = 32;

/// A part of a convolution's weights takes at most this share of the SRAM.
const WEIGHT_SHARE: usize = 8;

/// Bytes of a look-up table.
const TABLE_BYTES: usize = 256;

/// The steps of a plan; `None` when it cannot be followed.
pub(crate) fn emit(base: &Base<'_>, plan: &Plan) -> Option<Flow> {
    let mut emission = Emission { base, flow: Flow::default(), kept: kept(base, plan)?, resident: BTreeMap::new() };
    for (start, group) in plan.starts() {
        let nodes = start..start + group.layers as usize;
        match group.form {
            Form::Layer => emission.flow.import(&base.layers[start])?,
            Form::Fused { stripes, cache, stream } => {
                emission.fused(nodes, usize::from(stripes), cache, stream)?;
            }
        }
    }
    Some(emission.flow)
}

/// The steps of one group by itself, all its inputs in DDR.
pub(crate) fn emit_group(base: &Base<'_>, nodes: Range<usize>, form: Form) -> Option<Flow> {
    let mut e = Emission { base, flow: Flow::default(), kept: BTreeSet::new(), resident: BTreeMap::new() };
    match form {
        Form::Layer => e.flow.import(&base.layers[nodes.start])?,
        Form::Fused { stripes, cache, stream } => e.fused(nodes, usize::from(stripes), cache, stream)?,
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
    /// Rows of a tensor that are there for good: stored, or in a buffer of the whole tensor.
    covered: BTreeMap<TensorId, usize>,
    /// Buffers of whole tensors.
    whole: BTreeMap<TensorId, u32>,
    weights: BTreeMap<usize, Weights>,
    tables: BTreeMap<(usize, usize), u32>,
    tiles: BTreeMap<TensorId, Tile>,
}

impl Emission<'_, '_> {
    fn fused(&mut self, nodes: Range<usize>, stripes: usize, cache: bool, stream: bool) -> Option<()> {
        let layers: Vec<&Fusable> =
            self.base.fusable[nodes.clone()].iter().map(Option::as_ref).collect::<Option<_>>()?;
        let height = layers.last()?.extents.h;
        let step = height.div_ceil(stripes.clamp(1, height));
        let count = height.div_ceil(step);
        let mut state = Stripes::default();
        for (i, layer) in layers.iter().enumerate() {
            let id = layer.output;
            let inside = cache && count > 1 && self.halo(&layers[i..], id);
            if self.kept.contains(&id) || inside {
                let buffer = self.flow.buffer(layer.extents.h * layer.extents.row());
                state.whole.insert(id, buffer);
            }
        }
        for s in 0..count {
            let rows = (s * step, height.min((s + 1) * step));
            let (need, work) = self.needs(&nodes, &layers, &state, rows, (s + 1, count))?;
            state.tiles.clear();
            if stream {
                state.weights.clear();
            }
            for (i, layer) in layers.iter().enumerate() {
                if let Some(rows) = work[i] {
                    self.layer(nodes.start + i, layer, rows, &need, &mut state)?;
                    self.leave(&nodes, nodes.start + i, layer, rows, &mut state)?;
                }
            }
        }
        let whole = state.whole.into_iter().filter(|(id, _)| self.kept.contains(id));
        self.resident.extend(whole);
        Some(())
    }

    /// Whether a layer behind reads rows of this tensor twice.
    fn halo(&self, behind: &[&Fusable], id: TensorId) -> bool {
        behind.iter().any(|l| l.overlaps() && l.inputs.iter().any(|i| i.tensor == id))
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
            let covered = state.covered.get(&id).copied().unwrap_or(0);
            if i + 1 == layers.len() {
                join(&mut need, id, last_rows);
            }
            if self.base.escapes(id, nodes) {
                let share = if part == parts { layer.extents.h } else { layer.extents.h * part / parts };
                if share > covered || need.contains_key(&id) {
                    join(&mut need, id, (covered, share.max(covered)));
                }
            }
            let Some(&(start, end)) = need.get(&id) else { continue };
            let from = if state.whole.contains_key(&id) { covered } else { start };
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
            Some(&buffer) => Tile { buffer, first_row: 0 },
            None => {
                let buffer = self.flow.buffer((rows.1 - rows.0) * layer.extents.row());
                Tile { buffer, first_row: rows.0 }
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
                let table = self.table(node, 9, *layer.constants.first()?, TABLE_BYTES, state)?;
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
            (_, Some(buffer)) => Tile { buffer, first_row: 0 },
            (Some(tile), _) => *tile,
            (None, None) => {
                let &(first, end) = need.get(&input.tensor)?;
                let row = input.extents.row();
                let place = self.base.place(input.tensor)?.offset(first * row);
                let tile = Tile { buffer: self.load(node, place, (end - first) * row)?, first_row: first };
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
        let part = if dense { (most / CHANNEL_STEP).max(1) * CHANNEL_STEP } else { channels };
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
        let covered = state.covered.get(&id).copied().unwrap_or(0);
        let stays = self.kept.contains(&id) && !self.base.leaves(id);
        if self.base.escapes(id, nodes) && !stays && end > covered {
            let tile = *state.tiles.get(&id)?;
            let row = layer.extents.row();
            let command = Command::Store(BoxTransfer::linear((end - covered) * row)?.at(Ddr(0), Sram(0)));
            let place = self.base.place(id)?.offset(covered * row);
            let at = (covered.checked_sub(tile.first_row)? * row) as u64;
            self.flow.push(record(node, command), Some(place), vec![Some((tile.buffer, at))]);
        }
        state.covered.insert(id, covered.max(end));
        Some(())
    }
}

fn record(node: usize, command: Command) -> Record {
    Record { layer: node as u16, wait: [0; QUEUES], command }
}

fn join(need: &mut BTreeMap<TensorId, (usize, usize)>, id: TensorId, rows: (usize, usize)) {
    let n = need.entry(id).or_insert(rows);
    *n = (n.0.min(rows.0), n.1.max(rows.1));
}

/// Rows of an input that these output rows read; `None` when they lie wholly in the padding.
fn input_rows(input: &Input, (start, end): (usize, usize)) -> Option<(usize, usize)> {
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
fn window(input: &Input, (start, end): (usize, usize)) -> Option<(u16, u16)> {
    let Rows::Window(w) = input.rows else { return None };
    let s = w.stripe(start, end - start);
    Some((u16::try_from(s.in_rows).ok()?, u16::try_from(s.pad_top).ok()?))
}
