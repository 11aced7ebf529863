//! What a rewrite must be beside well written: operators and attributes that exist, tensors that are made before they are
//! read, a pattern in one piece, a replacement for every result.

use super::{CODE, at};
use crate::manifest::settings::{Reader, Spot};
use ptq_fuse::Rewrite;
use ptq_fuse::rewrite::{Dimension, Literal, Operand};
use ptq_ir::DType;
use ptq_place::nearest;
use std::collections::BTreeSet;
use toml::de::DeTable;

/// Adds every problem of a rewrite, with marks under what is wrong.
pub(super) fn check(r: &mut Reader<'_>, table: &DeTable<'_>, spot: &Spot, name: &str, rewrite: &Rewrite) {
    let mut problems = Problems(Vec::new());
    pattern(rewrite, &mut problems);
    guards(rewrite, &mut problems);
    replacement(rewrite, &mut problems);
    for (path, why, hint) in problems.0 {
        let place = at(table, &path).map_or_else(|| spot.clone(), |v| r.spot(v));
        r.problem(CODE, format!("rewrite {name}: {why}"), &place, hint);
    }
}

/// Path, problem, hint.
struct Problems(Vec<(String, String, Option<String>)>);

impl Problems {
    fn add(&mut self, path: impl Into<String>, why: impl Into<String>) {
        self.0.push((path.into(), why.into(), None));
    }

    fn unknown<'a>(&mut self, path: String, why: String, word: &str, known: impl Iterator<Item = &'a str>) {
        let known: Vec<&str> = known.collect();
        let close = nearest(word, known.iter().copied()).map(|c| format!("did you mean {c}?"));
        let few = (known.len() <= 16 && !known.is_empty()).then(|| format!("here: {}", known.join(", ")));
        self.0.push((path, why, close.or(few)));
    }

    /// Operator, attributes and outputs of a node of the standard domain.
    fn node<'a>(&mut self, path: &str, op: &str, domain: &str, attributes: impl Iterator<Item = &'a String>) {
        if op.is_empty() {
            self.add(path, "a node needs op");
        }
        if !domain.is_empty() || op.is_empty() {
            return;
        }
        let Some(known) = ptq_onnx::attributes_of(op) else {
            let ops = ptq_onnx::known_ops();
            return self.unknown(format!("{path}.op"), format!("there is no operator {op}"), op, ops.into_iter());
        };
        for name in attributes.filter(|n| !known.contains(&n.as_str())) {
            let (path, why) = (format!("{path}.attributes.{name}"), format!("{op} has no attribute {name}"));
            self.unknown(path, why, name, known.iter().copied());
        }
    }
}

fn names(operands: &[Operand]) -> impl Iterator<Item = (usize, &str)> {
    operands.iter().enumerate().filter_map(|(i, o)| match o {
        Operand::Name(name) if !name.is_empty() => Some((i, name.as_str())),
        _ => None,
    })
}

fn pattern(rewrite: &Rewrite, problems: &mut Problems) {
    if rewrite.pattern.is_empty() {
        problems.add("", "has no match: name the nodes to find");
    }
    let all_made: BTreeSet<&str> = rewrite.pattern.iter().flat_map(|n| n.outputs.iter().map(String::as_str)).collect();
    let mut made: BTreeSet<&str> = BTreeSet::new();
    for (n, node) in rewrite.pattern.iter().enumerate() {
        let path = format!("match[{n}]");
        problems.node(&path, &node.op, &node.domain, node.attributes.keys());
        if node.outputs.is_empty() {
            problems.add(&path, "a node needs outputs");
        }
        for (i, name) in names(&node.inputs) {
            if all_made.contains(name) && !made.contains(name) {
                let why =
                    format!("reads {name} before it is made: nodes that make a tensor stand in front of its readers");
                problems.add(format!("{path}.inputs[{i}]"), why);
            }
        }
        for (i, name) in node.outputs.iter().enumerate() {
            if name.is_empty() || !made.insert(name) {
                problems.add(format!("{path}.outputs[{i}]"), format!("{name:?} is made twice, or has no name"));
            }
        }
    }
    let mut piece: BTreeSet<&str> = BTreeSet::new();
    let mut left: Vec<usize> = (0..rewrite.pattern.len()).collect();
    while let Some(at) = left.iter().position(|i| {
        let node = &rewrite.pattern[*i];
        let mut own = names(&node.inputs).map(|(_, n)| n).chain(node.outputs.iter().map(String::as_str));
        piece.is_empty() || own.any(|n| piece.contains(n))
    }) {
        let node = &rewrite.pattern[left.remove(at)];
        piece.extend(names(&node.inputs).map(|(_, n)| n));
        piece.extend(node.outputs.iter().map(String::as_str));
    }
    if let Some(first) = left.first() {
        let why = "has no tensor in common with the nodes in front of it: a pattern is one piece";
        problems.add(format!("match[{first}]"), why);
    }
}

/// Tensors that the pattern names.
fn matched(rewrite: &Rewrite) -> BTreeSet<&str> {
    let inputs = rewrite.pattern.iter().flat_map(|n| names(&n.inputs).map(|(_, n)| n));
    inputs.chain(rewrite.pattern.iter().flat_map(|n| n.outputs.iter().map(String::as_str))).collect()
}

/// Words that `shape` guards capture.
fn words(rewrite: &Rewrite) -> BTreeSet<&str> {
    let shapes = rewrite.tensors.values().filter_map(|g| g.shape.as_ref()).flatten();
    shapes
        .filter_map(|d| if let Dimension::Word(w) = d { Some(w.as_str()) } else { None })
        .filter(|w| *w != "*")
        .collect()
}

