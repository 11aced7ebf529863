//! What fusion did and did not do. Written as `rules.json`, shown in `report.md`.

use ptq_rule::Skip;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How often each rule fired, and where and why rules did not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FuseLog {
    /// Number of places where each rule fired, by code; rules that never fired are absent.
    pub fired: BTreeMap<String, usize>,
    /// Places where a rule matched and did not fire, by code and node, each once with the last reason. A place where
    /// the rule fired later is not listed; one whose node another rule took away still is.
    pub skipped: Vec<Skip>,
}
