//! Values that the actions of one build make of the same bytes: decoded graphs, plans with packed weights.

use std::any::Any;
use std::sync::{Arc, Mutex, PoisonError, TryLockError};

/// Most bytes that a shelf keeps: what lies there adds to the memory of whatever runs meanwhile.
const MOST: usize = 64 << 20;

type Value = Arc<dyn Any + Send + Sync>;
/// A value and its size in bytes; empty while it is made.
type Slot = Arc<Mutex<Option<(usize, Value)>>>;

/// Values by their content's name, for all actions of a build. A value must be a function of what its key names, so that finding
/// one is the same as making it; the ones used last are kept, 64 MiB in all.
#[derive(Default)]
pub struct Shelf(Mutex<Vec<(String, Slot)>>);

impl Shelf {
    /// The value of this key, or what `make` makes; whoever asks meanwhile waits for it. `size` is in bytes.
    ///
    /// # Errors
    /// What `make` returns; an error is not kept.
    pub(crate) fn take<T: Any + Send + Sync, E>(
        &self,
        key: &str,
        size: impl FnOnce(&T) -> usize,
        make: impl FnOnce() -> Result<Arc<T>, E>,
    ) -> Result<Arc<T>, E> {
        let slot = self.slot(key);
        let mut held = slot.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = held.as_ref().and_then(|(_, value)| value.clone().downcast::<T>().ok());
        let value = match kept {
            Some(value) => value,
            None => {
                let value = make()?;
                *held = Some((size(&value), value.clone()));
                value
            }
        };
        drop(held);
        self.trim();
        Ok(value)
    }

    /// The slot of a key, now the one used last.
    fn slot(&self, key: &str) -> Slot {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = slots.iter().position(|(k, _)| k == key).map(|at| slots.remove(at));
        let entry = found.unwrap_or_else(|| (key.to_owned(), Slot::default()));
        slots.push(entry.clone());
        entry.1
    }

    /// Drops what is beyond the limit, longest unused first, and slots that nothing was put into.
    fn trim(&self) {
        let mut left = MOST;
        let mut keeps = |slot: &Slot| match slot.try_lock() {
            Ok(held) => held.as_ref().is_some_and(|(size, _)| {
                let fits = *size <= left;
                left -= if fits { *size } else { 0 };
                fits
            }),
            // Being made, or never to be: an action ended inside.
            Err(TryLockError::WouldBlock) => true,
            Err(TryLockError::Poisoned(_)) => false,
        };
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let kept: Vec<bool> = slots.iter().rev().map(|(_, slot)| keeps(slot)).collect();
        let mut kept = kept.into_iter().rev();
        slots.retain(|_| kept.next().unwrap_or_default());
    }

    #[cfg(test)]
    fn keys(&self) -> Vec<String> {
        self.0.lock().expect("sound").iter().map(|(key, _)| key.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn put(shelf: &Shelf, key: &str, size: usize) {
        shelf.take(key, |_| size, || Ok::<_, ()>(Arc::new(size))).expect("made");
    }

    #[test]
    fn a_value_is_made_once_however_many_ask_at_once() {
        let (shelf, made) = (Shelf::default(), AtomicUsize::new(0));
        let ask = || {
            let make = || {
                std::thread::sleep(std::time::Duration::from_millis(20));
                Ok::<_, ()>(Arc::new(made.fetch_add(1, Ordering::Relaxed)))
            };
            shelf.take("key", |_| 8, make).map(|v| *v)
        };
        let all: Vec<_> = std::thread::scope(|s| {
            let threads: Vec<_> = (0..4).map(|_| s.spawn(ask)).collect();
            threads.into_iter().map(|t| t.join().expect("ends")).collect()
        });
        assert_eq!((all, made.into_inner()), (vec![Ok(0); 4], 1));
    }

    #[test]
    fn what_was_not_used_longest_goes_first_and_what_is_too_large_is_not_kept() {
        let shelf = Shelf::default();
        let third = MOST / 3;
        ["a", "b", "c"].iter().for_each(|key| put(&shelf, key, third));
        put(&shelf, "a", third);
        put(&shelf, "d", third);
        assert_eq!(shelf.keys(), ["c", "a", "d"]);
        put(&shelf, "huge", MOST + 1);
        assert_eq!(shelf.keys(), ["c", "a", "d"]);
    }

    #[test]
    fn failures_and_sudden_ends_leave_nothing() {
        let shelf = Shelf::default();
        let failed = shelf.take("a", |_: &u32| 1, || Err("no"));
        assert_eq!(failed, Err("no"));
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _ = shelf.take("b", |_: &u32| 1, || -> Result<_, ()> { std::panic::resume_unwind(Box::new("ended")) });
        }));
        assert!(ended.is_err());
        put(&shelf, "c", 1);
        assert_eq!(shelf.keys(), ["c"]);
        put(&shelf, "b", 1);
        assert_eq!(shelf.take("b", |_| 1, || Err::<Arc<usize>, _>("made again")), Ok(Arc::new(1)), "it works again");
    }
}
