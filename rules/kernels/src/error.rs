//! Why a kernel refuses its arguments.

/// Arguments of a kernel that do not fit together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KernelError {
    /// A slice has another length than its shape says.
    #[error("{what} has {found} elements, {expected} are needed")]
    Length {
        /// Which argument.
        what: &'static str,
        /// Elements given.
        found: usize,
        /// Elements needed.
        expected: usize,
    },
    /// Window, channels and image do not fit.
    #[error("{0}")]
    Geometry(String),
}

/// Checks the length of a slice.
pub(crate) fn expect_len(what: &'static str, found: usize, expected: usize) -> Result<(), KernelError> {
    if found == expected { Ok(()) } else { Err(KernelError::Length { what, found, expected }) }
}
