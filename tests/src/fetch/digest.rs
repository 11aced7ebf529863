//! SHA-256 of files, and the check against a pinned one.

use crate::error::{FetchError, Result, at};
use sha2::{Digest, Sha256};
use std::path::Path;

/// Digest of a file in hexadecimal.
pub(crate) fn digest(path: &Path) -> Result<String> {
    let bytes = std::fs::read(path).map_err(at(path))?;
    Ok(Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Whether a file is there and is the pinned one.
pub(crate) fn is_pinned(path: &Path, pinned: &str) -> Result<bool> {
    Ok(path.is_file() && digest(path)? == pinned)
}

/// Fails unless a file is the pinned one.
pub(crate) fn verify(path: &Path, what: &str, pinned: &str) -> Result<()> {
    let found = digest(path)?;
    if found == pinned {
        return Ok(());
    }
    Err(FetchError::Digest { what: what.to_owned(), found, pinned: pinned.to_owned() })
}
