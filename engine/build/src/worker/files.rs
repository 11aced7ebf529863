//! The files that a step is described by and answered with. Written by whoever sends a step away, read by the worker,
//! and the other way round.

use ptq_ir::Diagnostic;
use ptq_rule::{ActionRequest, InputRef};
use serde::{Deserialize, Serialize};

/// Version of both files' form.
pub(crate) const FORMAT: u32 = 1;
/// File that describes a step, in the folder that the worker reads.
pub(crate) const REQUEST: &str = "step.json";
/// File that answers it, in the folder that the worker writes.
pub(crate) const ANSWER: &str = "answer.json";

/// One named blob: its name for the rule, and its file below the folder. Without a file its name is known and its bytes
/// are not here.
pub(crate) type Named = (String, Option<String>);

/// One step of one action.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Request {
    /// [`FORMAT`].
    pub(crate) format: u32,
    /// Name of the rule.
    pub(crate) rule: String,
    /// Version of the rule that the answer must come from.
    pub(crate) version: u32,
    /// Meaning that rules share, of whoever asks.
    pub(crate) semantics: u32,
    /// Hash of the rules' sources of whoever asks, where they are not the committed ones.
    pub(crate) sources: Option<String>,
    /// Canonical JSON parameters.
    pub(crate) params: String,
    /// Inputs in order of their names.
    pub(crate) inputs: Vec<Named>,
    /// Outputs of the actions that earlier steps needed, in the order requested.
    pub(crate) results: Vec<Vec<Named>>,
}

/// How a step ended. The process ends with 0 for all of them but `failed`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Answer {
    /// Outputs by name, and their files beside the answer.
    Done(Vec<(String, String)>),
    /// Actions that the next step needs.
    Need(Vec<Wanted>),
    /// The rule read inputs whose bytes are not here: the same step again, with these.
    Absent(Vec<String>),
    /// Every problem found.
    Failed(Vec<Diagnostic>),
}

/// An action that a step asks for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Wanted {
    /// Name of the rule.
    pub(crate) rule: String,
    /// Its canonical JSON parameters.
    pub(crate) params: String,
    /// Its inputs.
    pub(crate) inputs: Vec<(String, Origin)>,
}

/// Where an input of a wanted action comes from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Origin {
    /// The asking action's input of this name.
    Own(String),
    /// All inputs of the asking action with this prefix.
    OwnPrefix(String),
    /// This file beside the answer.
    File(String),
}

impl Wanted {
    /// The request of a rule as it is written down; `keep` gives bytes a file.
    pub(crate) fn of<E>(
        request: &ActionRequest,
        mut keep: impl FnMut(&[u8]) -> Result<String, E>,
    ) -> Result<Wanted, E> {
        let mut inputs = Vec::with_capacity(request.inputs.len());
        for (name, from) in &request.inputs {
            let from = match from {
                InputRef::Own(n) => Origin::Own(n.clone()),
                InputRef::OwnPrefix(prefix) => Origin::OwnPrefix(prefix.clone()),
                InputRef::Inline(bytes) => Origin::File(keep(bytes)?),
            };
            inputs.push((name.clone(), from));
        }
        Ok(Wanted { rule: request.rule.to_owned(), params: request.params.clone(), inputs })
    }
}
