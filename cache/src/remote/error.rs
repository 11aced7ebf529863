//! Why a server did not do what it was asked for.

/// What kind of failure it is; decides whether to try again, and what to tell people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum ErrorKind {
    /// No connection, or it broke.
    Unreachable,
    /// No answer in time.
    Late,
    /// The server says that it cannot now: 429, 5xx, UNAVAILABLE, RESOURCE_EXHAUSTED.
    Busy,
    /// The server says that we may not: 401, 403, UNAUTHENTICATED, PERMISSION_DENIED.
    Denied,
    /// A blob that a result names is not there.
    Absent,
    /// Bytes that are not what their digest says.
    Corrupt,
    /// A result that no honest client stores: wrong names, sizes, signatures.
    Poisoned,
    /// A result without a signature that counts, where one is required.
    Unsigned,
    /// An answer that the protocol does not allow, or a server that lacks what we need.
    Protocol,
    /// Settings that cannot work: a wrong URL, a file with keys that does not read.
    Setting,
    /// Our own store failed.
    Local,
}

/// A failure of a remote, or of the way there.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{what}")]
pub struct RemoteError {
    /// What kind.
    pub kind: ErrorKind,
    /// What happened, for people; holds no secrets.
    pub what: String,
}

impl RemoteError {
    /// A failure of this kind.
    pub fn new(kind: ErrorKind, what: impl Into<String>) -> RemoteError {
        RemoteError { kind, what: what.into() }
    }

    /// Whether a second try may help.
    pub fn is_transient(&self) -> bool {
        matches!(self.kind, ErrorKind::Unreachable | ErrorKind::Late | ErrorKind::Busy)
    }
}

impl From<crate::StoreError> for RemoteError {
    fn from(error: crate::StoreError) -> RemoteError {
        RemoteError::new(ErrorKind::Local, error.to_string())
    }
}

impl From<tonic::Status> for RemoteError {
    fn from(status: tonic::Status) -> RemoteError {
        use tonic::Code;
        let kind = match status.code() {
            Code::Unavailable | Code::ResourceExhausted | Code::Aborted | Code::Internal => ErrorKind::Busy,
            Code::DeadlineExceeded => ErrorKind::Late,
            Code::Unauthenticated | Code::PermissionDenied => ErrorKind::Denied,
            Code::NotFound => ErrorKind::Absent,
            Code::Cancelled | Code::Unknown => ErrorKind::Unreachable,
            _ => ErrorKind::Protocol,
        };
        let mut cause = std::error::Error::source(&status);
        let mut what = format!("{:?}: {}", status.code(), status.message());
        while let Some(error) = cause {
            what = format!("{what}: {error}");
            cause = error.source();
        }
        RemoteError::new(kind, what)
    }
}
