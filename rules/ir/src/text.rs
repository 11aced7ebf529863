//! Text form of a graph, one node a line, for tests and messages.

use crate::{Graph, ops};
use std::fmt::{self, Write as _};

impl fmt::Display for Graph {
    /// `name = Op(inputs) -> output:type[shape]`; constants are shown by name, a function by its steps.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let typed = |v| {
            let value = self.value(v);
            format!("{}:{}{:?}", value.name, value.dtype, value.shape)
        };
        let list = |ids: &[crate::ValueId]| ids.iter().map(|&v| typed(v)).collect::<Vec<_>>().join(", ");
        writeln!(f, "graph {}({})", self.name, list(&self.inputs))?;
        for node in &self.nodes {
            let inputs: Vec<&str> =
                node.inputs.iter().map(|i| i.map_or("-", |v| self.value(v).name.as_str())).collect();
            let mut line = format!("  {} = {}({})", node.name, node.op, inputs.join(", "));
            if let Some(function) = ops::is_function(node).then(|| ops::ScalarFunction::of(&node.attrs)).flatten() {
                let steps: Vec<String> = function.steps.iter().map(ToString::to_string).collect();
                write!(line, " of {}", steps.join("; "))?;
            }
            if let Some(into) = &node.fusible_into {
                write!(line, " fusible into {into}")?;
            }
            writeln!(f, "{line} -> {}", list(&node.outputs))?;
        }
        writeln!(f, "  return {}", list(&self.outputs))
    }
}
