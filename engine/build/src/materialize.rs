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
use std::sync::atomic::{AtomicU64, Ordering};

/// Brings the wanted files of a variant up to date and removes its others; returns their paths.
///
/// # Errors
/// The outer error when a file cannot be written, the inner one when it cannot be assembled.
pub(crate) fn variant(
    session: &Session,
    stages: &Stages<'_>,
    wanted: &[&str],
    out: &Path,
) -> Result<Result<Vec<PathBuf>, Failure>, EngineError> {
    // Variant names hold no separator and do not start with a dot (the manifest checks), so this stays inside `out`.
    let folder = out.join(stages.variant);
    let mut paths = Vec::new();
    for name in FILES {
        let path = folder.join(name);
        if !wanted.contains(&name) {
            let _ = fs::remove_file(&path);
            continue;
        }
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

/// Brings one file that is no stage's up to date.
///
/// # Errors
/// As [`variant`].
pub(crate) fn bytes(session: &Session, path: &Path, bytes: &[u8]) -> Result<Result<(), Failure>, EngineError> {
    let digest = session.store.put(bytes).map_err(EngineError::Store)?;
    place(session, path, &digest)
}

fn place(session: &Session, path: &Path, digest: &Digest) -> Result<Result<(), Failure>, EngineError> {
    if session.store.digest_file(path).is_ok_and(|d| d == *digest) {
        return Ok(Ok(()));
    }
    let Some(bytes) = session.store.get(digest) else {
        return Ok(Err(Failure::from(Diagnostic::error(LOST, "an output is no longer in the store"))));
    };
    let error = |source: std::io::Error| EngineError::Write { path: path.to_owned(), source };
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(error)?;
    }
    // Written in the store, so that a sudden end leaves nothing here; another file system needs a copy beside.
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let near = format!("out-{}-{}", std::process::id(), COUNTER.fetch_add(1, Ordering::Relaxed));
    let aside = session.store.temporary(&near).map_err(EngineError::Store)?;
    let moved = fs::write(&aside, &bytes).and_then(|()| fs::rename(&aside, path));
    if moved.is_err() {
        let _ = fs::remove_file(&aside);
        let beside = path.with_file_name(format!(".{near}"));
        fs::write(&beside, &bytes).and_then(|()| fs::rename(&beside, path)).map_err(|source| {
            let _ = fs::remove_file(&beside);
            error(source)
        })?;
    }
    Ok(Ok(()))
}