fn dtype(problems: &mut Problems, path: String, name: &str) {
    if !DType::ALL.iter().any(|d| d.name() == name) {
        problems.unknown(path, format!("there is no type {name}"), name, DType::ALL.iter().map(|d| d.name()));
    }
}

fn guards(rewrite: &Rewrite, problems: &mut Problems) {
    let known = matched(rewrite);
    for (name, guard) in &rewrite.tensors {
        let path = format!("where.{name}");
        if !known.contains(name.as_str()) {
            let why = format!("where names {name}, which is no tensor of match");
            problems.unknown(path.clone(), why, name, known.iter().copied());
        }
        if let Some(found) = &guard.dtype {
            dtype(problems, format!("{path}.type"), found);
        }
        let list_of_numbers =
            |l: &Literal| matches!(l, Literal::List(list) if list.iter().all(|l| l.number().is_some()));
        if guard.equals.as_ref().is_some_and(|e| e.number().is_none() && !list_of_numbers(e)) {
            problems.add(format!("{path}.equals"), "equals must be a number or a list of numbers");
        }
        let makes = rewrite.pattern.iter().any(|n| n.outputs.contains(name));
        let constant = guard.equals.is_some() || guard.min.is_some() || guard.max.is_some();
        if makes && (constant || guard.constant == Some(true)) {
            problems.add(path, format!("{name} is made by a node, so it is not constant"));
        }
    }
    let words = words(rewrite);
    for (word, guard) in &rewrite.dimensions {
        if !words.contains(word.as_str()) {
            let why = format!("dimensions names {word}, which no shape holds");
            problems.unknown(format!("dimensions.{word}"), why, word, words.iter().copied());
        }
        if guard.multiple_of == Some(0) {
            problems.add(format!("dimensions.{word}.multiple_of"), "multiple_of must be above 0");
        }
    }
}

fn replacement(rewrite: &Rewrite, problems: &mut Problems) {
    if rewrite.replacement.is_empty() {
        problems.add("", "has no replace: an Identity makes a result of an input, and is removed later");
    }
    let from_match = matched(rewrite);
    let words = words(rewrite);
    let captures: BTreeSet<&str> =
        rewrite.pattern.iter().flat_map(|n| n.attributes.values()).filter_map(|g| g.capture.as_deref()).collect();
    let is_made = |name: &str| rewrite.pattern.iter().any(|n| n.outputs.iter().any(|o| o == name));
    let captured = |problems: &mut Problems, path: String, literal: &Literal, also: &BTreeSet<&str>| {
        let list = if let Literal::List(list) = literal { list.as_slice() } else { std::slice::from_ref(literal) };
        for word in list.iter().filter_map(Literal::captured) {
            if !words.contains(word) && !also.contains(word) {
                let known = words.iter().chain(also).copied();
                problems.unknown(path.clone(), format!("nothing captures ${word}"), word, known);
            }
        }
    };
    let mut known: BTreeSet<&str> = BTreeSet::new();
    for (name, constant) in &rewrite.constants {
        let path = format!("constants.{name}");
        if from_match.contains(name.as_str()) {
            problems.add(&path, format!("{name} is a tensor of match"));
        }
        dtype(problems, format!("{path}.type"), &constant.dtype);
        captured(problems, format!("{path}.value"), &constant.value, &BTreeSet::new());
        for word in constant.shape.iter().flatten() {
            if let Dimension::Word(word) = word {
                captured(problems, format!("{path}.shape"), &Literal::Text(format!("${word}")), &BTreeSet::new());
            }
        }
        known.insert(name);
    }
    let mut remade: BTreeSet<&str> = BTreeSet::new();
    for (n, node) in rewrite.replacement.iter().enumerate() {
        let path = format!("replace[{n}]");
        problems.node(&path, &node.op, &node.domain, node.attributes.keys());
        if node.outputs.is_empty() {
            problems.add(&path, "a node needs outputs");
        }
        for (i, name) in names(&node.inputs) {
            let later = rewrite.replacement.iter().skip(n).any(|n| n.outputs.iter().any(|o| o == name));
            if later && !known.contains(name) {
                problems.add(format!("{path}.inputs[{i}]"), format!("reads {name} before it is made"));
            } else if !known.contains(name) && !from_match.contains(name) {
                let why = format!("reads {name}, which is neither in match nor made here");
                let all = from_match.iter().chain(&known).copied();
                problems.unknown(format!("{path}.inputs[{i}]"), why, name, all);
            }
        }
        for (key, literal) in &node.attributes {
            captured(problems, format!("{path}.attributes.{key}"), literal, &captures);
        }
        for (i, name) in node.outputs.iter().enumerate() {
            let path = format!("{path}.outputs[{i}]");
            if name.is_empty() || remade.contains(name.as_str()) || rewrite.constants.contains_key(name) {
                problems.add(path, format!("{name:?} is made twice, or has no name"));
            } else if from_match.contains(name.as_str()) && !is_made(name) {
                problems.add(path, format!("{name} is an input of match, which the replacement cannot make"));
            }
            remade.insert(name);
            known.insert(name);
        }
    }
    for (n, node) in rewrite.pattern.iter().enumerate() {
        for (i, name) in node.outputs.iter().enumerate() {
            let is_read = rewrite.pattern.iter().any(|n| names(&n.inputs).any(|(_, o)| o == name));
            if !is_read && !remade.contains(name.as_str()) {
                let why = format!("{name} is a result of match that replace does not make");
                problems.add(format!("match[{n}].outputs[{i}]"), why);
            }
        }
    }
}
