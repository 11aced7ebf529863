//! What must hold where a pattern was found, and the words for what does not.

use super::find::Place;
use super::{AttributeGuard, Dimension, Literal, Rewrite, TensorGuard};
use crate::links::Links;
use ptq_ir::{Attr, Graph, NodeId, Tensor, TensorData, ValueId, numel};
use std::collections::BTreeSet;

/// Why the place does not do; `None` when everything holds. `place` gains what guards capture.
pub(super) fn refusal(rewrite: &Rewrite, graph: &Graph, links: &Links, place: &mut Place) -> Option<String> {
    check(rewrite, graph, links, place).err()
}

fn check(rewrite: &Rewrite, graph: &Graph, links: &Links, place: &mut Place) -> Result<(), String> {
    for &(number, v) in &place.numbers {
        let tensor = graph.constant(v).ok_or_else(|| format!("{} is not constant", graph.value(v).name))?;
        equals(tensor, &Literal::Float(number), 0.0).map_err(|why| format!("{} {why}", graph.value(v).name))?;
    }
    for (pattern, id) in rewrite.pattern.iter().zip(place.nodes.clone()) {
        let node = graph.node(id);
        for (name, guard) in &pattern.attributes {
            let value = attribute(guard, node.attrs.get(name)).map_err(|why| format!("{}: {name} {why}", node.name))?;
            if let (Some(capture), Some(value)) = (&guard.capture, value) {
                place.attributes.insert(capture.clone(), value);
            }
        }
    }
    for (name, guard) in &rewrite.tensors {
        let Some(&v) = place.tensors.get(name) else { continue };
        tensor(graph, links, place, v, guard).map_err(|why| format!("{} {why}", graph.value(v).name))?;
    }
    for (word, guard) in &rewrite.dimensions {
        let Some(&size) = place.dimensions.get(word) else { continue };
        let size = size as u64;
        let outside = guard.min.is_some_and(|m| size < m) || guard.max.is_some_and(|m| size > m);
        if outside {
            return Err(format!("{word} is {size}, outside {}", range(guard.min, guard.max)));
        }
        if let Some(step) = guard.multiple_of.filter(|step| !size.is_multiple_of(*step)) {
            return Err(format!("{word} is {size}, no multiple of {step}"));
        }
    }
    leaving(rewrite, graph, links, place).map(drop)
}

/// The nodes that leave the graph: those of the pattern, except where others still need what they make and that is allowed.
///
/// # Errors
/// Who else sees a tensor inside of the pattern.
pub(super) fn leaving(
    rewrite: &Rewrite,
    graph: &Graph,
    links: &Links,
    place: &Place,
) -> Result<BTreeSet<NodeId>, String> {
    let mut leaving: BTreeSet<NodeId> = place.nodes.iter().copied().collect();
    let name_of = |v: ValueId| place.tensors.iter().find(|(_, t)| **t == v).map(|(n, _)| n.as_str());
    let read_again = |v: ValueId| {
        let name = name_of(v);
        rewrite.replacement.iter().flat_map(|n| &n.inputs).any(|o| match o {
            super::Operand::Name(n) => Some(n.as_str()) == name,
            super::Operand::Number(_) => false,
        })
    };
    loop {
        let mut stays = None;
        for &id in &leaving {
            for &v in &graph.node(id).outputs {
                let name = name_of(v).unwrap_or_default();
                if rewrite.remakes(name) {
                    continue;
                }
                let reader = links.readers(v).iter().find(|r| !leaving.contains(r));
                let allowed = rewrite.tensors.get(name).is_some_and(|g| g.single_consumer == Some(false));
                let who = match (reader, graph.is_output(v)) {
                    (_, true) => "is a model output".to_owned(),
                    (Some(r), _) => format!("is also read by {}", graph.node(*r).name),
                    (None, _) if read_again(v) => "is read by the replacement".to_owned(),
                    (None, _) => continue,
                };
                if !allowed && !read_again(v) {
                    return Err(format!("{} {who}", graph.value(v).name));
                }
                stays = Some(id);
            }
        }
        let Some(id) = stays else { return Ok(leaving) };
        if graph.node(id).outputs.iter().any(|v| name_of(*v).is_some_and(|n| rewrite.remakes(n))) {
            return Err(format!(
                "{} makes a tensor that others read, beside one that is replaced",
                graph.node(id).name
            ));
        }
        leaving.remove(&id);
    }
}

