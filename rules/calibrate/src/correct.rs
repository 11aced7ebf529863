//! Weights and biases corrected for what quantization loses: bias correction and error-compensated rounding.
//!
//! With the sums of [`crate::moments`] the mean squared error of a filter whose quantized Conv reads `x` and whose float result is `y` is
//! `E(v) = Σy² − 2·v·Σyx + vᵀ·(Σxxᵀ)·v`, for `v` the bias and the quantized weights.
//!
//! * Bias correction (Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction", ICCV 2019, section
//!   4.2, with measured means): `b = mean(y) − ŵ·mean(x)`, where `ŵ` are the weights rounded to nearest.
//! * Rounding: the weights are rounded one after the other, those that read the most power first, each step's loss taken up by the
//!   weights that are still open and at last by the corrected bias; then single weights move to other points of the grid as long as that
//!   lowers the error ([`ptq_kernels::lattice`]); with `λ` added to the diagonal of `Σxxᵀ` over the number of pixels.
//! * Adaption: the same from `(Σxxᵀ + λ)⁻¹·(Σyx + λ·w)` instead of the float weights `w`: ridge regression of the float result on what arrives,
//!   where `Σyx` is measured.
//!
//! With rounding the samples are halved, and each half's sums judge what the other half's give: a layer becomes what loses least so over
//! its filters, which may be nothing at all, fitted to all samples.

use crate::moments::{AllMoments, Layer, MOMENTS, MomentParams, Moments};
use crate::samples::samples;
use crate::score::{QUANT, blob, done};
use crate::spread::spread;
use crate::weights::bias_room;
use ptq_ir::{DType, Diagnostic, Graph, InputSpec, QuantParams, QuantTable, Tensor, input_channel_scales};
use ptq_kernels::lattice::{Factor, descend, dot, quadratic, times};
use ptq_rule::{ActionRequest, Blobs, BuildRule, Context, Failure, InputRef, Step};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Name of the blob with the corrected part of a table.
pub(crate) const CORRECTION: &str = "correction";
/// `λ` as a share of the mean power of what the weights read.
const DAMPING: f64 = 0.02;
/// Sweeps of coordinate descent behind the rounding, at most.
const SWEEPS: usize = 16;

/// What this rule reads of the configuration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CorrectParams {
    /// Descriptions of the model's inputs.
    pub inputs: BTreeMap<String, InputSpec>,
    /// Names of the Convs.
    pub nodes: Vec<String>,
    /// Whether weights are rounded with compensation, or biases corrected only.
    pub rounding: bool,
}

/// Inputs: `graph` and its tensors, `quant`, `sample/<input>/<file>`. Output: `correction`, a table with the scales and the
/// constants that change. Asks for `moments`.
pub struct CorrectRule;

impl BuildRule for CorrectRule {
    fn name(&self) -> &'static str {
        "correct"
    }

    fn version(&self) -> u32 {
        2
    }

    fn step(&self, ctx: &Context<'_>, results: &[Blobs]) -> Result<Step, Failure> {
        let params: CorrectParams = ctx.params()?;
        let internal = |e: &dyn std::fmt::Display| Failure::from(Diagnostic::error("CALIB03", e.to_string()));
        let graph = ctx.graph()?;
        if results.is_empty() {
            return asked(ctx, params, &graph);
        }
        let decoded = |result: &Blobs| -> Result<AllMoments, Failure> {
            let bytes = result.get(MOMENTS).ok_or_else(|| internal(&"there are no moments"))?;
            ptq_ir::from_bytes(bytes).map_err(|e| internal(&e))
        };
        let parts = results.iter().map(decoded).collect::<Result<Vec<_>, _>>()?;
        let table: QuantTable = blob(ctx, QUANT)?;
        let graph = table.corrected(&graph);
        let mut out = QuantTable::default();
        for name in &params.nodes {
            let moments: Vec<&Moments> = parts.iter().filter_map(|p| p.get(name)).collect();
            let filters = Filters::of(&graph, &table, name)?;
            let found = match moments.is_empty() || !params.rounding {
                true => moments.first().map(|m| filters.nearest(m)),
                false => filters.compensated(&moments, ctx)?,
            };
            if let Some(found) = found {
                filters.put(found, &mut out)?;
            }
        }
        done(CORRECTION, &out)
    }
}

