//! Rewrites that a manifest adds: patterns of operators with guards, and what takes their place, all as data. Read by the
//! engine, part of [`crate::FuseParams`], run by `fixed_point` like the built-in rules.

mod find;
mod guard;
mod replace;
mod text;

use crate::graph_rule::{Phase, Rule};
use crate::links::Links;
use find::Found;
use ptq_ir::{Graph, NodeId};
use ptq_rule::Outcome;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// In front of a rewrite's name: its code in logs.
pub const REWRITE: &str = "rewrite:";

/// When a rewrite is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum When {
    /// Before the built-in rules: it sees the graph as parse gives it.
    #[default]
    Before,
    /// When no built-in rule that changes operators has anything more to do.
    After,
}

/// A graph rewrite.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rewrite {
    /// When it is asked.
    pub when: When,
    /// Its place among others: lower numbers are asked first, equal ones by name.
    pub order: i64,
    /// The nodes to find, those that make a tensor in front of those that read it.
    pub pattern: Vec<PatternNode>,
    /// What must hold for tensors of the pattern.
    pub tensors: BTreeMap<String, TensorGuard>,
    /// What must hold for dimensions that `shape` names.
    pub dimensions: BTreeMap<String, DimensionGuard>,
    /// Constants that the replacement brings.
    pub constants: BTreeMap<String, NewConstant>,
    /// The nodes that take their place, in topological order.
    pub replacement: Vec<NewNode>,
}

/// An input of a pattern or of a replacement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Operand {
    /// A constant all of whose elements are this number.
    Number(f64),
    /// A tensor by its name; empty for an omitted input.
    Name(String),
}

/// A number, a text, or a list of them. A text that begins with `$` stands for what the pattern captured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Literal {
    /// A whole number.
    Int(i64),
    /// Another number.
    Float(f64),
    /// A text.
    Text(String),
    /// A list.
    List(Vec<Literal>),
}

/// A node to find.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PatternNode {
    /// Operator.
    pub op: String,
    /// Domain; empty for `ai.onnx`.
    pub domain: String,
    /// Inputs in order; the node has exactly these.
    pub inputs: Vec<Operand>,
    /// Outputs in order; further ones of the node must be unused.
    pub outputs: Vec<String>,
    /// What must hold for attributes.
    pub attributes: BTreeMap<String, AttributeGuard>,
}

/// What must hold for an attribute.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttributeGuard {
    /// Its value is one of these; empty for any.
    pub one_of: Vec<Literal>,
    /// Its least value.
    pub min: Option<f64>,
    /// Its largest value.
    pub max: Option<f64>,
    /// Its value where the node does not state it.
    pub default: Option<Literal>,
    /// Name under which the replacement finds it.
    pub capture: Option<String>,
}

/// What must hold for a tensor.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TensorGuard {
    /// Whether it is constant.
    pub constant: Option<bool>,
    /// Its elements: all this number, or exactly this list.
    pub equals: Option<Literal>,
    /// Its least element; it must be constant.
    pub min: Option<f64>,
    /// Its largest element; it must be constant.
    pub max: Option<f64>,
    /// How far elements may be from `equals`; 0 for the nearest number of their type.
    pub tolerance: f64,
    /// Element type, as in ONNX (`float32`).
    #[serde(rename = "type")]
    pub dtype: Option<String>,
    /// Number of dimensions.
    pub rank: Option<usize>,
    /// Dimensions.
    pub shape: Option<Vec<Dimension>>,
    /// Number of elements.
    pub elements: Option<u64>,
    /// `true`: only nodes of the pattern read it. `false`: others may, and then the node that makes it stays.
    pub single_consumer: Option<bool>,
    /// Whether it is a model output.
    pub output: Option<bool>,
}

/// A dimension of a guard.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Dimension {
    /// This size.
    Size(u64),
    /// Any size; a word other than `*` stands for the same size everywhere in the rewrite.
    Word(String),
}