/// Whether a number lies in a range; NaN lies in none that has an end.
fn within(v: f64, min: Option<f64>, max: Option<f64>) -> bool {
    min.is_none_or(|m| v >= m) && max.is_none_or(|m| v <= m)
}

fn range<T: std::fmt::Display>(min: Option<T>, max: Option<T>) -> String {
    let end = |v: Option<T>| v.map_or_else(String::new, |v| v.to_string());
    format!("{}..{}", end(min), end(max))
}

fn tensor(graph: &Graph, links: &Links, place: &mut Place, v: ValueId, guard: &TensorGuard) -> Result<(), String> {
    let value = graph.value(v);
    let constant = graph.constant(v);
    if let Some(wanted) = guard.constant.filter(|wanted| *wanted != constant.is_some()) {
        return Err(if wanted { "is not constant" } else { "is constant" }.to_owned());
    }
    if let Some(dtype) = guard.dtype.as_ref().filter(|d| **d != value.dtype.name()) {
        return Err(format!("is {}, not {dtype}", value.dtype));
    }
    if let Some(rank) = guard.rank.filter(|r| *r != value.shape.len()) {
        return Err(format!("has rank {}, not {rank}", value.shape.len()));
    }
    let elements = numel(&value.shape).unwrap_or(usize::MAX) as u64;
    if let Some(wanted) = guard.elements.filter(|n| *n != elements) {
        return Err(format!("has {elements} elements, not {wanted}"));
    }
    if let Some(shape) = &guard.shape {
        dimensions(place, &value.shape, shape)?;
    }
    if guard.single_consumer == Some(true) {
        let other = links.readers(v).iter().find(|r| !place.nodes.contains(r));
        if let Some(other) = other {
            return Err(format!("is also read by {}", graph.node(*other).name));
        }
    }
    if let Some(wanted) = guard.output.filter(|wanted| *wanted != graph.is_output(v)) {
        return Err(if wanted { "is no model output" } else { "is a model output" }.to_owned());
    }
    if guard.equals.is_none() && guard.min.is_none() && guard.max.is_none() {
        return Ok(());
    }
    let constant = constant.ok_or("is not constant")?;
    if let Some(wanted) = &guard.equals {
        equals(constant, wanted, guard.tolerance)?;
    }
    let outside = |e: &f64| !within(*e, guard.min, guard.max);
    match constant.to_f64s().iter().find(|e| outside(e)) {
        Some(e) => Err(format!("holds {e}, outside {}", range(guard.min, guard.max))),
        None => Ok(()),
    }
}

