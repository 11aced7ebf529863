//! Cross-layer equalization: one factor for each channel between two Convs, so that what makes a channel and what reads it have weights
//! of one size.
//!
//! After Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction" (ICCV 2019, arXiv:1906.04721), section 4.1:
//! with `r1` the largest weight of the filter that makes channel `c` and `r2` the largest that reads it, `s = √(r1 / r2)`; the filter is
//! divided by `s` and what reads the channel multiplied by it, again and again over all pairs until nothing moves. Filters have scales of
//! their own here, so dividing one changes no rounding: all that is left of it is that the channel arrives divided by `s`, which is a scale for
//! each channel of the activation, taken into its readers' weights. So equalization is stored as such scales, the graph stays as it is, and
//! it is possible exactly where channels can have scales. It also holds for activations that are clipped above (ReLU6), as no scale is
//! coarser than that of the whole tensor.

use crate::channels::absorbable;
use crate::params::{Way, channel_range, from_range};
use ptq_ir::{ActScheme, ActivationQuant, Graph, Node, NodeId, QuantParams, Tensor, ValueId};
use ptq_place::Placement;
use std::collections::BTreeMap;

/// Sweeps over all pairs, at most.
const SWEEPS: usize = 50;
/// The sweeps end where no factor moves by more than this share.
const STILL: f64 = 1e-3;
/// Bounds of a factor.
const BOUNDS: (f64, f64) = (1e-3, 1e3);

/// Factors by value name, one a channel.
pub(crate) type Factors = BTreeMap<String, Vec<f64>>;

/// The part of a Conv that reads or makes a value.
struct Side<'g> {
    /// Weights `[filters, taps]`.
    weights: &'g [f32],
    /// Weights of one input channel of a filter.
    window: usize,
    /// Input channels of a filter.
    depth: usize,
    /// Filters of a group.
    filters: usize,
    /// What it reads and makes, where these have factors.
    reads: Option<ValueId>,
    makes: Option<ValueId>,
}

/// Factors of all values that may have one scale a channel.
pub(crate) fn factors(graph: &Graph, placement: &Placement) -> Factors {
    let values = absorbable(graph, placement);
    let (producers, consumers) = (graph.producers(), graph.consumers());
    let maker = |v: ValueId| -> Option<NodeId> {
        let id = producers[v.0 as usize]?;
        if graph.node(id).is("Conv") { Some(id) } else { producers[graph.node(id).input(0)?.0 as usize] }
    };
    let mut factors: BTreeMap<ValueId, Vec<f64>> = BTreeMap::new();
    for &v in &values {
        factors.insert(v, vec![1.0; graph.value(v).shape.get(1).copied().unwrap_or(0)]);
    }
    let made: BTreeMap<NodeId, ValueId> = values.iter().filter_map(|&v| Some((maker(v)?, v))).collect();
    let side = |id: NodeId| side(graph, graph.node(id), &factors, made.get(&id).copied());
    let mut pairs: Vec<(ValueId, Side<'_>, Vec<Side<'_>>)> = Vec::new();
    for &v in &values {
        let readers: Option<Vec<Side<'_>>> = consumers[v.0 as usize].iter().map(|&r| side(r)).collect();
        if let (Some(m), Some(readers)) = (maker(v).and_then(side), readers) {
            pairs.push((v, m, readers));
        }
    }
    let mut current = factors.clone();
    for _ in 0..SWEEPS {
        let mut moved = 0f64;
        for (v, maker, readers) in &pairs {
            let Some(mut own) = current.get(v).cloned() else { continue };
            for (c, factor) in own.iter_mut().enumerate() {
                let r1 = maker.largest_making(c, &current);
                let r2 = readers.iter().map(|r| r.largest_reading(c, &current)).fold(0.0, f64::max);
                if r1 > 0.0 && r2 > 0.0 && r1.is_finite() && r2.is_finite() {
                    let next = (*factor * (r1 / r2).sqrt()).clamp(BOUNDS.0, BOUNDS.1);
                    moved = moved.max((next / *factor - 1.0).abs());
                    *factor = next;
                }
            }
            current.insert(*v, own);
        }
        if moved < STILL {
            break;
        }
    }
    current.into_iter().map(|(v, f)| (graph.value(v).name.clone(), f)).collect()
}

