//! Weights and biases corrected for what quantization loses: bias correction and error-compensated rounding.
//!
//! With the sums of [`crate::moments`] the mean squared error of a filter whose quantized Conv reads `x` and whose float result is `y` is
//! `E(v) = Σy² − 2·v·Σyx + vᵀ·(Σxxᵀ)·v`, for `v` the bias and the quantized weights.
//!
//! * Bias correction (Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction", ICCV 2019, section
//!   4.2, with measured means): `b = mean(y) − ŵ·mean(x)`, where `ŵ` are the weights rounded to nearest.
//! * Rounding: the weights are rounded one after the other, those that read the most power first, each step's loss taken up by the
//!   weights that are still open and at last by the corrected bias ([`ptq_kernels::lattice`]), with `λ` added to the diagonal of `Σxxᵀ`
//!   over the number of pixels. A layer keeps the result only if `E` over its filters falls.

use crate::moments::{AllMoments, Layer, MOMENTS, MomentParams, Moments};
use crate::score::{QUANT, blob, done};
use crate::spread::spread;
use crate::weights::bias_room;
use ptq_ir::{DType, Diagnostic, Graph, InputSpec, QuantParams, QuantTable, Tensor, input_channel_scales};
use ptq_kernels::lattice::{Factor, dot, quadratic, times};
use ptq_rule::{ActionRequest, Blobs, BuildRule, Context, Failure, InputRef, Step, read_graph};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Name of the blob with the corrected part of a table.
pub(crate) const CORRECTION: &str = "correction";
/// `λ` as a share of the mean power of what the weights read.
const DAMPING: f64 = 0.02;

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
        1
    }

    fn step(&self, ctx: &Context<'_>, results: &[Blobs]) -> Result<Step, Failure> {
        let params: CorrectParams = ctx.params()?;
        let internal = |e: &dyn std::fmt::Display| Failure::from(Diagnostic::error("CALIB03", e.to_string()));
        let Some(result) = results.first() else {
            let of = MomentParams { inputs: params.inputs, nodes: params.nodes, products: params.rounding };
            let of = serde_json::to_string(&of).map_err(|e| internal(&e))?;
            let inputs = ctx.inputs.names().into_iter().map(|n| (n.clone(), InputRef::Own(n))).collect();
            return Ok(Step::Need(vec![ActionRequest { rule: "moments", params: of, inputs }]));
        };
        let bytes = result.get(MOMENTS).ok_or_else(|| internal(&"there are no moments"))?;
        let moments: AllMoments = ptq_ir::from_bytes(bytes).map_err(|e| internal(&e))?;
        let table: QuantTable = blob(ctx, QUANT)?;
        let graph = read_graph(ctx.inputs)?;
        let graph = table.corrected(&graph);
        let mut out = QuantTable::default();
        for (name, moments) in &moments {
            let filters = Filters::of(&graph, &table, name)?;
            let nearest = filters.nearest(moments);
            let found = if params.rounding { filters.compensated(moments, &nearest, ctx)? } else { Some(nearest) };
            if let Some(found) = found {
                filters.put(found, &mut out)?;
            }
        }
        done(CORRECTION, &out)
    }
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
        let one = |filter: usize| {
            let scale = self.scale[filter];
            let rounded = self.own(filter).iter().enumerate();
            let rounded: Vec<f64> =
                rounded.map(|(i, &w)| self.round(filter, i, f64::from(scale), f64::from(w))).collect();
            let read = &moments.read[filter / self.layer.filters];
            let made = moments.made.get(filter).copied().unwrap_or_else(|| dot(&self.float(filter), read));
            let bias = (made - dot(&rounded, &read[1..])) / read[0].max(1.0);
            Filter { scale, weights: rounded.into_iter().map(|w| w as f32).collect(), bias: bias as f32 }
        };
        (0..self.scale.len()).map(one).collect()
    }

    /// Weights rounded with compensation; `None` where the error does not fall.
    fn compensated(
        &self,
        moments: &Moments,
        nearest: &[Filter],
        ctx: &Context<'_>,
    ) -> Result<Option<Vec<Filter>>, Failure> {
        let groups = self.layer.geom.group;
        let systems: Vec<Option<System>> =
            (0..groups).map(|g| System::of(&moments.gram[g], self.bias.is_some())).collect();
        let one = |filter: usize| {
            let group = filter / self.layer.filters;
            let gram = &moments.gram[group];
            let (cross, power) = match (moments.cross.get(filter), moments.power.get(filter)) {
                (Some(cross), Some(power)) => (cross.clone(), *power),
                _ => {
                    let cross = times(gram, &self.float(filter));
                    let power = dot(&cross, &self.float(filter));
                    (cross, power)
                }
            };
            let error = |f: &Filter, bias: f32| {
                let v: Vec<f64> = std::iter::once(&bias).chain(&f.weights).map(|&v| f64::from(v)).collect();
                power - 2.0 * dot(&v, &cross) + quadratic(gram, &v)
            };
            let before = error(&nearest[filter], self.bias.map_or(0.0, |b| b[filter]));
            let found = systems[group].as_ref().map(|s| self.solved(filter, s, &cross, &moments.read[group]));
            let after = found.as_ref().map_or(before, |f| error(f, f.bias));
            Ok((before, after, found))
        };
        let all = spread(self.scale.len(), ctx, one)?;
        let (before, after) = all.iter().fold((0.0, 0.0), |sum, (b, a, _)| (sum.0 + b, sum.1 + a));
        let found: Option<Vec<Filter>> = all.into_iter().map(|(_, _, f)| f).collect();
        Ok(found.filter(|_| after < before))
    }

    /// One filter with compensated weights.
    fn solved(&self, filter: usize, system: &System, cross: &[f64], read: &[f64]) -> Filter {
        let (own, pixels) = (self.own(filter), read[0].max(1.0));
        let weights: Vec<f64> = own.iter().map(|&w| f64::from(w)).collect();
        let bias = (cross[0] - dot(&weights, &read[1..])) / pixels;
        let mut v: Vec<f64> = system.order.iter().map(|&i| if i == 0 { bias } else { weights[i - 1] }).collect();
        let bias = if self.bias.is_some() { v[0] } else { 0.0 };
        let for_bias = bias.abs() / (self.input_scale * bias_room(self.layer.taps, self.words));
        let scale = f64::from(self.scale[filter]).max(for_bias) as f32;
        system.factor.nearest(&mut v, |at, w| match system.order[at] {
            0 => w,
            i => self.round(filter, i - 1, f64::from(scale), w),
        });
        let mut filter = Filter { scale, weights: vec![0.0; own.len()], bias: 0.0 };
        for (&i, &w) in system.order.iter().zip(&v) {
            *(if i == 0 { &mut filter.bias } else { &mut filter.weights[i - 1] }) = w as f32;
        }
        filter
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

/// What the filters of a group share.
struct System {
    factor: Factor,
    /// The bias (0), then weights (from 1) by growing power of what they read: the last one is rounded first.
    order: Vec<usize>,
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
        let matrix = order.iter().flat_map(|i| order.iter().map(move |j| entry(i, j))).collect();
        Some(System { factor: Factor::of(matrix, order.len())?, order })
    }
}

#[cfg(test)]
mod tests;
