//! FUSE03 fold-batch-normalization-into-conv and FUSE04 convert-batch-normalization.

use crate::support::{assert_example, batch_norm, conv, covers, fired, fused, ints, lines, reason, seeded};
use ptq_ir::{Attr, Attrs, Graph, GraphBuilder, Tensor};

const IN: [usize; 4] = [1, 4, 6, 6];
const OUT: [usize; 4] = [1, 6, 6, 6];

/// Conv → BN → output.
fn conv_bn() -> Graph {
    let mut b = GraphBuilder::new("g");
    let x = b.input("x", &IN);
    let c = conv(&mut b, "conv", x, [6, 4, 3, 3], ints("pads", &[1, 1, 1, 1]), &OUT);
    let y = batch_norm(&mut b, "bn", c, 6, &OUT);
    b.output(y);
    b.finish()
}

#[test]
fn bn_disappears_into_the_conv_in_front() {
    let before = conv_bn();
    let (after, log) = fused(&before);
    assert_eq!(fired(&log, "FUSE03"), 1);
    assert_eq!(covers(&after, "conv"), ["bn"]);
    assert_eq!(after.constants.len(), 2, "only weights and bias are left");
    assert_example("FUSE03", &before, &after);
}

#[test]
fn folded_weights_are_rounded_once_from_f64() {
    let (after, _) = fused(&conv_bn());
    let before = conv_bn();
    let value = |g: &Graph, name: &str, i: usize| {
        g.constant(g.find_value(name).expect("value")).expect("constant").to_f64s()[i]
    };
    let s = value(&before, "bn_scale", 2) / (value(&before, "bn_var", 2) + f64::from(1e-5f32)).sqrt();
    let w = (value(&before, "conv_w", 2 * 36 + 5) * s) as f32;
    let b =
        ((value(&before, "conv_b", 2) * s) + (value(&before, "bn_bias", 2) - value(&before, "bn_mean", 2) * s)) as f32;
    assert_eq!(value(&after, "conv_w", 2 * 36 + 5) as f32, w);
    assert_eq!(value(&after, "conv_b", 2) as f32, b);
}

#[test]
fn weights_that_two_convs_share_are_copied_not_changed() {
    let mut b = GraphBuilder::new("g");
    let x = b.input("x", &IN);
    let w = b.constant("w", seeded(&[4, 4, 1, 1], 3));
    let c1 = b.node("Conv", "conv1", &[x, w], Attrs::default(), &IN);
    let n = batch_norm(&mut b, "bn", c1, 4, &IN);
    let c2 = b.node("Conv", "conv2", &[n, w], Attrs::default(), &IN);
    b.output(c2);
    let (after, _) = fused(&b.finish());
    assert_eq!(
        lines(&after),
        "conv1 = Conv(x, conv1_weight, conv1_bias) -> bn_out:float32[1, 4, 6, 6]\n\
         conv2 = Conv(bn_out, w) -> conv2_out:float32[1, 4, 6, 6]"
    );
}

#[test]
fn grouped_transposed_and_matrix_weights_scale_by_their_output_channel() {
    let mut b = GraphBuilder::new("g");
    let x = b.input("x", &IN);
    let w = b.constant("w", seeded(&[4, 3, 2, 2], 3));
    let up = Attrs::of([("group", Attr::Int(2)), ("strides", Attr::Ints(vec![2, 2]))]);
    let c = b.node("ConvTranspose", "up", &[x, w], up, &[1, 6, 12, 12]);
    let y = batch_norm(&mut b, "bn", c, 6, &[1, 6, 12, 12]);
    b.output(y);
    let (after, log) = fused(&b.finish());
    assert_eq!((fired(&log, "FUSE03"), covers(&after, "up")), (1, &["bn".to_owned()][..]));

    for trans_b in [0, 1] {
        let mut b = GraphBuilder::new("g");
        let x = b.input("x", &[3, 5]);
        let w = b.constant("w", seeded(if trans_b == 1 { &[7, 5] } else { &[5, 7] }, 3));
        let c = b.constant("c", seeded(&[7], 4));
        let attrs =
            Attrs::of([("transB", Attr::Int(trans_b)), ("alpha", Attr::Float(0.5)), ("beta", Attr::Float(3.0))]);
        let g = b.node("Gemm", "fc", &[x, w, c], attrs, &[3, 7]);
        let y = batch_norm(&mut b, "bn", g, 7, &[3, 7]);
        b.output(y);
        let (after, log) = fused(&b.finish());
        assert_eq!((fired(&log, "FUSE03"), fired(&log, "FUSE06")), (1, 1));
        assert_eq!(covers(&after, "fc"), ["bn"]);
    }
}

