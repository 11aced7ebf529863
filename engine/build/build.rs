//! Hashes the sources of the rules. A program built from other sources than the committed ones puts their hash into its
//! action keys, so that it cannot share results with a released one by mistake.

use std::path::{Path, PathBuf};

fn main() {
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../rules");
    println!("cargo:rerun-if-changed={}", rules.display());
    println!("cargo:rustc-env=PTQ_RULES_SOURCES={}", hash(&rules));
}

/// BLAKE3 over the relative path and bytes of every file that decides a rule's result, in path order.
fn hash(rules: &Path) -> String {
    let mut files = Vec::new();
    walk(rules, &mut files);
    files.sort();
    let mut hasher = blake3::Hasher::new();
    for file in files {
        let name = file.strip_prefix(rules).unwrap_or(&file).to_string_lossy().replace('\\', "/");
        let bytes = std::fs::read(&file).unwrap_or_default();
        hasher.update(&(name.len() as u64).to_le_bytes()).update(name.as_bytes());
        hasher.update(&(bytes.len() as u64).to_le_bytes()).update(&bytes);
    }
    hasher.finalize().to_hex().to_string()
}

/// Sources and target files; tests and documents decide nothing.
fn walk(dir: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        let ending = path.extension().and_then(|e| e.to_str()).unwrap_or("");
        let in_code = path.components().any(|c| c.as_os_str() == "src" || c.as_os_str() == "data");
        if path.is_dir() {
            if path.file_name().is_none_or(|n| n != "tests") {
                walk(&path, out);
            }
        } else if in_code && ["rs", "toml"].contains(&ending) {
            out.push(path);
        }
    }
}
