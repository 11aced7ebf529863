//! TLS: the one implementation for the process, and what HTTP connections trust and show.

use super::error::{ErrorKind, RemoteError};
use super::settings::RemoteSettings;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

/// Makes `ring` the implementation for the whole process; a second call changes nothing.
pub(crate) fn install() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// The system's authorities and those of the settings; the client certificate where there is one.
///
/// # Errors
/// When a certificate or key cannot be read.
pub(crate) fn config(settings: &RemoteSettings) -> Result<ClientConfig, RemoteError> {
    let wrong = |what: String| RemoteError::new(ErrorKind::Setting, what);
    install();
    let mut roots = RootCertStore::empty();
    if settings.url.starts_with("https://") {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    if let Some(pem) = &settings.authorities {
        for one in CertificateDer::pem_slice_iter(pem) {
            let one = one.map_err(|e| wrong(format!("the certificates of ca: {e}")))?;
            roots.add(one).map_err(|e| wrong(format!("the certificates of ca: {e}")))?;
        }
    }
    let builder = ClientConfig::builder().with_root_certificates(roots);
    let Some(own) = &settings.certificate else { return Ok(builder.with_no_client_auth()) };
    let chain = CertificateDer::pem_slice_iter(&own.chain).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(|e| wrong(format!("the client certificate: {e}")))?;
    let key = PrivateKeyDer::from_pem_slice(own.key.reveal().as_bytes())
        .map_err(|_| wrong("the key of the client certificate is not PEM".into()))?;
    builder.with_client_auth_cert(chain, key).map_err(|e| wrong(format!("the client certificate: {e}")))
}