/// What must hold for a named dimension.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DimensionGuard {
    /// Least size.
    pub min: Option<u64>,
    /// Largest size.
    pub max: Option<u64>,
    /// It divides the size.
    pub multiple_of: Option<u64>,
}

/// A constant of the replacement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewConstant {
    /// A number for every element, or all elements in row-major order; `$WORD` for a captured dimension.
    pub value: Literal,
    /// Element type.
    #[serde(rename = "type")]
    pub dtype: String,
    /// Shape; a list of elements is a vector without it, a number a scalar.
    pub shape: Option<Vec<Dimension>>,
}

/// A node of the replacement.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewNode {
    /// Operator.
    pub op: String,
    /// Domain; empty for `ai.onnx`.
    pub domain: String,
    /// Inputs in order.
    pub inputs: Vec<Operand>,
    /// Outputs in order: tensors of the pattern that it makes from now on, or new ones.
    pub outputs: Vec<String>,
    /// Attributes.
    pub attributes: BTreeMap<String, Literal>,
}

impl Literal {
    /// The number, if it is one.
    pub fn number(&self) -> Option<f64> {
        match self {
            Literal::Int(v) => Some(*v as f64),
            Literal::Float(v) => Some(*v),
            _ => None,
        }
    }

    /// The name behind `$`, if it stands for a capture.
    pub fn captured(&self) -> Option<&str> {
        match self {
            Literal::Text(text) => text.strip_prefix('$'),
            _ => None,
        }
    }
}

impl PatternNode {
    /// Whether a node may read two inputs in either order.
    pub(crate) fn is_commutative(&self) -> bool {
        const OPS: [&str; 11] = ["Add", "Mul", "And", "Or", "Xor", "Equal", "Max", "Min", "Sum", "Mean", "BitwiseAnd"];
        self.domain.is_empty() && self.inputs.len() == 2 && OPS.contains(&self.op.as_str())
    }
}

impl Rewrite {
    /// Names of the tensors that nodes of the pattern make.
    pub(crate) fn makes(&self, tensor: &str) -> bool {
        self.pattern.iter().any(|n| n.outputs.iter().any(|o| o == tensor))
    }

    /// Whether the replacement makes this tensor.
    pub(crate) fn remakes(&self, tensor: &str) -> bool {
        self.replacement.iter().any(|n| n.outputs.iter().any(|o| o == tensor))
    }
}

/// A rewrite with its name, as `fixed_point` asks it.
pub(crate) struct Named<'a> {
    pub(crate) name: &'a str,
    pub(crate) code: String,
    pub(crate) rewrite: &'a Rewrite,
}

/// Rewrites in the order in which they are asked.
pub(crate) fn in_order(rewrites: &BTreeMap<String, Rewrite>) -> Vec<Named<'_>> {
    let mut all: Vec<Named<'_>> =
        rewrites.iter().map(|(name, rewrite)| Named { name, code: format!("{REWRITE}{name}"), rewrite }).collect();
    all.sort_by_key(|n| n.rewrite.order);
    all
}

impl Rule for Named<'_> {
    fn code(&self) -> &str {
        &self.code
    }

    fn name(&self) -> &str {
        self.name
    }

    fn phase(&self) -> Phase {
        match self.rewrite.when {
            When::Before => Phase::First,
            When::After => Phase::Last,
        }
    }

    fn is_ours(&self) -> bool {
        false
    }

    fn matches(&self, graph: &Graph, links: &Links, id: NodeId) -> bool {
        !matches!(find::find(self.rewrite, graph, links, id), Found::Nothing)
    }

    fn rewrite(&self, graph: &mut Graph, links: &Links, id: NodeId) -> Outcome {
        match find::find(self.rewrite, graph, links, id) {
            Found::At(place) => match replace::replaced(self, graph, &place) {
                Ok(after) => {
                    *graph = after;
                    Outcome::Fired
                }
                Err(reason) => Outcome::Skipped(reason),
            },
            Found::Refused(reason) => Outcome::Skipped(reason),
            Found::Nothing => Outcome::Skipped("nothing matches here".to_owned()),
        }
    }
}
