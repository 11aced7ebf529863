//! A rewrite as people read it: in its page and in reasons.

use super::{AttributeGuard, Dimension, Literal, Operand, Rewrite, TensorGuard, When};
use ptq_ir::Attr;
use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

/// A literal as a manifest writes it.
pub(super) fn literal(l: &Literal) -> String {
    match l {
        Literal::Int(v) => v.to_string(),
        Literal::Float(v) => format!("{v:?}"),
        Literal::Text(t) => t.clone(),
        Literal::List(list) => format!("[{}]", list.iter().map(literal).collect::<Vec<_>>().join(", ")),
    }
}

/// An attribute of a node.
pub(super) fn attribute(attr: &Attr) -> String {
    match attr {
        Attr::Int(v) => v.to_string(),
        Attr::Float(v) => format!("{v:?}"),
        Attr::Str(v) => v.clone(),
        Attr::Ints(v) => format!("{v:?}"),
        Attr::Floats(v) => format!("{v:?}"),
        Attr::Strs(v) => format!("[{}]", v.join(", ")),
        Attr::Tensor(t) => format!("{}{:?}", t.dtype(), t.shape()),
    }
}

fn node(
    op: &str,
    domain: &str,
    inputs: &[Operand],
    outputs: &[String],
    attributes: &BTreeMap<String, String>,
) -> String {
    let operand = |o: &Operand| match o {
        Operand::Number(n) => n.to_string(),
        Operand::Name(name) if name.is_empty() => "-".to_owned(),
        Operand::Name(name) => name.clone(),
    };
    let inputs: Vec<String> = inputs.iter().map(operand).collect();
    let domain = if domain.is_empty() { String::new() } else { format!("{domain}.") };
    let shown: Vec<String> = attributes.iter().map(|(k, v)| format!("{k} {v}")).collect();
    let shown = if shown.is_empty() { String::new() } else { format!(" {{{}}}", shown.join(", ")) };
    format!("{} = {domain}{op}({}){shown}", outputs.join(", "), inputs.join(", "))
}

fn guarded(guard: &AttributeGuard) -> String {
    let mut out = String::new();
    let list: Vec<String> = guard.one_of.iter().map(literal).collect();
    if !list.is_empty() {
        let _ = write!(out, "= {}", list.join(" or "));
    }
    let _ = guard.min.map(|m| write!(out, " >= {m}"));
    let _ = guard.max.map(|m| write!(out, " <= {m}"));
    let _ = guard.default.as_ref().map(|d| write!(out, " (unset: {})", literal(d)));
    let _ = guard.capture.as_ref().map(|c| write!(out, " as ${c}"));
    out.trim().to_owned()
}

fn held(guard: &TensorGuard) -> Vec<String> {
    let mut out = Vec::new();
    let flag = |v: Option<bool>, yes: &str, no: &str| v.map(|v| if v { yes } else { no }.to_owned());
    out.extend(flag(guard.constant, "is constant", "is not constant"));
    out.extend(guard.dtype.clone());
    out.extend(guard.rank.map(|r| format!("rank {r}")));
    out.extend(guard.shape.as_ref().map(|s| {
        let words = s.iter().map(|d| match d {
            Dimension::Size(n) => n.to_string(),
            Dimension::Word(w) => w.clone(),
        });
        format!("shape [{}]", words.collect::<Vec<_>>().join(", "))
    }));
    out.extend(guard.elements.map(|n| format!("{n} elements")));
    out.extend(guard.equals.as_ref().map(|e| format!("holds {}", literal(e))));
    out.extend((guard.tolerance > 0.0).then(|| format!("within {}", guard.tolerance)));
    out.extend(guard.min.map(|m| format!("at least {m}")));
    out.extend(guard.max.map(|m| format!("at most {m}")));
    let alone = flag(guard.single_consumer, "is read here only", "may be read elsewhere");
    out.extend(alone);
    out.extend(flag(guard.output, "is a model output", "is no model output"));
    out
}

impl fmt::Display for Rewrite {
    /// Pattern and replacement in a graph's text form, with what must hold between them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for n in &self.pattern {
            let attributes = n.attributes.iter().map(|(k, g)| (k.clone(), guarded(g))).collect();
            writeln!(f, "{}", node(&n.op, &n.domain, &n.inputs, &n.outputs, &attributes))?;
        }
        for (name, guard) in &self.tensors {
            writeln!(f, "  where {name}: {}", held(guard).join(", "))?;
        }
        for (word, guard) in &self.dimensions {
            let min = guard.min.map(|m| format!("at least {m}"));
            let max = guard.max.map(|m| format!("at most {m}"));
            let step = guard.multiple_of.map(|m| format!("a multiple of {m}"));
            let all: Vec<String> = [min, max, step].into_iter().flatten().collect();
            writeln!(f, "  where dimension {word}: {}", all.join(", "))?;
        }
        writeln!(f, "=>")?;
        for (name, constant) in &self.constants {
            writeln!(f, "{name} = {} {}", constant.dtype, literal(&constant.value))?;
        }
        for n in &self.replacement {
            let attributes = n.attributes.iter().map(|(k, l)| (k.clone(), literal(l))).collect();
            writeln!(f, "{}", node(&n.op, &n.domain, &n.inputs, &n.outputs, &attributes))?;
        }
        match self.when {
            When::Before => writeln!(f, "(asked before the built-in rules)"),
            When::After => writeln!(f, "(asked after the built-in rules)"),
        }
    }
}
