//! Why the store cannot do something.

use std::path::PathBuf;

/// A failure of the store itself; missing or corrupt entries are not failures but misses.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// A file of the store cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// The index cannot be read or written.
    #[error("index {path}: {why}")]
    Index {
        /// The index file.
        path: PathBuf,
        /// What the database says.
        why: String,
    },
}

impl StoreError {
    pub(crate) fn io(path: &std::path::Path) -> impl FnOnce(std::io::Error) -> StoreError + '_ {
        |source| StoreError::Io { path: path.to_owned(), source }
    }
}
