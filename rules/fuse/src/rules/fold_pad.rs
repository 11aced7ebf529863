//! FUSE05 fold-pad-into-conv.

use crate::edits;
use crate::graph_rule::{GraphRule, Phase};
use crate::links::Links;
use ptq_ir::ops::{ConvGeom, PoolGeom, activation_of};
use ptq_ir::{Activation, Attr, Graph, Node, NodeId, ValueId};
use ptq_rule::{GraphRuleMeta, Outcome};

/// What `ptq rule FUSE05` prints.
const META: GraphRuleMeta = GraphRuleMeta {
    code: "FUSE05",
    name: "fold-pad-into-conv",
    summary: "A Pad of height and width in front of a Conv, AveragePool or MaxPool becomes part of its padding.",
    why: "A Conv's own padding is zeros that are never written to memory. An AveragePool counts the zeros of the Pad in \
          its mean, so it then counts its padding. A MaxPool pads with minus infinity: a Pad with that, or with the \
          lowest float32, is the same, and so is one with a number that nothing in front goes below, as zeros behind a \
          Relu, where each window reaches the image.",
    example: "pad = Pad(x, pad_c0, pad_c1) -> pad_out:float32[1, 2, 8, 9]\n\
              conv = Conv(pad_out, conv_w, conv_b) -> conv_out:float32[1, 3, 3, 4]\n\
              =>\n\
              conv = Conv(x, conv_w, conv_b) -> conv_out:float32[1, 3, 3, 4]",
    since: "0.1.0",
};

/// The rule.
pub(crate) const RULE: GraphRule = GraphRule { meta: META, matches, rewrite, phase: Phase::Simplify };

fn matches(graph: &Graph, links: &Links, id: NodeId) -> bool {
    let node = graph.node(id);
    let window = node.is("Conv") || node.is("AveragePool") || node.is("MaxPool");
    window && links.producer_of(graph, id, 0).is_some_and(|p| graph.node(p).is("Pad"))
}

struct Fold {
    pad: NodeId,
    /// What the Pad reads.
    source: ValueId,
    /// All padding together: top, left, bottom, right.
    pads: [usize; 4],
}

fn rewrite(graph: &mut Graph, links: &Links, id: NodeId) -> Outcome {
    let fold = match guard(graph, links, id) {
        Ok(fold) => fold,
        Err(reason) => return Outcome::Skipped(reason),
    };
    let node = &mut graph.nodes[id.0 as usize];
    node.inputs[0] = Some(fold.source);
    node.attrs.0.remove("auto_pad");
    node.attrs.set("pads", Attr::Ints(fold.pads.iter().map(|&p| p as i64).collect()));
    if node.is("AveragePool") {
        node.attrs.set("count_include_pad", Attr::Int(1));
    }
    // A Pad that others read stays for them; the last reader that folds it stands for it.
    let pad = graph.node(fold.pad).clone();
    let alone = pad.outputs.iter().all(|&v| links.readers(v).len() == 1 && !graph.is_output(v));
    if alone {
        edits::cover(graph, id, &pad);
        edits::remove(graph, fold.pad);
    }
    Outcome::Fired
}

fn guard(graph: &Graph, links: &Links, id: NodeId) -> Result<Fold, String> {
    let node = graph.node(id);
    let padded = node.input(0).ok_or("its input is missing")?;
    let pad_id = links.producer(padded).ok_or("no node makes its input")?;
    let pad = graph.node(pad_id);
    let source = pad.input(0).ok_or_else(|| format!("the input of {} is missing", pad.name))?;
    let (extra, with) = constant_padding(graph, pad)?;
    let shape = &graph.value(padded).shape;
    if !node.is("MaxPool") && with != 0.0 {
        return Err(format!("{} pads with {with}, not with 0", pad.name));
    }
    let own = match node.op.as_str() {
        "Conv" => {
            let w = node.input(1).map(|w| graph.value(w).shape.as_slice()).unwrap_or_default();
            ConvGeom::of(node, shape, w).map_err(|d| d.message)?.pads
        }
        "MaxPool" => {
            let lowest = links.producer(source).and_then(|p| lower_bound(graph, graph.node(p)));
            if with > f64::from(f32::MIN) && lowest.is_none_or(|lowest| with > lowest) {
                let text = "a MaxPool pads with minus infinity";
                return Err(format!("{text}, {} with {with}, which may be the largest", pad.name));
            }
            max_pads(node, shape, extra)?
        }
        _ => average_pads(node, shape, extra)?,
    };
    Ok(Fold { pad: pad_id, source, pads: std::array::from_fn(|i| own[i] + extra[i]) })
}

