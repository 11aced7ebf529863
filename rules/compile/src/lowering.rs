//! A BPU segment → commands, layer by layer: the tiles of [`LayerPlan`], every tensor through DDR, no overlap (O0). Other
//! levels regroup what this found out (`base`).
//!
//! One file an operator family. All of them work on storage order: rank-4 tensors as NHWC, others row-major.

mod concat;
mod constants;
mod conv;
mod eltwise;
mod gather;
mod interp;
mod lines;
mod lut;
mod matmul;
mod pad;
mod permute;
mod pool;
mod requantize;
mod reshape;
mod resize;
mod slice;
mod stripe;

pub(crate) use stripe::WindowRows;

use crate::base::{Base, Notes};
use crate::ddr::{DdrBump, Place};
use crate::division::Followed;
use crate::flow::Emitted;
use crate::search::{CostTable, Found, Report, Search};
use crate::segment::SegmentNodes;
use crate::transfer::BoxTransfer;
use ptq_ir::{DType, Diagnostic, QGraph, QNode, QOp, QTensor, TensorId, numel};
use ptq_march::Hardware;
use ptq_sim::artifact::{LayerPlan, Npu, Placed, TileAxis};
use ptq_sim::{CHANNEL_CONSTANT_BYTES, Command, Ddr, Elem, Program, QUEUES, Record, Sram, Target, to_storage};
use std::collections::BTreeMap;
use std::sync::Mutex;

/// Constants for which room is made at once, in bytes; what a file says of its size is not believed beyond that.
const MOST_EXPECTED: usize = 1 << 30;

/// Lowers one segment.
///
/// # Errors
/// Every node that does not fit, by name.
pub(crate) fn lower(
    graph: &QGraph,
    segment: &SegmentNodes<'_>,
    hardware: &Hardware,
    search: &Search,
    replay: Option<&Followed>,
    costs: Option<&Mutex<CostTable>>,
) -> Result<(Npu, Report), Vec<Diagnostic>> {
    let target = Target::from(hardware);
    let mut l = Lowering::new(graph, target);
    l.ddr.expect(constant_bytes(graph, segment));
    let mut problems = Vec::new();
    for &id in &segment.inputs {
        if let Err(d) = l.reserve(id) {
            problems.push(d.value(&graph.tensor(id).name));
        }
    }
    for (i, &node) in segment.nodes.iter().enumerate() {
        match u16::try_from(i) {
            Ok(layer) => l.layer = layer,
            Err(_) => {
                problems.push(Diagnostic::error("COMP04", "a segment has more than 65536 nodes").node(&node.name));
                break;
            }
        }
        match l.node(node) {
            Ok(tile) => l.plan.push(LayerPlan { node: node.name.clone(), op: node.op.name().to_owned(), tile }),
            Err(d) => {
                problems.push(d.node(&node.name));
                l.assume_results(node);
            }
        }
        l.push(Command::Sync);
    }
    if problems.is_empty() {
        l.finish(segment, hardware, search, replay, costs).map_err(|d| vec![d])
    } else {
        Err(problems)
    }
}

/// About how many bytes of constants the segment's program will have.
fn constant_bytes(graph: &QGraph, segment: &SegmentNodes<'_>) -> usize {
    let inputs = segment.nodes.iter().flat_map(|n| &n.inputs).map(|&id| graph.tensor(id));
    let constants = inputs.filter(|t| t.data.is_some());
    let bytes = |t: &QTensor| match numel(&t.shape) {
        // A bias gets a multiplier and a shift beside it.
        Some(n) if t.dtype == DType::I32 => n.saturating_mul(CHANNEL_CONSTANT_BYTES),
        Some(n) => n.saturating_mul(t.dtype.bytes()),
        None => 0,
    };
    constants.map(|t| bytes(t).saturating_add(64)).fold(0, usize::saturating_add).min(MOST_EXPECTED)
}

/// The program under construction; the operator files emit into it. Their diagnostics get the node's name here.
struct Lowering<'a> {
    graph: &'a QGraph,
    target: Target,
    layer: u16,
    ddr: DdrBump,
    /// Commands; transfers with the place that their DDR address will be.
    commands: Vec<Emitted>,
    /// Constants and operands that layers placed, by their results.
    notes: Notes,
    places: BTreeMap<TensorId, (Place, Option<u16>)>,
    order: Vec<TensorId>,
    plan: Vec<LayerPlan>,
}

/// A layer's tile axes, or why it cannot be lowered.
type Lowered = Result<Vec<TileAxis>, Diagnostic>;

