//! One operator's row in a march file.

use crate::Provenance;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How an operator relates to quantization.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// Has thresholds of its own; accelerated whenever its limits hold.
    Active,
    /// Only moves data; accelerated between accelerated neighbours, sharing its input's scale.
    Passive,
    /// On the CPU until `run_on_bpu` asks.
    Manual,
    /// On the CPU.
    Cpu,
}

/// How an operator reaches the accelerator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Route {
    /// As itself.
    Direct,
    /// As other operators, named in `becomes`.
    Replaced,
    /// As a table of 256 results.
    Lut,
}

/// Which of an operator's tensors may be int16.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Int16 {
    /// None.
    #[default]
    None,
    /// Inputs.
    In,
    /// Outputs.
    Out,
    /// Inputs and outputs.
    Both,
}

impl Int16 {
    /// Whether inputs may be int16.
    pub fn input(self) -> bool {
        matches!(self, Int16::In | Int16::Both)
    }

    /// Whether results may be int16.
    pub fn output(self) -> bool {
        matches!(self, Int16::Out | Int16::Both)
    }
}

/// Allowed values of one measured property, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "(i64, i64)", into = "(i64, i64)")]
pub struct Range {
    /// Lowest allowed.
    pub min: i64,
    /// Highest allowed.
    pub max: i64,
}

impl From<(i64, i64)> for Range {
    fn from((min, max): (i64, i64)) -> Range {
        Range { min, max }
    }
}

impl From<Range> for (i64, i64) {
    fn from(r: Range) -> (i64, i64) {
        (r.min, r.max)
    }
}

/// What a march does with one operator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpEntry {
    /// Quantization class.
    pub class: Class,
    /// How it reaches the accelerator.
    #[serde(default = "direct")]
    pub route: Route,
    /// The operators that it becomes, where it is replaced.
    #[serde(default)]
    pub becomes: Vec<String>,
    /// Type shown in node tables; Horizon's name where there is one.
    #[serde(rename = "type")]
    pub shown: String,
    /// Limits by the name of a measured property (`kernel`, `rank`, … listed in `ptq-place`).
    #[serde(default)]
    pub limits: BTreeMap<String, Range>,
    /// Limits that this version sets, by the same names; the target has no such limits.
    #[serde(default)]
    pub own_limits: BTreeMap<String, Range>,
    /// Limits within which a result may have more than 8 bits.
    #[serde(default)]
    pub wide_limits: BTreeMap<String, Range>,
    /// Required words of attributes, such as a Resize's `mode`.
    #[serde(default)]
    pub attributes: BTreeMap<String, Vec<String>>,
    /// Words of these attributes that the target computes and this version does not.
    #[serde(default)]
    pub not_yet: BTreeMap<String, Vec<String>>,
    /// Which of its tensors the target can hold as int16.
    #[serde(default)]
    pub int16: Int16,
    /// Whether this version lowers it; otherwise it runs in float on the CPU although the target would accelerate it.
    #[serde(default = "yes")]
    pub computed: bool,
    /// What this version lacks where it does not lower it, as the end of a sentence.
    #[serde(default)]
    pub missing: Option<String>,
    /// Why the operator is where it is, when that is not obvious.
    #[serde(default)]
    pub note: Option<String>,
    /// Where this row comes from.
    pub provenance: Provenance,
}

fn direct() -> Route {
    Route::Direct
}

fn yes() -> bool {
    true
}

/// Limits that many operators have in common. They become limits of each operator's entry when a file is read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shared {
    /// The operators; empty for all that are accelerated as themselves and that no other block names.
    #[serde(default)]
    pub ops: Vec<String>,
    /// Limits; an operator's own limit of the same name wins.
    pub limits: BTreeMap<String, Range>,
    /// Where they come from.
    pub provenance: Provenance,
}

/// Operators that never reach the accelerator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Elsewhere {
    /// On the CPU.
    pub cpu: Vec<String>,
    /// Gone before placement: constants, or operators that do nothing.
    pub folded: Vec<String>,
    /// Refused by the vendor's converter. Here they run on the CPU.
    pub unsupported: Vec<String>,
    /// Where the lists come from.
    pub provenance: Provenance,
}

impl Elsewhere {
    /// The list that names this operator: `cpu`, `folded` or `unsupported`.
    pub fn list_of(&self, op: &str) -> Option<&'static str> {
        let lists = [("cpu", &self.cpu), ("folded", &self.folded), ("unsupported", &self.unsupported)];
        lists.into_iter().find(|(_, ops)| ops.iter().any(|o| o == op)).map(|(name, _)| name)
    }
}
