//! int16 for the nodes that pay most, under a budget: the last candidates of the search `auto`, where
//! `calibration.max_int16_macs` is above 0.
//!
//! Every accelerated node that computes is scored with only its inputs and weights quantized by the best table so far. The
//! nodes are gone through from the lowest score on; each gets its inputs in 16 bits where the march can, unless the share of
//! the multiply-accumulates with a 16-bit factor would pass the budget. Readers of the same values read them in 16 bits too and
//! count. The placement that this gives is a candidate under each plain way; their scores decide as all others do.

use super::candidates::{Candidates, Correction};
use super::{PERCENTILE, Scorer, computing};
use crate::answers::Stop;
use crate::params::{Pick, Way};
use crate::table::Observations;
use ptq_ir::{Graph, Node, ValueId};
use ptq_place::{Placement, Requests, place, scales, words};

/// Ways of the candidates: what is left in 8 bits follows them.
const WAYS: [Way; 4] =
    [Way::of(Pick::Max), Way::of(Pick::Percentile(PERCENTILE)), Way::of(Pick::Kl), Way::of(Pick::Mse)];

/// Adds the candidates.
pub(super) fn add(
    observations: &Observations<'_>,
    requests: &Requests,
    budget: f64,
    scorer: &mut Scorer<'_, '_>,
    candidates: &mut Candidates,
) -> Result<(), Stop> {
    let Some((_, tables)) = candidates.best() else { return Ok(()) };
    let names = computing(observations.placement);
    let alone = scorer.alone(&[tables.whole], &names)?.swap_remove(0);
    let mut order: Vec<usize> = (0..names.len()).collect();
    let rank = |i: usize| if alone[i].is_nan() { f64::NEG_INFINITY } else { alone[i] };
    order.sort_by(|&a, &b| rank(a).total_cmp(&rank(b)).then(a.cmp(&b)));
    let Some((count, placement)) = within(observations, requests, budget, order.iter().map(|&i| &names[i])) else {
        return Ok(());
    };
    let scales = scales(observations.graph, &placement);
    let observations = Observations { placement: &placement, scales: &scales, ..*observations };
    let named = |way: Way| format!("int16 for {count} nodes + {way}");
    let mut more = Vec::new();
    for way in WAYS {
        more.push((named(way), scorer.tables(&observations, way)?));
    }
    candidates.add(more, scorer)?;
    match candidates.best() {
        Some((name, tables)) if name.starts_with("int16") => {
            candidates.correct(vec![(name, tables, Correction::Rounding)], &observations, scorer)
        }
        _ => Ok(()),
    }
}

/// How many of the nodes get 16 bits within the budget, and the placement that has them; `None` when it has no 16 bits more
/// than was asked for.
fn within<'n>(
    of: &Observations<'_>,
    requests: &Requests,
    budget: f64,
    nodes: impl Iterator<Item = &'n String>,
) -> Option<(usize, Placement)> {
    let before = words(of.graph, of.placement);
    let (mut asked, mut found) = (requests.clone(), None);
    for node in nodes {
        let mut more = asked.clone();
        let types = more.types.entry(node.clone()).or_default();
        if types.keys().any(|key| key.starts_with("InputType")) {
            continue;
        }
        types.insert("InputType".to_owned(), "int16".to_owned());
        let placement = place(of.graph, of.march, &more).placement;
        if words(of.graph, &placement).len() > before.len() && share(of.graph, &placement) <= budget {
            found = Some((found.map_or(0, |(n, _)| n) + 1, placement));
            asked = more;
        }
    }
    found
}

/// The share of a model's multiply-accumulates that have a 16-bit factor.
pub(crate) fn share(graph: &Graph, placement: &Placement) -> f64 {
    let rows = || graph.nodes.iter().zip(&placement.nodes);
    let all: f64 = rows().map(|(node, _)| macs(graph, node)).sum();
    let wide: f64 = rows().filter(|(_, row)| !row.int16_inputs.is_empty()).map(|(node, _)| macs(graph, node)).sum();
    if all > 0.0 { wide / all } else { 0.0 }
}

/// Multiply-accumulates of a Conv or MatMul; none of other operators.
fn macs(graph: &Graph, node: &Node) -> f64 {
    let shape = |v: Option<ValueId>| v.map(|v| graph.value(v).shape.as_slice()).unwrap_or_default();
    let elements = |s: &[usize]| s.iter().map(|&d| d as f64).product::<f64>();
    let result = elements(shape(node.outputs.first().copied()));
    match node.op.as_str() {
        "Conv" => result * elements(shape(node.input(1)).get(1..).unwrap_or_default()),
        "MatMul" => result * shape(node.input(0)).last().map_or(0.0, |&k| k as f64),
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ptq_ir::{Attrs, GraphBuilder, Tensor};
    use std::collections::BTreeMap;

    #[test]
    fn shares_count_products() {
        let mut b = GraphBuilder::new("g");
        let x = b.input("x", &[1, 2, 4, 4]);
        let w = b.constant("w", Tensor::from_f32([6, 2, 3, 3], vec![0.1; 108]).expect("count"));
        let y = b.node("Conv", "conv", &[x, w], Attrs::default(), &[1, 6, 4, 4]);
        let v = b.constant("v", Tensor::from_f32([6, 6, 1, 1], vec![0.1; 36]).expect("count"));
        let z = b.node("Conv", "point", &[y, v], Attrs::default(), &[1, 6, 4, 4]);
        b.output(z);
        let g = b.finish();
        let march = ptq_march::March::from_toml(&ptq_march::source("cpu").expect("built in")).expect("valid");
        let asked = BTreeMap::from([("InputType".to_owned(), "int16".to_owned())]);
        let requests = Requests { types: [("point".to_owned(), asked)].into(), ..Requests::default() };
        let placement = place(&g, &march, &requests).placement;
        let (conv, point) = (6.0 * 16.0 * 18.0, 6.0 * 16.0 * 6.0);
        assert_eq!(share(&g, &placement), point / (conv + point));
        assert_eq!(share(&g, &place(&g, &march, &Requests::default()).placement), 0.0);
    }
}
