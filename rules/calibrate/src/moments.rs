//! Means and products of what Convs read and make: the rule behind bias correction and error-compensated rounding.
//!
//! The float graph and the fake-quantized one run side by side on the same samples. With `y` the wanted result of a filter
//! in front of its activation and `x` what the quantized Conv reads for it (a one in front, for the bias), the sums over samples and
//! pixels of `x`, `y`, `x·xᵀ`, `y·x` and `y²` are all that the best weights and bias depend on. For the first Conv of a group `y` is
//! the float graph's, so that it makes up for all that was lost in front of it; for the others it is what their float weights make
//! of `x`, which `x·xᵀ` answers: were it the float graph's, each would make up for the same loss once more. A sample's sums are single
//! precision over at most [`PIXELS`] pixels in a fixed order, those of all samples double precision in the order of the samples.
//! One sample is in memory at a time; threads split rows of products, never a sum.

use crate::observe::load_sample;
use crate::samples::samples;
use crate::score::{QUANT, blob, cannot_run, done, weights};
use ptq_exec::{FakeQuantPlan, FloatPlan, columns};
use ptq_ir::ops::ConvGeom;
use ptq_ir::{Diagnostic, Graph, InputSpec, Node, QuantTable, Tensor, ValueId};
use ptq_kernels::{Isa, Start, matmul};
use ptq_rule::{Blobs, BuildRule, Context, Failure, Step};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Name of the blob of sums.
pub(crate) const MOMENTS: &str = "moments";
/// Most pixels of one sample that a layer sums over, evenly spread.
const PIXELS: usize = 1024;

/// What this rule reads of the configuration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MomentParams {
    /// Descriptions of the model's inputs.
    pub inputs: BTreeMap<String, InputSpec>,
    /// Names of the Convs, in the order of the graph.
    pub nodes: Vec<String>,
    /// Whether products are summed, or means only.
    pub products: bool,
}

/// Inputs: `graph` and its tensors, `quant`, `sample/<input>/<file>`. Output: `moments`, by node name.
pub struct MomentRule;

/// Sums of one Conv with filters of `k` weights in some groups.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Moments {
    /// For each group `[1 + k]`: the number of pixels, then `Σ x`.
    pub(crate) read: Vec<Vec<f64>>,
    /// `Σ y` for each filter; empty but for the first Conv.
    pub(crate) made: Vec<f64>,
    /// For each group `[1 + k, 1 + k]`: `Σ x·xᵀ`; empty without products.
    pub(crate) gram: Vec<Vec<f64>>,
    /// For each filter `[1 + k]`: `Σ y·x`; empty without products and but for the first Conv.
    pub(crate) cross: Vec<Vec<f64>>,
    /// `Σ y²` for each filter; empty without products and but for the first Conv.
    pub(crate) power: Vec<f64>,
}

impl Moments {
    /// Sums over the samples of all parts.
    pub(crate) fn sum(parts: &[&Moments]) -> Moments {
        let mut all = parts.first().map(|m| Moments::clone(m)).unwrap_or_default();
        let add = |to: &mut [f64], from: &[f64]| to.iter_mut().zip(from).for_each(|(a, b)| *a += b);
        for part in parts.iter().skip(1) {
            all.read.iter_mut().zip(&part.read).for_each(|(a, b)| add(a, b));
            all.gram.iter_mut().zip(&part.gram).for_each(|(a, b)| add(a, b));
            all.cross.iter_mut().zip(&part.cross).for_each(|(a, b)| add(a, b));
            add(&mut all.made, &part.made);
            add(&mut all.power, &part.power);
        }
        all
    }
}

/// Sums of several Convs, by node name.
pub(crate) type AllMoments = BTreeMap<String, Moments>;

