//! The memory budget of a model, and the work that computing its constants may take.

use ptq_ir::{DType, Diagnostic, Graph, Node, numel};

/// Multiply-adds of all folding together for each byte of the budget.
const WORK_PER_BYTE: u64 = 8;

/// What is left of the budget.
pub(crate) struct Budget {
    bytes: usize,
    constants: usize,
    work: u64,
}

impl Budget {
    /// A budget of which `used` bytes are spent by the file's own constants.
    pub(crate) fn new(bytes: usize, used: usize) -> Budget {
        Budget { bytes, constants: used, work: 0 }
    }

    /// Charges constants.
    pub(crate) fn constants(&mut self, bytes: usize) -> Result<(), Diagnostic> {
        self.room(bytes)?;
        self.constants += bytes;
        Ok(())
    }

    /// Whether these constants would fit.
    fn room(&self, bytes: usize) -> Result<(), Diagnostic> {
        match self.constants.checked_add(bytes) {
            Some(total) if total <= self.bytes => Ok(()),
            _ => Err(self.exceeded(&format!("needs {bytes} bytes of constants beside {}", self.constants))),
        }
    }

    /// Checks an activation.
    pub(crate) fn activation(&self, dtype: DType, shape: &[usize]) -> Result<(), Diagnostic> {
        match numel(shape).and_then(|n| n.checked_mul(dtype.bytes())) {
            Some(bytes) if bytes <= self.bytes => Ok(()),
            Some(bytes) => Err(self.exceeded(&format!("{dtype}{shape:?} needs {bytes} bytes"))),
            None => Err(self.exceeded(&format!("{dtype}{shape:?} needs more bytes than can be counted"))),
        }
    }

    /// Checks the results of a node before it is computed, and charges the work.
    pub(crate) fn fold(
        &mut self,
        graph: &Graph,
        node: &Node,
        inferred: &[(DType, Vec<usize>)],
    ) -> Result<(), Diagnostic> {
        let size = |(dtype, shape): &(DType, Vec<usize>)| numel(shape)?.checked_mul(dtype.bytes());
        let bytes = inferred.iter().map(size).try_fold(0usize, |sum, b| sum.checked_add(b?));
        self.room(bytes.unwrap_or(usize::MAX))?;
        self.work = self.work.saturating_add(work(graph, node, inferred));
        if self.work > WORK_PER_BYTE * self.bytes as u64 {
            return Err(self.exceeded(&format!(
                "computing constants takes {} multiply-adds, more than {WORK_PER_BYTE} a byte",
                self.work
            )));
        }
        Ok(())
    }

    fn exceeded(&self, what: &str) -> Diagnostic {
        Diagnostic::error("PARSE06", format!("{what}; memory_budget is {} bytes", self.bytes))
            .hint("raise memory_budget of the model if it is to be trusted")
    }
}

/// Multiply-adds of a node, roughly and never far too few: elements of its results, times the elements of a filter, row
/// or window behind each.
fn work(graph: &Graph, node: &Node, inferred: &[(DType, Vec<usize>)]) -> u64 {
    let count = |shape: &[usize]| numel(shape).unwrap_or(usize::MAX) as u64;
    let out: u64 = inferred.iter().map(|(_, s)| count(s)).fold(0, u64::saturating_add);
    let of = |i: usize| node.input(i).map_or(&[][..], |v| &graph.value(v).shape[..]);
    let read: u64 = (0..node.inputs.len()).map(|i| count(of(i))).fold(0, u64::saturating_add);
    let last = |s: &[usize]| s.last().copied().unwrap_or(1) as u64;
    let each = match node.op.as_str() {
        "MatMul" => last(of(0)),
        "Gemm" => count(of(0)) / of(0).iter().copied().min().unwrap_or(1).max(1) as u64,
        "Conv" | "ConvTranspose" => count(of(1)) / of(1).first().copied().unwrap_or(1).max(1) as u64,
        "LRN" => node.attrs.int("size", 1).unsigned_abs(),
        "Einsum" | "NonMaxSuppression" => read,
        _ => {
            let kernel = node.attrs.ints("kernel_shape").unwrap_or(&[]);
            kernel.iter().fold(1u64, |k, &n| k.saturating_mul(n.unsigned_abs()))
        }
    };
    out.saturating_mul(each).saturating_add(read)
}
