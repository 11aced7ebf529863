//! Why a verification has no result.

use super::Stage;
use ptq_exec::ExecError;

/// An artifact did not run at all.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// A graph or the integer program.
    #[error("{stage} does not run: {source}")]
    Run {
        /// Which artifact.
        stage: Stage,
        /// Why.
        source: ExecError,
    },
    /// The compiled program.
    #[error("bin does not run: {0}")]
    Bin(String),
}

impl VerifyError {
    pub(super) fn at(stage: Stage) -> impl Fn(ExecError) -> VerifyError {
        move |source| VerifyError::Run { stage, source }
    }
}
