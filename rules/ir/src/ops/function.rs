//! A function of one number, written as a chain of standard operators: the one operator of the project's own domain.

use crate::{Attr, Attrs, Node, Tensor};
use std::fmt;

/// Domain of [`FUNCTION`].
pub const FUNCTION_DOMAIN: &str = "ptq";
/// Operator `y[i] = f(x[i])`, with `f` in its attribute `steps`. In files it is written out as its steps.
pub const FUNCTION: &str = "Function";

/// Most steps of a function; more are refused when one is read.
const MAX_STEPS: usize = 64;

/// `f`: each step applies an operator of `ai.onnx` to numbers; the last one gives the result.
#[derive(Clone, Debug, PartialEq)]
pub struct ScalarFunction {
    /// The steps, in order.
    pub steps: Vec<FunctionStep>,
}

/// One operator application. Its text form is `Clip(%0, 0, 6)` or `Elu(x, alpha=0.5)`.
#[derive(Clone, Debug, PartialEq)]
pub struct FunctionStep {
    /// Operator of the standard domain.
    pub op: String,
    /// Its inputs.
    pub operands: Vec<Operand>,
    /// Its attributes, all of them numbers.
    pub attrs: Attrs,
}

/// An input of a step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Operand {
    /// The argument of the function, `x`.
    Argument,
    /// The result of an earlier step, `%k`.
    Step(usize),
    /// A constant.
    Number(f32),
    /// An omitted optional input, `-`.
    Omitted,
}

impl ScalarFunction {
    /// The function of a node, by its attribute `steps`; `None` when it is missing or is not a function.
    pub fn of(attrs: &Attrs) -> Option<ScalarFunction> {
        let Some(Attr::Strs(lines)) = attrs.get("steps") else { return None };
        if lines.is_empty() || lines.len() > MAX_STEPS {
            return None;
        }
        let steps: Vec<FunctionStep> = lines.iter().map(|l| FunctionStep::parse(l)).collect::<Option<_>>()?;
        let earlier =
            |(i, step): (usize, &FunctionStep)| step.operands.iter().all(|o| !matches!(o, Operand::Step(k) if *k >= i));
        steps.iter().enumerate().all(earlier).then_some(ScalarFunction { steps })
    }

    /// The attribute that [`ScalarFunction::of`] reads.
    pub fn to_attrs(&self) -> Attrs {
        Attrs::of([("steps", Attr::Strs(self.steps.iter().map(ToString::to_string).collect()))])
    }
}

/// Whether a node is a [`FUNCTION`].
pub fn is_function(node: &Node) -> bool {
    node.domain == FUNCTION_DOMAIN && node.op == FUNCTION
}

impl FunctionStep {
    /// Reads the text form.
    fn parse(text: &str) -> Option<FunctionStep> {
        let (op, rest) = text.split_once('(')?;
        let mut step = FunctionStep { op: op.to_owned(), operands: Vec::new(), attrs: Attrs::default() };
        for part in rest.strip_suffix(')')?.split(", ") {
            match part.split_once('=') {
                Some((name, value)) => step.attrs.set(name, Attr::Float(value.parse().ok()?)),
                None => step.operands.push(Operand::parse(part)?),
            }
        }
        Some(step)
    }
}

impl Operand {
    fn parse(text: &str) -> Option<Operand> {
        match text {
            "x" => Some(Operand::Argument),
            "-" => Some(Operand::Omitted),
            _ => match text.strip_prefix('%') {
                Some(k) => k.parse().ok().map(Operand::Step),
                None => text.parse().ok().map(Operand::Number),
            },
        }
    }

    /// The constant as a tensor, when it is one.
    pub fn tensor(&self) -> Option<Tensor> {
        match self {
            Operand::Number(v) => Some(Tensor::scalar_f32(*v)),
            _ => None,
        }
    }
}

impl fmt::Display for FunctionStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let attrs = self.attrs.0.iter().map(|(name, value)| match value {
            // The shortest decimal that reads back as the same number.
            Attr::Float(v) => format!("{name}={v}"),
            _ => format!("{name}="),
        });
        let parts: Vec<String> = self.operands.iter().map(ToString::to_string).chain(attrs).collect();
        write!(f, "{}({})", self.op, parts.join(", "))
    }
}

impl fmt::Display for Operand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Operand::Argument => f.write_str("x"),
            Operand::Step(k) => write!(f, "%{k}"),
            Operand::Number(v) => write!(f, "{v}"),
            Operand::Omitted => f.write_str("-"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_form_reads_back() {
        let lines = ["Mul(x, -1.702)", "Elu(%0, alpha=0.33333334)", "Clip(%1, -, inf)", "Mul(x, %2)"];
        let attrs = Attrs::of([("steps", Attr::Strs(lines.iter().map(|l| (*l).to_owned()).collect()))]);
        let function = ScalarFunction::of(&attrs).expect("a function");
        assert_eq!(function.to_attrs(), attrs);
        assert_eq!(function.steps[2].operands[2], Operand::Number(f32::INFINITY));
    }

    #[test]
    fn damaged_functions_are_refused() {
        for lines in [vec![], vec!["Mul(x, %0)"], vec!["Mul"], vec!["Mul(x"], vec!["Elu(x, alpha=)"], vec!["Add(x, y)"]]
        {
            let attrs = Attrs::of([("steps", Attr::Strs(lines.into_iter().map(str::to_owned).collect()))]);
            assert_eq!(ScalarFunction::of(&attrs), None);
        }
    }
}
