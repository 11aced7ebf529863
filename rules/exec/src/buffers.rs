//! Memory of dropped values, kept for the values to come: a fresh allocation of a large tensor costs more than filling it.

use ptq_ir::{Tensor, TensorData};
use std::cell::RefCell;
use std::sync::{Arc, Mutex, PoisonError};

/// Free buffers of one run.
#[derive(Debug, Default)]
pub(crate) struct Buffers(RefCell<Vec<Vec<f32>>>);

impl Buffers {
    /// An empty buffer with room for `n` elements.
    pub(crate) fn empty(&self, n: usize) -> Vec<f32> {
        let mut buffer = self.find(n);
        buffer.clear();
        buffer.reserve(n);
        buffer
    }

    /// A buffer of `n` elements of any value.
    pub(crate) fn any(&self, n: usize) -> Vec<f32> {
        let mut buffer = self.find(n);
        buffer.resize(n, 0.0);
        buffer
    }

    /// The free buffer of which the least must be written to make it `n` elements long, and of these the smallest. One of
    /// more than twice the size is left to others: when it came back, most of it would have to be written again.
    fn find(&self, n: usize) -> Vec<f32> {
        let mut free = self.0.borrow_mut();
        let fits = |b: &Vec<f32>| (n..=n.saturating_mul(2)).contains(&b.capacity());
        let fitting = free.iter().enumerate().filter(|(_, b)| fits(b));
        let fitting = fitting.min_by_key(|(_, b)| (n.saturating_sub(b.len()), b.capacity()));
        match fitting.map(|(i, _)| i) {
            Some(i) => free.swap_remove(i),
            None => Vec::new(),
        }
    }

    /// Takes the memory of a value that nobody else holds.
    pub(crate) fn recycle(&self, tensor: Tensor) {
        let unique = matches!(tensor.data(), TensorData::F32(v) if Arc::strong_count(v) == 1);
        if unique && let Ok(v) = tensor.into_f32s() {
            self.0.borrow_mut().push(v);
        }
    }
}

/// Buffers that wait between the runs of a plan, one set for each run that was under way at once.
#[derive(Clone, Debug, Default)]
pub(crate) struct BufferSets(Arc<Mutex<Vec<Buffers>>>);

impl BufferSets {
    /// A set for one run.
    pub(crate) fn take(&self) -> Buffers {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    /// Drops all sets.
    pub(crate) fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Keeps the set for the next run.
    pub(crate) fn give(&self, set: Buffers) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(set);
    }
}
