//! Functions of a model: each call is replaced by the function's nodes, values and nodes renamed after the call.

use crate::proto::{AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto};
use crate::scan::Limits;
use ptq_ir::Diagnostic;
use std::collections::{BTreeMap, BTreeSet};

/// Most nodes after inlining.
const MAX_NODES: usize = 200_000;
/// Deepest nesting of calls.
const MAX_DEPTH: usize = 32;

/// Name space, operator, overload.
type Key = (String, String, String);

/// Replaces all calls of the model's own functions.
///
/// # Errors
/// `ONNX10` for recursion, for too many nodes, and for a function of another operator set than the model's.
pub(crate) fn inline(model: &mut ModelProto, opset: i64, limits: &Limits) -> Result<(), Diagnostic> {
    let functions = std::mem::take(&mut model.functions);
    let Some(graph) = model.graph.as_mut().filter(|_| !functions.is_empty()) else { return Ok(()) };
    let text = |t: &Option<String>| t.clone().unwrap_or_default();
    let by_name: BTreeMap<Key, &FunctionProto> =
        functions.iter().map(|f| ((domain(&f.domain), text(&f.name), text(&f.overload)), f)).collect();
    let mut inliner =
        Inliner { functions: by_name, opset, nodes: 0, bytes: 0, budget: limits.budget, calls: Vec::new() };
    inliner.graph(graph)
}

fn domain(d: &Option<String>) -> String {
    d.clone().filter(|d| d != "ai.onnx").unwrap_or_default()
}

struct Inliner<'a> {
    functions: BTreeMap<Key, &'a FunctionProto>,
    opset: i64,
    nodes: usize,
    bytes: usize,
    budget: usize,
    calls: Vec<Key>,
}

impl Inliner<'_> {
    fn graph(&mut self, graph: &mut GraphProto) -> Result<(), Diagnostic> {
        graph.node = self.list(std::mem::take(&mut graph.node))?;
        Ok(())
    }

    fn list(&mut self, nodes: Vec<NodeProto>) -> Result<Vec<NodeProto>, Diagnostic> {
        let mut out = Vec::with_capacity(nodes.len());
        for (i, mut node) in nodes.into_iter().enumerate() {
            let text = |t: &Option<String>| t.clone().unwrap_or_default();
            let key = (domain(&node.domain), text(&node.op_type), text(&node.overload));
            let Some(&function) = self.functions.get(&key) else {
                for a in &mut node.attribute {
                    for g in a.g.iter_mut().chain(&mut a.graphs) {
                        self.graph(g)?;
                    }
                }
                out.push(node);
                continue;
            };
            let call = text(&node.name);
            let call = if call.is_empty() { format!("{}_{i}", key.1) } else { call };
            let refuse = |why: String| Err(Diagnostic::error("ONNX10", why).node(&call));
            if self.calls.contains(&key) || self.calls.len() >= MAX_DEPTH {
                return refuse(format!("function {} calls itself or nests too deeply", key.1));
            }
            if let Some(version) = standard_version(function).filter(|&v| v != self.opset) {
                let (name, opset) = (&key.1, self.opset);
                return refuse(format!("function {name} is of operator set {version}, the model of {opset}"));
            }
            if size(function, &node, &call) > self.budget {
                return refuse(format!("function {} expands to more than {} bytes", key.1, self.budget));
            }
            let body = instance(function, &node, &call);
            self.nodes += body.len();
            self.bytes += body.iter().map(prost::Message::encoded_len).sum::<usize>();
            if self.nodes > MAX_NODES || self.bytes > self.budget {
                let (nodes, bytes) = (self.nodes, self.bytes);
                return refuse(format!("functions expand to {nodes} nodes of {bytes} bytes, which is too much"));
            }
            self.calls.push(key);
            let body = self.list(body)?;
            self.calls.pop();
            out.extend(body);
        }
        Ok(out)
    }
}

fn standard_version(function: &FunctionProto) -> Option<i64> {
    function.opset_import.iter().find(|o| domain(&o.domain).is_empty())?.version
}

