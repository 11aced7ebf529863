//! FUSE16 raise-to-images.

use crate::graph_rule::{GraphRule, Phase};
use crate::links::Links;
use crate::reshape::reshape;
use ptq_ir::{Attr, DType, Graph, Node, NodeId};
use ptq_rule::{GraphRuleMeta, Outcome};

/// What `ptq rule FUSE16` prints.
const META: GraphRuleMeta = GraphRuleMeta {
    code: "FUSE16",
    name: "raise-to-images",
    summary: "A Conv, ConvTranspose or pool over one axis becomes one over images of height 1, between two Reshapes.",
    why: "Accelerators and integer kernels take images. A window of height 1 at stride 1 without padding leaves the new axis \
          alone, and the elements stay where they are.",
    example: "conv = Conv(x, conv_w) -> conv_out:float32[1, 3, 4]\n\
              =>\n\
              conv_reshape_input = Reshape(x, conv_reshape_input_shape) -> conv_reshape_input_output:float32[1, 2, 1, 6]\n\
              conv = Conv(conv_reshape_input_output, conv_weight) -> conv_image:float32[1, 3, 1, 4]\n\
              conv_reshape_output = Reshape(conv_image, conv_reshape_output_shape) -> conv_out:float32[1, 3, 4]",
    since: "0.2.0",
};

/// The rule.
pub(crate) const RULE: GraphRule = GraphRule { meta: META, matches, rewrite, phase: Phase::Convert };

fn is_convolution(node: &Node) -> bool {
    node.is("Conv") || node.is("ConvTranspose")
}

fn matches(graph: &Graph, _: &Links, id: NodeId) -> bool {
    let node = graph.node(id);
    let window = ["AveragePool", "MaxPool", "GlobalAveragePool", "GlobalMaxPool"].iter().any(|op| node.is(op));
    let line = node.input(0).is_some_and(|x| graph.value(x).shape.len() == 3 && graph.value(x).dtype == DType::F32);
    line && (window || is_convolution(node))
}

fn rewrite(graph: &mut Graph, _: &Links, id: NodeId) -> Outcome {
    let old = graph.node(id).clone();
    let (Some(x), [y]) = (old.input(0), &old.outputs[..]) else {
        return Outcome::Skipped("it has no input, or more than one output".to_owned());
    };
    if old.attrs.get("output_shape").is_some() {
        return Outcome::Skipped("it states its output_shape".to_owned());
    }
    let mut node = old.clone();
    if is_convolution(&old) {
        let Some(w) = graph.const_input(&old, 1) else {
            return Outcome::Skipped("its weights are not constant".to_owned());
        };
        let &[d0, d1, k] = w.shape() else { return Outcome::Skipped("its weights have not rank 3".to_owned()) };
        let Ok(w) = w.reshaped([d0, d1, 1, k]) else { return Outcome::Skipped("its weights do not fit".to_owned()) };
        let w = graph.add_constant(graph.fresh_value_name(&format!("{}_weight", old.name)), w);
        node.inputs[1] = Some(w);
    }
    let with_height = |s: &[usize]| [s[0], s[1], 1, s[2]];
    let (x_shape, y_shape) = (graph.value(x).shape.clone(), graph.value(*y).shape.clone());
    if y_shape.len() != 3 {
        return Outcome::Skipped("its result has not rank 3".to_owned());
    }
    for (name, neutral) in [("kernel_shape", 1), ("strides", 1), ("dilations", 1), ("output_padding", 0)] {
        if let Some([v]) = old.attrs.ints(name) {
            node.attrs.set(name, Attr::Ints(vec![neutral, *v]));
        }
    }
    if let Some([l, r]) = old.attrs.ints("pads") {
        node.attrs.set("pads", Attr::Ints(vec![0, *l, 0, *r]));
    }
    let front_name = graph.fresh_node_name(&format!("{}_reshape_input", old.name));
    let image = graph.fresh_value_name(&format!("{front_name}_output"));
    let image = graph.add_value(image, DType::F32, with_height(&x_shape).to_vec());
    let front = reshape(graph, front_name, Some(x), &with_height(&x_shape), image);
    let out = graph.fresh_value_name(&format!("{}_image", old.name));
    let out = graph.add_value(out, DType::F32, with_height(&y_shape).to_vec());
    node.inputs[0] = Some(image);
    node.outputs = vec![out];
    let back_name = graph.fresh_node_name(&format!("{}_reshape_output", old.name));
    let back = reshape(graph, back_name, Some(out), &y_shape, *y);
    let at = id.0 as usize;
    graph.nodes.splice(at..=at, [front, node, back]);
    Outcome::Fired
}
