//! Puts a replacement where a pattern was found.

use super::find::Place;
use super::{Dimension, Literal, Named, NewConstant, NewNode, Operand, guard};
use crate::links::Links;
use ptq_ir::{Attr, Attrs, DType, Graph, Node, NodeId, Tensor, TensorData, ValueId, numel};
use std::collections::{BTreeMap, BTreeSet};

/// Most elements of a constant that a rewrite brings.
const MAX_ELEMENTS: usize = 1 << 24;

/// The graph with the replacement in place.
///
/// # Errors
/// What does not fit; the graph stays as it was.
pub(super) fn replaced(rule: &Named<'_>, graph: &Graph, place: &Place) -> Result<Graph, String> {
    let mut made = Made { rule, place, graph: graph.clone(), tensors: BTreeMap::new(), nodes: Vec::new() };
    let gone = guard::leaving(rule.rewrite, graph, &Links::of(graph), place)?;
    for (name, constant) in &rule.rewrite.constants {
        let tensor = made.constant(constant).map_err(|why| format!("constant {name}: {why}"))?;
        let value = made.fresh_value(name);
        let id = made.graph.add_constant(value, tensor);
        made.tensors.insert(name.clone(), id);
    }
    for node in &rule.rewrite.replacement {
        made.node(node)?;
    }
    made.finish(&gone)
}

struct Made<'a> {
    rule: &'a Named<'a>,
    place: &'a Place,
    graph: Graph,
    /// New tensors by name.
    tensors: BTreeMap<String, ValueId>,
    nodes: Vec<Node>,
}

