//! FUSE06 convert-gemm.

use crate::edits;
use crate::gemm_bias::gemm_bias;
use crate::graph_rule::{GraphRule, Phase};
use crate::links::Links;
use crate::reshape::reshape;
use ptq_ir::ops::GemmAttrs;
use ptq_ir::{Attr, Attrs, DType, Graph, Node, NodeId, Tensor, ValueId};
use ptq_rule::{GraphRuleMeta, Outcome};

/// What `ptq rule FUSE06` prints.
const META: GraphRuleMeta = GraphRuleMeta {
    code: "FUSE06",
    name: "convert-gemm",
    summary: "A Gemm with constant weights becomes a 1x1 Conv between two Reshapes.",
    why: "On an image of one pixel a 1x1 Conv computes the same sums, so that one unit serves both. alpha, beta and the \
          transpositions are folded into the weights. Where a Flatten or Reshape brought the image [N, K, 1, 1] into \
          rows, it is not needed any more.",
    example: "fc = Gemm(x, w, c) -> fc_out:float32[2, 3]\n\
              =>\n\
              fc_reshape_input = Reshape(x, fc_reshape_input_shape) -> fc_reshape_input_output:float32[2, 5, 1, 1]\n\
              fc = Conv(fc_reshape_input_output, fc_weight, fc_bias) -> fc_conv_output:float32[2, 3, 1, 1]\n\
              fc_reshape_output = Reshape(fc_conv_output, fc_reshape_output_shape) -> fc_out:float32[2, 3]",
    since: "0.1.0",
};

/// The rule.
pub(crate) const RULE: GraphRule = GraphRule { meta: META, matches, rewrite, phase: Phase::Convert };

fn matches(graph: &Graph, _: &Links, id: NodeId) -> bool {
    graph.node(id).is("Gemm")
}

struct Convert {
    rows: usize,
    depth: usize,
    columns: usize,
    weights: Tensor,
    bias: Option<Tensor>,
    /// A value [rows, depth, 1, 1] with the elements of A, and the node that made A of it.
    image: Option<(ValueId, NodeId)>,
}

fn rewrite(graph: &mut Graph, links: &Links, id: NodeId) -> Outcome {
    let plan = match guard(graph, links, id) {
        Ok(plan) => plan,
        Err(reason) => return Outcome::Skipped(reason),
    };
    let gemm = graph.node(id).clone();
    let name = gemm.name.clone();
    let image = plan.image.map(|(v, _)| v);
    let front = image.is_none().then(|| reshape_front(graph, &gemm, &plan));
    let x = image.or(front.as_ref().map(|n| n.outputs[0])).or(gemm.input(0));
    let w = graph.add_constant(graph.fresh_value_name(&format!("{name}_weight")), plan.weights.clone());
    let b = plan.bias.clone().map(|b| graph.add_constant(graph.fresh_value_name(&format!("{name}_bias")), b));
    let y_name = graph.fresh_value_name(&format!("{name}_conv_output"));
    let y = graph.add_value(y_name, DType::F32, vec![plan.rows, plan.columns, 1, 1]);
    let back = reshape_back(graph, &gemm, &plan, y);
    let conv = Node {
        op: "Conv".to_owned(),
        inputs: [x, Some(w)].into_iter().chain(b.map(Some)).collect(),
        outputs: vec![y],
        attrs: Attrs::of([("kernel_shape", Attr::Ints(vec![1, 1]))]),
        ..gemm
    };
    let at = id.0 as usize;
    let conv_id = NodeId(id.0 + u32::from(front.is_some()));
    graph.nodes.splice(at..=at, front.into_iter().chain([conv, back]));
    if let Some((_, maker)) = plan.image {
        drop_front(graph, links, conv_id, maker);
    }
    Outcome::Fired
}

fn guard(graph: &Graph, links: &Links, id: NodeId) -> Result<Convert, String> {
    let node = graph.node(id);
    let attrs = GemmAttrs::of(node);
    let a = node.input(0).ok_or("its input A is missing")?;
    let b = graph.const_input(node, 1).ok_or("its weights B are not constant")?;
    if attrs.trans_a {
        return Err("its input A is transposed (transA)".to_owned());
    }
    let (&[rows, depth], &[b0, b1]) = (graph.value(a).shape.as_slice(), b.shape()) else {
        return Err("A and B must have rank 2".to_owned());
    };
    let columns = if attrs.trans_b { b0 } else { b1 };
    let b = b.f32s().map_err(|e| format!("its weights B: {e}"))?;
    if b.len() != columns * depth {
        return Err(format!("B [{b0}, {b1}] does not fit A [{rows}, {depth}]"));
    }
    let alpha = f64::from(attrs.alpha);
    let at = |n: usize, k: usize| if attrs.trans_b { b[n * depth + k] } else { b[k * columns + n] };
    let weights: Vec<f32> =
        (0..columns * depth).map(|i| (alpha * f64::from(at(i / depth, i % depth))) as f32).collect();
    let text = |e: ptq_ir::TensorError| e.to_string();
    let bias = match node.input(2) {
        None => None,
        Some(_) => {
            let c = gemm_bias(graph, node, columns)?.into_iter().map(|v| v as f32).collect();
            Some(Tensor::from_f32([columns], c).map_err(text)?)
        }
    };
    Ok(Convert {
        rows,
        depth,
        columns,
        weights: Tensor::from_f32([columns, depth, 1, 1], weights).map_err(text)?,
        bias,
        image: image_behind(graph, links, a, [rows, depth, 1, 1]),
    })
}

/// The image that a Flatten, Reshape or Squeeze turned into `rows`.
fn image_behind(graph: &Graph, links: &Links, rows: ValueId, image: [usize; 4]) -> Option<(ValueId, NodeId)> {
    let maker = links.producer(rows)?;
    let node = graph.node(maker);
    let moves = ["Flatten", "Reshape", "Squeeze"].iter().any(|op| node.is(op));
    let source = node.input(0)?;
    (moves && graph.value(source).shape == image).then_some((source, maker))
}

fn reshape_front(graph: &mut Graph, gemm: &Node, plan: &Convert) -> Node {
    let name = graph.fresh_node_name(&format!("{}_reshape_input", gemm.name));
    let shape = vec![plan.rows, plan.depth, 1, 1];
    let value = graph.fresh_value_name(&format!("{name}_output"));
    let out = graph.add_value(value, DType::F32, shape.clone());
    reshape(graph, name, gemm.input(0), &shape, out)
}

fn reshape_back(graph: &mut Graph, gemm: &Node, plan: &Convert, from: ValueId) -> Node {
    let name = graph.fresh_node_name(&format!("{}_reshape_output", gemm.name));
    reshape(graph, name, Some(from), &[plan.rows, plan.columns], gemm.outputs[0])
}

/// Removes the node that made rows of the image, unless others read them.
fn drop_front(graph: &mut Graph, links: &Links, conv: NodeId, maker: NodeId) {
    let node = graph.node(maker).clone();
    if node.outputs.iter().all(|&v| links.readers(v).len() == 1 && !graph.is_output(v)) {
        edits::cover(graph, conv, &node);
        edits::remove(graph, maker);
    }
}
