//! Einsum (12) as Transpose, Reshape, ReduceSum and one MatMul for each further operand.

use super::parts::{Parts, signed};
use super::{Conversion, Converted};
use ptq_ir::{Attr, Diagnostic};
use std::collections::BTreeMap;

/// An index of the equation: a letter, or an axis of the ellipsis counted from its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Label {
    Ellipsis(usize),
    Letter(char),
}

/// A value with one label for each axis.
#[derive(Clone)]
struct Term {
    name: String,
    labels: Vec<Label>,
    shape: Vec<usize>,
}

/// Contracts the operands from left to right.
pub(super) fn einsum(c: Conversion<'_>) -> Converted {
    let equation: String = c.node.attrs.str("equation", "").chars().filter(|ch| !ch.is_whitespace()).collect();
    let (left, right) = match equation.split_once("->") {
        Some((l, r)) => (l.to_owned(), Some(r.to_owned())),
        None => (equation, None),
    };
    let operands: Vec<&str> = left.split(',').collect();
    if operands.len() != c.node.inputs.len() {
        return Err(c.error(format!("{} operands in the equation, {} inputs", operands.len(), c.node.inputs.len())));
    }
    let mut terms = Vec::new();
    for (i, text) in operands.iter().enumerate() {
        let name = c.node.input(i).unwrap_or("").to_owned();
        let shape = c.env.typed(&name).map(|(_, s)| s).unwrap_or_default();
        let labels = labels(text, shape.len()).ok_or_else(|| c.error(format!("{text:?} does not fit {shape:?}")))?;
        terms.push(Term { name, labels, shape });
    }
    let out = output(right.as_deref(), &terms).ok_or_else(|| c.error("the output of the equation is not valid"))?;
    let mut parts = Parts::of(c);
    let mut terms: Vec<Term> = terms.into_iter().map(|t| diagonal(&mut parts, t)).collect::<Result<_, _>>()?;
    for label in &out {
        if !terms.iter().any(|t| t.labels.contains(label)) {
            return Err(parts.c.error("the output has an index that no operand has"));
        }
    }
    let mut rest = terms.split_off(1).into_iter();
    let mut total = terms.remove(0);
    while let Some(next) = rest.next() {
        let kept = |l: &Label| out.contains(l) || rest.as_slice().iter().any(|t| t.labels.contains(l));
        total = product(&mut parts, total, next, &kept)?;
    }
    let total = summed(&mut parts, total, &|l| out.contains(l));
    let perm: Vec<usize> = out.iter().filter_map(|l| total.labels.iter().position(|x| x == l)).collect();
    parts.finish("Transpose", &[&total.name], &[("perm", Attr::Ints(signed(&perm)))])
}

/// Labels of an operand of this rank.
fn labels(text: &str, rank: usize) -> Option<Vec<Label>> {
    let letters = |s: &str| s.chars().map(Label::Letter).collect::<Vec<_>>();
    let valid = |s: &str| s.chars().all(|ch| ch.is_ascii_alphabetic());
    match text.split_once("...") {
        Some((before, after)) if valid(before) && valid(after) => {
            let free = rank.checked_sub(before.len() + after.len())?;
            let mut out = letters(before);
            out.extend((0..free).rev().map(Label::Ellipsis));
            out.extend(letters(after));
            Some(out)
        }
        None if valid(text) && text.len() == rank => Some(letters(text)),
        _ => None,
    }
}

/// Labels of the result; without a stated one: the ellipsis, then letters that occur once, sorted.
fn output(stated: Option<&str>, terms: &[Term]) -> Option<Vec<Label>> {
    let widest = terms.iter().map(|t| t.labels.iter().filter(|l| matches!(l, Label::Ellipsis(_))).count()).max()?;
    if let Some(text) = stated {
        let rank = text.replace("...", "").len() + if text.contains("...") { widest } else { 0 };
        let out = labels(text, rank)?;
        let unique = out.iter().enumerate().all(|(i, l)| !out[..i].contains(l));
        return unique.then_some(out);
    }
    let mut counts: BTreeMap<Label, usize> = BTreeMap::new();
    terms.iter().flat_map(|t| &t.labels).for_each(|l| *counts.entry(*l).or_default() += 1);
    let mut out: Vec<Label> = (0..widest).rev().map(Label::Ellipsis).collect();
    out.extend(counts.into_iter().filter(|(l, n)| matches!(l, Label::Letter(_)) && *n == 1).map(|(l, _)| l));
    Some(out)
}

