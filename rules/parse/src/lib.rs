//! The stage `parse`: an ONNX file becomes a graph with static shapes.
//!
//! Import, freeze input shapes, sort, convert each node to one operator set, infer shapes while folding everything
//! constant (so that chains of Shape arithmetic vanish), drop dead nodes, insert preprocessing. Everything else stays
//! as the model says; rewriting is fuse's work. Run by the engine as the rule `parse`. Start at [`ParseRule`].
//!
//! Diagnostics: `PARSE01` input description without input, `PARSE02` open shape, `PARSE03` shape misfit, `PARSE04`
//! cycle, `PARSE05` constant that does not compute, `PARSE06` too large, `PARSE07` preprocessing, `PARSE08` float64
//! at run time taken as float32, `PARSE09` batch taken as 1, `PARSE10` control flow, `PARSE11` quantized nodes that
//! have no float form, `PARSE12` nodes that cannot be outputs or be removed, `PARSE13` removed nodes, `PARSE14` a batch that does not
//! go with the model, `PARSE15` a request to remove nodes that meets none; and those of `ptq-onnx`.

mod batch;
mod budget;
mod build;
mod colour;
mod control;
mod custom;
mod cut;
mod fold;
mod freeze;
mod narrow;
mod order;
mod preprocess;
mod prune;
mod quantized;
mod rule;

pub use cut::{Cut, REMOVABLE, removable};
pub use quantized::Quantized;
pub use rule::{EXTERNAL, GIVEN, ParseParams, ParseRule};

#[cfg(test)]
mod tests;
