//! The calibrate stage as the engine sees it: ask for observations, then choose parameters.

use crate::Histogram;
use crate::kept::{GIVEN, kept_activation};
use crate::observe::ObserveParams;
use crate::params::{Calibration, Method, quant_params};
use crate::samples::samples;
use crate::values::{observed, origin};
use crate::weights::weight_params;
use ptq_ir::{ActivationQuant, Diagnostic, Graph, InputSpec, QuantParams, QuantTable, ValueId};
use ptq_march::March;
use ptq_place::{Requests, Scale, place, scales};
use ptq_rule::{ActionRequest, Blobs, BuildRule, Context, Failure, GRAPH, InputRef, Step, TENSOR_PREFIX, read_graph};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Samples of one observe action, unless the manifest says otherwise.
const DEFAULT_SHARD: usize = 16;
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

/// Inputs: `graph` and its tensors, `march`, `sample/<input>/<file>` (handed on). Outputs: `quant`, `placement.json`.
pub struct CalibrateRule;

impl BuildRule for CalibrateRule {
    fn name(&self) -> &'static str {
        "calibrate"
    }

    fn version(&self) -> u32 {
        1
    }

    fn step(&self, ctx: &Context<'_>, results: &[Blobs]) -> Result<Step, Failure> {
        let params: CalibrateParams = ctx.params()?;
        let graph = read_graph(ctx.inputs)?;
        let march = String::from_utf8_lossy(&ctx.input("march")?).into_owned();
        let march = March::from_toml(&march).map_err(Failure::from)?;
        let placed = place(&graph, &march, &params.requests);
        let scales = scales(&graph, &placed.placement);
        if results.is_empty() {
            return Ok(Step::Need(requests(ctx, &params, &graph, &scales)?));
        }
        let histograms = merged(results)?;
        let internal = |e: String| Failure::from(Diagnostic::error("CALIB03", e));
        let given = match ctx.inputs.read(GIVEN) {
            Some(bytes) => serde_json::from_slice(&bytes).map_err(|e| internal(e.to_string()))?,
            None => QuantTable::default(),
        };
        let activations = activations(&graph, &march, &params, &scales, &histograms, &given)?;
        let mut table = QuantTable { activations, weights: BTreeMap::new() };
        table.weights = weight_params(&graph, &placed.placement, &table, &given).map_err(Failure::from)?;
        let quant = ptq_ir::to_bytes(&table).map_err(|e| internal(e.to_string()))?;
        let placement = serde_json::to_vec(&placed.placement).map_err(|e| internal(e.to_string()))?;
        Ok(Step::Done(Blobs::from([("quant".to_owned(), quant), ("placement.json".to_owned(), placement.into())])))
    }
}

/// One observe action a shard of samples.
fn requests(
    ctx: &Context<'_>,
    params: &CalibrateParams,
    graph: &Graph,
    scales: &BTreeMap<ValueId, Scale>,
) -> Result<Vec<ActionRequest>, Failure> {
    let skip = params.calibration.method == Method::Skip;
    let files = if skip { Vec::new() } else { samples(graph, &ctx.inputs.names()).map_err(Failure::from)? };
    if files.is_empty() && !skip {
        return Err(Diagnostic::error("CALIB06", "there are no calibration samples")
            .hint("set calibration.data, or calibration.type = \"skip\" for a run without data")
            .into());
    }
    let observe = ObserveParams {
        inputs: params.inputs.clone(),
        values: observed(graph, scales).into_iter().map(|v| graph.value(v).name.clone()).collect(),
        synthetic: if skip { SYNTHETIC_SAMPLES } else { 0 },
    };
    let observe =
        serde_json::to_string(&observe).map_err(|e| Failure::from(Diagnostic::error("CALIB03", e.to_string())))?;
    let request = |shard: &[crate::samples::Sample]| {
        let mut inputs = vec![
            (GRAPH.to_owned(), InputRef::Own(GRAPH.to_owned())),
            (TENSOR_PREFIX.to_owned(), InputRef::OwnPrefix(TENSOR_PREFIX.to_owned())),
        ];
        inputs.extend(shard.iter().flatten().map(|(blob, _)| (blob.clone(), InputRef::Own(blob.clone()))));
        ActionRequest { rule: "observe", params: observe.clone(), inputs }
    };
    if skip {
        return Ok(vec![request(&[])]);
    }
    Ok(files.chunks(params.shard.max(1)).map(request).collect())
}

