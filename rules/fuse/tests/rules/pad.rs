//! FUSE05 fold-pad-into-conv.

use crate::support::{assert_example, conv, covers, fired, fused, ints, reason};
use ptq_ir::{Attr, Attrs, Graph, GraphBuilder, Tensor, ValueId};

/// x [1, 2, 6, 6] → Pad to [1, 2, 8, 9] → node.
fn padded(attrs: Attrs, constants: &[Tensor], make: impl FnOnce(&mut GraphBuilder, ValueId) -> ValueId) -> Graph {
    let mut b = GraphBuilder::new("g");
    let x = b.input("x", &[1, 2, 6, 6]);
    let mut inputs = vec![x];
    for (i, t) in constants.iter().enumerate() {
        inputs.push(b.constant(&format!("pad_c{i}"), t.clone()));
    }
    let p = b.node("Pad", "pad", &inputs, attrs, &[1, 2, 8, 9]);
    let y = make(&mut b, p);
    b.output(y);
    b.finish()
}

fn zeros() -> Vec<Tensor> {
    vec![Tensor::vec_i64(vec![0, 0, 1, 1, 0, 0, 1, 2]), Tensor::scalar_f32(0.0)]
}

fn plain_conv(b: &mut GraphBuilder, p: ValueId) -> ValueId {
    conv(b, "conv", p, [3, 2, 3, 3], ints("strides", &[2, 2]), &[1, 3, 3, 4])
}

fn pads_of(g: &Graph, node: &str) -> Vec<i64> {
    g.node(g.find_node(node).expect("node")).attrs.ints("pads").expect("pads").to_vec()
}

#[test]
fn zeros_around_height_and_width_become_the_conv_s_padding() {
    let before = padded(Attrs::default(), &zeros(), plain_conv);
    let (after, log) = fused(&before);
    assert_eq!(fired(&log, "FUSE05"), 1);
    assert_eq!(pads_of(&after, "conv"), [1, 1, 1, 2]);
    assert_eq!(covers(&after, "conv"), ["pad"]);
    assert_example("FUSE05", &before, &after);
}

#[test]
fn own_padding_and_auto_pad_are_added() {
    let own = padded(Attrs::default(), &zeros(), |b, p| {
        conv(b, "conv", p, [3, 2, 3, 3], ints("pads", &[0, 1, 2, 0]), &[1, 3, 8, 8])
    });
    assert_eq!(pads_of(&fused(&own).0, "conv"), [1, 2, 3, 2]);
    let auto = padded(Attrs::default(), &zeros(), |b, p| {
        let attrs = Attrs::of([("auto_pad", Attr::Str("SAME_UPPER".into())), ("strides", Attr::Ints(vec![2, 2]))]);
        conv(b, "conv", p, [3, 2, 3, 3], attrs, &[1, 3, 4, 5])
    });
    let (after, _) = fused(&auto);
    assert_eq!(pads_of(&after, "conv"), [1, 2, 2, 3], "SAME_UPPER of 8x9 adds 0,1 and 1,1");
    assert!(after.nodes[0].attrs.get("auto_pad").is_none());
}

#[test]
fn every_reader_folds_for_itself_and_the_last_one_covers_the_pad() {
    let before = padded(Attrs::default(), &zeros(), |b, p| {
        let a = plain_conv(b, p);
        let c = conv(b, "conv2", p, [3, 2, 3, 3], ints("strides", &[2, 2]), &[1, 3, 3, 4]);
        b.node("Add", "add", &[a, c], Attrs::default(), &[1, 3, 3, 4])
    });
    let (after, log) = fused(&before);
    assert_eq!(fired(&log, "FUSE05"), 2);
    assert!(after.find_node("pad").is_none());
    assert_eq!((covers(&after, "conv"), covers(&after, "conv2")), (&[][..], &["pad".to_owned()][..]));
}

#[test]
fn a_pad_that_others_read_stays_for_them() {
    let before = padded(Attrs::default(), &zeros(), |b, p| {
        let y = plain_conv(b, p);
        b.output(p);
        y
    });
    let (after, log) = fused(&before);
    assert_eq!(fired(&log, "FUSE05"), 1);
    assert!(after.find_node("pad").is_some());
    assert!(covers(&after, "conv").is_empty());
}

fn pool(b: &mut GraphBuilder, p: ValueId, op: &str, extra: &[(&str, Attr)], out: &[usize]) -> ValueId {
    let mut attrs = Attrs::of([("kernel_shape", Attr::Ints(vec![3, 3])), ("strides", Attr::Ints(vec![1, 1]))]);
    extra.iter().for_each(|(k, v)| attrs.set(k, v.clone()));
    b.node(op, "pool", &[p], attrs, out)
}

#[test]
fn an_average_pool_counts_the_zeros_of_the_pad() {
    let before = padded(Attrs::default(), &zeros(), |b, p| pool(b, p, "AveragePool", &[], &[1, 2, 6, 7]));
    let (after, log) = fused(&before);
    assert_eq!(fired(&log, "FUSE05"), 1);
    assert_eq!(after.nodes[0].attrs.int("count_include_pad", 0), 1);
}

