//! The 64 bytes in front of the message.
//!
//! magic (8), format version u32, reserved zero (4), payload length u64, reserved zero (8), BLAKE3 of the payload (32).

use super::BinError;

/// Version of the file format. A reader refuses newer and too old versions by their number.
pub const FORMAT_VERSION: u32 = 3;

/// The oldest version that is still read: it says nothing that this one does not.
const OLDEST: u32 = 2;

/// Bytes in front of the message.
pub const HEADER_BYTES: usize = 64;

/// A kind of file.
pub(super) struct Mark {
    /// The first bytes.
    pub(super) magic: [u8; 8],
    version: u32,
    /// The oldest version that is read.
    oldest: u32,
}

/// A compiled model.
pub(super) const BIN: Mark = Mark { magic: *b"PTQ.BIN\0", version: FORMAT_VERSION, oldest: OLDEST };
/// Several compiled models.
pub(super) const PACK: Mark = Mark { magic: *b"PTQ.PACK", version: 1, oldest: 1 };

impl Mark {
    pub(super) fn wrap(&self, payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER_BYTES + payload.len());
        out.extend_from_slice(&self.magic);
        out.extend_from_slice(&self.version.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&(payload.len() as u64).to_le_bytes());
        out.extend_from_slice(&[0; 8]);
        out.extend_from_slice(blake3::hash(payload).as_bytes());
        out.extend_from_slice(payload);
        out
    }

    pub(super) fn unwrap<'a>(&self, bytes: &'a [u8]) -> Result<&'a [u8], BinError> {
        let Some((header, payload)) = bytes.split_first_chunk::<HEADER_BYTES>() else {
            return Err(if bytes.starts_with(&self.magic) {
                BinError::Header("it ends in its header")
            } else {
                BinError::Magic
            });
        };
        if header[..8] != self.magic {
            return Err(BinError::Magic);
        }
        let found = u32::from_le_bytes([header[8], header[9], header[10], header[11]]);
        if !(self.oldest..=self.version).contains(&found) {
            return Err(BinError::Version { found, known: self.version });
        }
        if header[12..16] != [0; 4] || header[24..32] != [0; 8] {
            return Err(BinError::Header("a reserved byte is not zero"));
        }
        if header[16..24] != (payload.len() as u64).to_le_bytes() {
            return Err(BinError::Header("its length is not the one it states"));
        }
        if header[32..] != *blake3::hash(payload).as_bytes() {
            return Err(BinError::Checksum);
        }
        Ok(payload)
    }
}
