//! Sentences about operands and parts, for limits that are no numbers.

use super::{listed, measures};
use ptq_ir::{Graph, Node};

/// The first operand that is not a constant.
fn dynamic<'g>(g: &'g Graph, n: &Node) -> &'g str {
    let operand = n.inputs.iter().skip(1).flatten().find(|v| g.constant(**v).is_none());
    operand.map_or("an operand", |&v| g.value(v).name.as_str())
}

pub(super) fn dynamic_operand(g: &Graph, n: &Node) -> String {
    format!("{} is not a constant", dynamic(g, n))
}

pub(super) fn make_constant(g: &Graph, n: &Node) -> String {
    format!("make {} a constant of the model", dynamic(g, n))
}

/// Position and name of the first constant operand.
fn constant<'g>(g: &'g Graph, n: &Node) -> Option<(usize, &'g str)> {
    let at = n.inputs.iter().position(|v| v.is_some_and(|v| g.constant(v).is_some()))?;
    Some((at, g.value(n.input(at)?).name.as_str()))
}

pub(super) fn constant_operand(g: &Graph, n: &Node) -> String {
    let what = if n.is("Div") { ["its dividend", "its divisor"] } else { ["its input"; 2] };
    constant(g, n).map_or_else(String::new, |(at, name)| format!("{} {name} is a constant", what[at.min(1)]))
}

/// What computes the same without a constant operand.
pub(super) fn instead_of_constant(g: &Graph, n: &Node) -> String {
    match constant(g, n) {
        Some((1, name)) if n.is("Div") => {
            format!("multiply by the reciprocal instead: a Mul with the constant 1 / {name}")
        }
        Some((_, name)) if n.is("Div") => format!("take the Reciprocal of the other input, and a Mul with {name}"),
        Some((_, name)) => format!("make {name} an input of the model instead of a constant"),
        None => String::new(),
    }
}

/// The parts of a Split along its axis.
pub(super) fn parts(g: &Graph, n: &Node) -> String {
    let axis = measures::own_axis(g, n).unwrap_or(0);
    let extents = n.outputs.iter().filter_map(|&v| g.value(v).shape.get(axis)).map(usize::to_string);
    format!("its parts are {} along axis {axis}", listed(&extents.collect::<Vec<_>>()))
}
