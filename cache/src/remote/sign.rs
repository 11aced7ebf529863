//! Signatures of results: ed25519 over the action's digest and every output's name and digests.
//!
//! What servers add to a result (who ran it, when) is not signed, since servers change it.

use super::digest::RemoteDigest;
use super::error::{ErrorKind, RemoteError};
use super::proto::{self, Any, ExecutedActionMetadata};
use super::result::{RemoteOutput, metadata};
use super::settings::Secret;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{PrivatePkcs8KeyDer, SubjectPublicKeyInfoDer};

/// Type of the entry that holds the public key, 32 bytes, and the signature, 64 bytes.
const SIGNATURE_TYPE: &str = "ptq/ed25519-v1";
/// First bytes of what is signed.
const CONTEXT: &[u8] = b"ptq signed result v1";
/// What stands in front of the 32 bytes of an ed25519 public key (RFC 8410).
const PUBLIC_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// Signs results.
pub(crate) struct Signer(Ed25519KeyPair);

/// Whose results count.
pub(crate) struct Trust {
    pub(crate) keys: Vec<[u8; 32]>,
    pub(crate) required: bool,
}

/// What is signed: every field with its length in front.
fn signed_bytes(action: &RemoteDigest, outputs: &[RemoteOutput]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut field = |part: &[u8]| {
        out.extend((part.len() as u64).to_le_bytes());
        out.extend(part);
    };
    let mut sorted: Vec<&RemoteOutput> = outputs.iter().collect();
    sorted.sort_by(|a, b| a.name.cmp(&b.name));
    field(CONTEXT);
    field(&action.sha256);
    for output in sorted {
        field(output.name.as_bytes());
        field(&output.digest.sha256);
        field(&output.digest.size.to_le_bytes());
        field(output.local.as_ref().map_or(&[], |d| d.0.as_slice()));
    }
    out
}

impl Signer {
    /// A signer with this private key (PKCS#8, PEM, as `openssl genpkey -algorithm ed25519` writes it).
    ///
    /// # Errors
    /// When it is no such key.
    pub(crate) fn new(pem: &Secret) -> Result<Signer, RemoteError> {
        let wrong = || RemoteError::new(ErrorKind::Setting, "the signing key is no ed25519 key in PKCS#8 PEM form");
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem.reveal().as_bytes()).map_err(|_| wrong())?;
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der.secret_pkcs8_der()).map_err(|_| wrong())?;
        Ok(Signer(pair))
    }

    /// Adds the signature to a result.
    pub(crate) fn sign(&self, action: &RemoteDigest, outputs: &[RemoteOutput], result: &mut proto::ActionResult) {
        let signature = self.0.sign(&signed_bytes(action, outputs));
        let value = [self.0.public_key().as_ref(), signature.as_ref()].concat();
        let data = result.execution_metadata.get_or_insert_with(ExecutedActionMetadata::default);
        data.auxiliary_metadata.push(Any { type_url: SIGNATURE_TYPE.into(), value });
    }
}

impl Trust {
    /// Whether a result counts.
    ///
    /// # Errors
    /// [`ErrorKind::Unsigned`] where a trusted signature is required and there is none; [`ErrorKind::Poisoned`] where
    /// there is one of a trusted key that does not fit.
    pub(crate) fn check(
        &self,
        action: &RemoteDigest,
        outputs: &[RemoteOutput],
        result: &proto::ActionResult,
    ) -> Result<(), RemoteError> {
        let unsigned = |what: &str| RemoteError::new(ErrorKind::Unsigned, format!("a result {what}"));
        let value =
            metadata(result, SIGNATURE_TYPE).and_then(|v| v.split_at_checked(32)).filter(|(_, s)| s.len() == 64);
        let Some((key, signature)) = value else {
            return if self.required { Err(unsigned("without a signature")) } else { Ok(()) };
        };
        if !self.keys.iter().any(|k| k == key) {
            return if self.required { Err(unsigned("signed by a key that is not trusted")) } else { Ok(()) };
        }
        let fits = UnparsedPublicKey::new(&ED25519, key).verify(&signed_bytes(action, outputs), signature);
        fits.map_err(|_| RemoteError::new(ErrorKind::Poisoned, "a result whose signature is wrong"))
    }
}

/// A public ed25519 key from PEM text, as `openssl pkey -pubout` writes it.
pub fn public_key(pem: &[u8]) -> Option<[u8; 32]> {
    let der = SubjectPublicKeyInfoDer::from_pem_slice(pem).ok()?;
    der.as_ref().strip_prefix(&PUBLIC_PREFIX)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::remote::result::{Provenance, to_message};

    // Made with `openssl genpkey -algorithm ed25519` for this test alone.
    const PRIVATE: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIAjg15kupxyJIGJc5gMqDk9eSb5ki8n4zw2gWd9VP4pY\n-----END PRIVATE KEY-----\n";
    const PUBLIC: &str = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAfcY/YphQX9vtlZowYnj+6AXdsaxg+dsrq1wRvvHuJ9s=\n-----END PUBLIC KEY-----\n";

    #[test]
    fn a_signature_holds_for_its_action_and_outputs_alone() {
        let secret = std::env::temp_dir().join(format!("ptq-sign-test-{}", std::process::id()));
        std::fs::write(&secret, PRIVATE).unwrap();
        let signer = Signer::new(&Secret::from_file(&secret).unwrap()).unwrap();
        std::fs::remove_file(&secret).unwrap();
        let key = public_key(PUBLIC.as_bytes()).unwrap();
        let output = |bytes: &[u8]| RemoteOutput {
            name: "a".into(),
            digest: RemoteDigest::of(bytes),
            local: Some(crate::Digest::of(bytes)),
        };
        let (action, outputs) = (RemoteDigest::of(b"action"), [output(b"1")]);
        let mut result = to_message(&outputs, &Provenance::default());
        let trust = Trust { keys: vec![key], required: true };
        assert_eq!(trust.check(&action, &outputs, &result).unwrap_err().kind, ErrorKind::Unsigned);
        signer.sign(&action, &outputs, &mut result);
        trust.check(&action, &outputs, &result).unwrap();
        let other = RemoteDigest::of(b"other action");
        assert_eq!(trust.check(&other, &outputs, &result).unwrap_err().kind, ErrorKind::Poisoned);
        assert_eq!(trust.check(&action, &[output(b"2")], &result).unwrap_err().kind, ErrorKind::Poisoned);
        let stranger = Trust { keys: vec![[7; 32]], required: true };
        assert_eq!(stranger.check(&action, &outputs, &result).unwrap_err().kind, ErrorKind::Unsigned);
        let easy = Trust { keys: Vec::new(), required: false };
        easy.check(&action, &outputs, &to_message(&outputs, &Provenance::default())).unwrap();
    }
}
