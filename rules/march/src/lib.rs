//! Target descriptions: which operators a march accelerates, under which limits, in which arithmetic.
//!
//! Facts are data (`data/<march>.toml`, each with its provenance); this crate reads and checks them and knows no
//! graph. Read by `ptq-place` (operators, limits), the quantizing stages (arithmetic) and compile (hardware).
//! Adding a target is adding a file.

mod hardware;
mod march;
mod op_entry;
mod placing;
mod registry;

pub use hardware::{Feed, Hardware, MacArray, Parameter};
pub use march::{ImageInput, March, Provenance, Quantization};
pub use op_entry::{Class, Elsewhere, Int16, OpEntry, Range, Route, Shared};
pub use placing::placing;
pub use registry::{model_names, names, source};
