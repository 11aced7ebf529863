//! Optimization levels.

use ptq_ir::Diagnostic;
use ptq_march::March;
use serde::{Deserialize, Serialize};

/// How far compile searches for a faster program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum OptimizeLevel {
    /// No optimization, fastest compile: each layer takes the first tiling that fits.
    #[default]
    O0,
    /// Tilings of single layers.
    O1,
    /// Groups of layers.
    O2,
    /// The whole model.
    O3,
}

impl OptimizeLevel {
    /// Name as in the manifest.
    pub fn name(self) -> &'static str {
        match self {
            OptimizeLevel::O0 => "O0",
            OptimizeLevel::O1 => "O1",
            OptimizeLevel::O2 => "O2",
            OptimizeLevel::O3 => "O3",
        }
    }

    /// What this level does not do for a march.
    pub(crate) fn warning(self, march: &March) -> Option<Diagnostic> {
        (self != OptimizeLevel::O0 && march.hardware.is_none()).then(|| {
            let message = format!(
                "march {} has no accelerator to plan for; the result for {} is the one that O0 gives",
                march.name,
                self.name()
            );
            Diagnostic::warning("COMP01", message).hint("set optimize_level = \"O0\" to silence this")
        })
    }
}
