//! The digest that servers know a blob by: SHA-256 and size, beside the store's BLAKE3.

use super::proto;
use crate::Digest;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// SHA-256 and size of some bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RemoteDigest {
    /// SHA-256.
    pub sha256: [u8; 32],
    /// Size in bytes.
    pub size: u64,
}

impl RemoteDigest {
    /// Digest of these bytes.
    pub fn of(bytes: &[u8]) -> RemoteDigest {
        RemoteDigest { sha256: Sha256::digest(bytes).into(), size: bytes.len() as u64 }
    }

    /// Lower-case hexadecimal form of the hash.
    pub fn hex(&self) -> String {
        let digit = |n: u8| char::from_digit(u32::from(n), 16).unwrap_or('0');
        self.sha256.iter().flat_map(|b| [digit(b >> 4), digit(b & 15)]).collect()
    }

    /// The first hexadecimal digits, enough to tell digests apart in messages.
    pub fn short(&self) -> String {
        self.hex().chars().take(12).collect()
    }

    /// As a message.
    pub fn to_proto(&self) -> proto::Digest {
        proto::Digest { hash: self.hex(), size_bytes: i64::try_from(self.size).unwrap_or(i64::MAX) }
    }

    /// From a message; `None` unless it is a SHA-256 of 64 lower-case digits with a size that is not negative.
    pub fn from_proto(digest: &proto::Digest) -> Option<RemoteDigest> {
        let size = u64::try_from(digest.size_bytes).ok()?;
        Some(RemoteDigest { sha256: bytes_of_hex(&digest.hash)?, size })
    }
}

/// 32 bytes written as 64 lower-case hexadecimal digits.
pub(crate) fn bytes_of_hex(text: &str) -> Option<[u8; 32]> {
    let value = |c: u8| match c {
        b'0'..=b'9' => Some(c - b'0'),
        b'a'..=b'f' => Some(c - b'a' + 10),
        _ => None,
    };
    let digits: &[u8; 64] = text.as_bytes().try_into().ok()?;
    let mut out = [0; 32];
    for (byte, pair) in out.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = (value(pair[0])? << 4) | value(pair[1])?;
    }
    Some(out)
}

impl std::fmt::Debug for RemoteDigest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.short(), self.size)
    }
}

/// Both digests of bytes that arrive in pieces.
#[derive(Clone, Default)]
pub struct BothHashes {
    blake3: blake3::Hasher,
    sha256: Sha256,
    size: u64,
}

impl BothHashes {
    /// Takes the next piece.
    pub fn update(&mut self, bytes: &[u8]) {
        self.blake3.update(bytes);
        self.sha256.update(bytes);
        self.size += bytes.len() as u64;
    }

    /// Bytes so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The store's digest and the servers'.
    pub fn finish(self) -> (Digest, RemoteDigest) {
        let sha256 = self.sha256.finalize().into();
        (Digest(*self.blake3.finalize().as_bytes()), RemoteDigest { sha256, size: self.size })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_digest_has_the_published_form_and_returns_from_it() {
        let empty = RemoteDigest::of(b"").to_proto();
        assert_eq!(empty.hash, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        let abc = RemoteDigest::of(b"abc");
        assert_eq!(RemoteDigest::from_proto(&abc.to_proto()), Some(abc));
        let upper = proto::Digest { hash: abc.hex().to_uppercase(), size_bytes: 3 };
        let negative = proto::Digest { size_bytes: -1, ..abc.to_proto() };
        let short = proto::Digest { hash: abc.hex()[1..].to_owned(), size_bytes: 3 };
        for wrong in [upper, negative, short] {
            assert_eq!(RemoteDigest::from_proto(&wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn pieces_have_the_digests_of_the_whole() {
        let mut both = BothHashes::default();
        both.update(b"a");
        both.update(b"bc");
        assert_eq!(both.finish(), (Digest::of(b"abc"), RemoteDigest::of(b"abc")));
    }
}
