//! ONNX files ⇄ the graph: protobuf messages, import, opset conversion, shape inference, export.
//!
//! Import gives a [`RawModel`], names and open shapes as in the file; parse converts it node by node ([`convert()`]) and
//! infers shapes ([`infer()`]). Export writes the three files that people look at: the float graph, the float graph with
//! fake quantization, and the integer program in QDQ form. Diagnostics are `ONNX…` (the file), `INFER…` (shapes),
//! `EXPORT…`. Called by parse, fuse, the engine's materialization and tests.

pub mod convert;
mod export;
mod foreign;
mod import;
pub mod infer;
mod meter;
mod ports;
pub mod proto;
mod ranges;
mod raw;
mod scan;
#[cfg(test)]
mod testing;

pub use convert::{ConvertEnv, convert};
pub use export::{ExportMeta, export_fake_quant, export_float, export_qdq};
pub use foreign::foreign_ops;
pub use import::{external_files, import, is_quantized};
pub use infer::{InferCtx, attributes_of, infer, is_known_op, known_ops, operators};
pub use ports::{FilePort, INPUT_METADATA, PORT_METADATA, file_ports, metadata};
pub use ranges::quantized_ranges;
pub use raw::{RawBody, RawControl, RawDim, RawInput, RawModel, RawNode};
pub use scan::{DEFAULT_BUDGET, Limits};
