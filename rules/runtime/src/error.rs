//! Why a model could not be loaded or run.

use ptq_exec::ExecError;
use ptq_ir::{DType, TensorError};
use ptq_kernels::KernelError;
use ptq_sim::Trap;
use ptq_sim::artifact::BinError;

/// An error of the runtime; names the input or node.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RuntimeError {
    /// The file is not a model.
    #[error(transparent)]
    Artifact(#[from] BinError),
    /// The number of inputs is wrong.
    #[error("{found} inputs given, the model has {}: {}", names.len(), names.join(", "))]
    InputCount {
        /// Inputs given.
        found: usize,
        /// Names of the model's inputs.
        names: Vec<String>,
    },
    /// An input has another type or shape.
    #[error("input {name} is {found}{found_shape:?}, the model expects {expected}{expected_shape:?}")]
    Input {
        /// Name of the input.
        name: String,
        /// Type given.
        found: DType,
        /// Shape given.
        found_shape: Vec<usize>,
        /// Type expected.
        expected: DType,
        /// Shape expected.
        expected_shape: Vec<usize>,
    },
    /// A node could not run.
    #[error("node {node}: {why}")]
    Node {
        /// Name of the node.
        node: String,
        /// What went wrong.
        why: String,
    },
    /// A float operator could not run.
    #[error(transparent)]
    Float(#[from] ExecError),
    /// A program did what no correct program does.
    #[error(transparent)]
    Trap(#[from] Trap),
    /// A kernel refused its arguments.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// A tensor has another type or size than the model states.
    #[error(transparent)]
    Tensor(#[from] TensorError),
}

impl RuntimeError {
    /// A node's error.
    pub(crate) fn node(node: &str, why: impl ToString) -> RuntimeError {
        RuntimeError::Node { node: node.to_owned(), why: why.to_string() }
    }
}
