//! What an inference function sees of a node.

use ptq_ir::{DType, Diagnostic, Graph, Node, Tensor, Value, ops};

/// Types and shapes of a node's outputs.
pub type Inferred = Result<Vec<(DType, Vec<usize>)>, Diagnostic>;

/// A node with the types, shapes and constants of its inputs.
pub struct InferCtx<'a> {
    graph: &'a Graph,
    node: &'a Node,
}

impl<'a> InferCtx<'a> {
    /// The view on `node`, whose inputs are values of `graph`.
    pub fn new(graph: &'a Graph, node: &'a Node) -> InferCtx<'a> {
        InferCtx { graph, node }
    }

    /// The node.
    pub fn node(&self) -> &'a Node {
        self.node
    }

    /// An error about this node.
    pub fn error(&self, why: impl Into<String>) -> Diagnostic {
        Diagnostic::error("INFER01", format!("{}: {}", self.node.op, why.into())).node(&self.node.name)
    }

    /// Input `i`, when given.
    pub fn optional(&self, i: usize) -> Option<&'a Value> {
        self.node.input(i).and_then(|v| self.graph.values.get(v.0 as usize))
    }

    /// Input `i`.
    ///
    /// # Errors
    /// When it is omitted.
    pub fn input(&self, i: usize) -> Result<&'a Value, Diagnostic> {
        self.optional(i).ok_or_else(|| self.error(format!("input {i} is missing")))
    }

    /// Shape of input `i`.
    ///
    /// # Errors
    /// When it is omitted.
    pub fn shape(&self, i: usize) -> Result<&'a [usize], Diagnostic> {
        self.input(i).map(|v| v.shape.as_slice())
    }

    /// Type of input `i`.
    ///
    /// # Errors
    /// When it is omitted.
    pub fn dtype(&self, i: usize) -> Result<DType, Diagnostic> {
        self.input(i).map(|v| v.dtype)
    }

    /// All given inputs.
    pub fn inputs(&self) -> impl Iterator<Item = &'a Value> {
        (0..self.node.inputs.len()).filter_map(|i| self.optional(i))
    }

    /// The constant behind input `i`: `None` when the input is omitted.
    ///
    /// # Errors
    /// When the input is computed at run time.
    pub fn constant(&self, i: usize) -> Result<Option<&'a Tensor>, Diagnostic> {
        match (self.optional(i), self.graph.const_input(self.node, i)) {
            (None, _) => Ok(None),
            (Some(_), Some(t)) => Ok(Some(t)),
            (Some(v), None) => {
                let why = format!("input {i} ({}) must be constant, but depends on the model's input", v.name);
                Err(self.error(why).hint("static shapes are needed; export the model with fixed shapes"))
            }
        }
    }

    /// Succeeds when every input is constant: the operator is computed by parse, or refused.
    ///
    /// # Errors
    /// As [`InferCtx::constant`].
    pub fn all_constant(&self) -> Result<(), Diagnostic> {
        (0..self.node.inputs.len()).try_for_each(|i| self.constant(i).map(drop))
    }

    /// The integers of constant input `i`: `None` when the input is omitted.
    ///
    /// # Errors
    /// When the input is computed at run time or holds no integers.
    pub fn ints(&self, i: usize) -> Result<Option<Vec<i64>>, Diagnostic> {
        let Some(t) = self.constant(i)? else { return Ok(None) };
        t.to_i64s().map(Some).map_err(|e| self.error(format!("input {i}: {e}")))
    }

    /// The integers of constant input `i`.
    ///
    /// # Errors
    /// As [`InferCtx::ints`], and when the input is omitted.
    pub fn required_ints(&self, i: usize) -> Result<Vec<i64>, Diagnostic> {
        self.ints(i)?.ok_or_else(|| self.error(format!("input {i} is missing")))
    }

    /// A non-negative axis from ONNX's possibly negative one.
    ///
    /// # Errors
    /// When it is outside the rank.
    pub fn axis(&self, raw: i64, rank: usize) -> Result<usize, Diagnostic> {
        ops::axis(raw, rank).ok_or_else(|| self.error(format!("axis {raw} is outside rank {rank}")))
    }

    /// Distinct non-negative axes.
    ///
    /// # Errors
    /// When one is outside the rank or given twice.
    pub fn axes(&self, raw: &[i64], rank: usize) -> Result<Vec<usize>, Diagnostic> {
        let mut out = Vec::with_capacity(raw.len().min(rank));
        for &r in raw {
            let axis = self.axis(r, rank)?;
            if out.contains(&axis) {
                return Err(self.error(format!("axis {r} is given twice")));
            }
            out.push(axis);
        }
        Ok(out)
    }

    /// A non-negative extent.
    ///
    /// # Errors
    /// When it is negative.
    pub fn extent(&self, v: i64) -> Result<usize, Diagnostic> {
        usize::try_from(v).map_err(|_| self.error(format!("extent {v} is negative")))
    }

    /// The same type and shape as input 0.
    ///
    /// # Errors
    /// When input 0 is omitted.
    pub fn like_first(&self) -> Inferred {
        let x = self.input(0)?;
        Ok(vec![(x.dtype, x.shape.clone())])
    }
}
