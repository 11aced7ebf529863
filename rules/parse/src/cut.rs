//! Cuts a graph down: chosen nodes become its outputs, chosen nodes at its ends go.
//!
//! `output_nodes`, `remove_node_type` and `remove_node_name` of the manifest, with Horizon's meaning: only nodes beside a
//! model input or output can be removed, one after the other in the order given, and each removal may bring the next node to the end.

use ptq_ir::{Diagnostic, Graph, Node, NodeId, ValueId, is_border_of_model};
use serde::{Deserialize, Serialize};

/// What to cut.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cut {
    /// Nodes whose results become the only outputs, in this order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub output_nodes: Vec<String>,
    /// Types of nodes to remove at the ends ([`REMOVABLE`]).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remove_node_type: Vec<String>,
    /// Names of nodes to remove at the ends.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remove_node_name: Vec<String>,
}

impl Cut {
    /// Whether nothing is cut.
    pub fn is_nothing(&self) -> bool {
        *self == Cut::default()
    }
}

/// Horizon's names of the types that can be removed, and the ONNX operator of each. All of them either move elements,
/// convert them, or keep their order, so that a program around the model can do their work.
pub const REMOVABLE: [(&str, &str); 6] = [
    ("Quantize", "QuantizeLinear"),
    ("Transpose", "Transpose"),
    ("Dequantize", "DequantizeLinear"),
    ("Cast", "Cast"),
    ("Reshape", "Reshape"),
    ("Softmax", "Softmax"),
];

/// The ONNX operator of a type that can be removed, by Horizon's name or its own.
pub fn removable(kind: &str) -> Option<&'static str> {
    REMOVABLE.iter().find(|(name, op)| kind == *name || kind == *op).map(|(_, op)| *op)
}

/// Where a node stands.
#[derive(Clone, Copy, PartialEq)]
enum End {
    Input,
    Output,
}