fn why_not(node: &str, g: Graph) -> String {
    let (_, log) = fused(&g);
    assert_eq!(fired(&log, "FUSE05"), 0);
    reason(&log, "FUSE05", node).to_owned()
}

#[test]
fn pools_that_treat_padding_differently_keep_the_pad() {
    let g = |op: &'static str, extra: Vec<(&'static str, Attr)>, out: [usize; 4]| {
        padded(Attrs::default(), &zeros(), move |b, p| pool(b, p, op, &extra, &out))
    };
    assert_eq!(
        why_not("pool", g("MaxPool", vec![], [1, 2, 6, 7])),
        "a MaxPool pads with minus infinity, pad with 0, which may be the largest"
    );
    assert_eq!(
        why_not("pool", g("AveragePool", vec![("pads", Attr::Ints(vec![1, 1, 1, 1]))], [1, 2, 8, 9])),
        "pool leaves its own padding out of the mean, but not the zeros in front"
    );
    let ceil = vec![("ceil_mode", Attr::Int(1))];
    assert_eq!(
        why_not("pool", g("AveragePool", ceil, [1, 2, 6, 7])),
        "pool rounds its extent up (ceil_mode), which counts padding differently"
    );
    let small = vec![("kernel_shape", Attr::Ints(vec![2, 2]))];
    assert_eq!(why_not("pool", g("AveragePool", small, [1, 2, 7, 8])), "padding 2 would reach its kernel 2");
}

#[test]
fn other_paddings_stay_with_their_reason() {
    let pads = |v: [i64; 8]| Tensor::vec_i64(v.to_vec());
    let usual = [0, 0, 1, 1, 0, 0, 1, 2];
    let conv_of = |attrs: Attrs, constants: &[Tensor]| padded(attrs, constants, plain_conv);
    let reflect = Attrs::of([("mode", Attr::Str("reflect".into()))]);
    assert_eq!(why_not("conv", conv_of(reflect, &[pads(usual)])), "pad pads in mode reflect, not with zeros");
    let one = [pads(usual), Tensor::scalar_f32(1.5)];
    assert_eq!(why_not("conv", conv_of(Attrs::default(), &one)), "pad pads with 1.5, not with 0");
    let crop = [pads([0, 0, -1, 1, 0, 0, 3, 2])];
    assert_eq!(
        why_not("conv", conv_of(Attrs::default(), &crop)),
        "pad has negative pads [0, 0, -1, 1, 0, 0, 3, 2]: it crops"
    );
}

#[test]
fn padded_channels_stay() {
    let mut b = GraphBuilder::new("g");
    let x = b.input("x", &[1, 2, 6, 6]);
    let p = b.constant("p", Tensor::vec_i64(vec![0, 1, 0, 0, 0, 0, 0, 0]));
    let y = b.node("Pad", "pad", &[x, p], Attrs::default(), &[1, 3, 6, 6]);
    let y = conv(&mut b, "conv", y, [3, 3, 1, 1], Attrs::default(), &[1, 3, 6, 6]);
    b.output(y);
    assert_eq!(why_not("conv", b.finish()), "pad pads the batch or the channels [0, 1, 0, 0, 0, 0, 0, 0]");
}

#[test]
fn pads_and_values_that_are_not_constant_stay() {
    let build = |which: &str| {
        let mut g = padded(Attrs::default(), &zeros(), plain_conv);
        let v = g.find_value(which).expect("value");
        g.constants.remove(&v);
        g.inputs.push(v);
        let log = ptq_fuse::fuse(&mut g).expect("fuses");
        reason(&log, "FUSE05", "conv").to_owned()
    };
    assert_eq!(build("pad_c0"), "the pads of pad are not constant");
    assert_eq!(build("pad_c1"), "the value of pad is not constant");
}

#[test]
fn a_max_pool_takes_padding_that_is_never_the_largest() {
    for lowest in [f32::NEG_INFINITY, f32::MIN] {
        let constants = [zeros()[0].clone(), Tensor::scalar_f32(lowest)];
        let g = padded(Attrs::default(), &constants, |b, p| pool(b, p, "MaxPool", &[], &[1, 2, 6, 7]));
        assert_eq!(pads_of(&fused(&g).0, "pool"), [1, 1, 1, 2]);
    }
    let mut b = GraphBuilder::new("g");
    let x = b.input("x", &[1, 2, 6, 6]);
    let r = b.node("Relu", "relu", &[x], Attrs::default(), &[1, 2, 6, 6]);
    let pads = b.constant("pads", zeros()[0].clone());
    let p = b.node("Pad", "pad", &[r, pads], Attrs::default(), &[1, 2, 8, 9]);
    let y = pool(&mut b, p, "MaxPool", &[], &[1, 2, 6, 7]);
    b.output(y);
    assert_eq!(fired(&fused(&b.finish()).1, "FUSE05"), 1);
}
