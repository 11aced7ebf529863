//! Graph execution: one operator at a time, whole float graphs, fake-quantized graphs, integer programs.
//!
//! What: ONNX operators (opset 17) on tensors, and the plans that run them over a graph while an observer sees every
//! value. Not here: arithmetic on slices (`ptq-kernels`), decisions. Called by parse and fuse (folding), calibrate,
//! partition (tables), report and runtime (CPU segments). Start at [`eval()`], [`FloatPlan`], [`Interpreter`].

mod alone;
mod broadcast;
mod buffers;
mod call;
mod columns;
mod custom;
mod elements;
mod error;
mod eval;
mod fake_quant;
mod float_plan;
mod integer;
mod lifetimes;
mod loops;
pub mod metrics;
mod ops;
mod vanish;

pub use alone::{AlonePlan, FoundAlone, Part};
pub use columns::columns;
pub use custom::{CustomCall, CustomProgram, is_provided, provide};
pub use error::ExecError;
pub use eval::{eval, eval_on, eval_outputs, is_supported, runs, supported_ops};
pub use fake_quant::FakeQuantPlan;
pub use float_plan::{FloatPlan, FloatSink};
pub use integer::{IntegerSink, Interpreter, port_values, real_outputs};
