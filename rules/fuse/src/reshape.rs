//! A Reshape to a constant shape. Called by rules that change ranks.

use ptq_ir::{Attrs, Graph, Node, Tensor, ValueId};

/// The node; its shape becomes a constant of the graph.
pub(crate) fn reshape(graph: &mut Graph, name: String, from: Option<ValueId>, shape: &[usize], out: ValueId) -> Node {
    let dims = Tensor::vec_i64(shape.iter().map(|&d| d as i64).collect());
    let dims = graph.add_constant(graph.fresh_value_name(&format!("{name}_shape")), dims);
    Node {
        name,
        op: "Reshape".to_owned(),
        domain: String::new(),
        inputs: vec![from, Some(dims)],
        outputs: vec![out],
        attrs: Attrs::default(),
        covers: Vec::new(),
        fusible_into: None,
    }
}
