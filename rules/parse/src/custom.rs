//! Gives custom operators their declarations. Called by the rule, on the file's nodes.

use ptq_ir::Diagnostic;
use ptq_ir::ops::{CUSTOM, CustomOp, FUNCTION_DOMAIN};
use ptq_onnx::{RawControl, RawModel, RawNode, is_quantized};
use std::collections::BTreeMap;

/// Marks every node of another domain with its declaration.
///
/// # Errors
/// One problem for each operator that nobody declared.
pub(crate) fn declare(raw: &mut RawModel, declared: &BTreeMap<String, CustomOp>) -> Result<(), Vec<Diagnostic>> {
    let mut marking = Marking { declared, problems: BTreeMap::new() };
    marking.nodes(&mut raw.nodes);
    marking.control(&mut raw.control);
    if marking.problems.is_empty() { Ok(()) } else { Err(marking.problems.into_values().collect()) }
}

struct Marking<'a> {
    declared: &'a BTreeMap<String, CustomOp>,
    /// By domain and operator.
    problems: BTreeMap<String, Diagnostic>,
}

impl Marking<'_> {
    fn control(&mut self, control: &mut BTreeMap<String, RawControl>) {
        for body in control.values_mut().flat_map(|c| c.bodies.values_mut()) {
            self.nodes(&mut body.nodes);
            self.control(&mut body.control);
        }
    }

    fn nodes(&mut self, nodes: &mut [RawNode]) {
        for node in nodes {
            // What a file says under our own name is no declaration.
            let forged = node.attrs.0.remove(CUSTOM).is_some();
            if forged {
                let d = Diagnostic::error("ONNX05", format!("attribute {CUSTOM} is not one of {}", node.op));
                self.problems.insert(node.name.clone(), d.node(&node.name));
            }
            if node.domain.is_empty() || is_quantized(node) {
                continue;
            }
            let name = format!("{}.{}", node.domain, node.op);
            let marked = match self.declared.get(&name).filter(|_| node.domain != FUNCTION_DOMAIN) {
                Some(op) => op.mark(&mut node.attrs),
                None => Err(format!("operator {name} is not supported")),
            };
            if let Err(why) = marked {
                let hint =
                    "declare it in the manifest: [custom_op.NAME] with its shapes and the command that computes it";
                let d = Diagnostic::error("ONNX05", why).node(&node.name).hint(hint);
                self.problems.entry(name).or_insert(d);
            }
        }
    }
}