impl<'a> Lowering<'a> {
    fn new(graph: &'a QGraph, target: Target) -> Lowering<'a> {
        Lowering {
            graph,
            target,
            layer: 0,
            ddr: DdrBump::new(target),
            commands: Vec::new(),
            notes: Notes::new(),
            places: BTreeMap::new(),
            order: Vec::new(),
            plan: Vec::new(),
        }
    }

    fn node(&mut self, node: &QNode) -> Lowered {
        match &node.op {
            QOp::Conv(conv) => conv::lower(self, node, conv),
            QOp::AveragePool(pool) => pool::lower_average(self, node, pool),
            QOp::MaxPool(geom) => pool::lower_max(self, node, geom),
            QOp::Add(add) => eltwise::lower_add(self, node, add),
            QOp::Mul(mul) => eltwise::lower_mul(self, node, mul),
            QOp::Extreme(extreme) => eltwise::lower_extreme(self, node, extreme),
            QOp::Div(div) => eltwise::lower_div(self, node, div),
            QOp::MatMul(matmul) => matmul::lower(self, node, matmul),
            QOp::Reduce(reduce) => lines::lower_reduce(self, node, reduce),
            QOp::Softmax(softmax) => lines::lower_softmax(self, node, softmax),
            QOp::Lut(lut) => lut::lower(self, node, lut),
            QOp::Concat(concat) => concat::lower(self, node, concat),
            QOp::Resize(resize) => resize::lower(self, node, resize),
            QOp::LinearResize(resize) => interp::lower(self, node, resize),
            QOp::DepthToSpace(block) => permute::lower_depth_to_space(self, node, *block),
            QOp::SpaceToDepth { block } => permute::lower_space_to_depth(self, node, *block),
            QOp::Slice { starts } => slice::lower(self, node, starts),
            QOp::Gather { axis, indices } => gather::lower(self, node, *axis, indices),
            QOp::Pad { before, value } => pad::lower(self, node, before, *value),
            QOp::Reshape => reshape::lower(self, node),
            QOp::Transpose { perm } => permute::lower(self, node, perm),
            QOp::Requantize(requantize) => requantize::lower(self, node, requantize),
            QOp::Float { .. } | QOp::Quantize | QOp::Dequantize => {
                Err(Diagnostic::error("COMP03", format!("{} does not run on the accelerator", node.op.name())))
            }
        }
    }

    fn tensor(&self, id: TensorId) -> &'a QTensor {
        self.graph.tensor(id)
    }

    /// Element type of a tensor.
    fn elem(&self, id: TensorId) -> Result<Elem, Diagnostic> {
        let t = self.tensor(id);
        Elem::of(t.dtype).ok_or_else(|| {
            Diagnostic::error("COMP03", format!("{} is {}, which the accelerator does not hold", t.name, t.dtype))
        })
    }

    /// Zero point of a tensor as a command field.
    fn zero(&self, id: TensorId) -> Result<i16, Diagnostic> {
        let t = self.tensor(id);
        let zero = self.elem(id)?.zero_point(t.quant.as_ref());
        zero.ok_or_else(|| Diagnostic::error("COMP04", format!("the zero point of {} is outside its type", t.name)))
    }

    fn bytes(&self, id: TensorId) -> Result<usize, Diagnostic> {
        let count = numel(&self.tensor(id).shape).unwrap_or(usize::MAX);
        Ok(count.saturating_mul(self.elem(id)?.bytes()))
    }

    /// Where a tensor that exists is: an input, an earlier result, or a constant (placed on first use).
    fn place(&mut self, id: TensorId) -> Result<Place, Diagnostic> {
        if let Some((place, _)) = self.places.get(&id) {
            return Ok(*place);
        }
        let t = self.tensor(id);
        let elem = self.elem(id)?.bytes();
        let data = t
            .data
            .as_ref()
            .ok_or_else(|| Diagnostic::error("COMP05", format!("{} is read before it is made", t.name)))?;
        Ok(self.ddr.constant(&to_storage(&data.to_le_bytes(), &t.shape, elem)))
    }

    /// Reserves memory for a segment input.
    fn reserve(&mut self, id: TensorId) -> Result<(), Diagnostic> {
        let place = self.ddr.reserve(self.bytes(id)?);
        self.places.insert(id, (place, None));
        self.order.push(id);
        Ok(())
    }

    /// Reserves memory for a result of the current layer.
    fn result(&mut self, id: TensorId) -> Result<Place, Diagnostic> {
        let place = self.ddr.reserve(self.bytes(id)?);
        self.result_at(id, place)?;
        Ok(place)
    }

    /// Places the results of a node that failed, so that the nodes behind it are judged by themselves.
    fn assume_results(&mut self, node: &QNode) {
        for &id in &node.outputs {
            let place = self.ddr.reserve(0);
            self.places.entry(id).or_insert((place, Some(self.layer)));
        }
    }

