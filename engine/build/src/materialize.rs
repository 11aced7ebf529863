//! Puts a variant's files into `out/<variant>/`: written beside and renamed, only where the content differs.

use crate::artifacts::{self, FILES, Stages};
use crate::error::EngineError;
use crate::executor::LOST;
use crate::session::Session;
use ptq_cache::Digest;
use ptq_ir::Diagnostic;
use ptq_rule::Failure;
use std::fs;
use std::path::{Path, PathBuf};

/// Brings every file of a variant up to date; returns their paths.
///
/// # Errors
/// The outer error when a file cannot be written, the inner one when it cannot be assembled.
pub(crate) fn variant(
    session: &Session,
    stages: &Stages<'_>,
    out: &Path,
) -> Result<Result<Vec<PathBuf>, Failure>, EngineError> {
    // Variant names hold no separator and do not start with a dot (the manifest checks), so this stays inside `out`.
    let folder = out.join(stages.variant);
    let mut paths = Vec::new();
    for name in FILES {
        let path = folder.join(name);
        let digest = match artifacts::file(session, stages, name) {
            Ok(digest) => digest,
            Err(failure) => return Ok(Err(failure)),
        };
        if let Err(failure) = place(session, &path, &digest)? {
            return Ok(Err(failure));
        }
        paths.push(path);
    }
    Ok(Ok(paths))
}

fn place(session: &Session, path: &Path, digest: &Digest) -> Result<Result<(), Failure>, EngineError> {
    if session.store.digest_file(path).is_ok_and(|d| d == *digest) {
        return Ok(Ok(()));
    }
    let Some(bytes) = session.store.get(digest) else {
        return Ok(Err(Failure::from(Diagnostic::error(LOST, "an output is no longer in the store"))));
    };
    let error = |source| EngineError::Write { path: path.to_owned(), source };
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(error)?;
    }
    let mut tmp = path.as_os_str().to_owned();
    tmp.push(format!(".{}.tmp", std::process::id()));
    let tmp = PathBuf::from(tmp);
    fs::write(&tmp, &bytes).and_then(|()| fs::rename(&tmp, path)).map_err(|source| {
        let _ = fs::remove_file(&tmp);
        EngineError::Write { path: path.to_owned(), source }
    })?;
    Ok(Ok(()))
}
