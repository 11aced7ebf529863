//! FUSE15 convert-matmul, FUSE16 raise-to-images and FUSE17 convert-conv-transpose.

use crate::support::{assert_example, batch_norm, covers, fired, fused, ints, lines, reason, seeded};
use ptq_ir::{Attr, Attrs, Graph, GraphBuilder, Tensor};

fn product(shape: &[usize], out: &[usize], op: &str, bias: &[usize]) -> Graph {
    let mut b = GraphBuilder::new("g");
    let x = b.input("x", shape);
    let w = b.constant("w", seeded(&[4, 5], 3));
    let y = b.node("MatMul", "mm", &[x, w], Attrs::default(), out);
    let c = b.constant("c", seeded(bias, 4));
    let y = b.node(op, "add", &[y, c], Attrs::default(), out);
    b.output(y);
    b.finish()
}

#[test]
fn rows_times_a_constant_matrix_are_a_pointwise_conv() {
    for (shape, out) in [(&[3, 4][..], &[3, 5][..]), (&[2, 3, 4], &[2, 3, 5]), (&[2, 2, 3, 4], &[2, 2, 3, 5])] {
        for (op, bias) in [("Add", &[5][..]), ("Sub", &[5]), ("Add", &[1, 5]), ("Add", &[1])] {
            let (after, log) = fused(&product(shape, out, op, bias));
            assert_eq!((fired(&log, "FUSE15"), after.nodes.len()), (1, 3), "{shape:?} {op} {bias:?}");
            assert_eq!(covers(&after, "mm"), ["add"]);
        }
    }
    let before = product(&[2, 3, 4], &[2, 3, 5], "Add", &[5]);
    assert_example("FUSE15", &before, &fused(&before).0);
}

#[test]
fn products_of_two_values_and_of_vectors_stay() {
    let mut b = GraphBuilder::new("g");
    let x = b.input("x", &[4]);
    let w = b.constant("w", seeded(&[4, 5], 3));
    let y = b.node("MatMul", "mm", &[x, w], Attrs::default(), &[5]);
    b.output(y);
    assert_eq!(reason(&fused(&b.finish()).1, "FUSE15", "mm"), "its operands have shapes [4] and [4, 5]");

    let mut b = GraphBuilder::new("g");
    let (x, z) = (b.input("x", &[2, 3, 4]), b.input("z", &[2, 4, 5]));
    let y = b.node("MatMul", "mm", &[x, z], Attrs::default(), &[2, 3, 5]);
    b.output(y);
    assert_eq!(fused(&b.finish()).0.nodes.len(), 1);
}

#[test]
fn products_behind_each_other_share_their_layout() {
    let mut b = GraphBuilder::new("g");
    let x = b.input("x", &[2, 3, 4]);
    let mut y = x;
    for (i, (rows, columns)) in [(4, 6), (6, 4)].into_iter().enumerate() {
        let w = b.constant(&format!("w{i}"), seeded(&[rows, columns], 3));
        y = b.node("MatMul", &format!("mm{i}"), &[y, w], Attrs::default(), &[2, 3, columns]);
        let c = b.constant(&format!("c{i}"), seeded(&[columns], 4));
        y = b.node("Add", &format!("add{i}"), &[y, c], Attrs::default(), &[2, 3, columns]);
        if i == 0 {
            y = b.node("Relu", "relu", &[y], Attrs::default(), &[2, 3, columns]);
        }
    }
    b.output(y);
    let (after, _) = fused(&b.finish());
    let ops: Vec<&str> = after.nodes.iter().map(|n| n.op.as_str()).collect();
    assert_eq!(ops, ["Reshape", "Conv", "Relu", "Conv", "Reshape"], "{}", lines(&after));
    assert_eq!(after.nodes[2].fusible_into.as_deref(), Some("mm0"));
}