    /// A result of the current layer that already lies somewhere.
    fn result_at(&mut self, id: TensorId, place: Place) -> Result<(), Diagnostic> {
        if matches!(place, Place::Constant(_)) {
            return Err(Diagnostic::error("COMP03", "only moves a constant"));
        }
        self.places.insert(id, (place, Some(self.layer)));
        self.order.push(id);
        Ok(())
    }

    /// Memory for an intermediate form of a tensor.
    fn scratch(&mut self, bytes: usize) -> Place {
        self.ddr.reserve(bytes)
    }

    fn constant(&mut self, bytes: &[u8]) -> Place {
        self.ddr.constant(bytes)
    }

    /// Remembers where a layer's constants or operands are.
    fn note<const N: usize>(&mut self, node: &QNode, places: [Place; N]) {
        self.notes.insert(node.outputs[0], places.to_vec());
    }

    fn record(&self, command: Command) -> Record {
        Record { layer: self.layer, wait: [0; QUEUES], core: 0, command }
    }

    fn push(&mut self, command: Command) {
        self.commands.push((self.record(command), None));
    }

    fn load(&mut self, shape: BoxTransfer, from: Place, to: Sram) {
        let command = Command::Load(shape.at(Ddr(0), to));
        self.commands.push((self.record(command), Some(from)));
    }

    fn store(&mut self, shape: BoxTransfer, from: Sram, to: Place) {
        let command = Command::Store(shape.at(Ddr(0), from));
        self.commands.push((self.record(command), Some(to)));
    }

    fn finish(
        self,
        segment: &SegmentNodes<'_>,
        hardware: &Hardware,
        search: &Search,
        replay: Option<&Followed>,
        costs: Option<&Mutex<CostTable>>,
    ) -> Result<(Npu, Report), Diagnostic> {
        let Lowering { graph, target, ddr, commands, notes, places, order, plan, .. } = self;
        let (constants, arena, total) = ddr.finish();
        let too_large = || {
            let node = segment.nodes.first().map_or("", |n| n.name.as_str());
            let message = format!("the segment that starts at {node} needs {total} bytes of external memory");
            Diagnostic::error("COMP02", message)
        };
        let ddr_bytes = u32::try_from(total).map_err(|_| too_large())?;
        let base = Base::new(graph, segment, hardware, arena, commands, &notes, &places);
        let found = match replay {
            Some(followed) => Search::follow(&base, followed).map_err(|why| {
                let node = segment.nodes.first().map_or("", |n| n.name.as_str());
                let message = format!("the plan to replay does not fit the segment that starts at {node}: {why}");
                Diagnostic::error("COMP11", message)
                    .hint("build without it, and take the plan of a model that was built from this graph")
            })?,
            None => search.best(&base, costs),
        };
        let Found { commands, calls, followed, report } = found;
        let program = Program {
            commands,
            constants: constants.into(),
            sram_bytes: target.sram_bytes,
            align: target.align,
            ddr_bytes,
            layers: plan.iter().map(|l| l.node.clone()).collect(),
            calls,
        };
        let in_ddr = |id: &&TensorId| base.is_in_ddr(**id, &followed.plan);
        let placed = order.iter().filter(in_ddr).map(|&tensor| {
            let (place, layer) = places[&tensor];
            Placed { tensor, address: base.address(place), layer }
        });
        let follows = serde_json::to_string(&followed).map_err(|e| Diagnostic::error("COMP07", e.to_string()))?;
        Ok((Npu { placed: placed.collect(), plan, program, follows }, report))
    }
}

/// One line of a layer's plan.
fn axis(name: &str, extent: usize, total: usize) -> TileAxis {
    TileAxis { axis: name.to_owned(), extent: extent as u32, total: total as u32 }
}

/// A number as a field of a command.
fn field<T: TryFrom<usize>>(what: &str, value: usize) -> Result<T, Diagnostic> {
    let message = || format!("{what} {value} is larger than a command can hold");
    T::try_from(value).map_err(|_| Diagnostic::error("COMP04", message()))
}

/// The failure of a layer whose smallest tile is too large.
fn does_not_fit(target: Target, what: &str, needed: usize) -> Diagnostic {
    let message = format!(
        "does not fit the accelerator's memory: its smallest tile ({what}) needs {needed} bytes, there are {}",
        target.sram_bytes
    );
    Diagnostic::error("COMP02", message).hint("run this node on the CPU (run_on_cpu), or shrink the model's input")
}

/// The shape of a rank-4 tensor.
pub(crate) fn nchw(t: &QTensor) -> Result<[usize; 4], Diagnostic> {
    let bad = || Diagnostic::error("COMP05", format!("{} has rank {}, not 4", t.name, t.shape.len()));
    t.shape.as_slice().try_into().map_err(|_| bad())
}
