//! Loads a `.bin` and runs it.
//!
//! Programs of the accelerator run on the functional simulator, integer segments of march `cpu` on packed weights and
//! the fast kernels, float islands operator by operator; never on the interpreter, which is the oracle of the tests.
//! Small enough to embed: bytes in, tensors out, no files and no printing. Called by the command line and by verify.
//! Start at [`Model::load`].

mod arena;
mod border;
mod error;
mod float_segment;
mod int;
mod int_segment;
mod model;
mod npu_segment;
mod ports;
mod profile;
mod run;
mod step;
mod stored;
mod values;

pub use error::RuntimeError;
pub use model::{Model, Port};
pub use profile::{Clock, Profile, Row, RowKind, Spread};
pub use ptq_exec::{CustomCall, CustomProgram, provide};
pub use run::{RunOptions, TensorSink};
pub use step::{Step, StepKind, StepSink};
