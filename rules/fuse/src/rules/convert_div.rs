//! FUSE25 convert-div.

use crate::channel_affine::operands;
use crate::graph_rule::{GraphRule, Phase};
use crate::links::Links;
use ptq_ir::{DType, Graph, NodeId, Tensor};
use ptq_rule::{GraphRuleMeta, Outcome};

/// What `ptq rule FUSE25` prints.
const META: GraphRuleMeta = GraphRuleMeta {
    code: "FUSE25",
    name: "convert-div",
    summary: "A Div by constant powers of two becomes a Mul.",
    why: "Accelerators multiply by constants and divide by feature maps only. Reciprocals of powers of two are exact, so every \
          result is the same number. Other divisors stay, since 1/d rounded and multiplied differs from x/d in the last \
          digit, unless a Conv beside them takes them (FUSE09, FUSE10) or they merge with another product (FUSE11).",
    example: "div = Div(x, d) -> div_out:float32[1, 2, 3, 3]\n\
              =>\n\
              div = Mul(x, div_reciprocal) -> div_out:float32[1, 2, 3, 3]",
    since: "0.2.0",
};

/// The rule.
pub(crate) const RULE: GraphRule = GraphRule { meta: META, matches, rewrite, phase: Phase::Convert };

fn matches(graph: &Graph, _: &Links, id: NodeId) -> bool {
    let node = graph.node(id);
    let float = node.input(0).is_some_and(|x| graph.value(x).dtype == DType::F32);
    float && node.is("Div") && operands(graph, node).is_some_and(|(_, _, first)| !first)
}

fn rewrite(graph: &mut Graph, _: &Links, id: NodeId) -> Outcome {
    let reciprocal = match guard(graph, id) {
        Ok(reciprocal) => reciprocal,
        Err(reason) => return Outcome::Skipped(reason),
    };
    let name = graph.fresh_value_name(&format!("{}_reciprocal", graph.node(id).name));
    let reciprocal = graph.add_constant(name, reciprocal);
    let node = &mut graph.nodes[id.0 as usize];
    node.op = "Mul".to_owned();
    node.inputs[1] = Some(reciprocal);
    Outcome::Fired
}

fn guard(graph: &Graph, id: NodeId) -> Result<Tensor, String> {
    let divisor = graph.const_input(graph.node(id), 1).ok_or("its divisor is not constant")?;
    let values = divisor.f32s().map_err(|e| e.to_string())?;
    // A normal power of two has no fraction bits, and neither has its reciprocal where that is normal too.
    let exact = |v: f32| v.is_normal() && v.to_bits() & 0x007f_ffff == 0 && v.recip().is_normal();
    if let Some(v) = values.iter().find(|v| !exact(**v)) {
        return Err(format!("1/{v} is not exactly a float32 number"));
    }
    Tensor::from_f32(divisor.shape(), values.iter().map(|v| v.recip()).collect()).map_err(|e| e.to_string())
}