impl BuildRule for MomentRule {
    fn name(&self) -> &'static str {
        "moments"
    }

    fn version(&self) -> u32 {
        1
    }

    fn step(&self, ctx: &Context<'_>, _results: &[Blobs]) -> Result<Step, Failure> {
        let params: MomentParams = ctx.params()?;
        let graph = ctx.graph()?;
        let table: QuantTable = blob(ctx, QUANT)?;
        let layers = params.nodes.iter().map(|n| Layer::of(&graph, n)).collect::<Result<Vec<_>, _>>()?;
        let results: Vec<ValueId> = layers.iter().map(|l| l.result).collect();
        let prefix = in_front(&graph, &results);
        let first = results.first().copied();
        let float = FloatPlan::new(&in_front(&graph, first.as_slice())).map_err(cannot_run)?.observing(&results);
        let float = float.with_threads(ctx.threads);
        let quantized = FakeQuantPlan::new(&prefix, &table, &weights(&prefix, &table)).map_err(cannot_run)?;
        let quantized = quantized.with_threads(ctx.threads);
        let files = samples(&graph, &ctx.inputs.names())?;
        let mut all: Vec<Moments> = layers.iter().map(|l| l.empty(params.products, first == Some(l.result))).collect();
        for (i, sample) in files.iter().enumerate() {
            let inputs = load_sample(ctx, &params.inputs, &graph, sample)?;
            let mut made: Vec<f32> = Vec::new();
            let mut keep = |v: ValueId, t: &Tensor| {
                if let (Some(layer), Ok(values)) = (layers.first().filter(|l| l.result == v), t.f32s()) {
                    made = layer.chosen(values);
                }
            };
            float.run(&inputs, &mut keep).map_err(cannot_run)?;
            let mut failed = None;
            let mut add = |v: ValueId, t: &Tensor| {
                for (layer, sums) in layers.iter().zip(&mut all).filter(|(l, _)| l.data == v) {
                    let Ok(x) = t.f32s() else { continue };
                    let y = if first == Some(layer.result) { &made[..] } else { &[] };
                    failed = failed.take().or(layer.add(x, y, ctx.threads, sums).err());
                }
            };
            quantized.run(&inputs, &mut add).map_err(cannot_run)?;
            if let Some(e) = failed {
                return Err(Diagnostic::error("CALIB02", e.to_string()).into());
            }
            ctx.progress.tick(i + 1, files.len());
        }
        let all: AllMoments = params.nodes.iter().cloned().zip(all).collect();
        done(MOMENTS, &all)
    }
}

/// The part of a graph that these values depend on, with them as outputs.
fn in_front(graph: &Graph, wanted: &[ValueId]) -> Graph {
    let mut needed = vec![false; graph.values.len()];
    wanted.iter().for_each(|v| needed[v.0 as usize] = true);
    let mut keep = vec![false; graph.nodes.len()];
    for (i, node) in graph.nodes.iter().enumerate().rev() {
        if node.outputs.iter().any(|v| needed[v.0 as usize]) {
            keep[i] = true;
            node.inputs.iter().flatten().for_each(|v| needed[v.0 as usize] = true);
        }
    }
    let nodes = graph.nodes.iter().zip(keep).filter(|(_, keep)| *keep).map(|(n, _)| n.clone()).collect();
    Graph { nodes, outputs: wanted.to_vec(), ..graph.clone() }
}

/// A Conv whose sums are taken.
pub(crate) struct Layer {
    /// Geometry.
    pub(crate) geom: ConvGeom,
    /// Weights in a filter.
    pub(crate) taps: usize,
    /// Filters in a group.
    pub(crate) filters: usize,
    data: ValueId,
    result: ValueId,
    channels: usize,
    image: [usize; 2],
    batch: usize,
    /// Numbers of the output pixels that are summed over.
    pixels: Vec<usize>,
}

