//! FUSE17 convert-conv-transpose.

use crate::graph_rule::{GraphRule, Phase};
use crate::links::Links;
use crate::reshape::reshape;
use ptq_ir::ops::TransposedWindow;
use ptq_ir::{Attr, Attrs, DType, Graph, Node, NodeId, Tensor, TensorError, ValueId};
use ptq_rule::{GraphRuleMeta, Outcome};

/// What `ptq rule FUSE17` prints.
const META: GraphRuleMeta = GraphRuleMeta {
    code: "FUSE17",
    name: "convert-conv-transpose",
    summary: "A ConvTranspose becomes a Conv with one filter for each place between two pixels, and what brings them there.",
    why: "Along each axis, pixel s·q + r of the uncut result has the taps r, r + s, r + 2s, … of the kernel, over the pixels \
          q, q - 1, …: an ordinary window. So the s·s pixels of each block are s·s filters of a Conv at stride 1, which \
          DepthToSpace in mode CRD puts into the block (several with block 2 where s is 4, 8, …; a Transpose where the strides \
          are others), and a Slice cuts off what the pads say where the window cannot. The sums are the same; the Conv is \
          quantized with one scale for each filter. Left alone: kernels that are dilated, and those so much smaller than \
          their stride that most taps would be zeros.",
    example: "up = ConvTranspose(x, w, b) -> up_out:float32[1, 3, 4, 4]\n\
              =>\n\
              up = Conv(x, up_weight, up_bias) -> up_depth:float32[1, 12, 2, 2]\n\
              up_blocks = DepthToSpace(up_depth) -> up_out:float32[1, 3, 4, 4]",
    since: "0.2.0",
};

/// The rule.
pub(crate) const RULE: GraphRule = GraphRule { meta: META, matches, rewrite, phase: Phase::Convert };

/// Most taps of the Conv for each tap of the kernel.
const MOST_TAPS: usize = 4;

fn matches(graph: &Graph, _: &Links, id: NodeId) -> bool {
    graph.node(id).is("ConvTranspose")
}

/// One spatial axis of the conversion.
#[derive(Clone, Copy, Debug)]
struct Axis {
    stride: usize,
    /// Taps of the ConvTranspose.
    kernel: usize,
    /// Zero taps in front of the kernel, so that its pads are whole blocks.
    lead: usize,
    /// Taps of the Conv.
    taps: usize,
    pads: [usize; 2],
    /// Extent of the Conv's result.
    blocks: usize,
    /// First pixel that is kept of `blocks * stride`.
    start: usize,
    /// Pixels that are kept.
    out: usize,
}

impl Axis {
    fn of(input: usize, kernel: usize, stride: usize, pad: usize, out: usize) -> Option<Axis> {
        let taps_with = |lead: usize| kernel.checked_add(lead).map(|k| k.div_ceil(stride));
        let whole = (stride - pad % stride) % stride;
        // Zero taps in front cost nothing where the last block has room for them; else a Slice is cheaper than taps.
        let lead = if taps_with(whole)? == taps_with(0)? { whole } else { 0 };
        let (taps, pad) = (taps_with(lead)?, pad.checked_add(lead)?);
        let dropped = (pad / stride).min(taps - 1);
        let reach = pad.checked_add(out)?.div_ceil(stride);
        let pads = [taps - 1 - dropped, reach.saturating_sub(input)];
        let blocks = reach.max(input) - dropped;
        Some(Axis { stride, kernel, lead, taps, pads, blocks, start: pad - dropped * stride, out })
    }

    /// The kernel's tap behind tap `j` of the Conv's filter for place `r` of a block.
    fn tap(&self, r: usize, j: usize) -> Option<usize> {
        (r + self.stride * (self.taps - 1 - j)).checked_sub(self.lead).filter(|&t| t < self.kernel)
    }

    /// Pixels before any are cut off.
    fn uncut(&self) -> usize {
        self.blocks * self.stride
    }
}

struct Convert {
    axes: [Axis; 2],
    group: usize,
    batch: usize,
    channels: usize,
    weights: Tensor,
    bias: Option<Tensor>,
}

impl Convert {
    fn area(&self) -> usize {
        self.axes[0].stride * self.axes[1].stride
    }

    /// Side of the blocks where DepthToSpace can make them by twos.
    fn halvings(&self) -> Option<u32> {
        let side = self.axes[0].stride;
        (side == self.axes[1].stride && side.is_power_of_two()).then(|| side.trailing_zeros())
    }
}

/// The filter of place (`ry`, `rx`) among those of one channel: in the order in which DepthToSpace with block 2 takes the
/// places apart, those of the largest distance last; or by rows.
fn filter_of(halvings: Option<u32>, strides: [usize; 2], [ry, rx]: [usize; 2]) -> usize {
    match halvings {
        Some(n) => (0..n).fold(0, |at, bit| at * 4 + ((ry >> bit) & 1) * 2 + ((rx >> bit) & 1)),
        None => ry * strides[1] + rx,
    }
}

