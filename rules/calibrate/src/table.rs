//! The quantization table of one way, or one mixture of ways, to choose ranges. Called by the calibrate rule.

use crate::Histogram;
use crate::channels::ChannelRanges;
use crate::equalize::{equalized, factors};
use crate::kept::kept_activation;
use crate::methods::Function;
use crate::params::{Way, WeightScale, from_range, per_channel, quant_params, quant_params_behind};
use crate::values::origin;
use crate::weights::weight_params;
use ptq_ir::{ActScheme, ActivationQuant, DType, Diagnostic, Graph, InputSpec, QuantParams, QuantTable, ValueId};
use ptq_ir::{Device, Node, NodeId, Tensor};
use ptq_march::{Class, March, Route};
use ptq_place::{Placement, Scale, absorbed_output, is_uniform, words};
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
        let Observations { graph, scales, placement, .. } = *self;
        let words = words(graph, placement);
        let mut out = BTreeMap::new();
        let mut problems = Vec::new();
        for (&v, scale) in scales {
            if *scale == Scale::Own {
                match self.chosen(v, way(v), self.scheme(words.contains(&v))) {
                    Ok(a) => drop(out.insert(graph.value(v).name.clone(), a)),
                    Err(d) => problems.push(d),
                }
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let mut table = QuantTable { activations: out, ..QuantTable::default() };
        for (id, _) in graph.nodes() {
            problems.extend(self.node(id, way, &mut table).err());
        }
        if problems.is_empty() { Ok(table.activations) } else { Err(problems) }
    }

    /// What a node adds to the table: the parameters of inputs that it reads in another width than they have, and those of
    /// results that share its input's.
    fn node(&self, id: NodeId, way: &dyn Fn(ValueId) -> Way, table: &mut QuantTable) -> Result<(), Diagnostic> {
        let Observations { graph, scales, placement, .. } = *self;
        let (node, row) = (graph.node(id), &placement.nodes[id.0 as usize]);
        if row.on != Device::Bpu || row.absorbed_by.is_some() {
            return Ok(());
        }
        for (i, v) in node.inputs.iter().enumerate().filter_map(|(i, v)| Some((i, (*v)?))) {
            let name = &graph.value(v).name;
            let Some(own) = table.activations.get(name).filter(|_| graph.constant(v).is_none()) else { continue };
            let (has, wants) = (own.params.dtype == DType::I16, row.int16_inputs.contains(&i));
            // What moves elements takes 8 bits as they are; so does every operator that may read another width than it gives.
            let widened = wants && is_uniform(row) && row.class != Class::Passive;
            if (has && !wants) || (!has && widened) {
                let root = shared_root(scales, v);
                let read = match widened && self.is_image(root) {
                    true => ActivationQuant { params: from_range(own.lo, own.hi, self.scheme(true)), ..own.clone() },
                    false => self.chosen(root, way(root), self.scheme(widened))?,
                };
                table.activations.insert(QuantTable::reader_key(name, &node.name), read);
            }
        }
        let source = node.input(0).map(|v| &graph.value(v).name);
        let moved = source.and_then(|name| table.read_by(name, &node.name)).cloned();
        let results = absorbed_output(graph, placement, id).into_iter().chain(node.outputs.iter().copied());
        for v in results.filter(|v| matches!(scales.get(v), Some(Scale::Shared(_)))) {
            if let Some(a) = &moved {
                let shared = ActivationQuant { method: "shared".into(), ..a.clone() };
                table.activations.insert(graph.value(v).name.clone(), shared);
            }
        }
        Ok(())
    }

    /// The scheme of an activation of 16 bits, or of the march's own.
    fn scheme(&self, words: bool) -> ActScheme {
        if words { ActScheme::SymmetricInt16 } else { self.march.quantization.activations }
    }

    /// The parameters of a value in a scheme: what the model's file states, else what `way` chooses.
    fn chosen(&self, v: ValueId, way: Way, scheme: ActScheme) -> Result<ActivationQuant, Diagnostic> {
        let kept = kept_activation(self.graph, self.given, v, scheme);
        match kept.filter(|_| !self.is_image(v)) {
            Some(kept) => Ok(kept),
            None => self.own(v, way, scheme),
        }
    }

    /// Whether a value is a model input that holds pixels.
    pub(crate) fn is_image(&self, v: ValueId) -> bool {
        is_image(self.graph, self.inputs, v)
    }

    /// The nodes that read a value, where all of them are tables of one result a level.
    fn functions(&self, v: ValueId) -> Vec<&Node> {
        let Observations { graph, march, placement, .. } = *self;
        let reads = |(_, node): &(NodeId, &Node)| node.inputs.contains(&Some(v));
        let readers: Vec<(NodeId, &Node)> = graph.nodes().filter(reads).collect();
        let table = |&(id, node): &(NodeId, &Node)| {
            let row = &placement.nodes[id.0 as usize];
            let others = node.inputs.iter().skip(1).flatten();
            row.on == Device::Bpu
                && row.absorbed_by.is_none()
                && march.op.get(&node.op).is_some_and(|entry| entry.route == Route::Lut)
                && node.input(0) == Some(v)
                && others.into_iter().all(|o| graph.constant(*o).is_some())
        };
        let all = !graph.is_output(v) && readers.iter().all(table);
        readers.into_iter().filter(|_| all).map(|(_, node)| node).collect()
    }

    fn own(&self, v: ValueId, way: Way, scheme: ActScheme) -> Result<ActivationQuant, Diagnostic> {
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
        let words = scheme == ActScheme::SymmetricInt16;
        let choose = || Ok::<_, Infallible>(quant_params(histogram, way, scheme));
        let of = if words { " in 16 bits" } else { "" };
        let functions = if way.behind && !words { self.functions(v) } else { Vec::new() };
        let whole = match functions.is_empty() {
            true => self.memo.keep(&format!("{observed}: {way}{of}"), choose),
            false => self.memo.keep(&format!("{}: {way}, as {} nodes read it", value.name, functions.len()), || {
                let made: Vec<_> = functions.iter().map(|node| table_of(graph, node)).collect();
                let made: Vec<Function<'_>> = made.iter().map(|f| f as Function<'_>).collect();
                Ok(quant_params_behind(histogram, way, scheme, &made))
            }),
        };
        let Ok(whole) = whole;
        match self.channels.get(&value.name).filter(|_| !words) {
            Some(ranges) if way.equalized => {
                let make = || Ok::<_, Infallible>(factors(graph, self.placement));
                let Ok(factors) = self.memo.keep("equalization", make);
                let own = factors.get(&value.name).map_or(&[][..], Vec::as_slice);
                Ok(equalized(&whole, ranges, own, way, scheme))
            }
            Some(ranges) if way.per_channel => Ok(per_channel(&whole, ranges, way, scheme)),
            _ => Ok(ActivationQuant::clone(&whole)),
        }
    }
}

/// A node with one input that is not constant, which a table of one result a level replaces.
fn table_of<'g>(graph: &'g Graph, node: &'g Node) -> impl Fn(&[f32]) -> Option<Vec<f32>> + use<'g> {
    move |x: &[f32]| {
        let x = Tensor::from_f32([x.len()], x.to_vec()).ok()?;
        let constants = (1..node.inputs.len()).map(|i| graph.const_input(node, i));
        let operands: Vec<Option<&Tensor>> = std::iter::once(Some(&x)).chain(constants).collect();
        let results = ptq_exec::eval(&node.op, &node.domain, &node.attrs, &operands).ok()?;
        Some(results.first()?.f32s().ok()?.to_vec())
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