/// Moments of all samples, or for rounding of every other one and of the rest: each half judges what the other gives.
fn asked(ctx: &Context<'_>, params: CorrectParams, graph: &Graph) -> Result<Step, Failure> {
    let names = ctx.inputs.names();
    let of = MomentParams { inputs: params.inputs, nodes: params.nodes, products: params.rounding };
    let of = serde_json::to_string(&of).map_err(|e| Failure::from(Diagnostic::error("CALIB03", e.to_string())))?;
    let all = samples(graph, &names)?;
    let halves = if params.rounding && all.len() > 1 { 2 } else { 1 };
    let part = |half: usize| {
        let elsewhere = all.iter().enumerate().filter(|(i, _)| i % halves != half);
        let elsewhere: BTreeSet<&String> = elsewhere.flat_map(|(_, s)| s.iter().map(|(blob, _)| blob)).collect();
        let own = names.iter().filter(|n| !elsewhere.contains(n));
        let inputs = own.map(|n| (n.clone(), InputRef::Own(n.clone()))).collect();
        ActionRequest { rule: "moments", params: of.clone(), inputs }
    };
    Ok(Step::Need((0..halves).map(part).collect()))
}

/// The filters of one Conv and the grid of their weights.
struct Filters<'a> {
    layer: Layer,
    weights: &'a Tensor,
    values: &'a [f32],
    bias: Option<&'a [f32]>,
    scale: Vec<f32>,
    /// Scales of the input's channels, folded into the weights before they are rounded.
    folded: Option<&'a [f32]>,
    input_scale: f64,
    /// Whether the input has 16 bits.
    words: bool,
    names: [&'a str; 2],
}

/// What becomes of one filter: scale, weights on their grid, bias.
struct Filter {
    scale: f32,
    weights: Vec<f32>,
    bias: f32,
}