fn rewrite(graph: &mut Graph, _: &Links, id: NodeId) -> Outcome {
    let plan = match guard(graph, id) {
        Ok(plan) => plan,
        Err(reason) => return Outcome::Skipped(reason),
    };
    let old = graph.node(id).clone();
    let Some(&result) = old.outputs.first() else { return Outcome::Skipped("it has no output".to_owned()) };
    let name = &old.name;
    let w = graph.add_constant(graph.fresh_value_name(&format!("{name}_weight")), plan.weights.clone());
    let mut inputs = vec![old.input(0), Some(w)];
    if let Some(bias) = plan.bias.clone() {
        inputs.push(Some(graph.add_constant(graph.fresh_value_name(&format!("{name}_bias")), bias)));
    }
    let [y, x] = plan.axes;
    let mut attrs = Attrs::of([
        ("group", Attr::Int(plan.group as i64)),
        ("kernel_shape", Attr::Ints(vec![y.taps as i64, x.taps as i64])),
    ]);
    let pads = [y.pads[0], x.pads[0], y.pads[1], x.pads[1]].map(|p| p as i64);
    if pads != [0; 4] {
        attrs.set("pads", Attr::Ints(pads.to_vec()));
    }
    let mut steps = Steps { graph, name: name.clone(), nodes: Vec::new(), last: None };
    let conv = Node { op: "Conv".to_owned(), inputs, outputs: Vec::new(), attrs, ..old.clone() };
    steps.add(conv, "depth", &[plan.batch, plan.channels * plan.area(), y.blocks, x.blocks]);
    steps.spread(&plan);
    if [y, x].iter().any(|a| a.uncut() != a.out) {
        steps.cut(&plan);
    }
    let mut nodes = steps.nodes;
    if let Some(last) = nodes.last_mut() {
        last.outputs = vec![result];
    }
    let at = id.0 as usize;
    graph.nodes.splice(at..=at, nodes);
    Outcome::Fired
}

/// Nodes in a row, each reading the one in front; the last one's result is the old node's.
struct Steps<'a> {
    graph: &'a mut Graph,
    name: String,
    nodes: Vec<Node>,
    /// What is known of the last node's result; it becomes a value when another node reads it.
    last: Option<(String, Vec<usize>)>,
}

impl Steps<'_> {
    fn add(&mut self, node: Node, value: &str, shape: &[usize]) {
        self.nodes.push(node);
        self.last = Some((format!("{}_{value}", self.name), shape.to_vec()));
    }

    /// The last node's result as a value.
    fn read(&mut self) -> Option<ValueId> {
        let (name, shape) = self.last.take()?;
        let v = self.graph.add_value(self.graph.fresh_value_name(&name), DType::F32, shape);
        self.nodes.last_mut()?.outputs = vec![v];
        Some(v)
    }

    fn fresh(&self, what: &str) -> String {
        let taken = |n: &String| self.nodes.iter().any(|m| m.name == *n);
        let base = format!("{}_{what}", self.name);
        let numbered = (2..).map(|i| format!("{base}_{i}"));
        let free = |n: &String| self.graph.find_node(n).is_none() && !taken(n);
        std::iter::once(base.clone()).chain(numbered).find(free).unwrap_or(base)
    }

    fn node(&mut self, what: &str, op: &str, inputs: Vec<Option<ValueId>>, attrs: Attrs) -> Node {
        let (name, op) = (self.fresh(what), op.to_owned());
        let (covers, fusible_into) = (Vec::new(), None);
        Node { name, op, domain: String::new(), inputs, outputs: Vec::new(), attrs, covers, fusible_into }
    }

    /// From filters to places.
    fn spread(&mut self, plan: &Convert) {
        let (n, channels, [y, x]) = (plan.batch, plan.channels, plan.axes);
        let Some(halvings) = plan.halvings() else { return self.turn(plan) };
        let (mut depth, mut rows, mut columns) = (channels * plan.area(), y.blocks, x.blocks);
        for _ in 0..halvings {
            let from = self.read();
            let attrs = Attrs::of([("blocksize", Attr::Int(2)), ("mode", Attr::Str("CRD".to_owned()))]);
            let node = self.node("blocks", "DepthToSpace", vec![from], attrs);
            (depth, rows, columns) = (depth / 4, rows * 2, columns * 2);
            self.add(node, "spread", &[n, depth, rows, columns]);
        }
    }

    /// The same with strides that are not one power of two.
    fn turn(&mut self, plan: &Convert) {
        let (n, channels, [y, x]) = (plan.batch, plan.channels, plan.axes);
        let apart = [n, channels, y.stride, x.stride, y.blocks, x.blocks];
        let perm = [0, 1, 4, 2, 5, 3];
        let (turned, whole) = (perm.map(|a| apart[a]), [n, channels, y.uncut(), x.uncut()]);
        for (what, shape) in [("apart", &apart[..]), ("turned", &turned[..]), ("spread", &whole[..])] {
            let from = self.read();
            let node = if what == "turned" {
                let perm = perm.iter().map(|&a| a as i64).collect();
                self.node("turn", "Transpose", vec![from], Attrs::of([("perm", Attr::Ints(perm))]))
            } else {
                let name = self.fresh(what);
                // The output is set by `read` or by the caller; until then any value will do.
                match from {
                    Some(v) => Node { outputs: Vec::new(), ..reshape(self.graph, name, from, shape, v) },
                    None => return,
                }
            };
            self.add(node, what, shape);
        }
    }

    /// Cuts off what the pads say.
    fn cut(&mut self, plan: &Convert) {
        let [y, x] = plan.axes;
        let from = self.read();
        let mut inputs = vec![from];
        let bounds = [("starts", [y.start, x.start]), ("ends", [y.start + y.out, x.start + x.out]), ("axes", [2, 3])];
        for (what, values) in bounds {
            let name = self.graph.fresh_value_name(&format!("{}_cut_{what}", self.name));
            let values = Tensor::vec_i64(values.iter().map(|&v| v as i64).collect());
            inputs.push(Some(self.graph.add_constant(name, values)));
        }
        let node = self.node("cut", "Slice", inputs, Attrs::default());
        self.add(node, "cut", &[plan.batch, plan.channels, y.out, x.out]);
    }
}