fn side<'g>(
    graph: &'g Graph,
    node: &Node,
    known: &BTreeMap<ValueId, Vec<f64>>,
    makes: Option<ValueId>,
) -> Option<Side<'g>> {
    let tensor: &Tensor = graph.const_input(node, 1)?;
    let shape = tensor.shape();
    let group = usize::try_from(node.attrs.int("group", 1)).ok()?.max(1);
    Some(Side {
        weights: tensor.f32s().ok()?,
        window: shape[2..].iter().product(),
        depth: shape[1],
        filters: shape[0] / group,
        reads: node.input(0).filter(|v| known.contains_key(v)),
        makes: makes.filter(|v| known.contains_key(v)),
    })
}

impl Side<'_> {
    /// Largest magnitude of a filter's weights of one input channel (of its group).
    fn largest(&self, filter: usize, depth: usize) -> f64 {
        let from = (filter * self.depth + depth) * self.window;
        let window = self.weights.get(from..from + self.window).unwrap_or(&[]);
        f64::from(window.iter().fold(0f32, |m, w| m.max(w.abs())))
    }

    /// As [`Side::largest`], with the factors of what is read and made.
    fn scaled(&self, filter: usize, depth: usize, factors: &BTreeMap<ValueId, Vec<f64>>) -> f64 {
        let of = |v: Option<ValueId>, c: usize| v.and_then(|v| factors.get(&v)?.get(c).copied()).unwrap_or(1.0);
        let channel = filter / self.filters.max(1) * self.depth + depth;
        self.largest(filter, depth) * of(self.reads, channel) / of(self.makes, filter)
    }

    /// Largest weight of the filter that makes channel `c`.
    fn largest_making(&self, c: usize, factors: &BTreeMap<ValueId, Vec<f64>>) -> f64 {
        (0..self.depth).map(|d| self.scaled(c, d, factors)).fold(0.0, f64::max)
    }

    /// Largest weight that reads channel `c`.
    fn largest_reading(&self, c: usize, factors: &BTreeMap<ValueId, Vec<f64>>) -> f64 {
        let (group, depth) = (c / self.depth.max(1), c % self.depth.max(1));
        let own = group * self.filters..(group + 1) * self.filters;
        own.map(|f| self.scaled(f, depth, factors)).fold(0.0, f64::max)
    }
}

/// Parameters with a scale for each channel in proportion to its factor, as small as the channels' ranges (clipped to the whole
/// tensor's) allow and at most the whole tensor's.
pub(crate) fn equalized(
    whole: &ActivationQuant,
    ranges: &[(f32, f32)],
    factors: &[f64],
    way: Way,
    scheme: ActScheme,
) -> ActivationQuant {
    if ranges.len() != factors.len() || factors.is_empty() {
        return whole.clone();
    }
    let scheme = if way.asymmetric { scheme.asymmetric() } else { scheme };
    let step = |lo: f32, hi: f32| from_range(lo, hi, scheme);
    let clipped = |range: &(f32, f32)| channel_range(whole, range);
    let needed: Vec<QuantParams> = ranges
        .iter()
        .map(|r| {
            let (lo, hi) = clipped(r);
            step(lo, hi)
        })
        .collect();
    let zero = whole.params.zero_point0();
    // The readers add one zero point for all channels.
    let empty = |r: &(f32, f32)| {
        let (lo, hi) = clipped(r);
        lo == hi
    };
    if ranges.iter().zip(&needed).any(|(r, p)| !empty(r) && p.zero_point0() != zero) {
        return whole.clone();
    }
    let most = f64::from(whole.params.scale0());
    let of = |(r, p): (&(f32, f32), &QuantParams)| if empty(r) { 0.0 } else { f64::from(p.scale0()) };
    let needed: Vec<f64> = ranges.iter().zip(&needed).map(of).collect();
    let common = needed.iter().zip(factors).map(|(n, f)| n / f).fold(0.0, f64::max);
    let scale = |(n, f): (&f64, &f64)| {
        let wanted = (f * common).max(*n).min(most);
        // The cast must not pass the whole tensor's scale, or an activation's upper bound would no longer be the type's.
        let scale = if *n == 0.0 { most } else { wanted } as f32;
        if scale.is_normal() { scale.min(whole.params.scale0()) } else { whole.params.scale0() }
    };
    let params = QuantParams {
        dtype: whole.params.dtype,
        scale: needed.iter().zip(factors).map(scale).collect(),
        zero_point: vec![zero; ranges.len()],
        axis: Some(1),
    };
    ActivationQuant { params, ..whole.clone() }
}

#[cfg(test)]
mod tests;
