//! What happens during a build, as values.

use serde::Serialize;

/// One thing that happened. As JSON: `{ "event": "ran", "variant": …, "stage": …, … }`, one object a line.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum Event {
    /// A wave of actions begins: all whose inputs are there now.
    Wave {
        /// Variants that this build is about.
        variants: usize,
        /// Actions of the wave by rule; those that rules ask for as they go are not known yet.
        actions: std::collections::BTreeMap<String, usize>,
    },
    /// A variant is done and its files are written.
    Finished {
        /// Variant.
        variant: String,
    },
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
        /// Bytes of its outputs.
        bytes: u64,
        /// Why it was not remembered.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        why: Vec<String>,
        /// Where it ran, when not in this process: `remote-exec`.
        #[serde(skip_serializing_if = "Option::is_none")]
        tier: Option<&'static str>,
        /// When and where, of an action that ran on another machine.
        #[serde(skip_serializing_if = "Option::is_none")]
        remote: Option<RemoteRun>,
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

/// How an action ran on other machines: sums over its steps, in seconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct RemoteRun {
    /// Worker of the last step, as the server names it.
    pub worker: String,
    /// Steps, each an execution of its own.
    pub steps: u32,
    /// Steps that the server remembered.
    pub remembered: u32,
    /// Waiting for a worker.
    pub queued: f64,
    /// Bringing inputs to workers.
    pub brought: f64,
    /// Running.
    pub ran: f64,
    /// What the program wrote to its error output.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub said: String,
}

impl RemoteRun {
    /// For people: `on WORKER in 0.52 s, queued 0.10 s`.
    pub fn place(&self) -> String {
        let worker = if self.worker.is_empty() { "a worker" } else { &self.worker };
        let mut out = format!("on {worker} in {:.2} s, queued {:.2} s", self.ran, self.queued);
        if self.steps > 1 {
            out += &format!(", {} steps", self.steps);
        }
        if self.remembered > 0 {
            out += &format!(", {} remembered by the server", self.remembered);
        }
        out
    }
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
