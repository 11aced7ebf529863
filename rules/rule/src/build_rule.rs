//! Build rules: pure, versioned step machines from blobs to blobs.

use crate::Shelf;
use crate::graph_blobs::{graph_key, read_graph};
use bytes::Bytes;
use ptq_ir::{Diagnostic, Graph};
use std::any::Any;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Named blobs: the inputs and outputs of an action. Names are file-like (`graph`, `tensor/<hash>`); the map's order is
/// part of the action's identity.
pub type Blobs = BTreeMap<String, Bytes>;

/// A rule of the build: name, version and a pure step function. What is not in its inputs or parameters cannot change
/// its result, because the function never sees it.
pub trait BuildRule: Sync {
    /// Name of the rule (`parse`, `fuse`, `observe`, …).
    fn name(&self) -> &'static str;

    /// Version of its meaning. A change of any output for equal inputs needs a higher number.
    fn version(&self) -> u32;

    /// Runs one step. `results` holds the outputs of the actions that earlier steps needed, in the order requested;
    /// the first call gets none. Replayable: equal arguments give an equal step.
    ///
    /// # Errors
    /// [`Failure`] with every problem found. Failures are deterministic and are never stored as results.
    fn step(&self, ctx: &Context<'_>, results: &[Blobs]) -> Result<Step, Failure>;
}

/// What a rule sees.
pub struct Context<'a> {
    /// Inputs by name, read on demand.
    pub inputs: &'a dyn Inputs,
    /// Canonical JSON of the slice of the configuration that the rule reads.
    pub params: &'a str,
    /// Where to report progress. Never affects the result.
    pub progress: &'a dyn Progress,
    /// Threads that the rule may use. Never affects the result.
    pub threads: usize,
    /// What earlier steps of this run computed. Never affects the result.
    pub memo: &'a Memo,
}

/// Values that a rule keeps from one of its steps to the next, so that replaying does not compute them again. Whoever drives
/// the steps keeps it, or gives an empty one each time: a kept value must be what computing it again would give.
#[derive(Default)]
pub struct Memo {
    values: Mutex<BTreeMap<String, Arc<dyn Any + Send + Sync>>>,
    tables: Option<Box<dyn Tables>>,
    shelf: Option<Arc<Shelf>>,
}

/// Bytes by name that outlive a run: tables of intermediate results which save time and never change a result. A table may
/// be gone, or older than one that was kept; whoever reads it checks its form.
pub trait Tables: Send + Sync {
    /// The table of this name, if there is one.
    fn load(&self, name: &str) -> Option<Bytes>;
    /// Keeps a table in place of the one of this name.
    fn save(&self, name: &str, bytes: Bytes);
}

impl Memo {
    /// An empty memo with tables behind it.
    pub fn with_tables(tables: Box<dyn Tables>) -> Memo {
        Memo { tables: Some(tables), ..Memo::default() }
    }

    /// The same memo in front of what all actions of a build share.
    #[must_use]
    pub fn with_shelf(self, shelf: Arc<Shelf>) -> Memo {
        Memo { shelf: Some(shelf), ..self }
    }

    /// The table of this name, if there is one.
    pub fn table(&self, name: &str) -> Option<Bytes> {
        self.tables.as_ref()?.load(name)
    }

    /// Keeps a table, if tables are kept at all.
    pub fn keep_table(&self, name: &str, bytes: Bytes) {
        if let Some(tables) = &self.tables {
            tables.save(name, bytes);
        }
    }

    /// The value kept under this key, or what `make` makes, kept from now on.
    ///
    /// # Errors
    /// What `make` returns; an error is not kept.
    pub fn keep<T: Any + Send + Sync, E>(&self, key: &str, make: impl FnOnce() -> Result<T, E>) -> Result<Arc<T>, E> {
        self.keep_shared(key, || make().map(Arc::new))
    }

    fn keep_shared<T: Any + Send + Sync, E>(
        &self,
        key: &str,
        make: impl FnOnce() -> Result<Arc<T>, E>,
    ) -> Result<Arc<T>, E> {
        let kept = self.values.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned();
        if let Some(value) = kept.and_then(|k| k.downcast::<T>().ok()) {
            return Ok(value);
        }
        let value = make()?;
        self.values.lock().unwrap_or_else(PoisonError::into_inner).insert(key.to_owned(), value.clone());
        Ok(value)
    }
}

