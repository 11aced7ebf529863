//! How a command ends when it does not end well, and with which exit code.

use ptq_engine::EngineError;

/// Why a command stops.
#[derive(Debug)]
pub(crate) enum Failure {
    /// A build, gate, comparison or file failed: exit code 1.
    Failed(String),
    /// Usage or manifest error: exit code 2.
    Usage(String),
    /// Our own mistake: exit code 101.
    Bug(String),
}

impl Failure {
    pub(crate) fn code(&self) -> u8 {
        match self {
            Failure::Failed(_) => 1,
            Failure::Usage(_) => 2,
            Failure::Bug(_) => 101,
        }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Failure::Failed(text) | Failure::Usage(text) => f.write_str(text),
            Failure::Bug(text) => write!(
                f,
                "error: this is a bug in ptq: {text}\n  help: please report it with the command and the model; finished work is kept"
            ),
        }
    }
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Failure {
        Failure::from_shared(&error)
    }
}

impl Failure {
    /// The failure that an error of the engine is.
    pub(crate) fn from_shared(error: &EngineError) -> Failure {
        match error {
            EngineError::Manifest(problems) => {
                let manifest = ["MANIFEST", "SELECT"];
                let usage = problems.iter().all(|p| manifest.iter().any(|m| p.code.starts_with(m)));
                let text = problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
                if usage { Failure::Usage(text) } else { Failure::Failed(text) }
            }
            EngineError::Read { .. } => Failure::Usage(format!(
                "error: {error}\n  help: run in the folder of a ptq.toml, or give --manifest FILE"
            )),
            _ => Failure::Failed(format!("error: {error}")),
        }
    }
}
