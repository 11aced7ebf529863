//! Counting: how many at a time.

use std::sync::{Condvar, Mutex, PoisonError};

/// Permits that are waited for or taken as they are.
pub(crate) struct Permits {
    free: Mutex<usize>,
    returned: Condvar,
}

/// Some of them; given back when dropped.
pub(crate) struct Held<'a> {
    permits: &'a Permits,
    count: usize,
}

impl Permits {
    /// This many; a build without a cluster limits nothing.
    #[cfg(any(feature = "remote", test))]
    pub(crate) fn new(count: usize) -> Permits {
        Permits { free: Mutex::new(count.max(1)), returned: Condvar::new() }
    }

    /// One, as soon as there is one.
    pub(crate) fn one(&self) -> Held<'_> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        while *free == 0 {
            free = self.returned.wait(free).unwrap_or_else(PoisonError::into_inner);
        }
        *free -= 1;
        Held { permits: self, count: 1 }
    }

    /// Up to that many, as many as there are now.
    #[cfg(any(feature = "remote", test))]
    pub(crate) fn some(&self, most: usize) -> Held<'_> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let count = most.min(*free);
        *free -= count;
        Held { permits: self, count }
    }
}

#[cfg(any(feature = "remote", test))]
impl Held<'_> {
    pub(crate) fn count(&self) -> usize {
        self.count
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        *self.permits.free.lock().unwrap_or_else(PoisonError::into_inner) += self.count;
        self.permits.returned.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn never_more_than_there_are_and_all_come_back() {
        let (permits, now, most) = (Permits::new(3), AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..12 {
                scope.spawn(|| {
                    let _held = permits.one();
                    most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    std::thread::sleep(std::time::Duration::from_millis(5));
                    now.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        assert_eq!(most.load(Ordering::SeqCst), 3);
        let some = permits.some(5);
        assert_eq!((some.count(), permits.some(5).count()), (3, 0));
        drop(some);
        assert_eq!(permits.some(2).count(), 2);
    }
}
