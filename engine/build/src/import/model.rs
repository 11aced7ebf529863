//! What the ONNX file says of inputs and nodes, as far as it can be read.

use super::ModelInput;
use crate::paths::beside;
use ptq_onnx::{RawControl, RawDim, RawInput, RawNode};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// An ONNX file.
#[derive(Default)]
pub(super) struct Model {
    pub(super) inputs: Vec<ModelInput>,
    /// Names of nodes, those of sub-graphs too.
    pub(super) nodes: BTreeSet<String>,
    /// The node that makes a value, by the value's name.
    pub(super) makers: BTreeMap<String, String>,
}

impl Model {
    /// Reads a file; otherwise why it does not read.
    pub(super) fn read(path: &Path) -> Result<Model, String> {
        let bytes = std::fs::read(path).map_err(|e| e.to_string())?;
        let limits = ptq_onnx::Limits { quantized: true, foreign: true, ..ptq_onnx::Limits::default() };
        let raw = ptq_onnx::import(&bytes.into(), &beside(path), &limits).map_err(|p| {
            let list: Vec<String> = p.iter().map(ToString::to_string).collect();
            list.join("; ")
        })?;
        let mut model = Model { inputs: raw.inputs.iter().map(input).collect(), ..Model::default() };
        model.add(&raw.nodes, &raw.control);
        Ok(model)
    }

    fn add(&mut self, nodes: &[RawNode], control: &BTreeMap<String, RawControl>) {
        for node in nodes {
            self.nodes.insert(node.name.clone());
            self.makers.extend(node.outputs.iter().map(|value| (value.clone(), node.name.clone())));
        }
        for body in control.values().flat_map(|c| c.bodies.values()) {
            self.add(&body.nodes, &body.control);
        }
    }
}

fn input(i: &RawInput) -> ModelInput {
    let dim = |d: &RawDim| match d {
        RawDim::Fixed(n) => i64::try_from(*n).ok(),
        RawDim::Open(_) => None,
    };
    ModelInput { name: i.name.clone(), dtype: i.dtype, dims: i.dims.iter().flatten().map(dim).collect() }
}