fn guard(graph: &Graph, id: NodeId) -> Result<Convert, String> {
    let node = graph.node(id);
    let (Some(x), Some(&y)) = (node.input(0), node.outputs.first()) else {
        return Err("it has no input or output".to_owned());
    };
    let w = graph.const_input(node, 1).ok_or("its weights are not constant")?;
    let (&[n, c, h, width], &[inputs, filters, kh, kw]) = (graph.value(x).shape.as_slice(), w.shape()) else {
        return Err("it has not two spatial axes".to_owned());
    };
    let group = usize::try_from(node.attrs.int("group", 1)).ok().filter(|&g| g > 0 && c % g == 0);
    let group = group.filter(|_| inputs == c).ok_or("its weights do not fit")?;
    let window = TransposedWindow::of(node, &[h, width], &[kh, kw]).map_err(|d| d.message)?;
    if window.dilations.iter().any(|&d| d != 1) {
        return Err("it dilates".to_owned());
    }
    let channels = filters * group;
    if graph.value(y).shape != [n, channels, window.out[0], window.out[1]] || window.out.contains(&0) {
        return Err("its result has another shape than its attributes say".to_owned());
    }
    let axis = |d: usize, input, kernel| {
        Axis::of(input, kernel, window.strides[d], window.pads[d][0], window.out[d]).ok_or("an axis is too large")
    };
    let axes = [axis(0, h, kh)?, axis(1, width, kw)?];
    let cells = axes.map(|a| a.taps.saturating_mul(a.stride));
    if cells[0].saturating_mul(cells[1]) > MOST_TAPS.saturating_mul(kh * kw) {
        return Err(format!(
            "most taps would be zeros: its kernel is [{kh}, {kw}] and its strides {:?}",
            window.strides
        ));
    }
    let values = w.f32s().map_err(|e| format!("its weights: {e}"))?;
    let mut plan = Convert { axes, group, batch: n, channels, weights: Tensor::zeros(DType::F32, [0]), bias: None };
    let text = |e: TensorError| e.to_string();
    if let Some(b) = node.input(2) {
        let b = graph.constant(b).ok_or("its bias is not constant")?.f32s().map_err(text)?;
        let spread = b.iter().flat_map(|&v| std::iter::repeat_n(v, plan.area())).collect();
        plan.bias = Some(Tensor::from_f32([channels * plan.area()], spread).map_err(text)?);
    }
    plan.weights = spread_weights(&plan, values, c / group, filters).map_err(text)?;
    Ok(plan)
}

/// Weights of the Conv from those of the ConvTranspose, of `own` input channels and `filters` filters a group.
fn spread_weights(plan: &Convert, values: &[f32], own: usize, filters: usize) -> Result<Tensor, TensorError> {
    let [ay, ax] = plan.axes;
    let (area, window) = (plan.area(), ay.taps * ax.taps);
    let mut weights = vec![0.0; plan.channels * area * own * window];
    for (ry, rx) in (0..ay.stride).flat_map(|ry| (0..ax.stride).map(move |rx| (ry, rx))) {
        let place = filter_of(plan.halvings(), [ay.stride, ax.stride], [ry, rx]);
        for (jy, jx) in (0..ay.taps).flat_map(|jy| (0..ax.taps).map(move |jx| (jy, jx))) {
            let (Some(ty), Some(tx)) = (ay.tap(ry, jy), ax.tap(rx, jx)) else { continue };
            for (channel, i) in (0..plan.channels).flat_map(|c| (0..own).map(move |i| (c, i))) {
                let (g, f) = (channel / filters, channel % filters);
                let from = ((g * own + i) * filters + f) * ay.kernel * ax.kernel + ty * ax.kernel + tx;
                let to = ((channel * area + place) * own + i) * window + jy * ax.taps + jx;
                weights[to] = values[from];
            }
        }
    }
    Tensor::from_f32([plan.channels * area, own, ay.taps, ax.taps], weights)
}
