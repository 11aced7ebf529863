//! Scales of weights: int8, symmetric, per output channel, with room for the bias.

use crate::kept::kept_weights;
use crate::methods::{max_scale, mse_scale};
use crate::params::WeightScale;
use crate::table::Observations;
use ptq_ir::{DType, Device, Diagnostic, Node, QuantParams, QuantTable, fold_into_weights, input_channel_scales};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

/// Largest magnitude of an activation minus its zero point.
const MAX_ACTIVATION: f64 = 255.0;

/// Scales for the weights of every accelerated Conv.
///
/// `scale[o]` is chosen by [`WeightScale`] for the weights with the channel scales of the input folded in, and raised where the int32 bias `b / (input scale · scale[o])` would leave no room for the
/// products (as MobileNetV3-like nets with tiny filters need).
pub(crate) fn weight_params(
    of: &Observations<'_>,
    table: &QuantTable,
) -> Result<BTreeMap<String, QuantParams>, Vec<Diagnostic>> {
    let Observations { graph, placement, given, .. } = *of;
    let mut out: BTreeMap<String, QuantParams> = BTreeMap::new();
    let mut problems = Vec::new();
    for (id, node) in graph.nodes() {
        if placement.nodes[id.0 as usize].on != Device::Bpu || !node.is("Conv") {
            continue;
        }
        match conv_scales(of, node, table) {
            Ok((name, scale)) => {
                let scale = kept_weights(graph, node, given, &scale).and_then(Result::ok).unwrap_or(scale);
                let scale = match out.get(&name) {
                    Some(other) => scale.iter().zip(&other.scale).map(|(a, b)| a.max(*b)).collect(),
                    None => scale,
                };
                out.insert(name, QuantParams::per_channel(DType::I8, scale, 0));
            }
            Err(d) => problems.push(d),
        }
    }
    if problems.is_empty() { Ok(out) } else { Err(problems) }
}

/// What a quantized file says of weights and cannot be used, one warning a node.
pub(crate) fn not_kept(of: &Observations<'_>, table: &QuantTable) -> Vec<Diagnostic> {
    let mut notes = Vec::new();
    for (id, node) in of.graph.nodes() {
        if of.placement.nodes[id.0 as usize].on != Device::Bpu || !node.is("Conv") {
            continue;
        }
        let Ok((_, least)) = conv_scales(of, node, table) else { continue };
        if let Some(Err(why)) = kept_weights(of.graph, node, of.given, &least) {
            let what = format!("the weights are quantized anew: {why}");
            notes.push(Diagnostic::warning("CALIB12", what).node(&node.name));
        }
    }
    notes
}

/// What the products of a filter with `taps` weights leave of int32 for its bias. A 16-bit input has an accumulator of 64
/// bits, so that only the bias itself must fit.
pub(crate) fn bias_room(taps: usize, words: bool) -> f64 {
    if words {
        return f64::from(i32::MAX);
    }
    (f64::from(i32::MAX) - taps as f64 * 127.0 * MAX_ACTIVATION).max(f64::from(1 << 20))
}

