//! What happens during a build, as values.

use serde::Serialize;

/// One thing that happened. As JSON: `{ "event": "ran", "variant": …, "stage": …, … }`, one object a line.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum Event {
    /// A rule starts.
    Started {
        /// Variant on whose behalf.
        variant: String,
        /// Rule.
        stage: String,
    },
    /// Units of a running rule are finished (samples of an observation).
    Progress {
        /// Variant on whose behalf.
        variant: String,
        /// Rule.
        stage: String,
        /// Finished units.
        done: usize,
        /// All units.
        total: usize,
    },
    /// A rule ran.
    Ran {
        /// Variant on whose behalf; others may share the result.
        variant: String,
        /// Rule.
        stage: String,
        /// Wall time.
        seconds: f64,
        /// Why it was not remembered.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        why: Vec<String>,
    },
    /// A stage's result was remembered.
    Hit {
        /// Variant.
        variant: String,
        /// Stage.
        stage: String,
        /// Where the result was found.
        tier: &'static str,
    },
    /// A rule or a gate failed.
    Failed {
        /// Variant.
        variant: String,
        /// Stage.
        stage: String,
        /// Problems.
        problems: Vec<String>,
    },
    /// Something worth knowing that does not stop the build.
    Warning {
        /// Variant.
        variant: String,
        /// Stage.
        stage: String,
        /// The warning.
        message: String,
    },
}

/// Receives events; called from several threads.
pub trait EventSink: Sync {
    /// Takes one event.
    fn event(&self, event: Event);
}

/// Events that go nowhere.
pub struct NoEvents;

impl EventSink for NoEvents {
    fn event(&self, _event: Event) {}
}
