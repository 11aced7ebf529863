//! FUSE06 convert-gemm.

use crate::support::{assert_example, covers, fired, fused, lines, reason, seeded};
use ptq_ir::{Attr, Attrs, Graph, GraphBuilder, ValueId};

fn fc(b: &mut GraphBuilder, x: ValueId, w: &[usize], c: Option<&[usize]>, attrs: Attrs) -> ValueId {
    let w = b.constant("w", seeded(w, 3));
    let mut inputs = vec![x, w];
    inputs.extend(c.map(|shape| b.constant("c", seeded(shape, 4))));
    b.node("Gemm", "fc", &inputs, attrs, &[2, 3])
}

/// x [2, 5] → Gemm → [2, 3].
fn plain(w: &[usize], c: Option<&[usize]>, attrs: Attrs) -> Graph {
    let mut b = GraphBuilder::new("g");
    let x = b.input("x", &[2, 5]);
    let y = fc(&mut b, x, w, c, attrs);
    b.output(y);
    b.finish()
}

#[test]
fn a_gemm_becomes_a_conv_between_reshapes_and_keeps_its_name() {
    let before = plain(&[5, 3], Some(&[3]), Attrs::default());
    let (after, log) = fused(&before);
    assert_eq!(fired(&log, "FUSE06"), 1);
    assert_example("FUSE06", &before, &after);
}

#[test]
fn alpha_beta_transposition_and_broadcast_addends_are_folded() {
    let scaled = |trans: i64| {
        Attrs::of([("alpha", Attr::Float(0.25)), ("beta", Attr::Float(-2.0)), ("transB", Attr::Int(trans))])
    };
    for addend in [None, Some(&[3][..]), Some(&[1, 3]), Some(&[1]), Some(&[1, 1]), Some(&[])] {
        let (_, log) = fused(&plain(&[3, 5], addend, scaled(1)));
        assert_eq!(fired(&log, "FUSE06"), 1, "{addend:?}");
        fused(&plain(&[5, 3], addend, scaled(0)));
    }
}

/// x [2, 5, 1, 1] → Flatten → Gemm, and a second reader of the flat rows if asked.
fn behind_flatten(second: bool) -> Graph {
    let mut b = GraphBuilder::new("g");
    let x = b.input("x", &[2, 5, 1, 1]);
    let x = b.node("Relu", "relu", &[x], Attrs::default(), &[2, 5, 1, 1]);
    let flat = b.node("Flatten", "flat", &[x], Attrs::default(), &[2, 5]);
    let y = fc(&mut b, flat, &[5, 3], Some(&[3]), Attrs::default());
    b.output(y);
    if second {
        b.output(flat);
    }
    b.finish()
}

#[test]
fn a_flatten_of_one_pixel_is_not_needed() {
    let (after, _) = fused(&behind_flatten(false));
    assert_eq!(
        lines(&after),
        "relu = Relu(x) -> relu_out:float32[2, 5, 1, 1]\n\
         fc = Conv(relu_out, fc_weight, fc_bias) -> fc_conv_output:float32[2, 3, 1, 1]\n\
         fc_reshape_output = Reshape(fc_conv_output, fc_reshape_output_shape) -> fc_out:float32[2, 3]"
    );
    assert_eq!(covers(&after, "fc"), ["flat"]);
}

#[test]
fn a_flatten_that_others_read_stays_for_them() {
    let (after, _) = fused(&behind_flatten(true));
    assert!(after.find_node("flat").is_some());
    assert!(covers(&after, "fc").is_empty());
    assert!(lines(&after).contains("fc = Conv(relu_out,"), "{after}");
}

#[test]
fn gemms_that_are_no_conv_stay_with_their_reason() {
    let why = |g: &Graph| {
        let (after, log) = fused(g);
        assert!(after.nodes[0].is("Gemm"));
        reason(&log, "FUSE06", "fc").to_owned()
    };
    let dynamic = |name: &str| {
        let mut g = plain(&[5, 3], Some(&[3]), Attrs::default());
        let v = g.find_value(name).expect("value");
        g.constants.remove(&v);
        g.inputs.push(v);
        g
    };
    assert_eq!(why(&dynamic("w")), "its weights B are not constant");
    assert_eq!(why(&dynamic("c")), "the addend C of fc is not constant");
    assert_eq!(
        why(&plain(&[5, 3], Some(&[2, 1]), Attrs::default())),
        "the addend C of fc has shape [2, 1] and varies by row"
    );
    let mut b = GraphBuilder::new("g");
    let x = b.input("x", &[5, 2]);
    let y = fc(&mut b, x, &[5, 3], None, Attrs::of([("transA", Attr::Int(1))]));
    b.output(y);
    assert_eq!(why(&b.finish()), "its input A is transposed (transA)");
}
