//! zstd for transfers. Digests are always of the uncompressed bytes.

use super::error::{ErrorKind, RemoteError};
use bytes::Bytes;
use std::io::Read as _;

/// Level: fast, and most of what can be gained.
pub(crate) const LEVEL: i32 = 3;
/// Blobs below this size are not worth the work.
const WORTH: usize = 256;

/// Compressed bytes, where that makes them smaller.
pub(crate) fn small(bytes: &[u8]) -> Option<Bytes> {
    if bytes.len() < WORTH {
        return None;
    }
    let packed = zstd::bulk::compress(bytes, LEVEL).ok()?;
    (packed.len() < bytes.len()).then(|| packed.into())
}

/// Uncompressed bytes, which are at most `size`: a frame that holds more ends with an error, not with our memory.
///
/// # Errors
/// When it is not a frame, or holds more.
pub(crate) fn unpack(packed: &[u8], size: u64) -> Result<Bytes, RemoteError> {
    let wrong = |what: String| RemoteError::new(ErrorKind::Corrupt, what);
    let decoder = zstd::stream::read::Decoder::new(packed).map_err(|e| wrong(e.to_string()))?;
    let mut out = Vec::new();
    decoder.take(size.saturating_add(1)).read_to_end(&mut out).map_err(|e| wrong(format!("a damaged frame: {e}")))?;
    if out.len() as u64 != size {
        return Err(wrong(format!("a frame of other than {size} bytes")));
    }
    Ok(out.into())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn frames_return_and_bombs_do_not() {
        let bytes = vec![7u8; 100_000];
        let packed = small(&bytes).unwrap();
        assert!(packed.len() < 1000);
        assert_eq!(unpack(&packed, 100_000).unwrap(), bytes);
        assert_eq!(unpack(&packed, 99_999).unwrap_err().kind, ErrorKind::Corrupt);
        assert_eq!(unpack(b"nothing", 7).unwrap_err().kind, ErrorKind::Corrupt);
        assert!(small(b"short").is_none());
    }
}
