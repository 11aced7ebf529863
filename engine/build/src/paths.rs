//! Paths as manifests write them, and files beside a model. Called by the importer, `init` and `check`.

use crate::sources::inside;
use bytes::Bytes;
use std::path::{Component, Path, PathBuf};

/// A path as seen from a folder: without a way between them by letters (another drive), as it is.
pub(crate) fn relative(path: &Path, folder: &Path) -> String {
    let absolute = |p: &Path| clean(&std::path::absolute(p).unwrap_or_else(|_| p.to_owned()));
    let (to, from) = (absolute(path), absolute(folder));
    let shared = to.components().zip(from.components()).take_while(|(a, b)| a == b).count();
    let up = from.components().count() - shared;
    let parts: PathBuf = std::iter::repeat_n(Component::ParentDir, up).chain(to.components().skip(shared)).collect();
    let text = parts.to_string_lossy().replace('\\', "/");
    if text.is_empty() { ".".to_owned() } else { text }
}

/// A path without `.` and `..` inside, by its letters.
fn clean(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => drop(out.pop()),
            other => out.push(other),
        }
    }
    out
}

/// Reads a file of a model's external data: in its folder or below, never elsewhere.
///
/// # Errors
/// Says of the file that it leads out of the folder, is missing or cannot be read; the text reads after the file's name.
pub fn external_file(model: &Path, stated: &str) -> Result<Bytes, String> {
    let folder = model.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let full = folder.join(stated);
    inside(folder, &full)?;
    std::fs::read(full).map(Bytes::from).map_err(|e| format!("cannot be read: {e}"))
}

/// The external data of a model, where it can be read.
pub(crate) fn beside(model: &Path) -> impl Fn(&str) -> Option<Bytes> {
    move |stated| external_file(model, stated).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_paths_go_up_and_down() {
        let of = |p: &str, f: &str| relative(Path::new(p), Path::new(f));
        assert_eq!(of("/a/b/m.onnx", "/a/b"), "m.onnx");
        assert_eq!(of("/a/b/../m.onnx", "/a/c"), "../m.onnx");
        assert_eq!(of("/a", "/a"), ".");
    }
}