impl Made<'_> {
    fn anchor(&self) -> NodeId {
        self.place.nodes.last().copied().unwrap_or(NodeId(0))
    }

    fn fresh_value(&self, name: &str) -> String {
        let anchor = &self.graph.node(self.anchor()).name;
        self.graph.fresh_value_name(&format!("{anchor}_{}_{name}", self.rule.name))
    }

    fn dimension(&self, word: &str) -> Result<usize, String> {
        self.place.dimensions.get(word).copied().ok_or_else(|| format!("no guard says what dimension {word} is"))
    }

    fn constant(&self, constant: &NewConstant) -> Result<Tensor, String> {
        let dtype = DType::ALL.into_iter().find(|d| d.name() == constant.dtype);
        let dtype = dtype.ok_or_else(|| format!("there is no type {}", constant.dtype))?;
        let element = |literal: &Literal| match (literal.captured(), literal.number()) {
            (Some(word), _) => self.dimension(word).map(|d| d as f64),
            (_, Some(number)) => Ok(number),
            _ => Err("its elements must be numbers".to_owned()),
        };
        let of = |dimension: &Dimension| match dimension {
            Dimension::Size(n) => usize::try_from(*n).map_err(|e| e.to_string()),
            Dimension::Word(word) => self.dimension(word),
        };
        let shape = constant.shape.as_ref().map(|s| s.iter().map(of).collect::<Result<Vec<_>, _>>()).transpose()?;
        let (shape, values) = match &constant.value {
            Literal::List(list) => {
                let values = list.iter().map(element).collect::<Result<Vec<_>, _>>()?;
                (shape.unwrap_or_else(|| vec![values.len()]), values)
            }
            one => {
                let shape = shape.unwrap_or_default();
                let count = numel(&shape).filter(|n| *n <= MAX_ELEMENTS).ok_or("it is too large")?;
                (shape, vec![element(one)?; count])
            }
        };
        tensor(dtype, shape, values)
    }

    fn node(&mut self, new: &NewNode) -> Result<(), String> {
        let name = self.node_name(new);
        let about = |why: String| format!("{} of the replacement: {why}", new.op);
        let like = new.inputs.iter().find_map(|o| match o {
            Operand::Name(name) => self.tensor(name).map(|v| self.graph.value(v).dtype),
            Operand::Number(_) => None,
        });
        let mut inputs = Vec::new();
        for operand in &new.inputs {
            inputs.push(match operand {
                Operand::Name(name) if name.is_empty() => None,
                Operand::Name(name) => {
                    Some(self.tensor(name).ok_or_else(|| about(format!("there is no tensor {name}")))?)
                }
                Operand::Number(number) => {
                    let constant = tensor(like.unwrap_or(DType::F32), Vec::new(), vec![*number]).map_err(about)?;
                    let value = self.fresh_value("number");
                    Some(self.graph.add_constant(value, constant))
                }
            });
        }
        while inputs.last() == Some(&None) {
            inputs.pop();
        }
        let attrs = new
            .attributes
            .iter()
            .map(|(key, literal)| Ok((key.clone(), self.attribute(literal)?)))
            .collect::<Result<BTreeMap<_, _>, String>>()
            .map_err(about)?;
        let mut node = Node {
            name,
            op: new.op.clone(),
            domain: new.domain.clone(),
            inputs,
            outputs: vec![ValueId(u32::MAX); new.outputs.len()],
            attrs: Attrs(attrs),
            covers: Vec::new(),
            fusible_into: None,
        };
        let types = ptq_onnx::infer(&self.graph, &node).map_err(|d| about(d.message))?;
        for (i, (output, (dtype, shape))) in new.outputs.iter().zip(types).enumerate() {
            node.outputs[i] = self.output(output, dtype, shape)?;
        }
        if node.outputs.contains(&ValueId(u32::MAX)) {
            return Err(about("has fewer outputs".to_owned()));
        }
        self.nodes.push(node);
        Ok(())
    }

    /// The value that a node of the replacement makes.
    fn output(&mut self, name: &str, dtype: DType, shape: Vec<usize>) -> Result<ValueId, String> {
        let Some(&v) = self.place.tensors.get(name).filter(|_| self.rule.rewrite.makes(name)) else {
            let value = self.fresh_value(name);
            let v = self.graph.add_value(value, dtype, shape);
            self.tensors.insert(name.to_owned(), v);
            return Ok(v);
        };
        let value = self.graph.value(v);
        if (value.dtype, &value.shape) != (dtype, &shape) {
            return Err(format!(
                "the replacement makes {dtype}{shape:?} of {}, which is {}{:?}",
                value.name, value.dtype, value.shape
            ));
        }
        self.tensors.insert(name.to_owned(), v);
        Ok(v)
    }

    /// A tensor that the replacement reads: new, or found by the pattern.
    fn tensor(&self, name: &str) -> Option<ValueId> {
        self.tensors.get(name).or_else(|| self.place.tensors.get(name)).copied()
    }

    /// A node that makes a tensor of the pattern goes by the name of the node that made it.
    fn node_name(&self, new: &NewNode) -> String {
        let pattern = &self.rule.rewrite.pattern;
        let maker = |n: &super::PatternNode| n.outputs.iter().any(|o| new.outputs.contains(o));
        let taken = |name: &str| self.nodes.iter().any(|n| n.name == name);
        if let Some(i) = pattern.iter().position(maker)
            && let Some(id) = self.place.nodes.get(i)
            && !taken(&self.graph.node(*id).name)
        {
            return self.graph.node(*id).name.clone();
        }
        let base = format!("{}_{}", self.graph.node(self.anchor()).name, self.rule.name);
        let mut name = self.graph.fresh_node_name(&base);
        let mut n = 2;
        while taken(&name) {
            name = self.graph.fresh_node_name(&format!("{base}_{n}"));
            n += 1;
        }
        name
    }

    fn attribute(&self, literal: &Literal) -> Result<Attr, String> {
        let whole = |n: usize| i64::try_from(n).map_err(|e| e.to_string());
        let resolved = |literal: &Literal| -> Result<Literal, String> {
            match literal.captured().map(|word| (word, self.place.dimensions.get(word))) {
                Some((_, Some(size))) => Ok(Literal::Int(whole(*size)?)),
                Some((word, None)) => Err(format!("nothing captures ${word}")),
                None => Ok(literal.clone()),
            }
        };
        if let Some(found) = literal.captured().and_then(|word| self.place.attributes.get(word)) {
            return Ok(found.clone());
        }
        match literal {
            Literal::List(list) => attr(&Literal::List(list.iter().map(resolved).collect::<Result<_, _>>()?)),
            one => attr(&resolved(one)?),
        }
    }

    /// Takes the old nodes out, puts the new ones in, and restores the order.
    fn finish(mut self, gone: &BTreeSet<NodeId>) -> Result<Graph, String> {
        let anchor = self.anchor();
        let last = self.graph.node(anchor).outputs.clone();
        let heir = self.nodes.iter().rposition(|n| n.outputs.iter().any(|v| last.contains(v)));
        let heir = heir.unwrap_or(self.nodes.len().saturating_sub(1));
        let old: Vec<Node> = gone.iter().map(|id| self.graph.node(*id).clone()).collect();
        let mut covers: Vec<String> = Vec::new();
        for name in old.iter().flat_map(|n| std::iter::once(&n.name).chain(&n.covers)) {
            if !covers.contains(name) && !self.nodes.iter().any(|n| n.name == *name) {
                covers.push(name.clone());
            }
        }
        self.nodes[heir].covers = covers;
        let nodes = std::mem::take(&mut self.graph.nodes);
        let mut all: Vec<Node> = Vec::new();
        for (i, node) in nodes.into_iter().enumerate() {
            let id = NodeId(i as u32);
            if id == anchor {
                all.append(&mut self.nodes);
            }
            if !gone.contains(&id) {
                all.push(node);
            }
        }
        self.graph.nodes = sorted(&self.graph, all)?;
        Ok(self.graph)
    }
}

