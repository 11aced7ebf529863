//! Numbers of a node's operands against its result: broadcasting, matrices.

use super::{flag, listed, to_i64s};
use ptq_ir::{Graph, Node, ValueId};

/// Shapes of operands that have more than one element, with 1 in front up to the result's rank.
fn padded<'g>(g: &'g Graph, n: &'g Node, keep: impl Fn(ValueId) -> bool + 'g) -> impl Iterator<Item = Vec<usize>> + 'g {
    let rank = result(g, n).map_or(0, <[usize]>::len);
    let shapes = n.inputs.iter().flatten().filter(move |v| keep(**v)).map(|&v| g.value(v).shape.as_slice());
    shapes.filter(|s| s.iter().product::<usize>() != 1).map(move |s| {
        let mut all = vec![1; rank.saturating_sub(s.len())];
        all.extend(s);
        all
    })
}

fn result<'g>(g: &'g Graph, n: &Node) -> Option<&'g [usize]> {
    n.outputs.first().map(|&v| g.value(v).shape.as_slice())
}

/// `operands [1, 8] and [8, 1]`.
pub(super) fn shapes(g: &Graph, n: &Node) -> String {
    let all: Vec<String> = n.inputs.iter().flatten().map(|&v| format!("{:?}", g.value(v).shape)).collect();
    format!("its operands are {}", listed(&all))
}

/// Axes of a 5-D operator that stay: neighbours that no operand broadcasts become one, a broadcast axis stays alone.
pub(super) fn folded_rank(g: &Graph, n: &Node) -> Option<Vec<i64>> {
    let y = result(g, n)?;
    if y.len() < 5 {
        return Some(Vec::new());
    }
    let operands: Vec<Vec<usize>> = padded(g, n, |_| true).collect();
    let (mut folded, mut open) = (0, false);
    for (axis, &extent) in y.iter().enumerate().filter(|(_, d)| **d != 1) {
        let broadcast = operands.iter().any(|o| o.get(axis) != Some(&extent));
        folded += i64::from(broadcast || !open);
        open = !broadcast;
    }
    Some(vec![folded])
}

/// Whether a feature map is repeated along the first axis.
pub(super) fn outer_broadcast(g: &Graph, n: &Node) -> Option<Vec<i64>> {
    let outer = result(g, n)?.first();
    let repeated = padded(g, n, |v| g.constant(v).is_none()).any(|o| o.first() != outer);
    Some(flag(repeated))
}

pub(super) fn one_way_broadcast(g: &Graph, n: &Node) -> Option<Vec<i64>> {
    let y = result(g, n)?;
    let mut all = n.inputs.iter().flatten().map(|&v| g.value(v).shape.as_slice());
    Some(flag(all.any(|x| x == y)))
}

/// Whether one operand has the result's shape, and every other that, `[N, C, 1, 1]` or one element.
pub(super) fn channel_operand(g: &Graph, n: &Node) -> Option<Vec<i64>> {
    let y = result(g, n)?;
    let of_channels = |x: &[usize]| match (x, y) {
        (&[_, c, 1, 1], &[_, channels, _, _]) => c == channels,
        _ => false,
    };
    let all: Vec<Vec<usize>> = padded(g, n, |_| true).collect();
    let whole = all.iter().any(|x| x == y) || y.iter().product::<usize>() == 1;
    Some(flag(whole && all.iter().all(|x| x == y || of_channels(x))))
}

pub(super) fn equal_ranks(g: &Graph, n: &Node) -> Option<Vec<i64>> {
    let mut ranks = n.inputs.iter().flatten().map(|&v| g.value(v).shape.len());
    let first = ranks.next()?;
    Some(flag(ranks.all(|r| r == first)))
}

pub(super) fn matrix_extents(g: &Graph, n: &Node) -> Option<Vec<i64>> {
    let shape = &g.value(n.input(0)?).shape;
    Some(to_i64s(&shape[shape.len().checked_sub(2)?..]))
}

pub(super) fn matrix_columns(g: &Graph, n: &Node) -> Option<Vec<i64>> {
    g.value(n.input(1)?).shape.last().map(|&columns| to_i64s(&[columns]))
}

pub(super) fn matrix_batch(g: &Graph, n: &Node) -> Option<Vec<i64>> {
    let y = result(g, n)?;
    Some(to_i64s(&y[..y.len().saturating_sub(2)]))
}

/// Whether the first operand broadcasts all or no outer axes, and the second only the last ones of them.
pub(super) fn matrix_broadcast(g: &Graph, n: &Node) -> Option<Vec<i64>> {
    let y = result(g, n)?;
    let repeated = |i: usize| {
        let x = &g.value(n.input(i)?).shape;
        let outer = y.iter().zip(x).take(y.len().saturating_sub(2)).filter(|(y, _)| **y != 1);
        Some(outer.map(|(y, x)| x != y).collect::<Vec<bool>>())
    };
    let (a, b) = (repeated(0)?, repeated(1)?);
    let uniform = a.iter().all(|r| *r) || a.iter().all(|r| !r);
    Some(flag(uniform && b.is_sorted()))
}
