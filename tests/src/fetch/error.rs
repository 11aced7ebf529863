//! What can go wrong while fetching, each as one message that says what to do.

use std::path::PathBuf;

/// A failed fetch.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    /// A file could not be read, written, moved.
    #[error("{path}: {error}")]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// The declaration of the assets is wrong.
    #[error("{path}: {what}")]
    Declaration {
        /// `assets.toml` or a list.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// Files are missing and downloads are forbidden.
    #[error("{count} of the assets are missing, first {first}, and --offline forbids downloading them")]
    Offline {
        /// How many.
        count: usize,
        /// The first of them.
        first: String,
    },
    /// A program that the fetch needs is not installed.
    #[error("{program} is needed to {purpose}, and is not here: {advice}")]
    Absent {
        /// The program.
        program: String,
        /// What for.
        purpose: String,
        /// What to do instead.
        advice: &'static str,
    },
    /// A download failed.
    #[error(
        "cannot download {package}: {said}\n  Is the network there? A folder that has the files can be named by PTQ_ASSETS."
    )]
    Download {
        /// Name and version.
        package: String,
        /// Last line of the tool's error output.
        said: String,
    },
    /// A step in between failed.
    #[error("{step} failed: {said}")]
    Step {
        /// The script or command.
        step: String,
        /// End of its error output.
        said: String,
    },
    /// A file is not the pinned one.
    #[error("{what}: SHA-256 is {found}, pinned is {pinned}")]
    Digest {
        /// The file.
        what: String,
        /// Its digest.
        found: String,
        /// The declared digest.
        pinned: String,
    },
    /// `PTQ_ASSETS` lacks a file.
    #[error("PTQ_ASSETS is {folder}, which has no {file}")]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// Path of the file inside it.
        file: String,
    },
}

/// Shorthand of the fetch step.
pub(crate) type Result<T> = std::result::Result<T, FetchError>;

/// Names the file in an input or output error.
pub(crate) fn at(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> FetchError {
    let path = path.into();
    move |error| FetchError::File { path, error }
}
