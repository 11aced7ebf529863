//! Tensors during a run: held while someone will still read them.

use crate::RuntimeError;
use ptq_ir::{Tensor, TensorId};
use ptq_sim::artifact::{Body, Model};

/// How often each tensor is read in one run, by tensor.
#[derive(Clone, Debug)]
pub(crate) struct Liveness(Vec<u32>);

impl Liveness {
    pub(crate) fn of(model: &Model) -> Liveness {
        let mut reads = vec![0; model.tensors.len()];
        let mut read = |ids: &[TensorId]| ids.iter().for_each(|id| reads[id.0 as usize] += 1);
        for segment in &model.segments {
            match &segment.body {
                Body::Float(nodes) => nodes.iter().for_each(|n| read(&n.inputs)),
                // These hold what they read in a form of their own.
                Body::Int(_) | Body::Npu(_) => read(&segment.inputs),
            }
        }
        read(&model.outputs);
        Liveness(reads)
    }
}

/// The tensors of one run.
pub(crate) struct Values<'a> {
    model: &'a Model,
    reads: Vec<u32>,
    /// What this run has made; constants are the model's.
    held: Vec<Option<Tensor>>,
}

impl<'a> Values<'a> {
    pub(crate) fn new(model: &'a Model, liveness: &Liveness) -> Values<'a> {
        Values { model, reads: liveness.0.clone(), held: vec![None; model.tensors.len()] }
    }

    /// A tensor that exists by now; the model's check has made sure that it does.
    pub(crate) fn get(&self, id: TensorId) -> Result<&Tensor, RuntimeError> {
        let declared = &self.model.tensors[id.0 as usize];
        let found = self.held[id.0 as usize].as_ref().or(declared.data.as_ref());
        found.ok_or_else(|| RuntimeError::node(&declared.name, "is read before it is made"))
    }

    /// Keeps a new tensor while it will be read; it must be what the model declares.
    pub(crate) fn put(&mut self, id: TensorId, tensor: Tensor) -> Result<(), RuntimeError> {
        let declared = &self.model.tensors[id.0 as usize];
        if tensor.dtype() != declared.dtype || tensor.shape() != declared.shape {
            let (dtype, shape) = (tensor.dtype(), tensor.shape());
            let why = format!("was computed as {dtype}{shape:?}, declared is {}{:?}", declared.dtype, declared.shape);
            return Err(RuntimeError::node(&declared.name, why));
        }
        if self.reads[id.0 as usize] > 0 {
            self.held[id.0 as usize] = Some(tensor);
        }
        Ok(())
    }

    /// Notes that these were read; what nobody will read again is dropped.
    pub(crate) fn release(&mut self, ids: &[TensorId]) {
        for id in ids {
            let i = id.0 as usize;
            self.reads[i] = self.reads[i].saturating_sub(1);
            if self.reads[i] == 0 {
                self.held[i] = None;
            }
        }
    }
}
