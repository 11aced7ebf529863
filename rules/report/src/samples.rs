//! Model inputs from an action's `sample/<input>/<file>` blobs. Called by the measure rule.

use crate::SampleSource;
use ptq_ir::{Graph, InputSpec, Tensor};
use ptq_rule::{Failure, Inputs};
use std::collections::BTreeMap;

/// Seed of the stand-in where no data is given.
const SYNTHETIC_SEED: u64 = 1;

/// One tensor for each model input, in the model's order, and where each came from: the first file of the input by
/// name, or a seeded synthetic one when there is none.
pub(crate) fn first_samples(
    graph: &Graph,
    specs: &BTreeMap<String, InputSpec>,
    inputs: &dyn Inputs,
) -> Result<(Vec<Tensor>, Vec<SampleSource>), Failure> {
    let names = inputs.names();
    let mut tensors = Vec::new();
    let mut sources = Vec::new();
    for &id in &graph.inputs {
        let value = graph.value(id);
        let spec = specs.get(&value.name).cloned().unwrap_or_default();
        let only = graph.inputs.len() == 1;
        let data = names.iter().find_map(|blob| {
            let file = ptq_sample::sample_file(blob, &value.name, only)?;
            Some((file, inputs.read(blob)?))
        });
        let (tensor, file) = match data {
            Some((file, bytes)) => {
                let tensor = ptq_sample::decode(file, &bytes, &spec, value.dtype, &value.shape);
                (tensor, Some(file.to_owned()))
            }
            None => (ptq_sample::synthetic(&spec, value.dtype, &value.shape, SYNTHETIC_SEED), None),
        };
        tensors.push(tensor.map_err(|d| d.value(&value.name))?);
        sources.push(SampleSource { input: value.name.clone(), file });
    }
    Ok((tensors, sources))
}