fn conv_scales(of: &Observations<'_>, node: &Node, table: &QuantTable) -> Result<(String, Vec<f32>), Diagnostic> {
    let graph = of.graph;
    let bad = |e: String| Diagnostic::error("CALIB05", e).node(&node.name);
    let value = node.input(1).ok_or_else(|| bad("weights are missing".into()))?;
    let weights = graph.constant(value).ok_or_else(|| bad("weights are not constant".into()))?;
    let channels = input_channel_scales(graph, node, table);
    let folded = match channels {
        Some(scales) => {
            let group = usize::try_from(node.attrs.int("group", 1)).unwrap_or(0);
            &fold_into_weights(weights, group, scales).map_err(|e| bad(e.to_string()))?
        }
        None => weights,
    };
    let w = folded.f32s().map_err(|e| bad(e.to_string()))?;
    if let Some(v) = w.iter().find(|v| !v.is_finite()) {
        return Err(bad(format!("weights hold {v}")));
    }
    let filters = weights.shape().first().copied().unwrap_or(0).max(1);
    let taps = w.len() / filters;
    let bias = graph.const_input(node, 2).and_then(|t| t.f32s().ok());
    let input = node.input(0).and_then(|v| table.read_by(&graph.value(v).name, &node.name));
    let input_scale = input.filter(|_| channels.is_none()).map_or(1.0, |a| f64::from(a.params.scale0()));
    let room = bias_room(taps, input.is_some_and(|a| a.params.dtype == DType::I16));
    let choose = |filter: &[f32]| match of.weights {
        WeightScale::Max => max_scale(filter),
        WeightScale::Mse => mse_scale(filter),
    };
    let all = || Ok::<Vec<f64>, Infallible>(w.chunks_exact(taps.max(1)).map(choose).collect());
    let name = &graph.value(value).name;
    // Weights with the input's channel scales in them belong to one table.
    let own = match channels {
        Some(_) => all().map(Arc::new),
        None => of.memo.keep(&format!("{name}: weights {:?}", of.weights), all),
    };
    let Ok(own) = own;
    let scale = (0..filters)
        .map(|o| {
            let own = own[o];
            let for_bias = bias.and_then(|b| b.get(o)).map_or(0.0, |b| f64::from(b.abs()) / (input_scale * room));
            let scale = own.max(for_bias) as f32;
            if scale.is_normal() { scale } else { 1.0 }
        })
        .collect();
    Ok((name.clone(), scale))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::testing::run;
    use crate::{CalibrateParams, Calibration};
    use ptq_ir::{Attrs, GraphBuilder, Tensor};
    use ptq_rule::{Blobs, put_graph};

    /// The table of one pointwise Conv over `[1, 2, 2, 2]` with these weights and biases, on march `cpu`.
    fn table(weights: Vec<f32>, bias: Vec<f32>, choice: WeightScale) -> QuantTable {
        let mut b = GraphBuilder::new("g");
        let x = b.input("x", &[1, 2, 2, 2]);
        let (w, c) = (Tensor::from_f32([2, 2, 1, 1], weights).unwrap(), Tensor::from_f32([2], bias).unwrap());
        let (w, c) = (b.constant("w", w), b.constant("c", c));
        let conv = b.node("Conv", "conv", &[x, w, c], Attrs::default(), &[1, 2, 2, 2]);
        let relu = b.node("Relu", "relu", &[conv], Attrs::default(), &[1, 2, 2, 2]);
        b.output(relu);
        let mut inputs = Blobs::new();
        put_graph(&mut inputs, &b.finish()).unwrap();
        inputs.insert("march".into(), ptq_march::source("cpu").unwrap().into_owned().into());
        let sample = Tensor::from_f32([1, 2, 2, 2], (0..8).map(|i| i as f32 / 100.0).collect()).unwrap();
        let name = ptq_sample::sample_name(ptq_sample::ONLY_INPUT, "a.npy");
        inputs.insert(name, ptq_sample::write_npy(&sample).unwrap().into());
        let calibration = Calibration { weights: choice, ..Calibration::default() };
        let params = serde_json::to_string(&CalibrateParams { calibration, ..CalibrateParams::default() }).unwrap();
        let out = run("calibrate", &inputs, &params, 1, &mut Vec::new()).unwrap();
        ptq_ir::from_bytes(&out["quant"]).unwrap()
    }

    #[test]
    fn a_tiny_filter_leaves_room_for_its_bias_in_32_bits() {
        for choice in [WeightScale::Max, WeightScale::Mse] {
            let table = table(vec![1e-9, -2e-9, 0.5, 0.25], vec![5.0, 0.1], choice);
            let input = f64::from(table.activations["x"].params.scale0());
            let weights = &table.weights["w"].scale;
            let stored = 5.0 / (input * f64::from(weights[0]));
            assert!(stored + 2.0 * 127.0 * MAX_ACTIVATION <= f64::from(i32::MAX), "{stored}");
            assert!(f64::from(weights[0]) > 2e-9 / 127.0, "raised above what the weights need");
            assert_eq!(weights[1], (0.5f64 / 127.0) as f32, "another filter keeps its own scale");
        }
    }
}