#[test]
fn operators_over_one_axis_become_operators_over_images() {
    let mut b = GraphBuilder::new("g");
    let x = b.input("x", &[1, 2, 6]);
    let w = b.constant("conv_w", seeded(&[3, 2, 3], 5));
    let y = b.node("Conv", "conv", &[x, w], Attrs::default(), &[1, 3, 4]);
    b.output(y);
    let before = b.finish();
    let (after, log) = fused(&before);
    assert_eq!(fired(&log, "FUSE16"), 1);
    assert_example("FUSE16", &before, &after);

    let mut b = GraphBuilder::new("g");
    let x = b.input("x", &[2, 2, 9]);
    let w = b.constant("w", seeded(&[4, 1, 3], 5));
    let mut attrs = ints("strides", &[2]);
    attrs.set("pads", Attr::Ints(vec![2, 1]));
    attrs.set("dilations", Attr::Ints(vec![2]));
    attrs.set("group", Attr::Int(2));
    let y = b.node("Conv", "conv", &[x, w], attrs, &[2, 4, 4]);
    let y = batch_norm(&mut b, "bn", y, 4, &[2, 4, 4]);
    let y = b.node("Relu", "relu", &[y], Attrs::default(), &[2, 4, 4]);
    let y = b.node("MaxPool", "pool", &[y], ints("kernel_shape", &[2]), &[2, 4, 3]);
    let y = b.node("GlobalAveragePool", "mean", &[y], Attrs::default(), &[2, 4, 1]);
    let y = b.node("Flatten", "flat", &[y], Attrs::default(), &[2, 4]);
    b.output(y);
    let (after, _) = fused(&b.finish());
    let ops: Vec<&str> = after.nodes.iter().map(|n| n.op.as_str()).collect();
    assert_eq!(ops, ["Reshape", "Conv", "Relu", "MaxPool", "GlobalAveragePool", "Reshape"], "{}", lines(&after));
    assert_eq!(after.nodes[1].attrs.ints("pads"), Some(&[0, 2, 0, 1][..]));
}

fn up(weights: [usize; 4], attrs: Attrs, input: [usize; 4], out: [usize; 4], bias: usize) -> Graph {
    let mut b = GraphBuilder::new("g");
    let x = b.input("x", &input);
    let w = b.constant("w", seeded(&weights, 5));
    let c = b.constant("b", seeded(&[bias], 6));
    let y = b.node("ConvTranspose", "up", &[x, w, c], attrs, &out);
    b.output(y);
    b.finish()
}

#[test]
fn a_transposed_conv_that_tiles_is_a_conv_and_blocks() {
    let before = up([2, 3, 2, 2], ints("strides", &[2, 2]), [1, 2, 2, 2], [1, 3, 4, 4], 3);
    let (after, log) = fused(&before);
    assert_eq!(fired(&log, "FUSE17"), 1);
    assert_example("FUSE17", &before, &after);

    let mut attrs = ints("strides", &[3, 3]);
    attrs.set("group", Attr::Int(2));
    let (after, _) = fused(&up([4, 3, 3, 3], attrs, [2, 4, 2, 5], [2, 6, 6, 15], 6));
    assert_eq!(ops(&after), ["Conv", "Reshape", "Transpose", "Reshape"]);
    let (after, _) = fused(&up([2, 3, 4, 4], ints("strides", &[4, 4]), [1, 2, 3, 2], [1, 3, 12, 8], 3));
    assert_eq!(ops(&after), ["Conv", "DepthToSpace", "DepthToSpace"]);
}

fn ops(graph: &Graph) -> Vec<&str> {
    graph.nodes.iter().map(|n| n.op.as_str()).collect()
}

