//! `quant_info.json`: every scale and every placement of a variant. Called by the engine when it materializes one.

use crate::{Figure, Measure};
use ptq_ir::{Device, QuantParams, QuantTable};
use ptq_place::Reason;
use serde::Serialize;
use std::collections::BTreeMap;

#[derive(Serialize)]
struct QuantInfo<'a> {
    tensors: BTreeMap<&'a str, TensorInfo<'a>>,
    weights: &'a BTreeMap<String, QuantParams>,
    nodes: Vec<NodeInfo<'a>>,
}

#[derive(Serialize)]
struct TensorInfo<'a> {
    dtype: &'a str,
    scale: &'a [f32],
    zero_point: &'a [i32],
    axis: Option<usize>,
    threshold: Figure,
    method: &'a str,
    lo: Figure,
    hi: Figure,
}

#[derive(Serialize)]
struct NodeInfo<'a> {
    name: &'a str,
    #[serde(rename = "type")]
    shown: &'a str,
    on: Device,
    subgraph: &'a str,
    cosine: Option<Figure>,
    threshold: Option<f32>,
    in_type: &'a str,
    out_type: &'a str,
    absorbed_by: Option<&'a str>,
    reason: Option<&'a Reason>,
}

/// Indented JSON: `tensors` by name (element type, scale, zero point, threshold, method, calibrated range), `weights` by name and `nodes` in
/// order (type, device, cosine, reason).
pub fn quant_info_json(quant: &QuantTable, measure: &Measure) -> String {
    let tensors = quant.activations.iter().map(|(name, a)| {
        let info = TensorInfo {
            dtype: a.params.dtype.name(),
            scale: &a.params.scale,
            zero_point: &a.params.zero_point,
            axis: a.params.axis,
            threshold: figure(a.params.threshold()),
            method: &a.method,
            lo: figure(a.lo),
            hi: figure(a.hi),
        };
        (name.as_str(), info)
    });
    let nodes = measure.nodes.iter().map(|n| NodeInfo {
        name: &n.node,
        shown: &n.shown,
        on: n.on,
        subgraph: &n.subgraph,
        cosine: n.cosine,
        threshold: n.threshold,
        in_type: &n.in_type,
        out_type: &n.out_type,
        absorbed_by: n.absorbed_by.as_deref(),
        reason: n.reason.as_ref(),
    });
    let info = QuantInfo { tensors: tensors.collect(), weights: &quant.weights, nodes: nodes.collect() };
    let mut text = serde_json::to_string_pretty(&info).expect("invariant: string keys and plain fields encode");
    text.push('\n');
    text
}

/// The shortest decimal form of an f32, so that 0.1 is not shown as 0.10000000149011612.
fn figure(v: f32) -> Figure {
    Figure(v.to_string().parse().unwrap_or(f64::from(v)))
}
