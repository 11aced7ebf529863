//! Conversions between operator sets, one case a rule.
#![allow(clippy::unwrap_used)]

use super::*;
use ptq_ir::{Attr, Attrs};
use std::collections::BTreeMap;

/// Surroundings with one input `x` of this shape, and constants.
#[derive(Default)]
struct Env {
    shape: Vec<usize>,
    constants: BTreeMap<String, Tensor>,
}

impl ConvertEnv for Env {
    fn typed(&self, value: &str) -> Option<(DType, Vec<usize>)> {
        match self.constants.get(value) {
            Some(t) => Some((t.dtype(), t.shape().to_vec())),
            None => (value == "x").then(|| (DType::F32, self.shape.clone())),
        }
    }
    fn constant(&self, value: &str) -> Option<Tensor> {
        self.constants.get(value).cloned()
    }
    fn add_constant(&mut self, base: &str, tensor: Tensor) -> String {
        self.constants.insert(base.to_owned(), tensor);
        base.to_owned()
    }
    fn fresh_value(&mut self, base: &str) -> String {
        base.to_owned()
    }
    fn fresh_node(&mut self, base: &str) -> String {
        base.to_owned()
    }
}

struct Case {
    env: Env,
    node: RawNode,
}

fn case<const N: usize>(op: &str, shape: &[usize], inputs: &[&str], attrs: [(&str, Attr); N]) -> Case {
    let node = RawNode {
        name: "n".to_owned(),
        op: op.to_owned(),
        domain: String::new(),
        inputs: inputs.iter().map(|i| (!i.is_empty()).then(|| (*i).to_owned())).collect(),
        outputs: vec!["y".to_owned()],
        attrs: Attrs::of(attrs),
    };
    Case { env: Env { shape: shape.to_vec(), ..Env::default() }, node }
}

impl Case {
    fn with(mut self, name: &str, tensor: Tensor) -> Case {
        self.env.constants.insert(name.to_owned(), tensor);
        self
    }

    fn at(mut self, opset: i64) -> (Vec<RawNode>, Env) {
        let nodes = convert(self.node, opset, &mut self.env).unwrap();
        (nodes, self.env)
    }

    fn error(mut self, opset: i64) -> String {
        convert(self.node, opset, &mut self.env).unwrap_err().message
    }
}

fn ints(values: &[i64]) -> Attr {
    Attr::Ints(values.to_vec())
}

fn vec_i64(values: &[i64]) -> Tensor {
    Tensor::vec_i64(values.to_vec())
}

/// Integers of the constant that input `i` of the only node reads.
fn read((nodes, env): &(Vec<RawNode>, Env), i: usize) -> Vec<i64> {
    env.constants[nodes[0].input(i).unwrap()].to_i64s().unwrap()
}

#[test]
fn attributes_become_inputs() {
    for op in ["Squeeze", "Unsqueeze", "ReduceSum"] {
        let old = case(op, &[1, 2], &["x"], [("axes", ints(&[0]))]).at(11);
        assert_eq!(read(&old, 1), [0]);
        assert!(old.0[0].attrs.0.is_empty());
    }
    let split = case("Split", &[4, 4], &["x"], [("split", ints(&[1, 3]))]).at(11);
    assert_eq!(read(&split, 1), [1, 3]);
    let slice = case("Slice", &[4, 4], &["x"], [("starts", ints(&[1])), ("ends", ints(&[2]))]).at(9);
    assert_eq!((read(&slice, 1), read(&slice, 2), slice.0[0].inputs.len()), (vec![1], vec![2], 3));
    let top = case("TopK", &[4, 4], &["x"], [("k", Attr::Int(2))]).at(9);
    assert_eq!(read(&top, 1), [2]);
    let pad = case("Pad", &[4], &["x"], [("pads", ints(&[1, 2])), ("value", Attr::Float(0.5))]).at(10);
    assert_eq!(read(&pad, 1), [1, 2]);
    assert_eq!(pad.1.constants["n_value"].f32s().unwrap(), [0.5]);
}

