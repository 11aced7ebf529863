//! FUSE17 convert-conv-transpose.

use crate::graph_rule::{GraphRule, Phase};
use crate::links::Links;
use ptq_ir::{Attr, Attrs, DType, Graph, Node, NodeId, Tensor, TensorError};
use ptq_rule::{GraphRuleMeta, Outcome};

/// What `ptq rule FUSE17` prints.
const META: GraphRuleMeta = GraphRuleMeta {
    code: "FUSE17",
    name: "convert-conv-transpose",
    summary: "A ConvTranspose whose kernel equals its stride becomes a 1x1 Conv and a DepthToSpace.",
    why: "Its windows neither overlap nor leave gaps, so every output pixel has one tap: filter o at offset (i, j) of the \
          block is one filter of a 1x1 Conv, and DepthToSpace in mode CRD puts the s·s filters of each channel into its \
          block. The sums are the same; the Conv is quantized with one scale for each of them.",
    example: "up = ConvTranspose(x, w, b) -> up_out:float32[1, 3, 4, 4]\n\
              =>\n\
              up = Conv(x, up_weight, up_bias) -> up_depth:float32[1, 12, 2, 2]\n\
              up_blocks = DepthToSpace(up_depth) -> up_out:float32[1, 3, 4, 4]",
    since: "0.2.0",
};

/// The rule.
pub(crate) const RULE: GraphRule = GraphRule { meta: META, matches, rewrite, phase: Phase::Convert };

fn matches(graph: &Graph, _: &Links, id: NodeId) -> bool {
    graph.node(id).is("ConvTranspose")
}

struct Convert {
    block: usize,
    group: usize,
    weights: Tensor,
    bias: Option<Tensor>,
    /// Shape of the Conv's result.
    depth: [usize; 4],
}

fn rewrite(graph: &mut Graph, _: &Links, id: NodeId) -> Outcome {
    let plan = match guard(graph, id) {
        Ok(plan) => plan,
        Err(reason) => return Outcome::Skipped(reason),
    };
    let old = graph.node(id).clone();
    let name = &old.name;
    let w = graph.add_constant(graph.fresh_value_name(&format!("{name}_weight")), plan.weights);
    let mut inputs = vec![old.input(0), Some(w)];
    if let Some(bias) = plan.bias {
        inputs.push(Some(graph.add_constant(graph.fresh_value_name(&format!("{name}_bias")), bias)));
    }
    let depth = graph.add_value(graph.fresh_value_name(&format!("{name}_depth")), DType::F32, plan.depth.to_vec());
    let attrs = Attrs::of([("group", Attr::Int(plan.group as i64)), ("kernel_shape", Attr::Ints(vec![1, 1]))]);
    let conv = Node { op: "Conv".to_owned(), inputs, outputs: vec![depth], attrs, ..old.clone() };
    let blocks = Node {
        name: graph.fresh_node_name(&format!("{name}_blocks")),
        op: "DepthToSpace".to_owned(),
        domain: String::new(),
        inputs: vec![Some(depth)],
        outputs: old.outputs.clone(),
        attrs: Attrs::of([("blocksize", Attr::Int(plan.block as i64)), ("mode", Attr::Str("CRD".to_owned()))]),
        covers: Vec::new(),
        fusible_into: None,
    };
    let at = id.0 as usize;
    graph.nodes.splice(at..=at, [conv, blocks]);
    Outcome::Fired
}

fn guard(graph: &Graph, id: NodeId) -> Result<Convert, String> {
    let node = graph.node(id);
    let (Some(x), Some(&y)) = (node.input(0), node.outputs.first()) else {
        return Err("it has no input or output".to_owned());
    };
    let w = graph.const_input(node, 1).ok_or("its weights are not constant")?;
    let (&[n, c, h, width], &[inputs, filters, kh, kw]) = (graph.value(x).shape.as_slice(), w.shape()) else {
        return Err("it has not two spatial axes".to_owned());
    };
    let group = usize::try_from(node.attrs.int("group", 1)).ok().filter(|&g| g > 0 && c % g == 0);
    let group = group.filter(|_| inputs == c).ok_or("its weights do not fit")?;
    let strides = node.attrs.ints("strides").unwrap_or(&[1, 1]);
    let block = kh;
    if kw != block || block < 2 || strides != [block as i64; 2] {
        return Err(format!("its kernel [{kh}, {kw}] is not its stride {strides:?} in both directions"));
    }
    let channels = filters * group;
    let tiled = graph.value(y).shape == [n, channels, h * block, width * block];
    let zero = |name: &str| node.attrs.ints(name).is_none_or(|p| p.iter().all(|&v| v == 0));
    if !tiled || !zero("pads") || !zero("output_padding") || node.attrs.ints("dilations").is_some_and(|d| d != [1, 1]) {
        return Err("it pads or dilates".to_owned());
    }
    let values = w.f32s().map_err(|e| format!("its weights: {e}"))?;
    let (area, own) = (block * block, c / group);
    // Filter (channel·area + offset), input channel i of its group.
    let at = |row: usize, i: usize| {
        let (channel, offset) = (row / area, row % area);
        let (g, f) = (channel / filters, channel % filters);
        values[((g * own + i) * filters + f) * area + offset]
    };
    let weights = (0..channels * area * own).map(|k| at(k / own, k % own)).collect();
    let text = |e: TensorError| e.to_string();
    let bias = match node.input(2) {
        None => None,
        Some(b) => {
            let b = graph.constant(b).ok_or("its bias is not constant")?.f32s().map_err(text)?;
            let spread = b.iter().flat_map(|&v| std::iter::repeat_n(v, area)).collect();
            Some(Tensor::from_f32([channels * area], spread).map_err(text)?)
        }
    };
    Ok(Convert {
        block,
        group,
        weights: Tensor::from_f32([channels * area, own, 1, 1], weights).map_err(text)?,
        bias,
        depth: [n, channels * area, h, width],
    })
}