impl<'a> Filters<'a> {
    fn of(graph: &'a Graph, table: &'a QuantTable, name: &str) -> Result<Filters<'a>, Failure> {
        let layer = Layer::of(graph, name)?;
        let bad = |why: &str| Failure::from(Diagnostic::error("CALIB14", why.to_owned()).node(name));
        let node = graph.find_node(name).map(|id| graph.node(id)).ok_or_else(|| bad("is not a node of the graph"))?;
        let weights = graph.const_input(node, 1).ok_or_else(|| bad("has no constant weights"))?;
        let of = |i: usize| node.input(i).map_or("", |v| graph.value(v).name.as_str());
        let bias = graph.const_input(node, 2).map(Tensor::f32s).transpose().map_err(|e| bad(&e.to_string()))?;
        let scale = table.weights.get(of(1)).ok_or_else(|| bad("has no weight scales"))?.scale.clone();
        let all = layer.geom.group * layer.filters;
        if scale.len() != all || bias.is_some_and(|b| b.len() != all) {
            return Err(bad("has another number of scales or biases than filters"));
        }
        let folded = input_channel_scales(graph, node, table);
        let input = table.read_by(of(0), name);
        let words = input.is_some_and(|a| a.params.dtype == DType::I16);
        let input_scale = input.filter(|_| folded.is_none());
        Ok(Filters {
            weights,
            values: weights.f32s().map_err(|e| bad(&e.to_string()))?,
            bias,
            scale,
            folded,
            words,
            input_scale: input_scale.map_or(1.0, |a| f64::from(a.params.scale0())),
            names: [of(1), of(2)],
            layer,
        })
    }

    fn own(&self, filter: usize) -> &'a [f32] {
        &self.values[filter * self.layer.taps..(filter + 1) * self.layer.taps]
    }

    /// Bias and weights of a filter before they are rounded.
    fn float(&self, filter: usize) -> Vec<f64> {
        let bias = self.bias.map_or(0.0, |b| b[filter]);
        std::iter::once(&bias).chain(self.own(filter)).map(|&v| f64::from(v)).collect()
    }

    /// What tap `tap` of a filter is multiplied by before it is rounded to the filter's scale.
    fn fold(&self, filter: usize, tap: usize) -> f64 {
        let window = self.layer.geom.kernel[0] * self.layer.geom.kernel[1];
        let channel = filter / self.layer.filters * (self.layer.taps / window.max(1)) + tap / window.max(1);
        self.folded.map_or(1.0, |f| f64::from(f[channel]))
    }

    /// The nearest point of the filter's grid.
    fn round(&self, filter: usize, tap: usize, scale: f64, w: f64) -> f64 {
        let step = scale / self.fold(filter, tap);
        (w / step).round_ties_even().clamp(-127.0, 127.0) * step
    }

    /// Weights rounded to nearest, with corrected biases.
    fn nearest(&self, moments: &Moments) -> Vec<Filter> {
        (0..self.scale.len()).map(|filter| self.near(filter, moments)).collect()
    }

    fn near(&self, filter: usize, moments: &Moments) -> Filter {
        let scale = self.scale[filter];
        let rounded = self.own(filter).iter().enumerate();
        let rounded: Vec<f64> = rounded.map(|(i, &w)| self.round(filter, i, f64::from(scale), f64::from(w))).collect();
        let read = &moments.read[filter / self.layer.filters];
        let made = moments.made.get(filter).copied().unwrap_or_else(|| dot(&self.float(filter), read));
        let bias = (made - dot(&rounded, &read[1..])) / read[0].max(1.0);
        let bias = if self.bias.is_some() { bias as f32 } else { 0.0 };
        Filter { scale, weights: rounded.into_iter().map(|w| w as f32).collect(), bias }
    }

    /// What a filter becomes by `fit`, with the sums that `systems` were made of.
    fn fitted(&self, filter: usize, fit: Fit, moments: &Moments, systems: &[Option<System>]) -> Filter {
        let near = self.near(filter, moments);
        match (fit, &systems[filter / self.layer.filters]) {
            (Fit::Keep, _) => Filter { bias: self.bias.map_or(0.0, |b| b[filter]), ..near },
            (Fit::Bias, _) | (_, None) => near,
            (fit, Some(system)) => self.solved(filter, system, &self.wanted(filter, moments), fit == Fit::Adapted),
        }
    }

    /// Weights rounded in the way that loses least on samples that it was not fitted to; `None` where that leaves the layer as it is.
    fn compensated(&self, parts: &[&Moments], ctx: &Context<'_>) -> Result<Option<Vec<Filter>>, Failure> {
        let groups = self.layer.geom.group;
        let systems = |m: &Moments| -> Vec<Option<System>> {
            (0..groups).map(|g| System::of(&m.gram[g], self.bias.is_some())).collect()
        };
        let fits: &[Fit] = match parts.iter().all(|m| m.cross.is_empty()) {
            true => &[Fit::Keep, Fit::Bias, Fit::Rounded],
            false => &[Fit::Keep, Fit::Bias, Fit::Rounded, Fit::Adapted],
        };
        let mut errors = vec![0.0; fits.len()];
        for (i, part) in parts.iter().enumerate() {
            // Where there is one part only it is judged by itself.
            let other = parts[(i + 1) % parts.len()];
            let systems = systems(part);
            let one = |filter: usize| {
                let error = |&fit: &Fit| self.error(filter, &self.fitted(filter, fit, part, &systems), other);
                Ok(fits.iter().map(error).collect::<Vec<f64>>())
            };
            for each in spread(self.scale.len(), ctx, one)? {
                errors.iter_mut().zip(&each).for_each(|(sum, e)| *sum += e);
            }
        }
        let mut best = 0;
        for (i, error) in errors.iter().enumerate() {
            if *error < errors[best] {
                best = i;
            }
        }
        if fits[best] == Fit::Keep {
            return Ok(None);
        }
        let all = Moments::sum(parts);
        let systems = systems(&all);
        Ok(Some(spread(self.scale.len(), ctx, |filter| Ok(self.fitted(filter, fits[best], &all, &systems)))?))
    }

    /// `Σ y·x` of a filter: measured, or what its float weights make of `x`.
    fn wanted(&self, filter: usize, moments: &Moments) -> Vec<f64> {
        match moments.cross.get(filter) {
            Some(cross) => cross.clone(),
            None => times(&moments.gram[filter / self.layer.filters], &self.float(filter)),
        }
    }

    /// `E` of a filter.
    fn error(&self, filter: usize, found: &Filter, moments: &Moments) -> f64 {
        let cross = self.wanted(filter, moments);
        let power = moments.power.get(filter).copied().unwrap_or_else(|| dot(&cross, &self.float(filter)));
        let v: Vec<f64> = std::iter::once(&found.bias).chain(&found.weights).map(|&v| f64::from(v)).collect();
        power - 2.0 * dot(&v, &cross) + quadratic(&moments.gram[filter / self.layer.filters], &v)
    }

    /// One filter with compensated weights, of the float ones or of those that make the wanted result best of what arrives.
    fn solved(&self, filter: usize, system: &System, cross: &[f64], adapted: bool) -> Filter {
        let float = self.float(filter);
        // Towards the float weights, by as much as the diagonal was raised.
        let of = |&i: &usize| cross[i] / system.pixels + if i > 0 { system.damping * float[i] } else { 0.0 };
        let c: Vec<f64> = system.order.iter().map(of).collect();
        let has_bias = self.bias.is_some();
        let mut v: Vec<f64> = match adapted {
            true => system.factor.solve(&c),
            false => {
                let open = c.first().filter(|_| has_bias).map(|&c| {
                    let row = &system.matrix[1..system.order.len()];
                    let rest: f64 = row.iter().zip(&system.order[1..]).map(|(g, &i)| g * float[i]).sum();
                    c - rest
                });
                system.order.iter().map(|&i| if i == 0 { open.unwrap_or(0.0) } else { float[i] }).collect()
            }
        };
        let bias = if has_bias { v[0] } else { 0.0 };
        let for_bias = bias.abs() / (self.input_scale * bias_room(self.layer.taps, self.words));
        let scale = f64::from(self.scale[filter]).max(for_bias) as f32;
        let round = |at: usize, w: f64| match system.order[at] {
            0 => w,
            i => self.round(filter, i - 1, f64::from(scale), w),
        };
        // What the grid is to come close to.
        let target = match adapted {
            true => c,
            false => times(&system.matrix, &v),
        };
        system.factor.nearest(&mut v, round);
        descend(&system.matrix, &target, &mut v, SWEEPS, round);
        let mut found = Filter { scale, weights: vec![0.0; self.layer.taps], bias: 0.0 };
        for (&i, &w) in system.order.iter().zip(&v) {
            *(if i == 0 { &mut found.bias } else { &mut found.weights[i - 1] }) = w as f32;
        }
        found
    }

    fn put(&self, found: Vec<Filter>, out: &mut QuantTable) -> Result<(), Failure> {
        let bad = |e: ptq_ir::TensorError| Failure::from(Diagnostic::error("CALIB14", e.to_string()));
        let [weights, bias] = self.names.map(str::to_owned);
        if self.bias.is_some() {
            let values: Vec<f32> = found.iter().map(|f| f.bias).collect();
            out.constants.insert(bias, Tensor::from_f32([values.len()], values).map_err(bad)?);
        }
        let scale = found.iter().map(|f| f.scale).collect();
        out.weights.insert(weights.clone(), QuantParams::per_channel(DType::I8, scale, 0));
        let values = found.into_iter().flat_map(|f| f.weights).collect();
        out.constants.insert(weights, Tensor::from_f32(self.weights.shape(), values).map_err(bad)?);
        Ok(())
    }
}

