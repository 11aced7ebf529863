//! Several compiled models in one file: a header like a model's, then a list of names and whole `.bin` files.

use super::schema::{PackMessage, PackedMessage};
use super::{BinError, decode, header};
use bytes::Bytes;
use prost::Message as _;
use std::collections::BTreeSet;

/// Most models of a file.
pub const MAX_PACKED: usize = 256;
/// Longest name in bytes.
const MAX_NAME: usize = 255;

/// A model of a packed file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packed {
    /// What it is asked for by.
    pub name: String,
    /// The whole `.bin` file.
    pub bin: Bytes,
}

/// Whether the bytes begin as a packed file does.
pub fn is_packed(bytes: &[u8]) -> bool {
    bytes.starts_with(&header::PACK.magic)
}

/// The packed file of these models, in this order.
///
/// # Errors
/// A name that is empty, too long or used twice, a file that is packed already or no model, none or too many models.
pub fn pack(models: &[Packed]) -> Result<Vec<u8>, BinError> {
    check(models)?;
    for m in models {
        decode(&m.bin).map_err(|e| BinError::Packed { name: m.name.clone(), why: e.to_string() })?;
    }
    let models = models.iter().map(|m| PackedMessage { name: m.name.clone(), bin: m.bin.clone() }).collect();
    Ok(header::PACK.wrap(&PackMessage { models }.encode_to_vec()))
}

/// The models of a packed file. Each has its own mark, version, length and checksum checked; [`decode`] checks the rest.
///
/// # Errors
/// Says what is wrong; a damaged or hostile file gives nothing, and never takes more memory than its own size.
pub fn unpack(bytes: &[u8]) -> Result<Vec<Packed>, BinError> {
    let payload = Bytes::copy_from_slice(header::PACK.unwrap(bytes)?);
    let message = PackMessage::decode(payload).map_err(|e| BinError::Message(e.to_string()))?;
    let models: Vec<Packed> = message.models.into_iter().map(|m| Packed { name: m.name, bin: m.bin }).collect();
    check(&models)?;
    Ok(models)
}

fn check(models: &[Packed]) -> Result<(), BinError> {
    if models.is_empty() || models.len() > MAX_PACKED {
        return Err(BinError::Message(format!("{} models in one file, 1..{MAX_PACKED} are allowed", models.len())));
    }
    let mut names = BTreeSet::new();
    for m in models {
        let bad = |why: &str| Err(BinError::Packed { name: m.name.clone(), why: why.to_owned() });
        if m.name.is_empty() || m.name.len() > MAX_NAME {
            return bad("its name is empty or longer than 255 bytes");
        }
        if !names.insert(&m.name) {
            return bad("two models have this name");
        }
        if is_packed(&m.bin) {
            return bad("it is a packed file, which cannot be packed again");
        }
        header::BIN.unwrap(&m.bin).map_err(|e| BinError::Packed { name: m.name.clone(), why: e.to_string() })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file with a right header around a message that is no model.
    fn file(content: &[u8]) -> Bytes {
        header::BIN.wrap(content).into()
    }

    fn packed(models: &[(&str, Bytes)]) -> Vec<u8> {
        let models = models.iter().map(|(n, b)| PackedMessage { name: (*n).into(), bin: b.clone() }).collect();
        header::PACK.wrap(&PackMessage { models }.encode_to_vec())
    }

    #[test]
    fn what_was_packed_comes_back_in_order() {
        let found = unpack(&packed(&[("b", file(b"1")), ("a", file(b"22"))])).expect("sound");
        let found: Vec<_> = found.iter().map(|m| (m.name.as_str(), m.bin.len())).collect();
        assert_eq!(found, [("b", header::HEADER_BYTES + 1), ("a", header::HEADER_BYTES + 2)]);
    }

    #[test]
    fn hostile_files_are_refused() {
        let sound = packed(&[("a", file(b"1"))]);
        for at in 0..sound.len() {
            let mut bytes = sound.clone();
            bytes[at] ^= 0x40;
            assert!(unpack(&bytes).is_err(), "byte {at}");
            assert!(unpack(&sound[..at]).is_err(), "cut at {at}");
        }
        let mut inner = file(b"1").to_vec();
        inner[header::HEADER_BYTES] ^= 1;
        let cases: [(&str, Vec<u8>); 6] = [
            ("no models", packed(&[])),
            ("two of a name", packed(&[("a", file(b"1")), ("a", file(b"2"))])),
            ("no name", packed(&[("", file(b"1"))])),
            ("nested", packed(&[("a", sound.clone().into())])),
            ("damaged inside", packed(&[("a", inner.into())])),
            ("no model inside", packed(&[("a", Bytes::from_static(b"PTQ"))])),
        ];
        for (what, bytes) in cases {
            assert!(unpack(&bytes).is_err(), "{what}");
        }
        let many: Vec<(String, Bytes)> = (0..=MAX_PACKED).map(|i| (i.to_string(), file(b"1"))).collect();
        let many: Vec<(&str, Bytes)> = many.iter().map(|(n, b)| (n.as_str(), b.clone())).collect();
        assert!(unpack(&packed(&many)).is_err(), "too many");
        assert!(matches!(pack(&[Packed { name: "a".into(), bin: file(b"1") }]), Err(BinError::Packed { .. })));
    }
}