impl Context<'_> {
    /// The input of this name.
    ///
    /// # Errors
    /// A failure that names the missing input.
    pub fn input(&self, name: &str) -> Result<Bytes, Failure> {
        self.inputs
            .read(name)
            .ok_or_else(|| Failure::from(Diagnostic::error("RULE01", format!("input blob {name:?} is missing"))))
    }

    /// The float graph among the inputs, decoded once for all actions of a build that read it.
    ///
    /// # Errors
    /// When it is missing or does not decode.
    pub fn graph(&self) -> Result<Arc<Graph>, Failure> {
        let size = |graph: &Graph| graph.constants.values().map(ptq_ir::Tensor::byte_len).sum();
        self.memo.keep_shared("graph", || self.shared("", size, || read_graph(self.inputs)))
    }

    /// What `make` makes of the float graph among the inputs and of what `name` tells, and of nothing else; made once for all
    /// actions of a build that ask for it under this name. `size` is in bytes.
    ///
    /// # Errors
    /// What `make` returns.
    pub fn of_graph<T: Any + Send + Sync>(
        &self,
        name: &str,
        size: impl FnOnce(&T) -> usize,
        make: impl FnOnce(&Graph) -> Result<T, Failure>,
    ) -> Result<Arc<T>, Failure> {
        let graph = self.graph()?;
        self.shared(name, size, || make(&graph))
    }

    fn shared<T: Any + Send + Sync>(
        &self,
        name: &str,
        size: impl FnOnce(&T) -> usize,
        make: impl FnOnce() -> Result<T, Failure>,
    ) -> Result<Arc<T>, Failure> {
        let make = || make().map(Arc::new);
        let Some(shelf) = &self.memo.shelf else { return make() };
        let key = self.memo.keep("graph key", || Ok::<_, Failure>(graph_key(self.inputs)))?;
        match &*key {
            Some(graph) => shelf.take(&format!("{graph} {name}"), size, make),
            None => make(),
        }
    }

    /// The parameters as the rule's own type.
    ///
    /// # Errors
    /// A failure that says what does not parse.
    pub fn params<T: serde::de::DeserializeOwned>(&self) -> Result<T, Failure> {
        serde_json::from_str(self.params)
            .map_err(|e| Failure::from(Diagnostic::error("RULE02", format!("rule parameters do not parse: {e}"))))
    }
}

/// The inputs of an action. Reading is lazy, so that a rule which only hands inputs on to other actions never
/// holds them in memory.
pub trait Inputs: Sync {
    /// All names, in order.
    fn names(&self) -> Vec<String>;
    /// The bytes of one input.
    fn read(&self, name: &str) -> Option<Bytes>;
    /// BLAKE3 of the bytes of one input in hexadecimal digits, where it is known without reading them.
    fn digest(&self, _name: &str) -> Option<String> {
        None
    }
}

impl Inputs for Blobs {
    fn names(&self) -> Vec<String> {
        self.keys().cloned().collect()
    }
    fn read(&self, name: &str) -> Option<Bytes> {
        self.get(name).cloned()
    }
}

/// Result of one step.
#[derive(Debug)]
pub enum Step {
    /// The rule needs the results of these actions; it is called again with them appended to `results`.
    Need(Vec<ActionRequest>),
    /// Finished.
    Done(Blobs),
}

/// An action that a rule asks for while it runs.
#[derive(Clone, Debug)]
pub struct ActionRequest {
    /// Name of the build rule to run.
    pub rule: &'static str,
    /// Its canonical JSON parameters.
    pub params: String,
    /// Its inputs: name there, and where the bytes are.
    pub inputs: Vec<(String, InputRef)>,
}

/// Where an input of a requested action comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InputRef {
    /// The requester's own input of this name.
    Own(String),
    /// All of the requester's inputs whose name starts with this prefix, under their own names;
    /// the name in the request is ignored.
    OwnPrefix(String),
    /// Bytes made by the requester.
    Inline(Bytes),
}

/// Why an action has no result. Holds at least one error.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{}", .diagnostics.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct Failure {
    /// Every problem found.
    pub diagnostics: Vec<Diagnostic>,
}

