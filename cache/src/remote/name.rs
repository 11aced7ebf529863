//! Names of inputs and outputs as file names: one reversible escape, so that any name fits into a flat folder of any
//! file system and no name of a server can lead out of one.

/// Longest name, in bytes, before the escape.
const MAX_NAME: usize = 4096;

/// The file name of a name: every byte but `A-Z a-z 0-9 _ - .` as `%XX`, a leading dot too. The empty name is `%`.
pub fn file_name(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for (i, byte) in name.bytes().enumerate() {
        let plain = byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-') || (byte == b'.' && i > 0);
        if plain { out.push(byte.into()) } else { out.push_str(&format!("%{byte:02X}")) }
    }
    if out.is_empty() { "%".into() } else { out }
}

/// The name behind a file name; `None` where [`file_name`] would not have made it, or where the name itself could be
/// taken for a path that leads elsewhere (absolute, `..`, empty parts, a backslash, a zero byte).
pub fn name_of_file(file: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(file.len());
    let mut rest = file.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => {
                let pair = [rest.next()?, rest.next()?];
                bytes.push(u8::from_str_radix(std::str::from_utf8(&pair).ok()?, 16).ok()?);
            }
            _ => bytes.push(byte),
        }
    }
    let name = String::from_utf8(bytes).ok()?;
    (file_name(&name) == file && is_safe(&name)).then_some(name)
}

/// Whether a name is a relative path without parts that lead elsewhere.
fn is_safe(name: &str) -> bool {
    let parts = || name.split('/');
    name.len() <= MAX_NAME && !name.contains(['\\', '\0']) && parts().all(|p| !matches!(p, "" | "." | ".."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_return_and_paths_that_lead_elsewhere_do_not() {
        for name in ["graph.onnx", "tensor/a b", "ä", "100%", ".hidden", "a/..b/c"] {
            let file = file_name(name);
            assert!(!file.contains('/') && !file.starts_with('.'), "{file}");
            assert_eq!(name_of_file(&file).as_deref(), Some(name));
        }
        let files = ["..", "../x", "/etc/passwd", "a//b", "a/b", "%2e", "%2", "%", "", "x%zz", "%41"];
        let escaped = ["../x", "/x", "a/../b", "a//b", "a\\b", "a\0", "."].map(file_name);
        for wrong in files.iter().map(|f| (*f).to_owned()).chain(escaped) {
            assert_eq!(name_of_file(&wrong), None, "{wrong}");
        }
    }
}
