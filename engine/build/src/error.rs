//! Why a project cannot be opened or built at all.

use ptq_cache::StoreError;
use ptq_ir::Diagnostic;
use std::path::PathBuf;

/// Failures outside single variants; those are in the build report.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The manifest cannot be read.
    #[error("{path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// The manifest, a selector or an option is wrong.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Manifest(Vec<Diagnostic>),
    /// The store does not work.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An output cannot be written.
    #[error("cannot write {path}: {source}")]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
}
