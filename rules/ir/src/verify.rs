//! The invariants of a graph.

use crate::{Diagnostic, Graph, numel};
use std::collections::BTreeSet;

impl Graph {
    /// Checks every invariant and returns all violations: ids in range, unique names, one producer for each value,
    /// topological order, constants of the stated type and shape, outputs that exist.
    pub fn verify(&self) -> Vec<Diagnostic> {
        let mut problems = Vec::new();
        let count = self.values.len() as u32;
        let in_range = |v: &crate::ValueId| v.0 < count;
        let all_in_range = self.inputs.iter().chain(&self.outputs).chain(self.constants.keys()).all(in_range)
            && self.nodes.iter().all(|n| n.inputs.iter().flatten().chain(&n.outputs).all(in_range));
        if !all_in_range {
            return vec![Diagnostic::error("IR01", "an id points outside the graph")];
        }
        self.verify_names(&mut problems);
        self.verify_order(&mut problems);
        for (&v, tensor) in &self.constants {
            let value = self.value(v);
            if tensor.dtype() != value.dtype || tensor.shape() != value.shape {
                problems.push(
                    Diagnostic::error(
                        "IR05",
                        format!(
                            "constant is {}{:?} but declared {}{:?}",
                            tensor.dtype(),
                            tensor.shape(),
                            value.dtype,
                            value.shape
                        ),
                    )
                    .value(&value.name),
                );
            }
        }
        for value in &self.values {
            if numel(&value.shape).is_none() {
                problems.push(Diagnostic::error("IR06", "shape overflows").value(&value.name));
            }
        }
        problems
    }

    fn verify_names(&self, problems: &mut Vec<Diagnostic>) {
        let mut seen = BTreeSet::new();
        for value in &self.values {
            if !seen.insert(&value.name) {
                problems.push(Diagnostic::error("IR02", "two values share this name").value(&value.name));
            }
        }
        let mut seen = BTreeSet::new();
        for node in &self.nodes {
            if node.name.is_empty() || !seen.insert(&node.name) {
                problems.push(Diagnostic::error("IR02", "node name is empty or taken").node(&node.name));
            }
        }
    }

    fn verify_order(&self, problems: &mut Vec<Diagnostic>) {
        let mut ready = vec![false; self.values.len()];
        for v in self.inputs.iter().chain(self.constants.keys()) {
            ready[v.0 as usize] = true;
        }
        for node in &self.nodes {
            for v in node.inputs.iter().flatten() {
                if !ready[v.0 as usize] {
                    problems.push(
                        Diagnostic::error("IR03", format!("reads {} before it is made", self.value(*v).name))
                            .node(&node.name),
                    );
                }
            }
            for v in &node.outputs {
                if std::mem::replace(&mut ready[v.0 as usize], true) {
                    problems.push(
                        Diagnostic::error("IR04", format!("{} is made twice", self.value(*v).name)).node(&node.name),
                    );
                }
            }
        }
        for v in &self.outputs {
            if !ready[v.0 as usize] {
                problems.push(Diagnostic::error("IR03", "output is never made").value(&self.value(*v).name));
            }
        }
    }
}
