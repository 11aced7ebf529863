//! A loaded model.

use crate::RuntimeError;
use crate::int_segment::PackedSegment;
use crate::values::Liveness;
use ptq_ir::{DType, InputSpec, QuantParams, TensorId};
use ptq_kernels::Isa;
use ptq_sim::artifact::{self, Body};

/// A model ready to run: checked, weights packed. Running does not change it, so threads may share it.
#[derive(Debug)]
pub struct Model {
    pub(crate) artifact: artifact::Model,
    /// Packed weights of integer segments, by segment.
    pub(crate) packed: Vec<Option<PackedSegment>>,
    pub(crate) liveness: Liveness,
}

/// A model input or output.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Port<'a> {
    /// Name, as in the ONNX model.
    pub name: &'a str,
    /// Element type.
    pub dtype: DType,
    /// Shape in the model's own axis order.
    pub shape: &'a [usize],
    /// Quantization, when the port carries integers.
    pub quant: Option<&'a QuantParams>,
    /// How an input was described when the model was compiled.
    pub spec: Option<&'a InputSpec>,
}

impl Model {
    /// Reads a `.bin` for the best instructions of this processor.
    ///
    /// # Errors
    /// When the bytes are damaged, of another version, or not a consistent model.
    pub fn load(bytes: &[u8]) -> Result<Model, RuntimeError> {
        Model::load_for(bytes, Isa::best())
    }

    /// Reads a `.bin` for a chosen instruction set. Results do not depend on it.
    ///
    /// # Errors
    /// As [`Model::load`].
    pub fn load_for(bytes: &[u8], isa: Isa) -> Result<Model, RuntimeError> {
        Model::prepare(artifact::decode(bytes)?, isa)
    }

    /// Prepares a model that is already decoded; it is checked again.
    ///
    /// # Errors
    /// When it is not consistent.
    pub fn from_artifact(artifact: artifact::Model) -> Result<Model, RuntimeError> {
        Model::prepare(artifact, Isa::best())
    }

    fn prepare(artifact: artifact::Model, isa: Isa) -> Result<Model, RuntimeError> {
        artifact.check()?;
        let pack = |segment: &artifact::Segment| match &segment.body {
            Body::Int(nodes) => PackedSegment::new(segment, nodes, &artifact.tensors, isa).map(Some),
            Body::Float(_) | Body::Npu(_) => Ok(None),
        };
        let packed = artifact.segments.iter().map(pack).collect::<Result<_, _>>()?;
        let liveness = Liveness::of(&artifact);
        Ok(Model { artifact, packed, liveness })
    }

    /// What the file holds.
    pub fn artifact(&self) -> &artifact::Model {
        &self.artifact
    }

    /// Inputs in the model's order.
    pub fn inputs(&self) -> Vec<Port<'_>> {
        let specs = self.artifact.input_specs.iter().map(Option::as_ref).chain(std::iter::repeat(None));
        self.ports(&self.artifact.inputs).into_iter().zip(specs).map(|(port, spec)| Port { spec, ..port }).collect()
    }

    /// Outputs in the model's order.
    pub fn outputs(&self) -> Vec<Port<'_>> {
        self.ports(&self.artifact.outputs)
    }

    fn ports(&self, ids: &[TensorId]) -> Vec<Port<'_>> {
        let port = |id: &TensorId| {
            let t = &self.artifact.tensors[id.0 as usize];
            Port { name: &t.source, dtype: t.dtype, shape: &t.shape, quant: t.quant.as_ref(), spec: None }
        };
        ids.iter().map(port).collect()
    }
}
