//! The calibrate stage as the engine sees it: ask for observations, then choose parameters.

use crate::answers::{Answers, Stop, request};
use crate::channels::{CHANNELS, ChannelParams, ChannelRanges, between_convs, merge, refused};
use crate::findings::findings;
use crate::improve::{Improvement, improved};
use crate::inspect::{DATA, FileFacts, InspectParams, Inspected, SampledInput};
use crate::kept::{self, GIVEN};
use crate::loaded::{self, THRESHOLDS, left_out, loaded};
use crate::merge::{MergeParams, merged, observed};
use crate::observe::ObserveParams;
use crate::params::{Calibration, Method, Way, WeightRounding};
use crate::samples::{Sample, samples};
use crate::score::ScoreParams;
use crate::search::{Part, Scorer, compared, search};
use crate::shards::shards;
use crate::table::{Observations, is_image};
use crate::values::{further, origin, shared};
use crate::weights::not_kept;
use ptq_ir::{Diagnostic, Graph, InputSpec, QuantTable, ValueId};
use ptq_march::March;
use ptq_place::{Requests, Scale, follow, place, scales};
use ptq_rule::{ActionRequest, Blobs, BuildRule, Context, Failure, InputRef, Step};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Samples of one observe action, unless the manifest says otherwise.
const DEFAULT_SHARD: usize = 16;
/// Most samples that `auto` scores on, unless the manifest asks for more.
const MOST_SCORED: usize = 64;
/// Parts that `auto` deals so many scored samples to, or more. With fewer there are none to hold back.
const PARTS: [(usize, usize); 2] = [(48, 2), (16, 4)];
/// Synthetic samples of calibration type `skip`.
const SYNTHETIC_SAMPLES: u32 = 1;

/// What calibrate reads of the configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CalibrateParams {
    /// Descriptions of the model's inputs.
    pub inputs: BTreeMap<String, InputSpec>,
    /// Placement requests.
    pub requests: Requests,
    /// Method and its settings.
    pub calibration: Calibration,
    /// Samples of one observe action.
    pub shard: usize,
}

impl Default for CalibrateParams {
    fn default() -> CalibrateParams {
        CalibrateParams {
            inputs: BTreeMap::new(),
            requests: Requests::default(),
            calibration: Calibration::default(),
            shard: DEFAULT_SHARD,
        }
    }
}

/// Inputs: `graph` and its tensors, `march`, `sample/<input>/<file>` (handed on), for `load` `thresholds`. Outputs: `quant`, `placement.json`, `warnings.json`, with
/// samples `data.json`, and of a search `search.json`.
pub struct CalibrateRule;

impl BuildRule for CalibrateRule {
    fn name(&self) -> &'static str {
        "calibrate"
    }

    fn version(&self) -> u32 {
        7
    }

    fn step(&self, ctx: &Context<'_>, results: &[Blobs]) -> Result<Step, Failure> {
        match calibrate(ctx, &mut Answers::new(results)) {
            Ok(blobs) => Ok(Step::Done(blobs)),
            Err(Stop::Need(requests)) => Ok(Step::Need(requests)),
            Err(Stop::Failed(failure)) => Err(failure),
        }
    }
}

