//! What the manifest asks of placement.

use ptq_ir::Device;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Requests by node name (Horizon's `run_on_bpu`, `run_on_cpu` and `node_info`).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Requests {
    /// Nodes to run on the BPU where the march can.
    pub run_on_bpu: Vec<String>,
    /// Nodes to keep on the CPU.
    pub run_on_cpu: Vec<String>,
    /// `nodes.<name>.on`; wins over the two lists.
    pub on: BTreeMap<String, Device>,
}

impl Requests {
    /// The device that was asked for a node, if any.
    pub fn device(&self, node: &str) -> Option<Device> {
        self.on.get(node).copied().or_else(|| {
            let named = |list: &[String]| list.iter().any(|n| n == node);
            if named(&self.run_on_cpu) {
                Some(Device::Cpu)
            } else if named(&self.run_on_bpu) {
                Some(Device::Bpu)
            } else {
                None
            }
        })
    }

    /// Every node name mentioned, sorted and without repetition.
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> =
            self.run_on_bpu.iter().chain(&self.run_on_cpu).chain(self.on.keys()).map(String::as_str).collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}
