//! The memory budget of an import: every tensor is charged before it is allocated. Called by import.

use ptq_ir::{DType, numel};
use std::cell::Cell;

/// Bytes spent of a budget.
pub(crate) struct Meter {
    budget: usize,
    used: Cell<usize>,
}

impl Meter {
    pub(crate) fn new(budget: usize) -> Meter {
        Meter { budget, used: Cell::new(0) }
    }

    /// Charges a tensor and returns its bytes.
    ///
    /// # Errors
    /// When the constants of the file together would pass the budget.
    pub(crate) fn tensor(&self, dtype: DType, shape: &[usize]) -> Result<usize, String> {
        let bytes = numel(shape).and_then(|n| n.checked_mul(dtype.bytes()));
        let total = bytes.and_then(|b| b.checked_add(self.used.get())).filter(|&t| t <= self.budget);
        let (Some(bytes), Some(total)) = (bytes, total) else {
            let needs = bytes.map_or("more bytes than can be counted".to_owned(), |b| format!("{b} bytes"));
            let (used, budget) = (self.used.get(), self.budget);
            return Err(format!(
                "shape {shape:?} needs {needs} beside {used} of other constants; memory_budget is {budget}"
            ));
        };
        self.used.set(total);
        Ok(bytes)
    }
}
