//! Problems as values: what, where, why, and what to do next.

use serde::{Deserialize, Serialize};

/// How bad a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing.
    Note,
    /// The result stands, but probably not as wished.
    Warning,
    /// No result.
    Error,
}

/// Where a problem is. Every field that is known is set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// File, relative to the manifest where possible.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Line in that file, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// The line's text and a mark under the place, ready to print.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub excerpt: Option<String>,
    /// Node of the graph.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Value (tensor) of the graph.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}

/// One problem that a user can act on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnostic {
    /// Stable code, such as `PARSE04`.
    pub code: String,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong and why; one lower-case sentence without a final period.
    pub message: String,
    /// Where.
    pub place: Place,
    /// What to do next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Diagnostic {
    /// An error with this code and message.
    pub fn error(code: &str, message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(code, Severity::Error, message)
    }

    /// A warning with this code and message.
    pub fn warning(code: &str, message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(code, Severity::Warning, message)
    }

    fn new(code: &str, severity: Severity, message: impl Into<String>) -> Diagnostic {
        Diagnostic { code: code.to_owned(), severity, message: message.into(), place: Place::default(), hint: None }
    }

    /// Names the node.
    #[must_use]
    pub fn node(mut self, name: impl Into<String>) -> Diagnostic {
        self.place.node = Some(name.into());
        self
    }

    /// Names the value.
    #[must_use]
    pub fn value(mut self, name: impl Into<String>) -> Diagnostic {
        self.place.value = Some(name.into());
        self
    }

    /// Names the file.
    #[must_use]
    pub fn file(mut self, path: impl Into<String>) -> Diagnostic {
        self.place.file = Some(path.into());
        self
    }

    /// Names the line (from 1).
    #[must_use]
    pub fn line(mut self, line: u32) -> Diagnostic {
        self.place.line = Some(line);
        self
    }

    /// Says what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Diagnostic {
        self.hint = Some(hint.into());
        self
    }
}

impl std::fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let word = match self.severity {
            Severity::Note => "note",
            Severity::Warning => "warning",
            Severity::Error => "error",
        };
        write!(f, "{word}[{}]: ", self.code)?;
        if let Some(file) = &self.place.file {
            write!(f, "{file}")?;
            if let Some(line) = self.place.line {
                write!(f, ":{line}")?;
            }
            f.write_str(": ")?;
        }
        if let Some(node) = &self.place.node {
            write!(f, "node {node}: ")?;
        }
        if let Some(value) = &self.place.value {
            write!(f, "value {value}: ")?;
        }
        f.write_str(&self.message)?;
        if let Some(excerpt) = &self.place.excerpt {
            write!(f, "\n{excerpt}")?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\n  help: {hint}")?;
        }
        Ok(())
    }
}
