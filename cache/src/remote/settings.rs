//! How to reach a server, and what it may do. Secrets come from the environment or from files and are never shown.

use super::error::{ErrorKind, RemoteError};
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::time::Duration;

/// What we do with a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Only look up: no request that could change anything is ever sent.
    #[default]
    Read,
    /// Look up, and store what was made here.
    ReadWrite,
}

/// A token, key or password; shown nowhere.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// From an environment variable.
    ///
    /// # Errors
    /// When it is not set.
    pub fn from_environment(name: &str) -> Result<Secret, RemoteError> {
        std::env::var(name)
            .map(|text| Secret(text.trim().to_owned()))
            .map_err(|_| RemoteError::new(ErrorKind::Setting, format!("the environment variable {name} is not set")))
    }

    /// From a file; white space at its ends does not count.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn from_file(path: &Path) -> Result<Secret, RemoteError> {
        std::fs::read_to_string(path)
            .map(|text| Secret(text.trim().to_owned()))
            .map_err(|e| RemoteError::new(ErrorKind::Setting, format!("{}: {e}", path.display())))
    }

    /// The secret, for whoever sends it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(secret)")
    }
}

/// What a server asks for before it answers.
#[derive(Clone, Debug, Default)]
pub enum Login {
    /// Nothing.
    #[default]
    None,
    /// `Authorization: Bearer TOKEN`.
    Bearer(Secret),
    /// `Authorization: Basic …` of `USER:PASSWORD`.
    Basic(Secret),
}

/// A client certificate with its key, PEM.
#[derive(Clone, Debug)]
pub struct ClientCertificate {
    /// The certificate and what signed it.
    pub chain: Vec<u8>,
    /// Its private key.
    pub key: Secret,
}

/// Longest waits.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For a connection.
    pub connect: Duration,
    /// For an answer to a look-up.
    pub lookup: Duration,
    /// For the next piece of a blob.
    pub stall: Duration,
    /// For a sign of life before work begins here.
    pub answer: Duration,
}

impl Default for Patience {
    fn default() -> Patience {
        let ms = Duration::from_millis;
        Patience { connect: ms(2000), lookup: ms(5000), stall: ms(10_000), answer: super::client::PATIENCE }
    }
}

/// One server.
#[derive(Clone, Debug, Default)]
pub struct RemoteSettings {
    /// `grpc://HOST:PORT`, `grpcs://…`, `http://…`, `https://…` or `s3://BUCKET/PREFIX`.
    pub url: String,
    /// What we do with it.
    pub mode: Mode,
    /// REAPI instance name; empty for most servers.
    pub instance: String,
    /// What it asks for.
    pub login: Login,
    /// Certificates of authorities to trust beside the system's, PEM.
    pub authorities: Option<Vec<u8>>,
    /// Our certificate.
    pub certificate: Option<ClientCertificate>,
    /// Public ed25519 keys whose signatures count.
    pub trusted: Vec<[u8; 32]>,
    /// Whether a result without a trusted signature is a miss.
    pub require_signed: bool,
    /// Private ed25519 key (PKCS#8, PEM) that signs what we store.
    pub sign: Option<Secret>,
    /// Endpoint of an S3 server that is not Amazon's.
    pub endpoint: Option<String>,
    /// Region of an S3 server.
    pub region: Option<String>,
    /// Longest waits.
    pub patience: Patience,
}