/// Takes the diagonal over labels that an operand has twice: with both axes last and merged, every `n + 1`-th element.
fn diagonal(parts: &mut Parts<'_>, mut t: Term) -> Result<Term, Diagnostic> {
    loop {
        let twice = (0..t.labels.len()).find_map(|i| Some((i, (0..i).find(|&j| t.labels[j] == t.labels[i])?)));
        let Some((second, first)) = twice else { return Ok(t) };
        let n = t.shape[first];
        if t.shape[second] != n {
            return Err(parts.c.error(format!("one index has extents {n} and {}", t.shape[second])));
        }
        let mut perm: Vec<usize> = (0..t.labels.len()).filter(|&d| d != first && d != second).collect();
        let mut shape: Vec<usize> = perm.iter().map(|&d| t.shape[d]).collect();
        let mut labels: Vec<Label> = perm.iter().map(|&d| t.labels[d]).collect();
        labels.push(t.labels[first]);
        perm.extend([first, second]);
        let turned = parts.transpose(&t.name, &perm);
        shape.push(n * n);
        let merged = parts.reshape(&turned, &shape);
        let last = shape.len() - 1;
        shape[last] = n;
        let name = parts.slice(&merged, last, [0, n * n, n + 1]);
        t = Term { name, labels, shape };
    }
}

/// Sums over the labels that are not kept.
fn summed(parts: &mut Parts<'_>, t: Term, kept: &dyn Fn(&Label) -> bool) -> Term {
    let axes: Vec<usize> = (0..t.labels.len()).filter(|&d| !kept(&t.labels[d])).collect();
    if axes.is_empty() {
        return t;
    }
    let name = parts.sum(&t.name, &axes);
    let left: Vec<usize> = (0..t.labels.len()).filter(|d| !axes.contains(d)).collect();
    Term {
        name,
        labels: left.iter().map(|&d| t.labels[d]).collect(),
        shape: left.iter().map(|&d| t.shape[d]).collect(),
    }
}

/// Drops axes of extent 1 whose label has a larger extent in the other operand: they broadcast.
fn narrowed(parts: &mut Parts<'_>, t: Term, other: &Term) -> Term {
    let wider = |d: usize| {
        let there = other.labels.iter().position(|l| *l == t.labels[d]).map(|i| other.shape[i]);
        t.shape[d] == 1 && there.is_some_and(|n| n > 1)
    };
    let left: Vec<usize> = (0..t.labels.len()).filter(|&d| !wider(d)).collect();
    if left.len() == t.labels.len() {
        return t;
    }
    let shape: Vec<usize> = left.iter().map(|&d| t.shape[d]).collect();
    Term { name: parts.reshape(&t.name, &shape), labels: left.iter().map(|&d| t.labels[d]).collect(), shape }
}

/// The product of two operands, summed over the labels that nothing needs any more, as one batch of matrix products.
fn product(parts: &mut Parts<'_>, a: Term, b: Term, kept: &dyn Fn(&Label) -> bool) -> Result<Term, Diagnostic> {
    let (a, b) = (narrowed(parts, a.clone(), &b), narrowed(parts, b, &a));
    let a = summed(parts, a, &|l| kept(l) || b.labels.contains(l));
    let b = summed(parts, b, &|l| kept(l) || a.labels.contains(l));
    let shared = |l: &&Label| a.labels.contains(l) && b.labels.contains(l);
    let batch: Vec<Label> = a.labels.iter().filter(shared).filter(|l| kept(l)).copied().collect();
    let inner: Vec<Label> = a.labels.iter().filter(shared).filter(|l| !kept(l)).copied().collect();
    let own = |t: &Term, o: &Term| t.labels.iter().filter(|l| !o.labels.contains(l)).copied().collect::<Vec<_>>();
    let (rows, columns) = (own(&a, &b), own(&b, &a));
    let extents = |t: &Term, labels: &[Label]| -> Vec<usize> {
        labels.iter().filter_map(|l| t.labels.iter().position(|x| x == l).map(|i| t.shape[i])).collect()
    };
    for labels in [&batch, &inner] {
        if extents(&a, labels) != extents(&b, labels) {
            return Err(parts.c.error(format!("operands {:?} and {:?} do not fit", a.shape, b.shape)));
        }
    }
    let size = |t: &Term, labels: &[Label]| extents(t, labels).iter().product::<usize>();
    let (n, m, k, w) = (size(&a, &batch), size(&a, &rows), size(&a, &inner), size(&b, &columns));
    let mut matrix = |t: &Term, order: [&[Label]; 3], shape: [usize; 3]| {
        let order: Vec<Label> = order.concat();
        let perm: Vec<usize> = order.iter().filter_map(|l| t.labels.iter().position(|x| x == l)).collect();
        let moves = perm.iter().enumerate().any(|(i, &p)| i != p);
        let turned = if moves { parts.transpose(&t.name, &perm) } else { t.name.clone() };
        parts.reshape(&turned, &shape)
    };
    let left = matrix(&a, [&batch, &rows, &inner], [n, m, k]);
    let right = matrix(&b, [&batch, &inner, &columns], [n, k, w]);
    let product = parts.op("MatMul", &[&left, &right], &[]);
    let shape = [extents(&a, &batch), extents(&a, &rows), extents(&b, &columns)].concat();
    let name = parts.reshape(&product, &shape);
    Ok(Term { name, labels: [batch, rows, columns].concat(), shape })
}
