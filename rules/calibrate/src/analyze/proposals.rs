//! Settings that would help: for each of the worst nodes the device or types of that node alone, and other ways to calibrate the whole
//! variant. Each is tried: the table is calibrated as the manifest with these lines would, and scored on the same samples.

use super::report::{NodeAnalysis, Proposal};
use super::{Subject, internal, named, recalibrated, score_of};
use crate::answers::{Answers, Stop};
use crate::params::{Calibration, Method, WeightRounding, WeightScale};
use crate::rule::CalibrateParams;
use crate::score::{QUANT, REFERENCE};
use bytes::Bytes;
use ptq_ir::{Device, QuantTable};
use ptq_place::place;
use std::collections::BTreeSet;

/// Settings to try.
struct Trial {
    node: Option<String>,
    what: String,
    settings: Vec<(String, String)>,
    params: CalibrateParams,
}

/// Scores of whole tables on the scored samples.
pub(super) fn scores(
    subject: &Subject<'_>,
    tables: &[QuantTable],
    reference: &Bytes,
    answers: &mut Answers<'_>,
) -> Result<Vec<f64>, Stop> {
    let asked = |table: &QuantTable| {
        let quant = ptq_ir::to_bytes(table).map_err(|e| internal(&e))?;
        subject.asked("score", &subject.score_params(), vec![(QUANT, quant), (REFERENCE, reference.clone())])
    };
    let found = answers.ask(tables.iter().map(asked).collect::<Result<_, _>>()?)?;
    Ok(found.iter().map(score_of).collect::<Result<_, _>>()?)
}

/// What helps, the best score first; ties in the order tried.
pub(super) fn tried(
    subject: &Subject<'_>,
    nodes: &[NodeAnalysis],
    top: usize,
    score: f64,
    reference: &Bytes,
    answers: &mut Answers<'_>,
) -> Result<Vec<Proposal>, Stop> {
    let mut helping = measured(subject, of_nodes(subject, nodes, top), score, reference, answers)?;
    let together = of_all(subject, &helping);
    helping.extend(measured(subject, together.into_iter().collect(), score, reference, answers)?);
    helping.extend(measured(subject, of_variant(subject), score, reference, answers)?);
    helping.sort_by(|a, b| b.score.total_cmp(&a.score));
    Ok(helping)
}

fn measured(
    subject: &Subject<'_>,
    trials: Vec<Trial>,
    score: f64,
    reference: &Bytes,
    answers: &mut Answers<'_>,
) -> Result<Vec<Proposal>, Stop> {
    let requests = trials.iter().map(|t| recalibrated(subject, &t.params)).collect::<Result<_, _>>()?;
    let found = answers.ask(requests)?;
    let tables = found
        .iter()
        .map(|blobs| ptq_ir::from_bytes(&named(blobs, QUANT)?).map_err(|e| internal(&e)))
        .collect::<Result<Vec<QuantTable>, _>>()?;
    let scores = scores(subject, &tables, reference, answers)?;
    let gains = |(trial, new): (Trial, f64)| {
        let gain = if score.is_finite() { new - score } else { new };
        let Trial { node, what, settings, .. } = trial;
        (gain > 0.0).then_some(Proposal { node, what, settings, score: new, gain })
    };
    Ok(trials.into_iter().zip(scores).filter_map(gains).collect())
}

/// The device of each of the worst nodes.
fn of_nodes(subject: &Subject<'_>, nodes: &[NodeAnalysis], top: usize) -> Vec<Trial> {
    let losing = nodes.iter().filter(|n| n.alone.both.cosine != Some(1.0));
    losing.take(top).filter_map(|n| on_cpu(subject, std::slice::from_ref(&n.node))).collect()
}

/// These nodes in float; `None` where placement refuses.
fn on_cpu(subject: &Subject<'_>, nodes: &[String]) -> Option<Trial> {
    let mut params = subject.params.clone();
    params.requests.on.extend(nodes.iter().map(|n| (n.clone(), Device::Cpu)));
    place(subject.graph, subject.march, &params.requests).checked().ok()?;
    let settings = nodes.iter().map(|n| (format!("nodes.{}.on", quoted(n)), "\"CPU\"".to_owned())).collect();
    let what = match nodes {
        [one] => format!("keep {one} in float"),
        all => format!("keep {} in float", all.join(", ")),
    };
    Some(Trial { node: (nodes.len() == 1).then(|| nodes[0].clone()), what, settings, params })
}

/// All nodes together that help on their own.
fn of_all(subject: &Subject<'_>, helping: &[Proposal]) -> Option<Trial> {
    let names: BTreeSet<String> = helping.iter().filter_map(|p| p.node.clone()).collect();
    if names.len() < 2 {
        return None;
    }
    on_cpu(subject, &names.into_iter().collect::<Vec<_>>())
}

/// Other ways to calibrate, where the variant names one itself.
fn of_variant(subject: &Subject<'_>) -> Vec<Trial> {
    let now = &subject.params.calibration;
    let mut out = Vec::new();
    let mut add = |what: &str, settings: &[(&str, &str)], calibration: Calibration| {
        if calibration != *now {
            let settings = settings.iter().map(|(k, v)| (format!("calibration.{k}"), (*v).to_owned())).collect();
            let params = CalibrateParams { calibration, ..subject.params.clone() };
            out.push(Trial { node: None, what: what.to_owned(), settings, params });
        }
    };
    if matches!(now.method, Method::Max | Method::Kl | Method::Mse) {
        let of = |method, max_percentile| Calibration { method, max_percentile, ..now.clone() };
        add("ranges that cover everything", &[("type", "\"max\""), ("max_percentile", "1.0")], of(Method::Max, 1.0));
        let percentile = [("type", "\"max\""), ("max_percentile", "0.99995")];
        add("ranges that clip the largest elements", &percentile, of(Method::Max, 0.99995));
        add("ranges by divergence", &[("type", "\"kl\"")], of(Method::Kl, now.max_percentile));
        add("ranges of least squared error", &[("type", "\"mse\"")], of(Method::Mse, now.max_percentile));
        let per_channel = Calibration { per_channel: true, ..now.clone() };
        if !now.equalization {
            add("a range for each channel", &[("per_channel", "true")], per_channel);
        }
        let equalization = Calibration { equalization: true, ..now.clone() };
        if !now.per_channel {
            add("weights of neighbouring layers made equally large", &[("equalization", "true")], equalization);
        }
        if !subject.march.quantization.activations.is_affine() {
            let asymmetric = Calibration { asymmetric: true, ..now.clone() };
            add("zero points that follow the range", &[("asymmetric", "true")], asymmetric);
        }
    }
    if matches!(now.method, Method::Max | Method::Kl | Method::Mse | Method::Default | Method::Mix) {
        let weights = Calibration { weights: WeightScale::Mse, ..now.clone() };
        add("weight scales of least squared error", &[("weights", "\"mse\"")], weights);
        if now.rounding == WeightRounding::Nearest {
            let bias = Calibration { bias_correction: true, ..now.clone() };
            add("biases that make up for mean errors", &[("bias_correction", "true")], bias);
        }
        let rounding = Calibration { rounding: WeightRounding::Compensated, bias_correction: false, ..now.clone() };
        if !now.bias_correction {
            add("weights rounded with compensation", &[("rounding", "\"compensated\"")], rounding);
        }
    }
    out
}

/// A name as part of a dotted key.
fn quoted(name: &str) -> String {
    let bare = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    if bare { name.to_owned() } else { format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\"")) }
}
