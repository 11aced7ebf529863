//! Constants of a convolution in the form that its loops read, made once.

use super::conv::IntConvSpec;
use super::finish::Finish;
use super::tile::{NR, Sums};
use crate::KernelError;
use ptq_ir::Requant;

/// Weights `[filter][channel][tap]` as `[filter][tap][channel]`.
pub(super) fn taps_first(w: &[i8], depth: usize, taps: usize) -> Vec<i8> {
    let filters = w.chunks_exact(depth * taps);
    filters.flat_map(|f| (0..taps).flat_map(move |t| (0..depth).map(move |c| f[c * taps + t]))).collect()
}

/// Requantization of each group, whose columns are these filters.
pub(super) fn finishes(
    requant: &Requant,
    groups: &[Vec<usize>],
    spec: &IntConvSpec<'_>,
) -> Result<Vec<Finish>, KernelError> {
    let entries = match requant {
        Requant::Float(m) => m.len(),
        Requant::Fixed(m) => m.len(),
    };
    if entries != 1 && entries != spec.filters {
        return Err(KernelError::Geometry(format!("{entries} requantizations for {} filters", spec.filters)));
    }
    let entry = |filter: usize| if entries == 1 { 0 } else { filter };
    groups
        .iter()
        .map(|columns| {
            let own = match requant {
                Requant::Float(m) => Requant::Float(columns.iter().map(|&f| m[entry(f)]).collect()),
                Requant::Fixed(m) => Requant::Fixed(columns.iter().map(|&f| m[entry(f)]).collect()),
            };
            Finish::new(&own, columns.len(), spec.out_zero, spec.clamp)
        })
        .collect()
}

/// `bias - (zero + offset) · Σ w`, modulo 2^32, in panels of each group.
pub(super) fn folded_bias(spec: &IntConvSpec<'_>, groups: &[Vec<usize>], offset: i32) -> Vec<Sums> {
    let zero = spec.input_zero.wrapping_add(offset);
    let k = spec.weights.len() / spec.filters;
    let folded = |filter: usize| {
        let sum = spec.weights[filter * k..][..k].iter().fold(0i32, |s, &v| s.wrapping_add(i32::from(v)));
        let bias = spec.bias.map_or(0, |b| b[filter]);
        bias.wrapping_sub(zero.wrapping_mul(sum))
    };
    let panels = groups.iter().flat_map(|columns| columns.chunks(NR));
    panels.map(|panel| std::array::from_fn(|i| panel.get(i).map_or(0, |&f| folded(f)))).collect()
}
