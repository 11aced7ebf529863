//! Servers of our own that misbehave on demand, for the suites about remote caches: a Remote Execution API cache over raw
//! HTTP/2, a plain HTTP cache, and a proxy that breaks connections to real servers.

mod http;
mod proxy;
mod reapi;
mod reapi_calls;

pub use http::HttpServer;
pub use proxy::{FaultProxy, Link};
pub use reapi::ReapiServer;

use std::collections::BTreeMap;

/// How a server answers a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Never.
    Hang,
    /// With this gRPC or HTTP status.
    Status(u16),
    /// By breaking the stream or connection.
    Reset,
    /// With other bytes of the same length.
    WrongBytes,
    /// With half of the bytes, as if that were all.
    Truncated,
    /// Takes this many bytes of an upload, then breaks the stream.
    ResetAfter(usize),
}

/// Faults by method, each for a number of calls.
#[derive(Default)]
pub struct Faults {
    by_method: BTreeMap<String, Vec<(Fault, usize)>>,
}

impl Faults {
    /// Lets the next calls of a method fail.
    pub fn add(&mut self, method: &str, fault: Fault, calls: usize) {
        self.by_method.entry(method.to_owned()).or_default().push((fault, calls));
    }

    /// Ends all faults.
    pub fn clear(&mut self) {
        self.by_method.clear();
    }

    /// The fault of this call.
    fn next(&mut self, method: &str) -> Option<Fault> {
        let list = self.by_method.get_mut(method)?;
        let (fault, left) = list.iter_mut().find(|(_, left)| *left > 0)?;
        *left -= 1;
        Some(*fault)
    }
}
