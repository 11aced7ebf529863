//! Finds the pattern of a rewrite around a node.

use super::guard::refusal;
use super::{Operand, PatternNode, Rewrite};
use crate::links::Links;
use ptq_ir::{Attr, Graph, Node, NodeId, ValueId};
use std::collections::BTreeMap;

/// Most nodes that are tried around one node, so that a pattern of equal parts cannot take for ever.
const MAX_TRIES: usize = 20_000;

/// Where a pattern was found.
#[derive(Clone, Debug, Default)]
pub(super) struct Place {
    /// The node of each node of the pattern.
    pub(super) nodes: Vec<NodeId>,
    /// Tensors by name.
    pub(super) tensors: BTreeMap<String, ValueId>,
    /// Numbers of the pattern: the number, the tensor that must hold nothing else.
    pub(super) numbers: Vec<(f64, ValueId)>,
    /// Sizes by word.
    pub(super) dimensions: BTreeMap<String, usize>,
    /// Attributes by capture.
    pub(super) attributes: BTreeMap<String, Attr>,
}

/// What a look around a node gave.
pub(super) enum Found {
    /// No such nodes.
    Nothing,
    /// Such nodes, but something does not hold.
    Refused(String),
    /// The pattern.
    At(Box<Place>),
}

/// Looks for the pattern with its last node at `id`.
pub(super) fn find(rewrite: &Rewrite, graph: &Graph, links: &Links, id: NodeId) -> Found {
    let Some(anchor) = rewrite.pattern.last() else { return Found::Nothing };
    if !is_op(graph.node(id), anchor) || !links.is_live(id) {
        return Found::Nothing;
    }
    let mut search = Search { rewrite, graph, links, order: order(rewrite), refused: None, tries: 0 };
    let start = Partial { nodes: vec![None; rewrite.pattern.len()], place: Place::default() };
    match search.extend(0, &[id], &start) {
        Some(place) => Found::At(Box::new(place)),
        None if search.tries >= MAX_TRIES => {
            Found::Refused(format!("the pattern fits in too many ways: {MAX_TRIES} were tried"))
        }
        None => search.refused.map_or(Found::Nothing, Found::Refused),
    }
}

fn is_op(node: &Node, pattern: &PatternNode) -> bool {
    node.op == pattern.op && node.domain == pattern.domain
}

/// Nodes of the pattern, the last one first, each behind one that it shares a tensor with.
fn order(rewrite: &Rewrite) -> Vec<usize> {
    let count = rewrite.pattern.len();
    let mut out = vec![count - 1];
    while out.len() < count {
        let touches = |i: &usize| !out.contains(i) && out.iter().any(|o| shares(rewrite, *i, *o));
        // A pattern in pieces is refused when it is read; here its pieces simply follow.
        let next = (0..count).rev().find(touches).or_else(|| (0..count).rev().find(|i| !out.contains(i)));
        out.extend(next);
    }
    out
}

fn shares(rewrite: &Rewrite, a: usize, b: usize) -> bool {
    let names = |i: usize| -> Vec<&str> {
        let node = &rewrite.pattern[i];
        let inputs = node.inputs.iter().filter_map(|o| match o {
            Operand::Name(name) if !name.is_empty() => Some(name.as_str()),
            _ => None,
        });
        inputs.chain(node.outputs.iter().map(String::as_str)).collect()
    };
    names(a).iter().any(|n| names(b).contains(n))
}

/// Nodes of the pattern found so far.
#[derive(Clone)]
struct Partial {
    nodes: Vec<Option<NodeId>>,
    place: Place,
}

struct Search<'a> {
    rewrite: &'a Rewrite,
    graph: &'a Graph,
    links: &'a Links,
    order: Vec<usize>,
    /// Why the first complete match does not do.
    refused: Option<String>,
    tries: usize,
}

impl Search<'_> {
    /// Finds the rest of the pattern, node `depth` of the order among `candidates`.
    fn extend(&mut self, depth: usize, candidates: &[NodeId], so_far: &Partial) -> Option<Place> {
        let index = self.order[depth];
        let pattern = &self.rewrite.pattern[index];
        for &candidate in candidates {
            if !is_op(self.graph.node(candidate), pattern) || so_far.nodes.contains(&Some(candidate)) {
                continue;
            }
            for swapped in [false, true] {
                if swapped && !pattern.is_commutative() {
                    continue;
                }
                self.tries += 1;
                if self.tries >= MAX_TRIES {
                    return None;
                }
                let mut partial = so_far.clone();
                partial.nodes[index] = Some(candidate);
                if self.unify(pattern, candidate, swapped, &mut partial.place)
                    && let Some(place) = self.rest(depth + 1, partial)
                {
                    return Some(place);
                }
            }
        }
        None
    }

    fn rest(&mut self, depth: usize, partial: Partial) -> Option<Place> {
        let Some(&index) = self.order.get(depth) else {
            let mut place = partial.place;
            place.nodes = partial.nodes.into_iter().flatten().collect();
            return match refusal(self.rewrite, self.graph, self.links, &mut place) {
                None => Some(place),
                Some(reason) => {
                    self.refused.get_or_insert(reason);
                    None
                }
            };
        };
        let candidates = self.candidates(&self.rewrite.pattern[index], &partial.place);
        self.extend(depth, &candidates, &partial)
    }

    /// Nodes that make or read what is known of a node of the pattern.
    fn candidates(&self, pattern: &PatternNode, place: &Place) -> Vec<NodeId> {
        let known = |name: &String| place.tensors.get(name).copied();
        if let Some(v) = pattern.outputs.iter().find_map(known) {
            return self.links.producer(v).into_iter().collect();
        }
        let inputs = pattern.inputs.iter().filter_map(|o| match o {
            Operand::Name(name) => known(name),
            Operand::Number(_) => None,
        });
        let mut readers: Vec<NodeId> = inputs.flat_map(|v| self.links.readers(v).to_vec()).collect();
        readers.sort();
        readers.dedup();
        readers
    }

    /// Whether a node fits one of the pattern, beside what is known; `place` gains its tensors.
    fn unify(&self, pattern: &PatternNode, id: NodeId, swapped: bool, place: &mut Place) -> bool {
        let node = self.graph.node(id);
        let count = node.inputs.iter().rposition(Option::is_some).map_or(0, |i| i + 1);
        let wanted = pattern.inputs.iter().rposition(|o| *o != Operand::Name(String::new())).map_or(0, |i| i + 1);
        if count != wanted || node.outputs.len() < pattern.outputs.len() {
            return false;
        }
        let unused = |v: &ValueId| self.links.readers(*v).is_empty() && !self.graph.is_output(*v);
        if !node.outputs[pattern.outputs.len()..].iter().all(unused) {
            return false;
        }
        for (i, operand) in pattern.inputs.iter().take(wanted).enumerate() {
            let value = node.input(if swapped { 1 - i } else { i });
            let fits = match (operand, value) {
                (Operand::Name(name), None) => name.is_empty(),
                (Operand::Number(_), None) => false,
                (Operand::Name(name), Some(v)) => !name.is_empty() && bind(place, name, v),
                (Operand::Number(number), Some(v)) => {
                    place.numbers.push((*number, v));
                    self.graph.constant(v).is_some()
                }
            };
            if !fits {
                return false;
            }
        }
        pattern.outputs.iter().zip(&node.outputs).all(|(name, v)| bind(place, name, *v))
    }
}

/// Gives a name to a tensor; false where it names another one.
fn bind(place: &mut Place, name: &str, v: ValueId) -> bool {
    *place.tensors.entry(name.to_owned()).or_insert(v) == v
}