fn calibrate(ctx: &Context<'_>, answers: &mut Answers<'_>) -> Result<Blobs, Stop> {
    let params: CalibrateParams = ctx.params()?;
    let graph = ctx.graph()?;
    let march = String::from_utf8_lossy(&ctx.input("march")?).into_owned();
    let march = March::from_toml(&march)?;
    let (placement, _) = place(&graph, &march, &params.requests).checked()?;
    let scales = scales(&graph, &placement);
    let files = files(ctx, &params, &graph)?;
    let inputs = sampled_inputs(&params, &graph);
    let data = inspected(answers.ask(inspections(&params, &inputs, &files)?)?)?;
    let mut completed = None;
    let histograms = if params.calibration.method == Method::Load {
        let image = |v: ValueId| is_image(&graph, &params.inputs, v);
        let mut found = loaded(&ctx.input(THRESHOLDS)?, &graph, &scales, &image)?;
        if !found.missing.is_empty() {
            let files = samples(&graph, &ctx.inputs.names())?;
            if files.is_empty() {
                return Err(left_out(&graph, &found.missing).into());
            }
            inspected(answers.ask(inspections(&params, &inputs, &files)?)?)?;
            let seen = merged(answers.ask(observations_of(&params, &graph, &scales, &files)?)?)?;
            let names = found.missing.iter().map(|v| &graph.value(origin(&graph, *v)).name);
            found.histograms.extend(names.filter_map(|n| Some((n.clone(), seen.get(n)?.clone()))));
            completed = Some(loaded::completed(&graph, &found.missing));
        }
        Arc::new(found.histograms)
    } else {
        let shards = answers.ask(observations_of(&params, &graph, &scales, &files)?)?;
        ctx.memo.keep("histograms", || merged(shards))?
    };
    let given = match ctx.inputs.read(GIVEN) {
        Some(bytes) => serde_json::from_slice(&bytes).map_err(|e| internal(&e))?,
        None => QuantTable::default(),
    };
    let no_channels = ChannelRanges::new();
    let observations = Observations {
        graph: &graph,
        march: &march,
        placement: &placement,
        inputs: &params.inputs,
        scales: &scales,
        histograms: &histograms,
        channels: &no_channels,
        given: &given,
        weights: params.calibration.weights,
        memo: ctx.memo,
    };
    let mut out = Blobs::new();
    let table = if params.calibration.method.is_search() {
        let at = compared(&observations, params.calibration.score_at);
        let score = ScoreParams { inputs: params.inputs.clone(), at, nodes: Vec::new() };
        let mut scorer = Scorer::new(answers, score, parts(&params, &graph, &files)?);
        let (table, report) = search(&observations, &params.calibration, &params.requests, &mut scorer)?;
        out.insert("search.json".to_owned(), serde_json::to_vec(&report).map_err(|e| internal(&e))?.into());
        table
    } else {
        let way = Way::named(&params.calibration);
        let channels = if way.per_channel || way.equalized {
            merged_channels(answers.ask(channels_of(&params, &graph, &files)?)?)?
        } else {
            no_channels.clone()
        };
        Observations { channels: &channels, ..observations }.table(&|_| way)?
    };
    let rounding = params.calibration.rounding == WeightRounding::Compensated;
    let table = match rounding || params.calibration.bias_correction {
        true => {
            let all = Improvement { table: &table, samples: &blobs(files.iter()), rounding };
            improved(&[all], &observations, answers)?.swap_remove(0)
        }
        false => table,
    };
    out.insert("quant".to_owned(), ptq_ir::to_bytes(&table).map_err(|e| internal(&e))?);
    let mut notes = match given.activations.is_empty() {
        true => not_kept(&observations, &table),
        false => [kept::changed(&observations, &table), not_kept(&observations, &table)].concat(),
    };
    notes.extend(completed);
    for (asked, key) in
        [(params.calibration.per_channel, "per_channel"), (params.calibration.equalization, "equalization")]
    {
        notes.extend(asked.then(|| refused(key, &graph, &placement, &scales)).into_iter().flatten());
    }
    if !files.is_empty() {
        notes.extend(findings(&inputs, &data, files.len()));
        out.insert(DATA.to_owned(), serde_json::to_vec(&data).map_err(|e| internal(&e))?.into());
    }
    out.insert("warnings.json".to_owned(), serde_json::to_vec(&notes).map_err(|e| internal(&e))?.into());
    // A search may have given nodes 16 bits, and pixels keep 8.
    let mut placement = placement.clone();
    follow(&graph, &mut placement, &table);
    let placement = serde_json::to_vec(&placement).map_err(|e| internal(&e))?;
    out.insert("placement.json".to_owned(), placement.into());
    Ok(out)
}

fn internal(e: &dyn std::fmt::Display) -> Failure {
    Diagnostic::error("CALIB03", e.to_string()).into()
}

/// The samples; none for calibration types `skip` and `load`.
pub(crate) fn files(ctx: &Context<'_>, params: &CalibrateParams, graph: &Graph) -> Result<Vec<Sample>, Failure> {
    if matches!(params.calibration.method, Method::Skip | Method::Load) {
        return Ok(Vec::new());
    }
    let files = samples(graph, &ctx.inputs.names())?;
    if files.is_empty() {
        return Err(Diagnostic::error("CALIB06", "there are no calibration samples")
            .hint(
                "set calibration.data, a table by name where the model has several inputs, or calibration.type = \"skip\" for a run \
                 without data",
            )
            .into());
    }
    Ok(files)
}

/// The samples in the parts that a search scores on. A search of Horizon's scores on the first ones, and makes ranges of channels of the
/// others where there are enough. `auto` tells candidates apart that come close: it scores on all samples up to [`MOST_SCORED`], in parts
/// that each judge what was made of all the rest; a few samples judge what was made of themselves.
pub(crate) fn parts(params: &CalibrateParams, graph: &Graph, files: &[Sample]) -> Result<Vec<Part>, Failure> {
    let calibration = &params.calibration;
    let part = |held: &dyn Fn(usize) -> bool, apart: bool| {
        let of = |keep: &dyn Fn(usize) -> bool| -> Vec<Sample> {
            files.iter().enumerate().filter(|(i, _)| keep(*i)).map(|(_, s)| s.clone()).collect()
        };
        let others = of(&|i| !apart || !held(i));
        let per_channel = channels_of(params, graph, &others)?;
        Ok(Part { held: blobs(of(held).iter()), others: blobs(others.iter()), per_channel })
    };
    if calibration.method != Method::Auto {
        let count = calibration.score_samples.max(1);
        return Ok(vec![part(&|i| i < count, files.len() >= 2 * count)?]);
    }
    let scored = files.len().min(MOST_SCORED.max(calibration.score_samples));
    let parts = PARTS.into_iter().find(|(least, _)| scored >= *least).map_or(1, |(_, parts)| parts);
    (0..parts).map(|p| part(&|i| i < scored && i % parts == p, parts > 1)).collect()
}