/// Kernel, strides, pads, output_padding, groups, output extents of an image of 5x4, and what it becomes.
type Up<'a> = ([usize; 2], [i64; 2], [i64; 4], [i64; 2], i64, [usize; 2], &'a [&'a str]);

#[test]
fn every_transposed_conv_without_dilation_is_a_conv() {
    let blocks = ["Conv", "DepthToSpace"];
    let cut = ["Conv", "DepthToSpace", "Slice"];
    let turned = ["Conv", "Reshape", "Transpose", "Reshape"];
    let turned_and_cut = ["Conv", "Reshape", "Transpose", "Reshape", "Slice"];
    let cases: [Up<'_>; 14] = [
        ([4, 4], [2, 2], [1, 1, 1, 1], [0, 0], 1, [10, 8], &cut),
        ([4, 4], [2, 2], [1, 1, 1, 1], [0, 0], 2, [10, 8], &cut),
        ([3, 3], [2, 2], [1, 1, 1, 1], [1, 1], 1, [10, 8], &blocks),
        ([3, 3], [2, 2], [1, 1, 1, 1], [0, 0], 4, [9, 7], &cut),
        ([4, 4], [2, 2], [0, 0, 0, 0], [0, 0], 1, [12, 10], &blocks),
        ([5, 3], [2, 2], [2, 1, 1, 0], [1, 0], 2, [11, 8], &cut),
        ([3, 3], [1, 1], [1, 1, 1, 1], [0, 0], 1, [5, 4], &["Conv"]),
        ([3, 3], [1, 1], [0, 0, 0, 0], [0, 0], 1, [7, 6], &["Conv"]),
        // Pads beyond the reach of the kernel.
        ([2, 2], [1, 1], [2, 2, 2, 2], [0, 0], 1, [2, 1], &["Conv", "Slice"]),
        ([8, 8], [4, 4], [2, 2, 2, 2], [0, 0], 1, [20, 16], &["Conv", "DepthToSpace", "DepthToSpace", "Slice"]),
        ([1, 4], [1, 2], [0, 1, 0, 1], [0, 0], 1, [5, 8], &turned_and_cut),
        ([6, 6], [3, 3], [0, 0, 0, 0], [0, 0], 2, [18, 15], &turned),
        ([2, 2], [3, 3], [0, 0, 0, 0], [1, 1], 1, [15, 12], &turned),
        ([5, 5], [3, 2], [1, 2, 0, 1], [0, 1], 1, [16, 9], &turned_and_cut),
    ];
    for (kernel, strides, pads, extra, group, out, expected) in cases {
        let mut attrs = ints("strides", &strides);
        attrs.set("pads", Attr::Ints(pads.to_vec()));
        attrs.set("output_padding", Attr::Ints(extra.to_vec()));
        attrs.set("group", Attr::Int(group));
        let filters = 3 * group as usize;
        let graph = up([4, 3, kernel[0], kernel[1]], attrs, [2, 4, 5, 4], [2, filters, out[0], out[1]], filters);
        let (after, log) = fused(&graph);
        let shown = format!("{kernel:?} {strides:?} {pads:?} {extra:?} {group}");
        assert_eq!(ops(&after), expected, "{shown}: {}", lines(&after));
        assert_eq!(fired(&log, "FUSE17"), 1, "{shown}");
    }
}

#[test]
fn a_transposed_conv_that_dilates_or_leaves_wide_gaps_stays() {
    let mut attrs = ints("dilations", &[2, 2]);
    attrs.set("strides", Attr::Ints(vec![2, 2]));
    let (after, log) = fused(&up([4, 3, 2, 2], attrs, [1, 4, 3, 3], [1, 3, 7, 7], 3));
    assert_eq!((ops(&after), reason(&log, "FUSE17", "up")), (vec!["ConvTranspose"], "it dilates"));

    let (after, log) = fused(&up([4, 3, 1, 1], ints("strides", &[4, 4]), [1, 4, 3, 3], [1, 3, 9, 9], 3));
    let why = "most taps would be zeros: its kernel is [1, 1] and its strides [4, 4]";
    assert_eq!((ops(&after), reason(&log, "FUSE17", "up")), (vec!["ConvTranspose"], why));
}

#[test]
fn a_division_by_powers_of_two_is_a_product() {
    let div = |divisor: &[f32], shape: &[usize]| {
        let mut b = GraphBuilder::new("g");
        let x = b.input("x", &[1, 2, 3, 3]);
        let d = b.constant("d", Tensor::from_f32(shape, divisor.to_vec()).expect("count"));
        let y = b.node("Div", "div", &[x, d], Attrs::default(), &[1, 2, 3, 3]);
        b.output(y);
        b.finish()
    };
    let before = div(&[8.0], &[1]);
    let (after, log) = fused(&before);
    assert_eq!(fired(&log, "FUSE25"), 1);
    assert_example("FUSE25", &before, &after);
    assert_eq!(fired(&fused(&div(&[-0.25, 2.0], &[2, 1, 1])).1, "FUSE25"), 1);
    // 2^-127 is not a normal number; the others have no exact reciprocal.
    for (divisor, shown) in [(3.0, "3"), (f32::MIN_POSITIVE * 0.5, "0"), (0.1, "0.1")] {
        let (after, log) = fused(&div(&[divisor], &[1]));
        assert_eq!(ops(&after), ["Div"]);
        assert!(reason(&log, "FUSE25", "div").starts_with(&format!("1/{shown}")), "{log:?}");
    }
}

#[test]
fn an_activation_passes_the_blocks() {
    let mut b = GraphBuilder::new("g");
    let x = b.input("x", &[1, 2, 2, 2]);
    let w = b.constant("w", seeded(&[2, 3, 2, 2], 5));
    let y = b.node("ConvTranspose", "up", &[x, w], ints("strides", &[2, 2]), &[1, 3, 4, 4]);
    let c = b.constant("c", seeded(&[3, 1, 1], 6));
    let y = b.node("Add", "add", &[y, c], Attrs::default(), &[1, 3, 4, 4]);
    let y = batch_norm(&mut b, "bn", y, 3, &[1, 3, 4, 4]);
    let y = b.node("Relu", "relu", &[y], Attrs::default(), &[1, 3, 4, 4]);
    b.output(y);
    let (after, _) = fused(&b.finish());
    let ops: Vec<&str> = after.nodes.iter().map(|n| n.op.as_str()).collect();
    assert_eq!(ops, ["Conv", "Relu", "DepthToSpace"], "{}", lines(&after));
    assert_eq!(after.nodes[1].fusible_into.as_deref(), Some("up"));
}

#[test]
fn batch_normalizations_of_any_rank_are_converted() {
    for shape in [&[2, 4][..], &[2, 4, 5], &[2, 4, 2, 3, 2]] {
        let mut b = GraphBuilder::new("g");
        let x = b.input("x", shape);
        let y = b.node("Sigmoid", "sigmoid", &[x], Attrs::default(), shape);
        let y = batch_norm(&mut b, "bn", y, 4, shape);
        b.output(y);
        let (after, log) = fused(&b.finish());
        assert_eq!(fired(&log, "FUSE04"), 1);
        let ops: Vec<&str> = after.nodes.iter().map(|n| n.op.as_str()).collect();
        assert_eq!(ops, ["Sigmoid", "Mul", "Add"], "{shape:?}");
    }
}

#[test]
fn a_batch_normalization_behind_a_matrix_product_is_folded() {
    let mut b = GraphBuilder::new("g");
    let x = b.input("x", &[3, 4]);
    let w = b.constant("w", seeded(&[4, 5], 3));
    let y = b.node("MatMul", "mm", &[x, w], Attrs::default(), &[3, 5]);
    let c = b.constant("c", Tensor::scalar_f32(0.5));
    let y = b.node("Mul", "half", &[y, c], Attrs::default(), &[3, 5]);
    let y = batch_norm(&mut b, "bn", y, 5, &[3, 5]);
    b.output(y);
    let (after, _) = fused(&b.finish());
    let ops: Vec<&str> = after.nodes.iter().map(|n| n.op.as_str()).collect();
    assert_eq!(ops, ["Reshape", "Conv", "Reshape"], "{}", lines(&after));
}

#[test]
fn a_place_that_drops_its_axis_keeps_it_and_a_reshape_follows() {
    let mut b = GraphBuilder::new("g");
    let x = b.input("x", &[2, 5, 3, 4]);
    let attrs = Attrs::of([("axis", Attr::Int(-3)), ("keepdims", Attr::Int(0))]);
    let y = b.node("ArgMax", "place", &[x], attrs, &[2, 3, 4]);
    b.output(y);
    let mut g = b.finish();
    g.values[y.0 as usize].dtype = ptq_ir::DType::I64;
    let (after, log) = fused(&g);
    assert_eq!((ops(&after), fired(&log, "FUSE24")), (vec!["ArgMax", "Reshape"], 1));
    let kept = after.value(after.nodes[0].outputs[0]);
    assert_eq!((kept.dtype, &kept.shape[..]), (ptq_ir::DType::I64, &[2, 1, 3, 4][..]));
}
