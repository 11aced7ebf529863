//! FUSE22 move-through.

use crate::edits;
use crate::graph_rule::{GraphRule, Phase};
use crate::links::Links;
use crate::moving::{axis_of, dynamic_inputs, is_element_wise, is_reshape, permutation, set_axis};
use ptq_ir::{Graph, Node, NodeId, Tensor, ValueId};
use ptq_rule::{GraphRuleMeta, Outcome};

/// What `ptq rule FUSE22` prints.
const META: GraphRuleMeta = GraphRuleMeta {
    code: "FUSE22",
    name: "move-through",
    summary: "A Transpose or Reshape in front of an element-wise node (a Transpose also of a Concat or Softmax) moves behind \
              it where it then meets another one; a DepthToSpace behind a Conv lets an activation pass.",
    why: "Moving and computing element by element commute. Behind the node the two merge or cancel, and the node in front \
          becomes the neighbour of the convolution that can compute it. Only nodes that nobody else reads move, always \
          towards the outputs, so this ends.",
    example: "there = Transpose(x) -> there_out:float32[1, 4, 5, 3]\n\
              relu = Relu(there_out) -> relu_out:float32[1, 4, 5, 3]\n\
              back = Transpose(relu_out) -> back_out:float32[1, 3, 4, 5]\n\
              =>\n\
              relu = Relu(x) -> back_out:float32[1, 3, 4, 5]",
    since: "0.2.0",
};

/// The rule.
pub(crate) const RULE: GraphRule = GraphRule { meta: META, matches, rewrite, phase: Phase::Simplify };

/// Steps to look ahead for a partner.
const MAX_DEPTH: usize = 24;

/// Kinds of nodes that only move elements.
#[derive(Clone, Copy, PartialEq)]
enum Mover {
    Transpose,
    Reshape,
    Depth,
}

fn mover(node: &Node) -> Option<Mover> {
    match () {
        () if node.is("Transpose") => Some(Mover::Transpose),
        () if node.is("DepthToSpace") => Some(Mover::Depth),
        () => is_reshape(node).then_some(Mover::Reshape),
    }
}

/// Whether a node commutes with a mover of this kind.
fn lets_pass(node: &Node, kind: Mover) -> bool {
    is_element_wise(node) || (kind == Mover::Transpose && (node.is("Concat") || node.is("Softmax")))
}

/// A node that can change places with what is in front of it.
struct Swap {
    kind: Mover,
    movers: Vec<NodeId>,
    /// Of the mover, where it is a Transpose.
    perm: Vec<usize>,
}

fn matches(graph: &Graph, links: &Links, id: NodeId) -> bool {
    swap(graph, links, id).is_some()
}

fn swap(graph: &Graph, links: &Links, id: NodeId) -> Option<Swap> {
    let node = graph.node(id);
    let inputs = dynamic_inputs(graph, node);
    let movers: Vec<NodeId> = inputs.iter().map(|v| links.producer(*v)).collect::<Option<_>>()?;
    let first = *movers.first()?;
    let kind = mover(graph.node(first))?;
    if !lets_pass(node, kind) || movers.iter().any(|m| mover(graph.node(*m)) != Some(kind)) {
        return None;
    }
    let read_here_only = |v: &ValueId| !graph.is_output(*v) && links.readers(*v).iter().all(|r| *r == id);
    let moved = |m: &NodeId| graph.node(*m).outputs.len() == 1;
    if !inputs.iter().all(read_here_only) || !movers.iter().all(moved) {
        return None;
    }
    let y = *node.outputs.first()?;
    let perm = if kind == Mover::Transpose { permutation(graph, first)? } else { Vec::new() };
    let fits = match kind {
        Mover::Transpose => {
            movers.iter().all(|m| permutation(graph, *m).as_ref() == Some(&perm))
                && graph.value(y).shape.len() == perm.len()
                && meets(graph, links, y, kind)
        }
        // The shapes in front must be those behind: nothing broadcasts but constants along one axis.
        Mover::Reshape => {
            let source = |m: &NodeId| graph.node(*m).input(0).map(|v| graph.value(v).shape.clone());
            movers.iter().all(|m| source(m) == source(&first))
                && inputs.iter().all(|v| graph.value(*v).shape == graph.value(y).shape)
                && constants_fit(graph, node, &source(&first)?, &graph.value(y).shape)
                && meets(graph, links, y, kind)
        }
        Mover::Depth => {
            let conv = links.producer_of(graph, first, 0).is_some_and(|c| graph.node(c).is("Conv"));
            conv && movers.len() == 1 && inputs.len() == 1 && only_numbers(graph, node)
        }
    };
    fits.then_some(Swap { kind, movers, perm })
}

/// Whether all constants are single numbers.
fn only_numbers(graph: &Graph, node: &Node) -> bool {
    node.inputs.iter().flatten().filter_map(|v| graph.constant(*v)).all(|t| t.len() == 1 && t.shape().len() <= 1)
}

/// Whether all constants keep their meaning in front of a Reshape from shape `x` to `y`.
fn constants_fit(graph: &Graph, node: &Node, x: &[usize], y: &[usize]) -> bool {
    let mut constants = node.inputs.iter().flatten().filter_map(|v| graph.constant(*v));
    constants.all(|t| before_reshape(t, x, y).is_some())
}

