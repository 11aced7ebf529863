//! Constants of a convolution in the form that its loops read, made once.

use super::conv::IntConvSpec;
use super::finish::Finish;
use super::tile::NR;
use crate::KernelError;
use ptq_ir::Requant;

/// Weights `[filter][channel][tap]` as `[filter][tap][channel]`.
pub(super) fn taps_first(w: &[i8], depth: usize, taps: usize) -> Vec<i8> {
    let filters = w.chunks_exact(depth * taps);
    filters.flat_map(|f| (0..taps).flat_map(move |t| (0..depth).map(move |c| f[c * taps + t]))).collect()
}

/// Requantization constants of each group.
pub(super) fn finishes(
    requant: &Requant,
    per_group: usize,
    spec: &IntConvSpec<'_>,
) -> Result<Vec<Finish>, KernelError> {
    let groups = spec.filters / per_group;
    let entries = match requant {
        Requant::Float(m) => m.len(),
        Requant::Fixed(m) => m.len(),
    };
    if entries != 1 && entries != spec.filters {
        return Err(KernelError::Geometry(format!("{entries} requantizations for {} filters", spec.filters)));
    }
    (0..groups)
        .map(|g| {
            let range = if entries == 1 { 0..1 } else { g * per_group..(g + 1) * per_group };
            let own = match requant {
                Requant::Float(m) => Requant::Float(m[range].to_vec()),
                Requant::Fixed(m) => Requant::Fixed(m[range].to_vec()),
            };
            Finish::new(&own, per_group, spec.out_zero, spec.clamp)
        })
        .collect()
}

/// `bias - (zero + offset) · Σ w`, modulo 2^32, in panels of `per_group` filters.
pub(super) fn folded_bias(spec: &IntConvSpec<'_>, per_group: usize, k: usize, offset: i32) -> Vec<i32> {
    let zero = spec.input_zero.wrapping_add(offset);
    let padded = per_group.next_multiple_of(NR);
    let mut out = vec![0i32; spec.filters / per_group * padded];
    for (o, w) in spec.weights.chunks_exact(k).enumerate() {
        let sum = w.iter().fold(0i32, |s, &v| s.wrapping_add(i32::from(v)));
        let bias = spec.bias.map_or(0, |b| b[o]);
        out[o / per_group * padded + o % per_group] = bias.wrapping_sub(zero.wrapping_mul(sum));
    }
    out
}