#[test]
fn clip_bounds_at_the_end_of_float_are_no_bounds() {
    let bounds = [("min", Attr::Float(0.0)), ("max", Attr::Float(f32::MAX))];
    let (nodes, env) = case("Clip", &[4], &["x"], bounds).at(6 + 1);
    assert_eq!(nodes[0].inputs.len(), 2);
    assert_eq!(env.constants["n_min"].f32s().unwrap(), [0.0]);
    let newer = case("Clip", &[4], &["x", "", "m"], []).at(13);
    assert_eq!(newer.0[0].input(2), Some("m"));
}

#[test]
fn reductions_of_18_get_their_axes_back_as_attribute() {
    let plain = case("ReduceMean", &[2, 3], &["x", "a"], []).with("a", vec_i64(&[-1])).at(18);
    assert_eq!(plain.0[0].attrs.ints("axes"), Some(&[-1][..]));
    assert_eq!(plain.0[0].inputs.len(), 1);
    let nothing = case("ReduceMax", &[2, 3], &["x"], [("noop_with_empty_axes", Attr::Int(1))]).at(18);
    assert_eq!(nothing.0[0].op, "Identity");
    assert!(case("ReduceMean", &[2], &["x", "a"], []).error(18).contains("must be constant"));
}

#[test]
fn softmax_before_13_keeps_its_flattened_meaning() {
    let axis = |c: &(Vec<RawNode>, Env)| c.0[0].attrs.int("axis", 99);
    let matrix = case("Softmax", &[2, 5], &["x"], []).at(11);
    assert_eq!((matrix.0.len(), axis(&matrix)), (1, 1));
    let pooled = case("Softmax", &[2, 1, 5, 1], &["x"], []).at(11);
    assert_eq!((pooled.0.len(), axis(&pooled)), (1, 2));
    let (nodes, env) = case("Softmax", &[2, 3, 4], &["x"], [("axis", Attr::Int(-2))]).at(11);
    let ops: Vec<&str> = nodes.iter().map(|n| n.op.as_str()).collect();
    assert_eq!(ops, ["Flatten", "Softmax", "Reshape"]);
    assert_eq!(nodes[0].attrs.int("axis", 99), 1);
    assert_eq!((nodes[1].name.as_str(), nodes[1].attrs.int("axis", 99)), ("n", 1));
    assert_eq!(nodes[2].outputs, ["y"]);
    assert_eq!(env.constants[nodes[2].input(1).unwrap()].to_i64s().unwrap(), [2, 3, 4]);
    assert_eq!(case("Softmax", &[2, 3, 4], &["x"], [("axis", Attr::Int(1))]).at(13).0.len(), 1);
}

#[test]
fn upsample_and_old_resize_are_asymmetric() {
    let scales = |v: &[f32]| Tensor::from_f32([v.len()], v.to_vec()).unwrap();
    let up = Attr::Floats(vec![1.0, 1.0, 2.0, 2.0]);
    let old = case("Upsample", &[1, 1, 2, 2], &["x"], [("scales", up)]).at(7);
    let ten = case("Resize", &[1, 1, 2, 2], &["x", "s"], []).with("s", scales(&[1.0, 1.0, 0.5, 0.5])).at(10);
    for ((nodes, _), nearest) in [(old, "floor"), (ten, "ceil")] {
        let attrs = &nodes[0].attrs;
        assert_eq!((nodes[0].op.as_str(), nodes[0].input(1)), ("Resize", None));
        assert!(nodes[0].input(2).is_some());
        assert_eq!(attrs.str("coordinate_transformation_mode", ""), "asymmetric");
        assert_eq!(attrs.str("nearest_mode", ""), nearest);
    }
}

