//! One ONNX operator on tensors.

use crate::ExecError;
use crate::buffers::Buffers;
use crate::call::Call;
use crate::custom;
use crate::ops::{self, Kernel};
use ptq_ir::ops::{FUNCTION, FUNCTION_DOMAIN};
use ptq_ir::{Attrs, Tensor};

/// Applies one ONNX operator (opset 17). `None` stands for an omitted optional input. Gives the first output, or the
/// parts of a Split whose sizes are inputs; see [`eval_outputs`] where the number of outputs matters.
///
/// # Errors
/// When the operator is not supported or its inputs do not fit.
pub fn eval(op: &str, domain: &str, attrs: &Attrs, inputs: &[Option<&Tensor>]) -> Result<Vec<Tensor>, ExecError> {
    eval_outputs(op, domain, attrs, inputs, 1)
}

/// [`eval`] for a node with this number of outputs, which decides the parts of an equal Split.
///
/// # Errors
/// When the operator is not supported or its inputs do not fit.
pub fn eval_outputs(
    op: &str,
    domain: &str,
    attrs: &Attrs,
    inputs: &[Option<&Tensor>],
    outputs: usize,
) -> Result<Vec<Tensor>, ExecError> {
    eval_on(1, op, domain, attrs, inputs, outputs)
}

/// [`eval_outputs`] on up to this many threads. Results do not depend on it.
///
/// # Errors
/// When the operator is not supported or its inputs do not fit.
pub fn eval_on(
    threads: usize,
    op: &str,
    domain: &str,
    attrs: &Attrs,
    inputs: &[Option<&Tensor>],
    outputs: usize,
) -> Result<Vec<Tensor>, ExecError> {
    apply(domain, &Call { op, attrs, inputs, outputs, threads, buffers: &Buffers::default() })
}

/// Applies the operator of a call.
pub(crate) fn apply(domain: &str, call: &Call<'_>) -> Result<Vec<Tensor>, ExecError> {
    if domain == FUNCTION_DOMAIN && call.op == FUNCTION {
        return Ok(vec![ops::function(call)?]);
    }
    if custom::is_custom(call.attrs) {
        return custom::apply(domain, call);
    }
    match find(call.op, domain) {
        Some(Kernel::One(f)) => Ok(vec![f(call)?]),
        Some(Kernel::Many(f)) => f(call),
        None => Err(ExecError::Unsupported { op: call.op.to_owned(), domain: domain.to_owned() }),
    }
}

/// Whether [`eval`] knows this operator.
pub fn is_supported(op: &str, domain: &str) -> bool {
    find(op, domain).is_some() || (domain == FUNCTION_DOMAIN && op == FUNCTION)
}

/// Whether a node with these attributes can be computed: by [`eval`] itself, or, as a custom operator, by its program.
pub fn runs(op: &str, domain: &str, attrs: &Attrs) -> bool {
    is_supported(op, domain) || custom::is_custom(attrs)
}

/// Names of all operators that [`eval`] knows, sorted.
pub fn supported_ops() -> Vec<&'static str> {
    ops::REGISTRY.iter().map(|(name, _)| *name).collect()
}

fn find(op: &str, domain: &str) -> Option<Kernel> {
    if !domain.is_empty() && domain != "ai.onnx" {
        return None;
    }
    let i = ops::REGISTRY.binary_search_by_key(&op, |(name, _)| name).ok()?;
    Some(ops::REGISTRY[i].1)
}
