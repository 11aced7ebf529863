//! The quantization table of one way, or one mixture of ways, to choose ranges. Called by the calibrate rule.

use crate::Histogram;
use crate::channels::ChannelRanges;
use crate::kept::kept_activation;
use crate::params::{Way, WeightScale, per_channel, quant_params};
use crate::values::origin;
use crate::weights::weight_params;
use ptq_ir::{ActivationQuant, Diagnostic, Graph, InputSpec, QuantParams, QuantTable, ValueId};
use ptq_march::March;
use ptq_place::{Placement, Scale};
use ptq_rule::Memo;
use std::collections::BTreeMap;
use std::convert::Infallible;

/// What the choice of parameters reads.
pub(crate) struct Observations<'a> {
    /// The optimized graph.
    pub(crate) graph: &'a Graph,
    /// The target.
    pub(crate) march: &'a March,
    /// Where every node runs.
    pub(crate) placement: &'a Placement,
    /// Descriptions of the model's inputs.
    pub(crate) inputs: &'a BTreeMap<String, InputSpec>,
    /// The values that carry a scale.
    pub(crate) scales: &'a BTreeMap<ValueId, Scale>,
    /// What was observed, by value name.
    pub(crate) histograms: &'a BTreeMap<String, Histogram>,
    /// Extremes of each channel, of the values that may have one scale a channel; empty until a way asks for them.
    pub(crate) channels: &'a ChannelRanges,
    /// Parameters that the model's file brought along.
    pub(crate) given: &'a QuantTable,
    /// How scales of weights are chosen.
    pub(crate) weights: WeightScale,
    /// Choices that an earlier step made.
    pub(crate) memo: &'a Memo,
}

impl Observations<'_> {
    /// The table when each value's range is chosen the way that `way` says.
    ///
    /// # Errors
    /// Every value without usable observations, every weight without usable numbers.
    pub(crate) fn table(&self, way: &dyn Fn(ValueId) -> Way) -> Result<QuantTable, Vec<Diagnostic>> {
        let activations = self.activations(way)?;
        self.with_weights(QuantTable { activations, ..QuantTable::default() })
    }

    /// The table with scales of weights for its activations.
    ///
    /// # Errors
    /// Every weight without usable numbers.
    pub(crate) fn with_weights(&self, mut table: QuantTable) -> Result<QuantTable, Vec<Diagnostic>> {
        table.weights = weight_params(self, &table)?;
        Ok(table)
    }

    fn activations(&self, way: &dyn Fn(ValueId) -> Way) -> Result<BTreeMap<String, ActivationQuant>, Vec<Diagnostic>> {
        let Observations { graph, march, scales, given, .. } = *self;
        let mut out = BTreeMap::new();
        let mut problems = Vec::new();
        for (&v, scale) in scales {
            if *scale == Scale::Own {
                let kept = kept_activation(graph, given, v, march.quantization.activations);
                if let Some(a) = kept.filter(|_| !self.is_image(v)) {
                    out.insert(graph.value(v).name.clone(), a);
                    continue;
                }
                match self.own(v, way(v)) {
                    Ok(a) => drop(out.insert(graph.value(v).name.clone(), a)),
                    Err(d) => problems.push(d),
                }
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        for &v in scales.keys() {
            let root = shared_root(scales, v);
            if let (true, Some(a)) = (root != v, out.get(&graph.value(root).name).cloned()) {
                out.insert(graph.value(v).name.clone(), ActivationQuant { method: "shared".into(), ..a });
            }
        }
        Ok(out)
    }

    /// Whether a value is a model input that holds pixels.
    pub(crate) fn is_image(&self, v: ValueId) -> bool {
        is_image(self.graph, self.inputs, v)
    }

    fn own(&self, v: ValueId, way: Way) -> Result<ActivationQuant, Diagnostic> {
        let Observations { graph, march, histograms, .. } = *self;
        let value = graph.value(v);
        if self.is_image(v) {
            let stored = march.quantization.image_input;
            let middle = self.inputs.get(&value.name).and_then(InputSpec::middle);
            // The planes that a march makes are pixels less 128, so they are stored 128 higher.
            let shift = if middle.is_some() { 128 } else { 0 };
            let params = QuantParams::per_tensor(stored.dtype, 1.0, stored.zero_point + shift);
            let (lo, hi) = (-shift as f32, (255 - shift) as f32);
            return Ok(ActivationQuant { params, lo, hi, method: "image".into() });
        }
        let observed = &graph.value(origin(graph, v)).name;
        let histogram = histograms
            .get(observed)
            .ok_or_else(|| Diagnostic::error("CALIB07", "was not observed").value(&value.name))?;
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
        let scheme = march.quantization.activations;
        let choose = || Ok::<_, Infallible>(quant_params(histogram, way, scheme));
        let Ok(whole) = self.memo.keep(&format!("{observed}: {way}"), choose);
        match self.channels.get(&value.name).filter(|_| way.per_channel) {
            Some(ranges) => Ok(per_channel(&whole, ranges, way, scheme)),
            None => Ok(ActivationQuant::clone(&whole)),
        }
    }
}

/// Whether a value is a model input that holds pixels.
pub(crate) fn is_image(graph: &Graph, inputs: &BTreeMap<String, InputSpec>, v: ValueId) -> bool {
    let image = inputs.get(&graph.value(v).name).is_some_and(|s| s.type_train.is_image());
    image && graph.inputs.contains(&v)
}

fn shared_root(scales: &BTreeMap<ValueId, Scale>, mut v: ValueId) -> ValueId {
    while let Some(Scale::Shared(from)) = scales.get(&v) {
        v = *from;
    }
    v
}
