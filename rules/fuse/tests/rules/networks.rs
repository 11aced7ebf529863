//! Rules together, on the shapes that real networks have.

use crate::support::{batch_norm, conv, covers, fused, ints, lines, seeded};
use ptq_ir::{Attr, Attrs, GraphBuilder, Tensor};

#[test]
fn a_residual_classifier_is_reduced_to_convs_adds_and_marked_activations() {
    let mut b = GraphBuilder::new("g");
    let s = [1, 4, 8, 8];
    let x = b.input("x", &[1, 3, 7, 7]);
    let pads = b.constant("pads", Tensor::vec_i64(vec![0, 0, 0, 0, 0, 0, 1, 1]));
    let p = b.node("Pad", "pad", &[x, pads], Attrs::default(), &[1, 3, 8, 8]);
    let c1 = conv(&mut b, "conv1", p, [4, 3, 3, 3], ints("pads", &[1, 1, 1, 1]), &s);
    let i1 = b.node("Identity", "id1", &[c1], Attrs::default(), &s);
    let n1 = batch_norm(&mut b, "bn1", i1, 4, &s);
    let r1 = b.node("Relu", "relu1", &[n1], Attrs::default(), &s);
    let c2 = conv(&mut b, "conv2", r1, [4, 4, 3, 3], ints("pads", &[1, 1, 1, 1]), &s);
    let n2 = batch_norm(&mut b, "bn2", c2, 4, &s);
    let a = b.node("Add", "add", &[n2, r1], Attrs::default(), &s);
    let r2 = b.node("Relu", "relu2", &[a], Attrs::default(), &s);
    let pool = b.node("GlobalAveragePool", "pool", &[r2], Attrs::default(), &[1, 4, 1, 1]);
    let flat = b.node("Flatten", "flat", &[pool], Attrs::default(), &[1, 4]);
    let w = b.constant("w", seeded(&[5, 4], 7));
    let c = b.constant("c", seeded(&[5], 8));
    let y = b.node("Gemm", "fc", &[flat, w, c], Attrs::of([("transB", Attr::Int(1))]), &[1, 5]);
    b.output(y);
    let (after, log) = fused(&b.finish());
    assert_eq!(
        lines(&after),
        "conv1 = Conv(x, conv1_w, conv1_b) -> bn1_out:float32[1, 4, 8, 8]\n\
         relu1 = Relu(bn1_out) fusible into conv1 -> relu1_out:float32[1, 4, 8, 8]\n\
         conv2 = Conv(relu1_out, conv2_w, conv2_b) -> bn2_out:float32[1, 4, 8, 8]\n\
         add = Add(bn2_out, relu1_out) -> add_out:float32[1, 4, 8, 8]\n\
         relu2 = Relu(add_out) fusible into add -> relu2_out:float32[1, 4, 8, 8]\n\
         pool = GlobalAveragePool(relu2_out) -> pool_out:float32[1, 4, 1, 1]\n\
         fc = Conv(pool_out, fc_weight, fc_bias) -> fc_conv_output:float32[1, 5, 1, 1]\n\
         fc_reshape_output = Reshape(fc_conv_output, fc_reshape_output_shape) -> fc_out:float32[1, 5]"
    );
    assert_eq!(covers(&after, "conv1"), ["id1", "bn1", "pad"]);
    assert!(log.skipped.is_empty(), "{:?}", log.skipped);
}

#[test]
fn the_order_in_which_nodes_were_listed_does_not_change_the_log() {
    let build = |swap: bool| {
        let mut b = GraphBuilder::new("g");
        let s = [1, 2, 3, 3];
        let x = b.input("x", &s);
        let mut ends = Vec::new();
        for name in if swap { ["b", "a"] } else { ["a", "b"] } {
            let c = conv(&mut b, name, x, [2, 2, 1, 1], Attrs::default(), &s);
            ends.push((name, b.node("Relu", &format!("{name}_relu"), &[c], Attrs::default(), &s), c));
        }
        ends.sort();
        for (_, relu, conv) in ends {
            b.output(relu);
            b.output(conv);
        }
        fused(&b.finish()).1
    };
    assert_eq!(build(false), build(true));
    assert_eq!(build(false).skipped.len(), 2);
}