/// Bytes that the nodes of one call need at most, before any is made.
fn size(function: &FunctionProto, node: &NodeProto, call: &str) -> usize {
    use prost::Message as _;
    fn names_and_refs(nodes: &[NodeProto]) -> (usize, usize) {
        let mut out = (0, 0);
        for n in nodes {
            out.0 += 1 + n.input.len() + n.output.len();
            for a in &n.attribute {
                out.1 += usize::from(a.ref_attr_name.is_some());
                for g in a.g.iter().chain(&a.graphs) {
                    let inner = names_and_refs(&g.node);
                    out = (out.0 + inner.0 + g.output.len(), out.1 + inner.1);
                }
            }
        }
        out
    }
    let (names, refs) = names_and_refs(&function.node);
    let longest = node.input.iter().chain(&node.output).map(String::len).max().unwrap_or(0).max(call.len());
    let attribute = function.attribute_proto.iter().chain(&node.attribute).map(AttributeProto::encoded_len).max();
    let of_names = names.saturating_mul(longest);
    function.encoded_len().saturating_add(of_names).saturating_add(refs.saturating_mul(attribute.unwrap_or(0)))
}

/// The nodes of one call.
fn instance(function: &FunctionProto, node: &NodeProto, call: &str) -> Vec<NodeProto> {
    let given = |names: &[String], i: usize| names.get(i).cloned().unwrap_or_default();
    let mut names: BTreeMap<String, String> = BTreeMap::new();
    for made in function.node.iter().flat_map(|n| &n.output).filter(|n| !n.is_empty()) {
        names.insert(made.clone(), format!("{call}/{made}"));
    }
    for (i, input) in function.input.iter().enumerate() {
        names.insert(input.clone(), given(&node.input, i));
    }
    let mut passed = Vec::new();
    for (i, output) in function.output.iter().enumerate() {
        let outer = given(&node.output, i);
        match (outer.is_empty(), function.input.contains(output)) {
            (true, _) => {}
            (false, true) => passed.push((names.get(output).cloned().unwrap_or_default(), outer)),
            (false, false) => drop(names.insert(output.clone(), outer)),
        }
    }
    let mut attrs: BTreeMap<&str, &AttributeProto> = BTreeMap::new();
    for a in function.attribute_proto.iter().chain(&node.attribute) {
        attrs.insert(a.name.as_deref().unwrap_or(""), a);
    }
    let mut out: Vec<NodeProto> = function.node.clone();
    for (i, inner) in out.iter_mut().enumerate() {
        let own = inner.name.clone().filter(|n| !n.is_empty());
        let own = own.unwrap_or_else(|| format!("{}_{i}", inner.op_type.as_deref().unwrap_or("")));
        inner.name = Some(format!("{call}/{own}"));
        rename(inner, &names, &attrs);
    }
    let identity = |(i, (from, to)): (usize, (String, String))| NodeProto {
        name: Some(format!("{call}/output_{i}")),
        op_type: Some("Identity".to_owned()),
        input: vec![from],
        output: vec![to],
        ..NodeProto::default()
    };
    out.extend(passed.into_iter().enumerate().map(identity));
    out
}

/// Renames the values of a node and puts in the attributes of the call, also in its sub-graphs.
fn rename(node: &mut NodeProto, names: &BTreeMap<String, String>, attrs: &BTreeMap<&str, &AttributeProto>) {
    for name in node.input.iter_mut().chain(&mut node.output) {
        if let Some(new) = names.get(name) {
            name.clone_from(new);
        }
    }
    let resolved = std::mem::take(&mut node.attribute).into_iter().filter_map(|a| {
        match a.ref_attr_name.as_deref().filter(|n| !n.is_empty()) {
            None => Some(a),
            Some(wanted) => attrs.get(wanted).map(|&found| AttributeProto { name: a.name.clone(), ..found.clone() }),
        }
    });
    node.attribute = resolved.collect();
    for g in node.attribute.iter_mut().flat_map(|a| a.g.iter_mut().chain(&mut a.graphs)) {
        let made = g.node.iter().flat_map(|n| n.output.iter());
        let made = made.chain(g.initializer.iter().filter_map(|t| t.name.as_ref()));
        let own: BTreeSet<String> = made.chain(g.input.iter().filter_map(|v| v.name.as_ref())).cloned().collect();
        let outer: BTreeMap<String, String> =
            names.iter().filter(|(n, _)| !own.contains(*n)).map(|(a, b)| (a.clone(), b.clone())).collect();
        g.node.iter_mut().for_each(|n| rename(n, &outer, attrs));
        for name in g.output.iter_mut().filter_map(|v| v.name.as_mut()) {
            if let Some(new) = outer.get(name) {
                name.clone_from(new);
            }
        }
    }
}
