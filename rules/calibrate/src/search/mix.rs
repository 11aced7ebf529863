//! The search `mix`, as Horizon's documents describe it.
//!
//! Every accelerated node is scored under KL with only its inputs and weights quantized; those below the limit are
//! sensitive. For each sensitive node the best of max, max-percentile 0.99995 and KL is found with only that node
//! quantized. Then the mixture (the best way at sensitive nodes, KL elsewhere) and the three ways as whole tables are
//! scored, and the best wins. A value that several sensitive nodes read follows the most sensitive one.

use super::candidates::{Candidates, best};
use super::{FIRST, Scorer, SearchReport, Sensitive, nothing_wins, tried};
use crate::answers::Stop;
use crate::params::{Pick, Way};
use crate::table::Observations;
use ptq_ir::{Device, ValueId};
use ptq_march::Class;
use ptq_place::Placement;
use std::collections::BTreeMap;

pub(super) fn mix(
    observations: &Observations<'_>,
    sensitive_below: f64,
    scorer: &mut Scorer<'_, '_>,
    report: &mut SearchReport,
) -> Result<Candidates, Stop> {
    let nodes = computing(observations.placement);
    let tables = FIRST.iter().map(|w| observations.table(&|_| *w)).collect::<Result<Vec<_>, _>>()?;
    let [max, percentile, kl] = &tables[..] else { return Err(nothing_wins()) };
    let alone = scorer.alone(std::slice::from_ref(kl), &nodes)?;
    let under_kl = &alone[0];
    let mut sensitive: Vec<usize> =
        (0..nodes.len()).filter(|&i| under_kl[i].is_nan() || under_kl[i] < sensitive_below).collect();
    // Lowest score first; what is not a number before everything.
    let rank = |i: &usize| if under_kl[*i].is_nan() { f64::NEG_INFINITY } else { under_kl[*i] };
    sensitive.sort_by(|a, b| rank(a).total_cmp(&rank(b)).then(a.cmp(b)));
    let names: Vec<String> = sensitive.iter().map(|&i| nodes[i].clone()).collect();
    let others = match names.is_empty() {
        true => vec![Vec::new(); 2],
        false => scorer.alone(&[max.clone(), percentile.clone()], &names)?,
    };
    let mut by_value: BTreeMap<ValueId, Way> = BTreeMap::new();
    for (rank, &i) in sensitive.iter().enumerate() {
        let scores = [others[0][rank], others[1][rank], under_kl[i]];
        let way = FIRST[best(&scores).unwrap_or(2)];
        let node = observations.graph.find_node(&nodes[i]).map(|id| observations.graph.node(id));
        for &v in node.iter().flat_map(|n| n.inputs.iter().flatten()) {
            by_value.entry(v).or_insert(way);
        }
        let score = tried(String::new(), under_kl[i]).score;
        report.sensitive.push(Sensitive { node: nodes[i].clone(), score, best: way.to_string() });
    }
    let mixed = observations.table(&|v| by_value.get(&v).copied().unwrap_or(Way::of(Pick::Kl)))?;
    let names = std::iter::once("mix".to_owned()).chain(FIRST.iter().map(Way::to_string));
    let mut candidates = Candidates::default();
    let tables = std::iter::once(mixed).chain(tables).map(|t| scorer.same(t));
    candidates.add(names.zip(tables).collect(), scorer)?;
    Ok(candidates)
}

/// Names of the nodes that quantization can hurt: accelerated ones that compute.
pub(crate) fn computing(placement: &Placement) -> Vec<String> {
    let rows = placement.nodes.iter();
    let computes = rows.filter(|r| r.on == Device::Bpu && r.class != Class::Passive && r.absorbed_by.is_none());
    computes.map(|r| r.name.clone()).collect()
}