impl From<Diagnostic> for Failure {
    fn from(d: Diagnostic) -> Failure {
        Failure { diagnostics: vec![d] }
    }
}

impl From<Vec<Diagnostic>> for Failure {
    fn from(diagnostics: Vec<Diagnostic>) -> Failure {
        Failure { diagnostics }
    }
}

/// Receives progress of a long step.
pub trait Progress: Sync {
    /// `done` of `total` units (samples, candidates) are finished.
    fn tick(&self, done: usize, total: usize);
}

/// Progress that goes nowhere.
pub struct Silent;

impl Progress for Silent {
    fn tick(&self, _done: usize, _total: usize) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    type Digests<'a> = &'a (dyn Fn(&str) -> Option<String> + Sync);

    /// Inputs that count how often the graph is read, and tell digests.
    struct Counted<'a> {
        blobs: &'a Blobs,
        digest: Digests<'a>,
        reads: std::sync::atomic::AtomicUsize,
    }

    impl Inputs for Counted<'_> {
        fn names(&self) -> Vec<String> {
            self.blobs.names()
        }
        fn read(&self, name: &str) -> Option<Bytes> {
            self.reads.fetch_add(usize::from(name == crate::GRAPH), std::sync::atomic::Ordering::Relaxed);
            self.blobs.read(name)
        }
        fn digest(&self, name: &str) -> Option<String> {
            (self.digest)(name)
        }
    }

    /// How often the graph is read by so many actions with one shelf.
    fn reads(blobs: &Blobs, actions: usize, digest: Digests<'_>) -> usize {
        let inputs = Counted { blobs, digest, reads: 0.into() };
        let shelf = Arc::new(Shelf::default());
        for _ in 0..actions {
            let memo = Memo::default().with_shelf(shelf.clone());
            let ctx = Context { inputs: &inputs, params: "", progress: &Silent, threads: 1, memo: &memo };
            let nodes = ctx.of_graph("nodes", |_| 8, |g| Ok(g.nodes.len())).expect("made");
            assert_eq!(*nodes, ctx.graph().expect("decodes").nodes.len());
        }
        inputs.reads.into_inner()
    }

    #[test]
    fn actions_with_one_graph_decode_it_once_and_only_they() {
        let mut b = ptq_ir::GraphBuilder::new("g");
        let x = b.input("x", &[1, 3000]);
        let c = b.constant("c", ptq_ir::Tensor::from_f32([3000], vec![1.0; 3000]).expect("count"));
        let y = b.node("Add", "add", &[x, c], ptq_ir::Attrs::default(), &[1, 3000]);
        b.output(y);
        let mut blobs = Blobs::new();
        crate::put_graph(&mut blobs, &b.finish()).expect("encodes");
        assert!(blobs.keys().any(|name| name.starts_with(crate::TENSOR_PREFIX)), "a tensor apart");
        let hash = |name: &str| Some(name.strip_prefix(crate::TENSOR_PREFIX).unwrap_or("structure").to_owned());
        assert_eq!(reads(&blobs, 3, &hash), 1);
        let other = |name: &str| (name == crate::GRAPH).then(|| "structure".to_owned());
        assert_eq!(reads(&blobs, 3, &other), 3, "a tensor that may be another than its name says");
        assert_eq!(reads(&blobs, 3, &|_| None), 3, "nothing is known");
        let calls = std::sync::atomic::AtomicUsize::new(0);
        let changing = |name: &str| match name {
            crate::GRAPH => Some(calls.fetch_add(1, std::sync::atomic::Ordering::Relaxed).to_string()),
            _ => hash(name),
        };
        assert!(reads(&blobs, 3, &changing) > 1, "other graphs");
    }

    #[test]
    fn a_memo_makes_a_value_once_and_keeps_no_error() {
        let memo = Memo::default();
        assert_eq!(memo.keep("a", || Err::<u32, _>("no")).expect_err("fails"), "no");
        assert_eq!(*memo.keep("a", || Ok::<u32, ()>(1)).expect("made"), 1);
        assert_eq!(*memo.keep("a", || Err::<u32, ()>(())).expect("kept"), 1);
        assert_eq!(*memo.keep("b", || Ok::<u32, ()>(2)).expect("made"), 2);
    }
}