/// Nodes in topological order, otherwise as they were.
fn sorted(graph: &Graph, nodes: Vec<Node>) -> Result<Vec<Node>, String> {
    let mut ready = vec![false; graph.values.len()];
    for v in graph.inputs.iter().chain(graph.constants.keys()) {
        ready[v.0 as usize] = true;
    }
    let mut waiting: Vec<Option<Node>> = nodes.into_iter().map(Some).collect();
    let mut out = Vec::with_capacity(waiting.len());
    loop {
        let mut moved = false;
        for slot in &mut waiting {
            let can = slot.as_ref().is_some_and(|n| n.inputs.iter().flatten().all(|v| ready[v.0 as usize]));
            if let Some(node) = slot.take_if(|_| can) {
                node.outputs.iter().for_each(|v| ready[v.0 as usize] = true);
                out.push(node);
                moved = true;
            }
        }
        if waiting.iter().all(Option::is_none) {
            return Ok(out);
        }
        if !moved {
            return Err("the replacement would read what depends on it".to_owned());
        }
    }
}

/// An attribute of a literal without captures: whole numbers are integers.
pub(super) fn attr(literal: &Literal) -> Result<Attr, String> {
    let mixed = || "a list must hold numbers, or texts".to_owned();
    Ok(match literal {
        Literal::Int(v) => Attr::Int(*v),
        Literal::Float(v) => Attr::Float(*v as f32),
        Literal::Text(text) => Attr::Str(text.clone()),
        Literal::List(list) if list.iter().all(|l| matches!(l, Literal::Int(_))) => {
            Attr::Ints(list.iter().filter_map(|l| if let Literal::Int(v) = l { Some(*v) } else { None }).collect())
        }
        Literal::List(list) if list.iter().all(|l| l.number().is_some()) => {
            Attr::Floats(list.iter().filter_map(Literal::number).map(|v| v as f32).collect())
        }
        Literal::List(list) => {
            let text = |l: &Literal| if let Literal::Text(t) = l { Ok(t.clone()) } else { Err(mixed()) };
            Attr::Strs(list.iter().map(text).collect::<Result<_, _>>()?)
        }
    })
}

fn tensor(dtype: DType, shape: Vec<usize>, values: Vec<f64>) -> Result<Tensor, String> {
    let text = |e: ptq_ir::TensorError| e.to_string();
    let fits = |v: &f64| dtype.is_float() || v.fract() == 0.0;
    if let Some(v) = values.iter().find(|v| !fits(v)) {
        return Err(format!("{v} is no {dtype}"));
    }
    macro_rules! of {
        ($make:ident, $ty:ty) => {{
            let (low, high) = (<$ty>::MIN as f64, <$ty>::MAX as f64);
            match values.iter().find(|v| !(**v >= low && **v <= high)) {
                Some(v) => Err(format!("{v} is no {dtype}")),
                None => Tensor::$make(shape, values.into_iter().map(|v| v as $ty).collect()).map_err(text),
            }
        }};
    }
    match Tensor::zeros(dtype, Vec::new()).data() {
        TensorData::F32(_) => Tensor::from_f32(shape, values.into_iter().map(|v| v as f32).collect()).map_err(text),
        TensorData::F64(_) => Tensor::from_f64(shape, values).map_err(text),
        TensorData::Bool(_) => Tensor::from_bool(shape, values.into_iter().map(|v| v != 0.0).collect()).map_err(text),
        TensorData::I64(_) => of!(from_i64, i64),
        TensorData::I32(_) => of!(from_i32, i32),
        TensorData::I16(_) => of!(from_i16, i16),
        TensorData::I8(_) => of!(from_i8, i8),
        TensorData::U8(_) => of!(from_u8, u8),
        TensorData::U16(_) => of!(from_u16, u16),
        TensorData::U32(_) => of!(from_u32, u32),
        TensorData::U64(_) => of!(from_u64, u64),
    }
}