/// What becomes of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fit {
    /// Nothing.
    Keep,
    /// Biases are corrected.
    Bias,
    /// Weights are rounded with compensation.
    Rounded,
    /// The same, from the weights that fit best to what arrives.
    Adapted,
}

/// What the filters of a group share.
struct System {
    factor: Factor,
    /// What was factored: `Σ x·xᵀ` over the number of pixels in `order`, with `damping` on the diagonal of weights.
    matrix: Vec<f64>,
    /// The bias (0), then weights (from 1) by growing power of what they read: the last one is rounded first.
    order: Vec<usize>,
    damping: f64,
    pixels: f64,
}

impl System {
    /// `None` where nothing was read.
    fn of(gram: &[f64], bias: bool) -> Option<System> {
        let pixels = gram.first().copied().filter(|n| *n > 0.0)?;
        let n = (gram.len() as f64).sqrt() as usize;
        let power = |i: usize| gram[i * n + i] / pixels;
        let damping = DAMPING * (1..n).map(power).sum::<f64>() / (n - 1).max(1) as f64;
        let mut order: Vec<usize> = (1..n).collect();
        order.sort_by(|&a, &b| power(a).total_cmp(&power(b)).then(b.cmp(&a)));
        if bias {
            order.insert(0, 0);
        }
        let entry = |&i: &usize, &j: &usize| gram[i * n + j] / pixels + if i == j && i > 0 { damping } else { 0.0 };
        let matrix: Vec<f64> = order.iter().flat_map(|i| order.iter().map(move |j| entry(i, j))).collect();
        Some(System { factor: Factor::of(matrix.clone(), order.len())?, matrix, order, damping, pixels })
    }
}

#[cfg(test)]
mod tests;
