//! Why a graph or an operator could not run.

use ptq_ir::{Diagnostic, TensorError};
use ptq_kernels::KernelError;

/// An execution error. Plans wrap it in [`ExecError::Node`], so that the user sees which node it was.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ExecError {
    /// No kernel for this operator.
    #[error("operator {op}{} is not supported", if domain.is_empty() { String::new() } else { format!(" of domain {domain:?}") })]
    Unsupported {
        /// Operator.
        op: String,
        /// Domain; empty for `ai.onnx`.
        domain: String,
    },
    /// Nobody has provided the program of a custom operator.
    #[error(
        "custom operator {op} has no program here: the manifest must declare it as [custom_op.{name}], with the program of digest \
         {program} that the model was built with"
    )]
    NoProgram {
        /// Domain and operator.
        op: String,
        /// Name of its declaration.
        name: String,
        /// The first digits of its program's digest.
        program: String,
    },
    /// The operator's inputs or attributes do not fit together.
    #[error("{op}: {why}")]
    Invalid {
        /// Operator.
        op: String,
        /// What does not fit.
        why: String,
    },
    /// A tensor has another type or size than needed.
    #[error(transparent)]
    Tensor(#[from] TensorError),
    /// An attribute reading failed.
    #[error("{0}")]
    Attribute(Box<Diagnostic>),
    /// A kernel refused its arguments.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// An error of one node of a graph.
    #[error("node {node}: {source}")]
    Node {
        /// Name of the node.
        node: String,
        /// What went wrong there.
        source: Box<ExecError>,
    },
    /// A model input is missing, surplus, or of another type or shape.
    #[error("input {name}: {why}")]
    Input {
        /// Name of the input.
        name: String,
        /// What does not fit.
        why: String,
    },
}

impl ExecError {
    /// The same error with the node's name.
    #[must_use]
    pub fn at(self, node: &str) -> ExecError {
        match self {
            ExecError::Node { .. } => self,
            other => ExecError::Node { node: node.to_owned(), source: Box::new(other) },
        }
    }
}

impl From<Diagnostic> for ExecError {
    fn from(d: Diagnostic) -> ExecError {
        ExecError::Attribute(Box::new(d))
    }
}
