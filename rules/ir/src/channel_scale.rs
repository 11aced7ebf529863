//! Activations with one scale a channel, folded into the weights of the Conv that reads them.
//!
//! With `x[c] = s[c]·(q[c] − z)`, a Conv needs `Σ W[o,c]·s[c]·(q[c] − z)`: its integer weights stand for `W[o,c]·s[c]`,
//! and its accumulator's scale is that of the folded weights alone. Called by calibrate (scales of weights), the fake-quantized
//! executor, partition, export and verify, so that all fold alike.

use crate::{Graph, Node, QuantParams, QuantTable, Tensor, TensorError};

/// Axis of a feature map's channels.
const CHANNELS: usize = 1;

/// The scales of an activation with one a channel; `None` with one for all.
pub fn channel_scales(params: &QuantParams) -> Option<&[f32]> {
    (params.axis == Some(CHANNELS)).then_some(&params.scale)
}

/// The scales of the input of a Conv under a table, when it has one a channel.
pub fn input_channel_scales<'a>(graph: &Graph, node: &Node, table: &'a QuantTable) -> Option<&'a [f32]> {
    let x = node.input(0).filter(|_| node.is("Conv"))?;
    channel_scales(&table.activations.get(&graph.value(x).name)?.params)
}

/// Weights (OIHW, in `group` groups) with every input channel multiplied by its scale.
///
/// # Errors
/// When the weights are not float32, or have another number of input channels.
pub fn fold_into_weights(weights: &Tensor, group: usize, scales: &[f32]) -> Result<Tensor, TensorError> {
    by_input_channel(weights, group, scales, |w, s| w * s)
}

/// The inverse of [`fold_into_weights`].
///
/// # Errors
/// As there.
pub fn unfold_from_weights(weights: &Tensor, group: usize, scales: &[f32]) -> Result<Tensor, TensorError> {
    by_input_channel(weights, group, scales, |w, s| w / s)
}

fn by_input_channel(
    weights: &Tensor,
    group: usize,
    scales: &[f32],
    change: impl Fn(f32, f32) -> f32,
) -> Result<Tensor, TensorError> {
    let data = weights.f32s()?;
    let shape = weights.shape();
    let (filters, per_group) = (shape.first().copied().unwrap_or(1), shape.get(1).copied().unwrap_or(1));
    let taps: usize = shape.iter().skip(2).product();
    if group == 0 || per_group * group != scales.len() || filters % group.max(1) != 0 {
        return Err(TensorError::Count { elements: scales.len(), shape: shape.to_vec() });
    }
    let changed = data.iter().enumerate().map(|(i, &w)| {
        let (o, c) = (i / (taps * per_group), i / taps % per_group);
        change(w, scales[o / (filters / group) * per_group + c])
    });
    Tensor::from_f32(shape, changed.collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_input_channel_gets_its_own_scale_also_in_groups() {
        let w = Tensor::from_f32([4, 2, 1, 1], (1..=8).map(|v| v as f32).collect()).unwrap();
        let folded = fold_into_weights(&w, 2, &[1.0, 10.0, 100.0, 1000.0]).unwrap();
        assert_eq!(folded.f32s().unwrap(), [1.0, 20.0, 3.0, 40.0, 500.0, 6000.0, 700.0, 8000.0]);
        assert_eq!(unfold_from_weights(&folded, 2, &[1.0, 10.0, 100.0, 1000.0]).unwrap(), w);
        assert!(fold_into_weights(&w, 1, &[1.0; 4]).is_err());
    }
}
