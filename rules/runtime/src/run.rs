//! One run: segments in order.

use crate::values::Values;
use crate::{Model, RuntimeError, Step, StepKind, StepSink, float_segment, int_segment, npu_segment};
use ptq_ir::{QNode, Tensor, TensorId};
use ptq_sim::artifact::Body;

/// How to run. Never changes a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunOptions {
    /// Threads that kernels may use.
    pub threads: usize,
}

impl Default for RunOptions {
    fn default() -> RunOptions {
        RunOptions { threads: 1 }
    }
}

/// Sees a tensor by name when it is made.
pub type TensorSink<'a> = dyn FnMut(&str, &Tensor) + 'a;

impl Model {
    /// Runs the model on inputs in the model's order.
    ///
    /// # Errors
    /// When the inputs do not fit, by name; or when a node fails.
    pub fn run(&self, inputs: &[Tensor], options: &RunOptions) -> Result<Vec<Tensor>, RuntimeError> {
        self.execute(inputs, options, None, None)
    }

    /// [`Model::run`] that tells of each step as soon as it has ended, so that the caller can time it.
    ///
    /// # Errors
    /// As [`Model::run`].
    pub fn run_steps(
        &self,
        inputs: &[Tensor],
        options: &RunOptions,
        step: &mut StepSink<'_>,
    ) -> Result<Vec<Tensor>, RuntimeError> {
        self.execute(inputs, options, None, Some(step))
    }

    /// Runs the model and shows every tensor that is made, once, in the model's own axis order: outputs of float nodes
    /// and borders, of integer nodes, and of every layer of a program.
    ///
    /// # Errors
    /// As [`Model::run`].
    pub fn run_with(
        &self,
        inputs: &[Tensor],
        options: &RunOptions,
        sink: &mut TensorSink<'_>,
    ) -> Result<Vec<Tensor>, RuntimeError> {
        self.execute(inputs, options, Some(sink), None)
    }

    fn execute(
        &self,
        inputs: &[Tensor],
        options: &RunOptions,
        sink: Option<&mut TensorSink<'_>>,
        step: Option<&mut StepSink<'_>>,
    ) -> Result<Vec<Tensor>, RuntimeError> {
        self.check_inputs(inputs)?;
        let mut run = Run { model: self, values: Values::new(&self.artifact, &self.liveness), segment: 0, sink, step };
        for (&id, tensor) in self.artifact.inputs.iter().zip(inputs) {
            run.values.put(id, tensor.clone())?;
        }
        for (at, (segment, packed)) in self.artifact.segments.iter().zip(&self.packed).enumerate() {
            run.segment = at;
            match (&segment.body, packed) {
                (Body::Float(nodes), _) => float_segment::run(nodes, options, &mut run)?,
                (Body::Int(nodes), Some(packed)) => int_segment::run(segment, nodes, packed, options, &mut run)?,
                (Body::Int(_), None) => unreachable!("invariant: loading packs every integer segment"),
                (Body::Npu(npu), _) => npu_segment::run(segment, npu, &mut run)?,
            }
        }
        self.artifact.outputs.iter().map(|&id| run.values.get(id).cloned()).collect()
    }

    fn check_inputs(&self, inputs: &[Tensor]) -> Result<(), RuntimeError> {
        let ports = self.inputs();
        if ports.len() != inputs.len() {
            let names = ports.iter().map(|p| p.name.to_owned()).collect();
            return Err(RuntimeError::InputCount { found: inputs.len(), names });
        }
        for (port, tensor) in ports.iter().zip(inputs) {
            if port.dtype != tensor.dtype() || port.shape != tensor.shape() {
                return Err(RuntimeError::Input {
                    name: port.name.to_owned(),
                    found: tensor.dtype(),
                    found_shape: tensor.shape().to_vec(),
                    expected: port.dtype,
                    expected_shape: port.shape.to_vec(),
                });
            }
        }
        Ok(())
    }
}

/// State of a run, handed from segment to segment.
pub(crate) struct Run<'m, 's, 'f, 'g> {
    pub(crate) model: &'m Model,
    pub(crate) values: Values<'m>,
    /// Position of the segment that runs.
    segment: usize,
    sink: Option<&'s mut TensorSink<'f>>,
    step: Option<&'s mut StepSink<'g>>,
}

impl Run<'_, '_, '_, '_> {
    /// Tells that a node has run.
    pub(crate) fn step(&mut self, kind: StepKind, node: &QNode) {
        if let Some(step) = &mut self.step {
            let shape = node.outputs.first().map_or(&[][..], |id| &self.model.artifact.tensors[id.0 as usize].shape);
            step(Step { segment: self.segment, kind, name: &node.name, op: node.op.name(), shape });
        }
    }

    /// Tells that tensors have changed their layout; `id` is the last of them.
    pub(crate) fn layout_step(&mut self, kind: StepKind, id: Option<TensorId>) {
        if let Some(step) = &mut self.step {
            let tensor = id.map(|id| &self.model.artifact.tensors[id.0 as usize]);
            let (name, shape) = tensor.map_or(("", &[][..]), |t| (&t.name, &t.shape));
            step(Step { segment: self.segment, kind, name, op: "", shape });
        }
    }

    /// Tells that a program has run.
    pub(crate) fn program_step(&mut self) {
        if let Some(step) = &mut self.step {
            step(Step { segment: self.segment, kind: StepKind::Program, name: "", op: "", shape: &[] });
        }
    }

    /// Whether someone watches, so that tensors nobody else needs must be made.
    pub(crate) fn is_watched(&self) -> bool {
        self.sink.is_some()
    }

    /// Shows and keeps a new tensor.
    pub(crate) fn made(&mut self, id: TensorId, tensor: Tensor) -> Result<(), RuntimeError> {
        if let Some(sink) = &mut self.sink {
            sink(&self.model.artifact.tensors[id.0 as usize].name, &tensor);
        }
        self.values.put(id, tensor)
    }
}
