//! The program that workers run: this one, or the one that the settings name. It must need nothing of the worker's system.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

/// Segment of an ELF file that names its loader.
const PT_INTERP: u32 = 3;
/// Most segments that are looked at.
const MAX_SEGMENTS: u16 = 512;
/// How to make a program that will do.
const ADVICE: &str = "make one that needs nothing: RUSTFLAGS=\"-C target-feature=+crt-static\" cargo build --release \
    --target x86_64-unknown-linux-gnu, and name it: [remote] worker = \"PATH\"";

/// The program of these settings, or this one.
///
/// # Errors
/// When it is not there, or would look for libraries that an empty root does not have.
pub(crate) fn find(named: Option<&Path>) -> Result<PathBuf, String> {
    let path = match named {
        Some(path) => path.to_owned(),
        None => std::env::current_exe().map_err(|e| format!("this program does not find itself: {e}"))?,
    };
    match loader(&path) {
        Ok(None) => Ok(path),
        Ok(Some(loader)) => {
            let which = if named.is_some() { "the worker program" } else { "this program" };
            Err(format!("{which} {} needs {loader}, which workers do not have; {ADVICE}", path.display()))
        }
        Err(e) => Err(format!("the worker program {}: {e}; {ADVICE}", path.display())),
    }
}

/// The loader that a 64-bit ELF file asks for.
fn loader(path: &Path) -> std::io::Result<Option<String>> {
    let other = || std::io::Error::other("it is not a 64-bit Linux program");
    let mut file = File::open(path)?;
    let mut head = [0u8; 64];
    file.read_exact(&mut head).map_err(|_| other())?;
    if head[..6] != *b"\x7fELF\x02\x01" {
        return Err(other());
    }
    let word =
        |bytes: &[u8], at: usize| bytes.get(at..at + 8).and_then(|b| b.try_into().ok()).map_or(0, u64::from_le_bytes);
    let half = |at: usize| u16::from_le_bytes([head[at], head[at + 1]]);
    let (table, size, count) = (word(&head, 32), half(54), half(56));
    if size < 56 || count > MAX_SEGMENTS {
        return Err(other());
    }
    for i in 0..u64::from(count) {
        let mut segment = [0u8; 56];
        file.seek(SeekFrom::Start(table + i * u64::from(size)))?;
        file.read_exact(&mut segment).map_err(|_| other())?;
        if segment[..4] == PT_INTERP.to_le_bytes() {
            let mut name = Vec::new();
            file.seek(SeekFrom::Start(word(&segment, 8)))?;
            file.take(word(&segment, 32).min(256)).read_to_end(&mut name)?;
            return Ok(Some(String::from_utf8_lossy(&name).trim_end_matches('\0').to_owned()));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// A head with one segment of this type, and what it holds.
    fn elf(kind: u32, content: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0u8; 120];
        bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
        bytes[32..40].copy_from_slice(&64u64.to_le_bytes());
        bytes[54..56].copy_from_slice(&56u16.to_le_bytes());
        bytes[56..58].copy_from_slice(&1u16.to_le_bytes());
        bytes[64..68].copy_from_slice(&kind.to_le_bytes());
        bytes[72..80].copy_from_slice(&120u64.to_le_bytes());
        bytes[96..104].copy_from_slice(&(content.len() as u64).to_le_bytes());
        bytes.extend(content);
        bytes
    }

    #[test]
    fn a_program_that_needs_a_loader_is_refused_with_the_way_out() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ptq");
        let found = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            find(Some(&path))
        };
        assert_eq!(found(&elf(1, b"")).unwrap(), path);
        let why = found(&elf(PT_INTERP, b"/lib64/ld.so\0")).unwrap_err();
        assert!(why.contains("/lib64/ld.so") && why.contains("crt-static"), "{why}");
        assert!(found(b"#!/bin/sh\n").unwrap_err().contains("not a 64-bit Linux program"));
        assert!(find(Some(Path::new("/nowhere/ptq"))).unwrap_err().contains("No such file"));
    }
}