#[test]
fn newer_resize_is_spelled_out_or_refused() {
    let axes = || ("axes", ints(&[2, 3]));
    let sized = case("Resize", &[1, 3, 4, 4], &["x", "", "", "s"], [axes()]).with("s", vec_i64(&[8, 9])).at(18);
    assert_eq!(read(&sized, 3), [1, 3, 8, 9]);
    let empty = Tensor::from_f32([0], vec![]).unwrap();
    let roi =
        case("Resize", &[1, 3, 4, 4], &["x", "e", "e", "s"], []).with("e", empty).with("s", vec_i64(&[1, 3, 8, 9]));
    let (nodes, _) = roi.at(13);
    assert_eq!((nodes[0].input(1), nodes[0].input(2), nodes[0].input(3)), (None, None, Some("s")));
    let soft = || case("Resize", &[1, 3, 4, 4], &["x", "", "", "s"], [("antialias", Attr::Int(1))]);
    assert!(soft().with("s", vec_i64(&[1, 3, 2, 2])).error(18).contains("nearest"));
    let mut soft = soft().with("s", vec_i64(&[1, 3, 2, 4]));
    soft.node.attrs.set("mode", Attr::Str("linear".to_owned()));
    let (nodes, env) = soft.at(18);
    let ops: Vec<&str> = nodes.iter().map(|n| n.op.as_str()).collect();
    assert_eq!(ops, ["Transpose", "MatMul", "Transpose", "Identity"]);
    let matrix = env.constants["n_weights"].f32s().unwrap().to_vec();
    assert_eq!(matrix, [0.5, 0.0, 0.375, 0.125, 0.125, 0.375, 0.0, 0.5]);
}

#[test]
fn options_of_newer_sets_are_removed_at_their_default_only() {
    let cast = case("Cast", &[2], &["x"], [("to", Attr::Int(1)), ("saturate", Attr::Int(1))]).at(19);
    assert_eq!(cast.0[0].attrs.0.len(), 1);
    assert!(case("AveragePool", &[2], &["x"], [("dilations", ints(&[1, 1]))]).at(19).0[0].attrs.0.is_empty());
    let spatial = |v| case("BatchNormalization", &[2], &["x"], [("spatial", Attr::Int(v))]);
    assert!(spatial(1).at(8).0[0].attrs.0.is_empty());
    assert!(spatial(0).error(8).contains("spatial"));
    let training = Tensor::from_bool(vec![], vec![true]).unwrap();
    assert!(case("Dropout", &[2], &["x", "", "t"], []).with("t", training).error(12).contains("training"));
    assert_eq!(case("Dropout", &[2], &["x", "r"], []).at(12).0[0].inputs.len(), 1);
}

#[test]
fn uneven_split_and_partial_pads_are_spelled_out() {
    let split = case("Split", &[7], &["x"], [("num_outputs", Attr::Int(3))]).at(18);
    assert_eq!(read(&split, 1), [3, 3, 1]);
    let pad = case("Pad", &[1, 2, 3], &["x", "p", "", "a"], []);
    let pad = pad.with("p", vec_i64(&[1, 2])).with("a", vec_i64(&[-1])).at(18);
    assert_eq!(read(&pad, 1), [0, 0, 1, 0, 0, 2]);
    assert_eq!(pad.0[0].inputs.len(), 2);
}

#[test]
fn pools_without_a_form_in_set_17_become_convolutions() {
    let attrs = || [("dilations", ints(&[2])), ("kernel_shape", ints(&[2])), ("pads", ints(&[1, 0]))];
    let (nodes, env) = case("AveragePool", &[1, 3, 5], &["x"], attrs()).at(19);
    let ops: Vec<&str> = nodes.iter().map(|n| n.op.as_str()).collect();
    assert_eq!((ops, nodes[1].name.as_str()), (vec!["Conv", "Div"], "n"));
    assert_eq!(nodes[0].attrs.ints("pads"), Some(&[1, 0][..]));
    assert_eq!(env.constants["n_counts"].f32s().unwrap(), [1.0, 2.0, 2.0, 2.0]);
    let (nodes, env) = case("LpPool", &[1, 3, 5], &["x"], attrs()).at(18);
    assert_eq!(nodes.iter().map(|n| n.op.as_str()).collect::<Vec<_>>(), ["Abs", "Pow", "Conv", "Pow"]);
    assert_eq!(env.constants["n_ones"].shape(), [3, 1, 2]);
}

#[test]
fn einsum_reads_every_spelling_of_an_equation() {
    let equation = |e: &str| [("equation", Attr::Str(e.to_owned()))];
    let ops = |e: &str, inputs: &[&str]| -> Vec<String> {
        case("Einsum", &[2, 3, 3], inputs, equation(e)).at(12).0.into_iter().map(|n| n.op).collect()
    };
    assert_eq!(ops("...ii -> ...i", &["x"]), ["Transpose", "Reshape", "Slice", "Transpose"]);
    assert_eq!(ops("bij", &["x"]), ["Transpose"]);
    assert_eq!(ops("bij->", &["x"]), ["ReduceSum", "Transpose"]);
    assert_eq!(ops("bij,bjk->bik", &["x", "x"]), ["Reshape", "Reshape", "MatMul", "Reshape", "Transpose"]);
    for (e, why) in [("ij", "fit"), ("bij->bb", "output"), ("bij->k", "output"), ("bij,b", "operands")] {
        assert!(case("Einsum", &[2, 3, 3], &["x"], equation(e)).error(12).contains(why), "{e}");
    }
}