/// A number that no result of a node is below.
fn lower_bound(graph: &Graph, node: &Node) -> Option<f64> {
    match node.op.as_str() {
        "Sigmoid" | "HardSigmoid" | "Softmax" | "Abs" if node.domain.is_empty() => Some(0.0),
        _ => match activation_of(graph, node)? {
            Activation::Relu => Some(0.0),
            Activation::Clip { min, .. } => Some(f64::from(min)),
            Activation::None => None,
        },
    }
}

/// Top, left, bottom, right of a Pad of height and width, and what it pads with.
fn constant_padding(graph: &Graph, pad: &Node) -> Result<([usize; 4], f64), String> {
    let name = &pad.name;
    match pad.attrs.str("mode", "constant") {
        "constant" => {}
        mode => return Err(format!("{name} pads in mode {mode}, not with zeros")),
    }
    let with = match pad.input(2) {
        None => 0.0,
        Some(v) => {
            let value = graph.constant(v).ok_or_else(|| format!("the value of {name} is not constant"))?;
            value.to_f64s().first().copied().unwrap_or(0.0)
        }
    };
    if pad.input(3).is_some() {
        return Err(format!("{name} selects axes"));
    }
    let pads = graph.const_input(pad, 1).ok_or_else(|| format!("the pads of {name} are not constant"))?;
    let pads = pads.to_i64s().map_err(|e| format!("the pads of {name}: {e}"))?;
    let &[n0, c0, top, left, n1, c1, bottom, right] = pads.as_slice() else {
        return Err(format!("{name} pads {} axes, only rank 4 is folded", pads.len() / 2));
    };
    if pads.iter().any(|&p| p < 0) {
        return Err(format!("{name} has negative pads {pads:?}: it crops"));
    }
    if [n0, c0, n1, c1] != [0; 4] {
        return Err(format!("{name} pads the batch or the channels {pads:?}"));
    }
    let side = |p: i64| usize::try_from(p).map_err(|e| e.to_string());
    Ok(([side(top)?, side(left)?, side(bottom)?, side(right)?], with))
}

/// The own pads of a MaxPool, when all padding together leaves each window a part of the image.
fn max_pads(pool: &Node, shape: &[usize], extra: [usize; 4]) -> Result<[usize; 4], String> {
    let geom = PoolGeom::of(pool, shape).map_err(|d| d.message)?;
    if geom.ceil_mode {
        return Err(format!("{} rounds its extent up (ceil_mode)", pool.name));
    }
    for d in 0..2 {
        let most = (geom.pads[d] + extra[d]).max(geom.pads[d + 2] + extra[d + 2]);
        if most >= geom.kernel[d] || geom.dilations[d] != 1 {
            return Err(format!("padding {most} would reach its kernel {}", geom.kernel[d]));
        }
    }
    Ok(geom.pads)
}

/// The pool's own pads, when its mean can count all padding.
fn average_pads(pool: &Node, shape: &[usize], extra: [usize; 4]) -> Result<[usize; 4], String> {
    let geom = PoolGeom::of(pool, shape).map_err(|d| d.message)?;
    if geom.ceil_mode {
        return Err(format!("{} rounds its extent up (ceil_mode), which counts padding differently", pool.name));
    }
    if !geom.count_include_pad && geom.pads != [0; 4] {
        return Err(format!("{} leaves its own padding out of the mean, but not the zeros in front", pool.name));
    }
    for d in 0..2 {
        let (begin, end) = (geom.pads[d] + extra[d], geom.pads[d + 2] + extra[d + 2]);
        if begin.max(end) >= geom.kernel[d] {
            return Err(format!("padding {} would reach its kernel {}", begin.max(end), geom.kernel[d]));
        }
    }
    Ok(geom.pads)
}
