//! Signs of life of a server: when it last said anything, and how many bytes went each way.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Signs of life; shared by everything that talks to one server.
#[derive(Debug)]
pub struct Life {
    start: Instant,
    /// Microseconds after `start`, plus one; 0 is never.
    last: AtomicU64,
    received: AtomicU64,
    sent: AtomicU64,
}

impl Default for Life {
    fn default() -> Life {
        Life { start: Instant::now(), last: AtomicU64::new(0), received: AtomicU64::new(0), sent: AtomicU64::new(0) }
    }
}

impl Life {
    /// The server said something.
    pub fn seen(&self) {
        let micros = u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX - 1);
        self.last.fetch_max(micros + 1, Ordering::Relaxed);
    }

    /// The server sent bytes of blobs.
    pub fn took(&self, bytes: usize) {
        self.received.fetch_add(bytes as u64, Ordering::Relaxed);
        self.seen();
    }

    /// The server takes bytes of blobs.
    pub fn gave(&self, bytes: usize) {
        self.sent.fetch_add(bytes as u64, Ordering::Relaxed);
        self.seen();
    }

    /// How long the server has been silent; `None` where it never said anything.
    pub fn silence(&self) -> Option<Duration> {
        let last = self.last.load(Ordering::Relaxed).checked_sub(1)?;
        Some(self.start.elapsed().saturating_sub(Duration::from_micros(last)))
    }

    /// Bytes of blobs received.
    pub fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// Bytes of blobs sent.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }
}