fn dimensions(place: &mut Place, found: &[usize], wanted: &[Dimension]) -> Result<(), String> {
    let shown = |shape: &[Dimension]| {
        let words = shape.iter().map(|d| match d {
            Dimension::Size(n) => n.to_string(),
            Dimension::Word(w) => w.clone(),
        });
        words.collect::<Vec<_>>().join(", ")
    };
    let differs = || format!("has shape {found:?}, not [{}]", shown(wanted));
    if found.len() != wanted.len() {
        return Err(differs());
    }
    for (&size, dimension) in found.iter().zip(wanted) {
        match dimension {
            Dimension::Size(n) if *n != size as u64 => return Err(differs()),
            Dimension::Word(word) if word != "*" => {
                let known = *place.dimensions.entry(word.clone()).or_insert(size);
                if known != size {
                    return Err(format!("{}: {word} is {known} elsewhere", differs()));
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// Whether the elements of a constant are these; numbers count as the tensor's type holds them.
fn equals(tensor: &Tensor, wanted: &Literal, tolerance: f64) -> Result<(), String> {
    let held =
        |number: f64| if matches!(tensor.data(), TensorData::F32(_)) { f64::from(number as f32) } else { number };
    let near = |found: f64, number: f64| found == held(number) || (found - number).abs() <= tolerance;
    let elements = tensor.to_f64s();
    if elements.is_empty() {
        return Err("is empty".to_owned());
    }
    match wanted {
        Literal::List(list) => {
            let numbers: Option<Vec<f64>> = list.iter().map(Literal::number).collect();
            let same = numbers.as_ref().is_some_and(|n| {
                n.len() == elements.len() && elements.iter().zip(n).all(|(found, number)| near(*found, *number))
            });
            if same { Ok(()) } else { Err(format!("does not hold {}", super::text::literal(wanted))) }
        }
        _ => {
            let number = wanted.number().ok_or("is no text")?;
            let other = elements.iter().find(|e| !near(**e, number));
            other.map_or(Ok(()), |e| Err(format!("holds {e}, not {number}")))
        }
    }
}

/// The attribute, with its default; the error reads after its name.
fn attribute(guard: &AttributeGuard, found: Option<&Attr>) -> Result<Option<Attr>, String> {
    let value = match (found, &guard.default) {
        (Some(found), _) => Some(found.clone()),
        (None, default) => default.as_ref().and_then(as_attr),
    };
    let bounded = guard.min.is_some() || guard.max.is_some() || guard.capture.is_some();
    let Some(attr) = &value else {
        let wanted = bounded || !guard.one_of.is_empty();
        return if wanted { Err("is not given".to_owned()) } else { Ok(None) };
    };
    if !guard.one_of.is_empty() && !guard.one_of.iter().any(|w| same(attr, w)) {
        let list = guard.one_of.iter().map(super::text::literal).collect::<Vec<_>>().join(" or ");
        return Err(format!("is {}, not {list}", super::text::attribute(attr)));
    }
    let numbers: Vec<f64> = match attr {
        Attr::Int(v) => vec![*v as f64],
        Attr::Float(v) => vec![f64::from(*v)],
        Attr::Ints(v) => v.iter().map(|v| *v as f64).collect(),
        Attr::Floats(v) => v.iter().map(|v| f64::from(*v)).collect(),
        _ => Vec::new(),
    };
    let outside = |e: &&f64| !within(**e, guard.min, guard.max);
    match numbers.iter().find(outside) {
        Some(e) => Err(format!("is {e}, outside {}", range(guard.min, guard.max))),
        None => Ok(value),
    }
}

fn as_attr(literal: &Literal) -> Option<Attr> {
    super::replace::attr(literal).ok()
}

/// Whether an attribute has this value; numbers count as it holds them.
fn same(attr: &Attr, wanted: &Literal) -> bool {
    let number = |found: f64, is_float: bool, wanted: &Literal| {
        let held = |n: f64| if is_float { f64::from(n as f32) } else { n };
        wanted.number().is_some_and(|n| held(n) == found)
    };
    let each = |found: Vec<(f64, bool)>| match wanted {
        Literal::List(list) => list.len() == found.len() && found.iter().zip(list).all(|(f, w)| number(f.0, f.1, w)),
        _ => false,
    };
    let text = |found: &str, wanted: &Literal| matches!(wanted, Literal::Text(w) if w == found);
    match attr {
        Attr::Int(v) => number(*v as f64, false, wanted),
        Attr::Float(v) => number(f64::from(*v), true, wanted),
        Attr::Str(v) => text(v, wanted),
        Attr::Ints(v) => each(v.iter().map(|v| (*v as f64, false)).collect()),
        Attr::Floats(v) => each(v.iter().map(|v| (f64::from(*v), true)).collect()),
        Attr::Strs(v) => match wanted {
            Literal::List(list) => list.len() == v.len() && v.iter().zip(list).all(|(f, w)| text(f, w)),
            _ => false,
        },
        Attr::Tensor(_) => false,
    }
}