impl Layer {
    /// The Conv of this name.
    ///
    /// # Errors
    /// When there is none, or it is not a 2-D Conv with constant weights.
    pub(crate) fn of(graph: &Graph, name: &str) -> Result<Layer, Failure> {
        let bad = |why: &str| Failure::from(Diagnostic::error("CALIB14", why.to_owned()).node(name));
        let id = graph.find_node(name).ok_or_else(|| bad("is not a node of the graph"))?;
        let node: &Node = graph.node(id);
        let weights = graph.const_input(node, 1).ok_or_else(|| bad("has no constant weights"))?;
        let data = node.input(0).ok_or_else(|| bad("reads nothing"))?;
        let result = node.outputs.first().copied().ok_or_else(|| bad("makes nothing"))?;
        let shape = &graph.value(data).shape;
        let geom = ConvGeom::of(node, shape, weights.shape())?;
        let image = [shape[2], shape[3]];
        let [h, w] = geom.out_hw(image).ok_or_else(|| bad("has no output"))?;
        let count = (h * w).min(PIXELS);
        Ok(Layer {
            taps: weights.shape()[1..].iter().product(),
            filters: weights.shape()[0] / geom.group,
            geom,
            data,
            result,
            channels: shape[1],
            image,
            batch: shape[0],
            pixels: (0..count).map(|i| i * (h * w) / count).collect(),
        })
    }

    fn empty(&self, products: bool, wanted: bool) -> Moments {
        let (groups, n) = (self.geom.group, 1 + self.taps);
        let filters = groups * self.filters;
        let filters = if wanted { filters } else { 0 };
        let each = |count: usize, len: usize| if products { vec![vec![0.0; len]; count] } else { Vec::new() };
        Moments {
            read: vec![vec![0.0; n]; groups],
            made: vec![0.0; filters],
            gram: each(groups, n * n),
            cross: each(filters, n),
            power: if products { vec![0.0; filters] } else { Vec::new() },
        }
    }

    /// The chosen pixels of a result: image by image, filter by filter.
    fn chosen(&self, y: &[f32]) -> Vec<f32> {
        let plane = (y.len() / (self.batch * self.geom.group * self.filters).max(1)).max(1);
        y.chunks_exact(plane).flat_map(|p| self.pixels.iter().map(|&i| p[i])).collect()
    }

    /// Adds one sample: what the quantized Conv read, and the chosen pixels of the wanted result where it is summed.
    fn add(&self, x: &[f32], y: &[f32], threads: usize, sums: &mut Moments) -> Result<(), ptq_kernels::KernelError> {
        let (n, p) = (1 + self.taps, self.pixels.len());
        let all = self.geom.group * self.filters;
        for (image, x) in x.chunks_exact((x.len() / self.batch.max(1)).max(1)).enumerate() {
            let y = y.get(image * all * p..(image + 1) * all * p).unwrap_or(&[]);
            for (filter, row) in y.chunks_exact(p).enumerate() {
                sums.made[filter] += row.iter().map(|&v| f64::from(v)).sum::<f64>();
                if let Some(power) = sums.power.get_mut(filter) {
                    *power += row.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>();
                }
            }
            for group in 0..self.geom.group {
                let rows = columns(x, self.channels, self.image, &self.geom, group, &self.pixels);
                for row in rows.chunks_exact(n) {
                    sums.read[group].iter_mut().zip(row).for_each(|(s, &v)| *s += f64::from(v));
                }
                let Some(gram) = sums.gram.get_mut(group) else { continue };
                let mut turned = vec![0f32; n * p];
                for (i, row) in rows.chunks_exact(n).enumerate() {
                    row.iter().enumerate().for_each(|(j, &v)| turned[j * p + i] = v);
                }
                let mut product = vec![0f32; n * n];
                matmul(Isa::best(), threads, [n, p, n], &turned, &rows, Start::Zero, &mut product)?;
                gram.iter_mut().zip(&product).for_each(|(s, &v)| *s += f64::from(v));
                if y.is_empty() {
                    continue;
                }
                let own = group * self.filters..(group + 1) * self.filters;
                let mut product = vec![0f32; self.filters * n];
                let y = &y[own.start * p..own.end * p];
                matmul(Isa::best(), threads, [self.filters, p, n], y, &rows, Start::Zero, &mut product)?;
                for (sum, row) in sums.cross[own].iter_mut().zip(product.chunks_exact(n)) {
                    sum.iter_mut().zip(row).for_each(|(s, &v)| *s += f64::from(v));
                }
            }
        }
        Ok(())
    }
}