fn ops(nodes: &[RawNode]) -> Vec<&str> {
    nodes.iter().map(|n| n.op.as_str()).collect()
}

#[test]
fn newer_activations_become_what_they_are_made_of() {
    let of = |op: &str, attrs: [(&str, Attr); 1]| case(op, &[2], &["x"], attrs).at(28).0;
    let exact = of("Gelu", [("approximate", Attr::Str("none".to_owned()))]);
    assert_eq!(ops(&exact), ["Div", "Erf", "Add", "Mul", "Mul"]);
    let tanh = of("Gelu", [("approximate", Attr::Str("tanh".to_owned()))]);
    assert_eq!(ops(&tanh), ["Mul", "Mul", "Mul", "Add", "Mul", "Tanh", "Add", "Mul", "Mul"]);
    assert_eq!(ops(&of("Swish", [("alpha", Attr::Float(1.0))])), ["Sigmoid", "Mul"]);
    assert_eq!(ops(&of("Swish", [("alpha", Attr::Float(2.0))])), ["Mul", "Sigmoid", "Mul"]);
    assert_eq!(ops(&case("Mish", &[2], &["x"], []).at(18).0), ["Softplus", "Tanh", "Mul"]);
    // The node that makes the result keeps the name and the output.
    assert_eq!((exact[4].name.as_str(), exact[4].outputs[0].as_str()), ("n", "y"));
}

#[test]
fn a_reduction_without_axes_is_its_function_of_each_element() {
    for (op, function) in
        [("ReduceL2", "Abs"), ("ReduceSumSquare", "Mul"), ("ReduceLogSum", "Log"), ("ReduceMax", "Identity")]
    {
        let (nodes, _) = case(op, &[2], &["x"], [("noop_with_empty_axes", Attr::Int(1))]).at(18);
        assert_eq!(ops(&nodes), [function], "{op}");
        assert!(nodes[0].attrs.0.is_empty());
    }
}

#[test]
fn hardmax_before_13_marks_one_element_of_all_axes() {
    assert_eq!(ops(&case("Hardmax", &[2, 2, 2], &["x"], []).at(11).0), ["Flatten", "Hardmax", "Reshape"]);
    assert_eq!(ops(&case("Hardmax", &[2, 3, 1], &["x"], []).at(11).0), ["Hardmax"]);
    assert_eq!(ops(&case("Hardmax", &[2, 2, 2], &["x"], []).at(13).0), ["Hardmax"]);
}

#[test]
fn centre_crop_and_pad_cuts_and_fills() {
    let (nodes, env) = case("CenterCropPad", &[10, 7, 3], &["x", "s"], []).with("s", vec_i64(&[7, 10, 3])).at(18);
    assert_eq!(ops(&nodes), ["Slice", "Pad"]);
    let constant = |node: usize, i: usize| env.constants[nodes[node].input(i).unwrap()].to_i64s().unwrap();
    assert_eq!((constant(0, 1), constant(0, 2), constant(0, 3)), (vec![1], vec![8], vec![0]));
    assert_eq!(constant(1, 1), [0, 1, 0, 0, 2, 0]);
}

#[test]
fn a_wrapping_pad_joins_the_far_ends() {
    let wrap = [("mode", Attr::Str("wrap".to_owned()))];
    let (nodes, _) = case("Pad", &[2, 3], &["x", "p"], wrap.clone()).with("p", vec_i64(&[0, 2, 0, 1])).at(19);
    assert_eq!(ops(&nodes), ["Slice", "Slice", "Concat", "Identity"]);
    let far = case("Pad", &[2, 3], &["x", "p"], wrap).with("p", vec_i64(&[0, 4, 0, 0])).error(19);
    assert!(far.contains("do not wrap"), "{far}");
}