fn merged(results: &[Blobs]) -> Result<BTreeMap<String, Histogram>, Failure> {
    let mut all: BTreeMap<String, Histogram> = BTreeMap::new();
    for result in results {
        let bytes = result
            .get("histograms")
            .ok_or_else(|| Failure::from(Diagnostic::error("CALIB03", "an observation has no histograms")))?;
        let shard: BTreeMap<String, Histogram> = ptq_ir::from_bytes(bytes)
            .map_err(|e| Failure::from(Diagnostic::error("CALIB03", format!("histograms: {e}"))))?;
        for (name, histogram) in shard {
            all.entry(name).or_default().merge(&histogram);
        }
    }
    Ok(all)
}

fn activations(
    graph: &Graph,
    march: &March,
    params: &CalibrateParams,
    scales: &BTreeMap<ValueId, Scale>,
    histograms: &BTreeMap<String, Histogram>,
    given: &QuantTable,
) -> Result<BTreeMap<String, ActivationQuant>, Failure> {
    let mut out = BTreeMap::new();
    let mut problems = Vec::new();
    for (&v, scale) in scales {
        if *scale == Scale::Own {
            let kept = kept_activation(graph, given, v, march.quantization.activations);
            if let Some(a) = kept.filter(|_| !is_image(graph, params, v)) {
                out.insert(graph.value(v).name.clone(), a);
                continue;
            }
            match own(graph, march, params, histograms, v) {
                Ok(a) => drop(out.insert(graph.value(v).name.clone(), a)),
                Err(d) => problems.push(d),
            }
        }
    }
    if !problems.is_empty() {
        return Err(problems.into());
    }
    for &v in scales.keys() {
        let root = shared_root(scales, v);
        if let (true, Some(a)) = (root != v, out.get(&graph.value(root).name).cloned()) {
            out.insert(graph.value(v).name.clone(), ActivationQuant { method: "shared".into(), ..a });
        }
    }
    Ok(out)
}

fn shared_root(scales: &BTreeMap<ValueId, Scale>, mut v: ValueId) -> ValueId {
    while let Some(Scale::Shared(from)) = scales.get(&v) {
        v = *from;
    }
    v
}

fn is_image(graph: &Graph, params: &CalibrateParams, v: ValueId) -> bool {
    let image = params.inputs.get(&graph.value(v).name).is_some_and(|s| s.type_train.is_image());
    image && graph.inputs.contains(&v)
}

fn own(
    graph: &Graph,
    march: &March,
    params: &CalibrateParams,
    histograms: &BTreeMap<String, Histogram>,
    v: ValueId,
) -> Result<ActivationQuant, Diagnostic> {
    let value = graph.value(v);
    if is_image(graph, params, v) {
        let stored = march.quantization.image_input;
        let params = QuantParams::per_tensor(stored.dtype, 1.0, stored.zero_point);
        return Ok(ActivationQuant { params, lo: 0.0, hi: 255.0, method: "image".into() });
    }
    let observed = &graph.value(origin(graph, v)).name;
    let histogram =
        histograms.get(observed).ok_or_else(|| Diagnostic::error("CALIB07", "was not observed").value(&value.name))?;
    if histogram.nans + histogram.infinities > 0 {
        return Err(Diagnostic::error(
            "CALIB08",
            format!(
                "holds {} NaN and {} infinite elements on the calibration data",
                histogram.nans, histogram.infinities
            ),
        )
        .value(&value.name)
        .hint("check preprocessing and the samples; the float model itself overflows on them"));
    }
    Ok(quant_params(histogram, &params.calibration, march.quantization.activations))
}