#[test]
fn a_shared_or_public_conv_output_keeps_the_bn_as_a_conv_of_its_own() {
    let build = |public: bool| {
        let mut b = GraphBuilder::new("g");
        let x = b.input("x", &IN);
        let c = conv(&mut b, "conv", x, [6, 4, 3, 3], ints("pads", &[1, 1, 1, 1]), &OUT);
        let y = batch_norm(&mut b, "bn", c, 6, &OUT);
        let z = b.node("Sigmoid", "sigmoid", &[c], Attrs::default(), &OUT);
        b.output(y);
        b.output(if public { c } else { z });
        b.finish()
    };
    let (after, log) = fused(&build(false));
    assert_eq!(reason(&log, "FUSE03", "bn"), "the output of conv is also read by sigmoid");
    assert!(after.node(after.find_node("bn").expect("bn")).is("Conv"));
    let (_, log) = fused(&build(true));
    assert_eq!(reason(&log, "FUSE03", "bn"), "the output of conv is the model output conv_out");
    assert_eq!(fired(&log, "FUSE04"), 1);
}

#[test]
fn a_bn_without_a_conv_becomes_a_depthwise_conv() {
    let mut b = GraphBuilder::new("g");
    let x = b.input("x", &IN);
    let y = batch_norm(&mut b, "bn", x, 4, &IN);
    b.output(y);
    let before = b.finish();
    let (after, log) = fused(&before);
    assert_eq!(fired(&log, "FUSE04"), 1);
    assert_eq!(after.nodes[0].attrs.int("group", 1), 4);
    assert_example("FUSE04", &before, &after);
}

/// A graph with one BN, changed before it is fused, and the reason at the BN.
fn why_not(code: &str, change: impl FnOnce(&mut Graph)) -> String {
    let mut g = conv_bn();
    change(&mut g);
    let log = ptq_fuse::fuse(&mut g).expect("fuses");
    reason(&log, code, "bn").to_owned()
}

fn make_input(g: &mut Graph, name: &str) {
    let v = g.find_value(name).expect("value");
    g.constants.remove(&v);
    g.inputs.push(v);
}

#[test]
fn parameters_and_weights_must_be_constant() {
    for code in ["FUSE03", "FUSE04"] {
        let text = why_not(code, |g| make_input(g, "bn_mean"));
        assert_eq!(text, "the mean of bn is not constant");
    }
    assert_eq!(why_not("FUSE03", |g| make_input(g, "conv_w")), "the weights of conv are not constant");
    assert_eq!(why_not("FUSE03", |g| make_input(g, "conv_b")), "the bias of conv is not constant");
}

#[test]
fn training_mode_and_broken_parameters_are_refused() {
    let training = |g: &mut Graph| g.nodes[1].attrs.set("training_mode", Attr::Int(1));
    assert_eq!(why_not("FUSE03", training), "bn has training_mode set: its statistics depend on the data");
    let statistics = |g: &mut Graph| {
        let v = g.add_value("running", ptq_ir::DType::F32, vec![6]);
        g.nodes[1].outputs.push(v);
    };
    assert_eq!(why_not("FUSE03", statistics), "bn also returns running statistics");
    let replace = |g: &mut Graph, name: &str, t: Tensor| {
        let v = g.find_value(name).expect("value");
        g.values[v.0 as usize].shape = t.shape().to_vec();
        g.constants.insert(v, t);
    };
    let negative = |g: &mut Graph| replace(g, "bn_var", Tensor::from_f32([6], vec![-1.0; 6]).expect("count"));
    assert_eq!(why_not("FUSE03", negative), "the parameters of bn are not finite (variance below zero?)");
    let short = |g: &mut Graph| replace(g, "bn_bias", seeded(&[5], 1));
    assert_eq!(why_not("FUSE03", short), "the bias of bn has 5 entries for 6 channels");
    let huge = |g: &mut Graph| {
        replace(g, "bn_scale", Tensor::from_f32([6], vec![1e38; 6]).expect("count"));
        replace(g, "bn_var", Tensor::from_f32([6], vec![0.0; 6]).expect("count"));
    };
    assert_eq!(why_not("FUSE03", huge), "the folded weights of conv would not be finite");
}
