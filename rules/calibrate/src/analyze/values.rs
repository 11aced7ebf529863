//! What the quantized activations hold, and what the chosen ranges keep of it.

use super::Subject;
use super::report::ValueAnalysis;
use crate::Histogram;
use crate::channels::ChannelRanges;
use crate::values::origin;
use ptq_ir::ValueId;
use std::collections::BTreeMap;

/// Steps of a drawn distribution.
const STEPS: usize = 96;

pub(super) fn values(
    subject: &Subject<'_>,
    histograms: &BTreeMap<String, Histogram>,
    channels: &ChannelRanges,
) -> Vec<ValueAnalysis> {
    let graph = subject.graph;
    let mut order: Vec<ValueId> = subject.table.activations.keys().filter_map(|n| graph.find_value(n)).collect();
    order.sort_unstable();
    let one = |v: ValueId| {
        let name = &graph.value(v).name;
        let quant = subject.table.activations.get(name)?;
        let empty = Histogram::default();
        let histogram = histograms.get(&graph.value(origin(graph, v)).name).unwrap_or(&empty);
        let seen = histogram.min <= histogram.max;
        let (params, count) = (&quant.params, histogram.count());
        let outside = outside(histogram, quant.lo, quant.hi);
        Some(ValueAnalysis {
            name: name.clone(),
            method: quant.method.clone(),
            lo: quant.lo,
            hi: quant.hi,
            scale: params.scale.iter().copied().fold(0.0, f32::max),
            zero_point: params.zero_point0(),
            min: seen.then_some(histogram.min),
            max: seen.then_some(histogram.max),
            count,
            clipped: if count == 0 { 0.0 } else { outside as f64 / count as f64 },
            histogram: if seen { even(histogram) } else { Vec::new() },
            zeros: histogram.zeros,
            channels: channels.get(name).cloned().unwrap_or_default(),
        })
    };
    order.into_iter().filter_map(one).collect()
}

/// Middle of a bin.
fn middle(bin: usize) -> f64 {
    (Histogram::lower_edge(bin) + Histogram::lower_edge(bin + 1)) / 2.0
}

/// Elements with their value, bin by bin.
fn elements(histogram: &Histogram) -> impl Iterator<Item = (f64, u64)> + '_ {
    let side = |counts: &'_ [u64], sign: f64| -> Vec<(f64, u64)> {
        counts.iter().enumerate().filter(|(_, c)| **c > 0).map(|(i, &c)| (sign * middle(i), c)).collect()
    };
    side(histogram.negative(), -1.0).into_iter().chain(side(histogram.positive(), 1.0))
}

/// Elements below `lo` or above `hi`; those in the bin of an end count as inside.
fn outside(histogram: &Histogram, lo: f32, hi: f32) -> u64 {
    let bin = |x: f32| Histogram::bin_of(f64::from(x));
    let beyond = |counts: &[u64], end: f32| {
        let from = bin(end).map_or(0, |b| b + 1);
        counts.iter().skip(from).sum::<u64>()
    };
    beyond(histogram.positive(), hi.max(0.0)) + beyond(histogram.negative(), (-lo).max(0.0))
}

/// Counts in even steps from the smallest to the largest element.
fn even(histogram: &Histogram) -> Vec<u64> {
    let (min, max) = (f64::from(histogram.min), f64::from(histogram.max));
    let mut out = vec![0; STEPS];
    for (x, count) in elements(histogram) {
        let at = (x - min) / (max - min).max(f64::MIN_POSITIVE) * STEPS as f64;
        out[(at.max(0.0) as usize).min(STEPS - 1)] += count;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_outside_a_range_and_even_steps_are_those_of_the_elements() {
        let mut h = Histogram::default();
        let values: Vec<f32> = (-400..=600).map(|i| i as f32 / 100.0).collect();
        h.observe(&values);
        assert_eq!(outside(&h, -4.0, 6.0), 0);
        let beyond = outside(&h, -2.0, 3.0) as f64;
        assert!((beyond / 500.0 - 1.0).abs() < 0.02, "{beyond} of 200 below and 300 above");
        let steps = even(&h);
        assert_eq!(steps.iter().sum::<u64>() + h.zeros, 1001);
        assert!(steps.iter().all(|&c| (8..=14).contains(&c)), "{steps:?}");
    }
}
