//! FUSE15 convert-matmul.

use crate::channel_affine::{ChannelAffine, is_constant_arithmetic, operands};
use crate::edits;
use crate::graph_rule::{GraphRule, Phase};
use crate::links::Links;
use crate::reshape::reshape;
use ptq_ir::{Attr, Attrs, DType, Graph, Node, NodeId, Tensor, TensorError};
use ptq_rule::{GraphRuleMeta, Outcome};

/// What `ptq rule FUSE15` prints.
const META: GraphRuleMeta = GraphRuleMeta {
    code: "FUSE15",
    name: "convert-matmul",
    summary: "A MatMul of rows with a constant matrix, and the Add of a constant row behind it, become a 1x1 Conv between \
              two Reshapes.",
    why: "Each row of [.., T, K] is an image of one pixel with K channels: [N·T, K, 1, 1]. Its elements stay in order, so no \
          Transpose is needed, and Reshapes between neighbours cancel. Integer hardware then runs it as a Conv, with one \
          weight scale a column and an int32 bias.",
    example: "mm = MatMul(x, w) -> mm_out:float32[2, 3, 5]\n\
              add = Add(mm_out, c) -> add_out:float32[2, 3, 5]\n\
              =>\n\
              mm_reshape_input = Reshape(x, mm_reshape_input_shape) -> mm_reshape_input_output:float32[6, 4, 1, 1]\n\
              mm = Conv(mm_reshape_input_output, mm_weight, mm_bias) -> mm_conv_output:float32[6, 5, 1, 1]\n\
              mm_reshape_output = Reshape(mm_conv_output, mm_reshape_output_shape) -> add_out:float32[2, 3, 5]",
    since: "0.2.0",
};

/// The rule.
pub(crate) const RULE: GraphRule = GraphRule { meta: META, matches, rewrite, phase: Phase::Convert };

fn matches(graph: &Graph, _: &Links, id: NodeId) -> bool {
    let node = graph.node(id);
    node.is("MatMul") && graph.const_input(node, 1).is_some() && graph.const_input(node, 0).is_none()
}

struct Convert {
    rows: usize,
    depth: usize,
    columns: usize,
    weights: Tensor,
    /// The Add behind it and what it adds.
    bias: Option<(NodeId, Tensor)>,
}

fn rewrite(graph: &mut Graph, links: &Links, id: NodeId) -> Outcome {
    let plan = match guard(graph, links, id) {
        Ok(plan) => plan,
        Err(reason) => return Outcome::Skipped(reason),
    };
    let old = graph.node(id).clone();
    let name = old.name.clone();
    let last = plan.bias.as_ref().map(|(add, _)| graph.node(*add).clone());
    let y = last.as_ref().unwrap_or(&old).outputs[0];
    let y_shape = graph.value(y).shape.clone();
    let front_shape = [plan.rows, plan.depth, 1, 1];
    let front_name = graph.fresh_node_name(&format!("{name}_reshape_input"));
    let front_value = graph.fresh_value_name(&format!("{front_name}_output"));
    let image = graph.add_value(front_value, DType::F32, front_shape.to_vec());
    let front = reshape(graph, front_name, old.input(0), &front_shape, image);
    let w = graph.add_constant(graph.fresh_value_name(&format!("{name}_weight")), plan.weights);
    let mut inputs = vec![Some(image), Some(w)];
    if let Some((_, bias)) = &plan.bias {
        let bias = bias.clone();
        inputs.push(Some(graph.add_constant(graph.fresh_value_name(&format!("{name}_bias")), bias)));
    }
    let conv_value = graph.fresh_value_name(&format!("{name}_conv_output"));
    let conv_out = graph.add_value(conv_value, DType::F32, vec![plan.rows, plan.columns, 1, 1]);
    let back_name = graph.fresh_node_name(&format!("{name}_reshape_output"));
    let back = reshape(graph, back_name, Some(conv_out), &y_shape, y);
    let attrs = Attrs::of([("kernel_shape", Attr::Ints(vec![1, 1]))]);
    let conv = Node { op: "Conv".to_owned(), inputs, outputs: vec![conv_out], attrs, ..old };
    let at = id.0 as usize;
    graph.nodes.splice(at..=at, [front, conv, back]);
    if let (Some((add, _)), Some(gone)) = (plan.bias, last) {
        edits::cover(graph, NodeId(id.0 + 1), &gone);
        edits::remove(graph, NodeId(add.0 + 2));
    }
    Outcome::Fired
}

fn guard(graph: &Graph, links: &Links, id: NodeId) -> Result<Convert, String> {
    let node = graph.node(id);
    let x = graph.value(node.input(0).ok_or("its input is missing")?);
    let w = graph.const_input(node, 1).ok_or("its matrix is not constant")?;
    let (&[depth, columns], Some((&last, outer))) = (w.shape(), x.shape.split_last()) else {
        return Err(format!("its operands have shapes {:?} and {:?}", x.shape, w.shape()));
    };
    let rows: usize = outer.iter().product();
    if x.shape.len() < 2 || last != depth || rows == 0 || depth == 0 || columns == 0 {
        return Err(format!("its operands have shapes {:?} and {:?}", x.shape, w.shape()));
    }
    let values = w.f32s().map_err(|e| format!("its matrix: {e}"))?;
    let turned: Vec<f32> = (0..values.len()).map(|i| values[i % depth * columns + i / depth]).collect();
    let text = |e: TensorError| e.to_string();
    Ok(Convert {
        rows,
        depth,
        columns,
        weights: Tensor::from_f32([columns, depth, 1, 1], turned).map_err(text)?,
        bias: addend(graph, links, id, columns),
    })
}

/// The only reader, where it adds one constant to each column.
fn addend(graph: &Graph, links: &Links, id: NodeId, columns: usize) -> Option<(NodeId, Tensor)> {
    let y = *graph.node(id).outputs.first()?;
    let &[reader] = links.readers(y) else { return None };
    let node = graph.node(reader);
    if graph.is_output(y) || !(node.is("Add") || node.is("Sub")) || !is_constant_arithmetic(graph, node) {
        return None;
    }
    let axis = graph.value(y).shape.len() - 1;
    let (affine, _) = ChannelAffine::of_node(graph, node, axis).ok()?;
    let (_, _, constant_first) = operands(graph, node)?;
    let plain = node.is("Add") || !constant_first;
    let bias = affine.shift.iter().map(|&v| v as f32).collect();
    plain.then(|| Tensor::from_f32([columns], bias).ok()).flatten().map(|t| (reader, t))
}