/// Cuts; what was removed becomes a note.
///
/// # Errors
/// `PARSE12` for each name that is no node, each type that cannot be removed, and each node that is at no end.
pub(crate) fn cut(graph: &mut Graph, cut: &Cut, notes: &mut Vec<Diagnostic>) -> Result<(), Vec<Diagnostic>> {
    let mut problems = Vec::new();
    outputs(graph, &cut.output_nodes, &mut problems);
    for kind in &cut.remove_node_type {
        let Some(op) = removable(kind) else {
            let legal: Vec<&str> = REMOVABLE.iter().map(|(name, _)| *name).collect();
            let what = format!("remove_node_type {kind} cannot be removed");
            problems.push(Diagnostic::error("PARSE12", what).hint(format!("these can: {}", legal.join(", "))));
            continue;
        };
        let before = notes.len();
        while let Some((id, end)) = first_at_an_end(graph, |node| node.is(op)) {
            notes.push(remove(graph, id, end));
        }
        // Borders that the build itself would add are left away later; what becomes of them is said there.
        if notes.len() == before && !op.ends_with("Linear") {
            let what = format!(
                "remove_node_type {kind}: no {op} stands beside a model input or output, so nothing is removed"
            );
            notes.push(Diagnostic::warning("PARSE15", what).hint("remove the request, or cut with output_nodes"));
        }
    }
    for name in &cut.remove_node_name {
        match candidate(graph, name) {
            Err(_) if graph.find_node(name).is_none() && is_border_of_model(graph, name) => {}
            Ok((id, end)) => notes.push(remove(graph, id, end)),
            Err(why) => problems.push(Diagnostic::error("PARSE12", why).node(name)),
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

fn outputs(graph: &mut Graph, names: &[String], problems: &mut Vec<Diagnostic>) {
    if names.is_empty() {
        return;
    }
    let mut values: Vec<ValueId> = Vec::new();
    for name in names {
        match graph.find_node(name) {
            Some(id) => {
                values.extend(graph.node(id).outputs.iter().filter(|v| !values.contains(v)).collect::<Vec<_>>())
            }
            None => problems.push(unknown("output_nodes", name)),
        }
    }
    graph.outputs = values;
}

fn unknown(key: &str, name: &str) -> Diagnostic {
    Diagnostic::error("PARSE12", format!("{key} names a node that the model does not have"))
        .node(name)
        .hint("`ptq check` lists the nodes; names of nodes that were folded away are gone")
}

fn first_at_an_end(graph: &Graph, wanted: impl Fn(&Node) -> bool) -> Option<(NodeId, End)> {
    graph.nodes().filter(|(_, node)| wanted(node)).find_map(|(id, node)| Some((id, end(graph, node)?)))
}

fn candidate(graph: &Graph, name: &str) -> Result<(NodeId, End), String> {
    let id = graph.find_node(name).ok_or("remove_node_name names a node that the model does not have")?;
    let node = graph.node(id);
    if !REMOVABLE.iter().any(|(_, op)| node.is(op)) {
        return Err(format!("{} cannot be removed: it changes what the model computes", node.op));
    }
    let end = end(graph, node).ok_or("it stands beside no input or output that only it reads or makes")?;
    Ok((id, end))
}

/// The end beside which a node stands: it alone reads an input of the model, or makes an output that nothing else reads.
fn end(graph: &Graph, node: &Node) -> Option<End> {
    let (x, &[y]) = (node.input(0)?, node.outputs.as_slice()) else { return None };
    let others_constant = node.inputs.iter().skip(1).flatten().all(|v| graph.constant(*v).is_some());
    if !others_constant || graph.constant(x).is_some() || (graph.inputs.contains(&x) && graph.is_output(y)) {
        return None;
    }
    let consumers = graph.consumers();
    let read_here_alone = consumers[x.0 as usize].len() == 1 && !graph.is_output(x);
    if graph.inputs.contains(&x) && read_here_alone && !node.is("Softmax") {
        return Some(End::Input);
    }
    let last = graph.is_output(y) && consumers[y.0 as usize].is_empty() && !graph.is_output(x);
    (last && !graph.inputs.contains(&x)).then_some(End::Output)
}

/// Removes a node at an end. An input keeps its name, because descriptions in the manifest go by it.
fn remove(graph: &mut Graph, id: NodeId, end: End) -> Diagnostic {
    let node = graph.nodes.remove(id.0 as usize);
    let (x, y) = (node.inputs[0].unwrap_or(node.outputs[0]), node.outputs[0]);
    let what = match end {
        End::Input => {
            let name = graph.value(x).name.clone();
            let spare = graph.fresh_value_name(&format!("{name}_removed"));
            graph.values[x.0 as usize].name = spare;
            graph.values[y.0 as usize].name.clone_from(&name);
            graph.inputs.iter_mut().filter(|v| **v == x).for_each(|v| *v = y);
            let now = graph.value(y);
            format!("{} is removed: input {name} is now {}{:?}", node.op, now.dtype, now.shape)
        }
        End::Output => {
            graph.outputs.iter_mut().filter(|v| **v == y).for_each(|v| *v = x);
            let now = graph.value(x);
            format!("{} is removed: the output is now {}, {}{:?}", node.op, now.name, now.dtype, now.shape)
        }
    };
    Diagnostic::warning("PARSE13", what).node(node.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ptq_ir::{Attr, Attrs, GraphBuilder};

    /// x → Transpose in → Relu → Reshape → Softmax soft → output.
    fn graph() -> Graph {
        let mut b = GraphBuilder::new("g");
        let x = b.input("x", &[1, 4, 2]);
        let turned = b.node("Transpose", "in", &[x], Attrs::of([("perm", Attr::Ints(vec![0, 2, 1]))]), &[1, 2, 4]);
        let relu = b.node("Relu", "relu", &[turned], Attrs::default(), &[1, 2, 4]);
        let shape = b.constant("shape", ptq_ir::Tensor::vec_i64(vec![1, 8]));
        let flat = b.node("Reshape", "flat", &[relu, shape], Attrs::default(), &[1, 8]);
        let soft = b.node("Softmax", "soft", &[flat], Attrs::default(), &[1, 8]);
        b.output(soft);
        b.finish()
    }

    fn names(graph: &Graph) -> Vec<&str> {
        graph.nodes.iter().map(|n| n.name.as_str()).collect()
    }

    fn apply(cut_by: &Cut) -> Result<(Graph, usize), Vec<Diagnostic>> {
        let (mut g, mut notes) = (graph(), Vec::new());
        cut(&mut g, cut_by, &mut notes)?;
        Ok((g, notes.len()))
    }

    #[test]
    fn types_go_in_their_order_and_bring_the_next_node_to_the_end() {
        let types =
            |list: &[&str]| Cut { remove_node_type: list.iter().map(|s| (*s).to_owned()).collect(), ..Cut::default() };
        let (g, notes) = apply(&types(&["Softmax", "Reshape", "Transpose"])).expect("cuts");
        assert_eq!((names(&g), notes), (vec!["relu"], 3));
        assert_eq!(g.value(g.inputs[0]).shape, [1, 2, 4]);
        assert_eq!(g.value(g.inputs[0]).name, "x", "the manifest goes by this name");
        assert_eq!(g.value(g.outputs[0]).shape, [1, 2, 4]);
        // Reshape is not at the end while Softmax is.
        let (g, notes) = apply(&types(&["Reshape", "Softmax"])).expect("cuts");
        assert_eq!((names(&g), notes), (vec!["in", "relu", "flat"], 2), "one removal, and a warning about the Reshape");
    }

    #[test]
    fn names_must_be_removable_nodes_at_an_end() {
        let by_name =
            |list: &[&str]| Cut { remove_node_name: list.iter().map(|s| (*s).to_owned()).collect(), ..Cut::default() };
        assert_eq!(names(&apply(&by_name(&["soft", "flat"])).expect("cuts").0), ["in", "relu"]);
        let problems = apply(&by_name(&["flat", "relu", "nothing"])).expect_err("refused");
        let texts: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(problems.len(), 3, "{texts:?}");
        for (text, word) in texts.iter().zip(["beside no input or output", "changes what", "does not have"]) {
            assert!(text.contains(word), "{text}");
        }
    }

    #[test]
    fn output_nodes_become_the_only_outputs() {
        let only = Cut { output_nodes: vec!["relu".into(), "in".into()], ..Cut::default() };
        let (g, _) = apply(&only).expect("cuts");
        let outputs: Vec<&str> = g.outputs.iter().map(|v| g.value(*v).name.as_str()).collect();
        assert_eq!(outputs, ["relu_out", "in_out"]);
        let wrong = Cut { output_nodes: vec!["rely".into()], ..Cut::default() };
        assert!(apply(&wrong).expect_err("refused")[0].to_string().contains("rely"));
    }
}
