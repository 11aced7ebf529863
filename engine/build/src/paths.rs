//! Paths as manifests write them, and files beside a model. Called by the importer and by `init`.

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

/// Reads the external data of a model: files in its folder or below, never elsewhere.
pub(crate) fn beside(model: &Path) -> impl Fn(&str) -> Option<Bytes> {
    let folder = model.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned();
    move |stated| {
        let full = folder.join(stated);
        inside(&folder, &full).ok()?;
        std::fs::read(full).ok().map(Bytes::from)
    }
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