/// Blob names, one list a sample.
pub(crate) fn blobs<'s>(files: impl Iterator<Item = &'s Sample>) -> Vec<Vec<String>> {
    files.map(|s| s.iter().map(|(blob, _)| blob.clone()).collect()).collect()
}

/// The inputs that samples fill, in the model's order.
fn sampled_inputs(params: &CalibrateParams, graph: &Graph) -> Vec<SampledInput> {
    let input = |&v: &ValueId| {
        let value = graph.value(v);
        let spec = params.inputs.get(&value.name).cloned().unwrap_or_default();
        SampledInput { name: value.name.clone(), dtype: value.dtype, shape: value.shape.clone(), spec }
    };
    graph.inputs.iter().map(input).collect()
}

/// One inspect action a shard of samples.
fn inspections(
    params: &CalibrateParams,
    inputs: &[SampledInput],
    files: &[Sample],
) -> Result<Vec<ActionRequest>, Failure> {
    let inspect = serde_json::to_string(&InspectParams { inputs: inputs.to_vec() }).map_err(|e| internal(&e))?;
    let own = |shard: &[Sample]| ActionRequest {
        rule: "inspect",
        params: inspect.clone(),
        inputs: shard.iter().flatten().map(|(blob, _)| (blob.clone(), InputRef::Own(blob.clone()))).collect(),
    };
    Ok(shards(files, params.shard).into_iter().map(own).collect())
}

/// What all files hold.
///
/// # Errors
/// One problem for each file that does not fit, of all shards.
fn inspected(results: &[Blobs]) -> Result<Vec<FileFacts>, Failure> {
    let mut all = Inspected::default();
    for result in results {
        let bytes = result.get(DATA).ok_or_else(|| internal(&"an inspection has no result"))?;
        let shard: Inspected = serde_json::from_slice(bytes).map_err(|e| internal(&e))?;
        all.files.extend(shard.files);
        all.problems.extend(shard.problems);
    }
    if all.problems.is_empty() { Ok(all.files) } else { Err(all.problems.into()) }
}

/// One action for the values that all placements share, and one for what this one needs besides, so that a placement observes what
/// never was, and nothing else: the merge of all shards of samples, or synthetic samples.
pub(crate) fn observations_of(
    params: &CalibrateParams,
    graph: &Graph,
    scales: &BTreeMap<ValueId, Scale>,
    files: &[Sample],
) -> Result<Vec<ActionRequest>, Failure> {
    let shared = shared(graph);
    let further = further(graph, scales, &shared);
    let mut out = Vec::new();
    for values in [shared, further].into_iter().filter(|values| !values.is_empty()) {
        let observe = ObserveParams {
            inputs: params.inputs.clone(),
            values: values.into_iter().map(|v| graph.value(v).name.clone()).collect(),
            synthetic: if files.is_empty() { SYNTHETIC_SAMPLES } else { 0 },
        };
        match files {
            [] => out.push(request("observe", &observe, [], Vec::new())?),
            files => out.push(observed(MergeParams { observe, shard: params.shard }, files)?),
        }
    }
    Ok(out)
}

/// One action a shard of samples for the channel ranges of the values that may have one scale a channel under any placement.
fn channels_of(params: &CalibrateParams, graph: &Graph, files: &[Sample]) -> Result<Vec<ActionRequest>, Failure> {
    let values = between_convs(graph).into_iter().map(|v| graph.value(v).name.clone()).collect();
    let channels = ChannelParams { inputs: params.inputs.clone(), values };
    by_shard("channels", &channels, params, files)
}

pub(crate) fn by_shard(
    rule: &'static str,
    asked: &impl Serialize,
    params: &CalibrateParams,
    files: &[Sample],
) -> Result<Vec<ActionRequest>, Failure> {
    let shards = shards(files, params.shard).into_iter();
    shards.map(|shard| request(rule, asked, shard.iter().flatten().map(|(blob, _)| blob), Vec::new())).collect()
}

/// Channel ranges over all shards.
pub(crate) fn merged_channels(results: &[Blobs]) -> Result<ChannelRanges, Failure> {
    let mut all = ChannelRanges::new();
    for result in results {
        merge(&mut all, &decoded(result, CHANNELS)?);
    }
    Ok(all)
}

fn decoded<T: serde::de::DeserializeOwned>(result: &Blobs, name: &str) -> Result<T, Failure> {
    let bytes = result.get(name).ok_or_else(|| internal(&format!("an action's result has no {name}")))?;
    ptq_ir::from_bytes(bytes).map_err(|e| internal(&format!("{name}: {e}")))
}
