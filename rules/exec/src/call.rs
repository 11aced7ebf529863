//! One operator application as kernels see it.

use crate::ExecError;
use crate::buffers::Buffers;
use ptq_ir::{Attrs, Node, Tensor, numel, ops};

/// Most elements of a result, so that a broken shape cannot exhaust memory.
const MAX_ELEMENTS: usize = 1 << 30;

/// An operator with its attributes and inputs.
pub(crate) struct Call<'a> {
    pub(crate) op: &'a str,
    pub(crate) attrs: &'a Attrs,
    pub(crate) inputs: &'a [Option<&'a Tensor>],
    /// Outputs that the caller uses; decides the parts of a Split.
    pub(crate) outputs: usize,
    /// Threads that the kernel may use.
    pub(crate) threads: usize,
    /// Where results get their memory.
    pub(crate) buffers: &'a Buffers,
}

impl<'a> Call<'a> {
    /// Input `i`.
    pub(crate) fn input(&self, i: usize) -> Result<&'a Tensor, ExecError> {
        self.optional(i).ok_or_else(|| self.bad(format!("input {i} is missing")))
    }

    /// Input `i`, when given.
    pub(crate) fn optional(&self, i: usize) -> Option<&'a Tensor> {
        self.inputs.get(i).copied().flatten()
    }

    /// All inputs; each must be given.
    pub(crate) fn all(&self) -> Result<Vec<&'a Tensor>, ExecError> {
        if self.inputs.is_empty() {
            return Err(self.bad("has no input"));
        }
        (0..self.inputs.len()).map(|i| self.input(i)).collect()
    }

    /// Integers of input `i`, when given.
    pub(crate) fn ints(&self, i: usize) -> Result<Option<Vec<i64>>, ExecError> {
        Ok(self.optional(i).map(Tensor::to_i64s).transpose()?)
    }

    /// An error that says what does not fit.
    pub(crate) fn bad(&self, why: impl Into<String>) -> ExecError {
        ExecError::Invalid { op: self.op.to_owned(), why: why.into() }
    }

    /// A non-negative axis within `rank`.
    pub(crate) fn axis(&self, raw: i64, rank: usize) -> Result<usize, ExecError> {
        ops::axis(raw, rank).ok_or_else(|| self.bad(format!("axis {raw} is outside rank {rank}")))
    }

    /// Non-negative, sorted, distinct axes within `rank`.
    pub(crate) fn axes(&self, raw: &[i64], rank: usize) -> Result<Vec<usize>, ExecError> {
        let mut axes = raw.iter().map(|&a| self.axis(a, rank)).collect::<Result<Vec<_>, _>>()?;
        axes.sort_unstable();
        if axes.windows(2).any(|w| w[0] == w[1]) {
            return Err(self.bad(format!("axes {raw:?} name one axis twice")));
        }
        Ok(axes)
    }

    /// A shape from integers, with a bound on its elements.
    pub(crate) fn shape(&self, dims: &[i64]) -> Result<Vec<usize>, ExecError> {
        let shape = dims
            .iter()
            .map(|&d| usize::try_from(d).map_err(|_| self.bad(format!("dimension {d} is negative"))))
            .collect::<Result<Vec<_>, _>>()?;
        self.bounded(&shape)?;
        Ok(shape)
    }

    /// The element count of a shape, when it is reasonable.
    pub(crate) fn bounded(&self, shape: &[usize]) -> Result<usize, ExecError> {
        numel(shape)
            .filter(|&n| n <= MAX_ELEMENTS)
            .ok_or_else(|| self.bad(format!("result of shape {shape:?} is too large")))
    }

    /// A node with this operator and these attributes, for the attribute readings of `ptq_ir::ops`.
    pub(crate) fn node(&self) -> Node {
        Node {
            name: self.op.to_owned(),
            op: self.op.to_owned(),
            domain: String::new(),
            inputs: Vec::new(),
            outputs: Vec::new(),
            attrs: self.attrs.clone(),
            covers: Vec::new(),
            fusible_into: None,
        }
    }
}