/// A constant operand of values of shape `y` as one of the same values in shape `x`: a single number, or one number an
/// index of an axis that both shapes have, with as many elements outside it.
fn before_reshape(t: &Tensor, x: &[usize], y: &[usize]) -> Option<Tensor> {
    if t.len() == 1 && t.shape().len() <= 1 {
        return Some(t.clone());
    }
    let missing = y.len().checked_sub(t.shape().len())?;
    let wide = |d: &usize| *d >= missing && t.shape()[*d - missing] != 1;
    let mut axes = (0..y.len()).filter(wide);
    let (axis, None) = (axes.next()?, axes.next()) else { return None };
    let outer: usize = y[..axis].iter().product();
    let own = (0..x.len()).find(|&a| x[a] == y[axis] && x[..a].iter().product::<usize>() == outer)?;
    let mut shape = vec![1; x.len() - own];
    shape[0] = t.len();
    t.reshaped(shape).ok()
}

/// Whether a mover behind this value would reach another of its kind through nodes that let it pass.
fn meets(graph: &Graph, links: &Links, v: ValueId, kind: Mover) -> bool {
    let mut open = vec![(v, 0)];
    while let Some((v, depth)) = open.pop() {
        for &r in links.readers(v) {
            let node = graph.node(r);
            if mover(node) == Some(kind) {
                return true;
            }
            if depth < MAX_DEPTH && lets_pass(node, kind) {
                open.extend(node.outputs.iter().map(|o| (*o, depth + 1)));
            }
        }
    }
    false
}

fn rewrite(graph: &mut Graph, links: &Links, id: NodeId) -> Outcome {
    let Some(swap) = swap(graph, links, id) else {
        return Outcome::Skipped("nothing in front of it may move".to_owned());
    };
    match exchange(graph, id, &swap) {
        Ok(()) => Outcome::Fired,
        Err(reason) => Outcome::Skipped(reason),
    }
}

fn exchange(graph: &mut Graph, id: NodeId, swap: &Swap) -> Result<(), String> {
    let old = graph.node(id).clone();
    let first = graph.node(*swap.movers.first().ok_or("no mover")?).clone();
    let (y, x) = (*old.outputs.first().ok_or("no output")?, first.input(0).ok_or("no input")?);
    let shape = match swap.kind {
        Mover::Transpose => {
            let mut shape = vec![0; swap.perm.len()];
            swap.perm.iter().zip(&graph.value(y).shape).for_each(|(&p, &d)| shape[p] = d);
            shape
        }
        Mover::Reshape | Mover::Depth => graph.value(x).shape.clone(),
    };
    let mut node = old.clone();
    for slot in &mut node.inputs {
        let Some(v) = *slot else { continue };
        *slot = match graph.constant(v) {
            None => {
                let mover = swap.movers.iter().find(|m| graph.node(**m).outputs == [v]).ok_or("no mover")?;
                graph.node(*mover).input(0)
            }
            Some(t) if t.len() == 1 => Some(v),
            Some(t) => {
                let (turned, what) = match swap.kind {
                    Mover::Transpose => (turned_back(t, &swap.perm)?, "transposed"),
                    _ => (before_reshape(t, &shape, &graph.value(y).shape).ok_or("a constant varies")?, "reshaped"),
                };
                let name = format!("{}_{what}", graph.value(v).name);
                Some(graph.add_constant(graph.fresh_value_name(&name), turned))
            }
        };
    }
    if swap.kind == Mover::Transpose && !is_element_wise(&node) {
        let axis = axis_of(&node, swap.perm.len()).ok_or("its axis is outside the rank")?;
        set_axis(&mut node, swap.perm[axis]);
    }
    let name = graph.fresh_value_name(&format!("{}_moved", old.name));
    let between = graph.add_value(name, graph.value(y).dtype, shape);
    node.outputs = vec![between];
    let mut behind = Node { outputs: vec![y], ..behind(graph, swap, &first, y) };
    behind.inputs[0] = Some(between);
    graph.nodes[id.0 as usize] = node;
    graph.nodes.insert(id.0 as usize + 1, behind);
    let mut gone = swap.movers.clone();
    gone.sort();
    gone.dedup();
    for m in gone.into_iter().rev() {
        edits::remove(graph, m);
    }
    Ok(())
}

/// The mover behind the node, under the first one's name; a Reshape gets the constant shape of the result.
fn behind(graph: &mut Graph, swap: &Swap, first: &Node, y: ValueId) -> Node {
    let mut covers = first.covers.clone();
    for m in swap.movers.iter().skip(1) {
        let other = graph.node(*m);
        covers.extend(std::iter::once(&other.name).chain(&other.covers).cloned());
    }
    let mut node = Node { covers, ..first.clone() };
    if swap.kind == Mover::Reshape && !first.is("Reshape") {
        "Reshape".clone_into(&mut node.op);
        node.attrs = ptq_ir::Attrs::default();
    }
    if swap.kind == Mover::Reshape {
        let dims = Tensor::vec_i64(graph.value(y).shape.iter().map(|&d| d as i64).collect());
        let dims = graph.add_constant(graph.fresh_value_name(&format!("{}_shape", first.name)), dims);
        node.inputs = vec![first.input(0), Some(dims)];
    }
    node
}

/// A constant operand, of the rank of the values or lower, as it is in front of a Transpose.
fn turned_back(t: &Tensor, perm: &[usize]) -> Result<Tensor, String> {
    let missing = perm.len().checked_sub(t.shape().len()).ok_or("a constant has a higher rank")?;
    let full: Vec<usize> = std::iter::repeat_n(1, missing).chain(t.shape().iter().copied()).collect();
    let t = t.reshaped(full).map_err(|e| e.to_string())?;
    let mut inverse = vec![0i64; perm.len()];
    perm.iter().enumerate().for_each(|(i, &p)| inverse[p] = i as i64);
    let attrs = ptq_ir::Attrs::of([("perm", ptq_ir::Attr::Ints(inverse))]);
    let turned = ptq_exec::eval("Transpose", "", &attrs, &[Some(&t)]).map_err(|e| e.to_string())?;
    turned.into_iter().next().ok_or_else(|| "no result".to_owned())
}
