//! One operator at a time, with geometry chosen to be awkward.

use crate::builder::Builder;
use crate::compare::{assert_equal_everywhere, compiled, march};
use ptq_compile::{Search, compile};
use ptq_ir::ops::{BlockMove, BlockOrder, ConvGeom, PoolGeom};
use ptq_ir::{DType, QOp, Reduction, Rounding, TensorId};
use ptq_sim::{Command, artifact};

/// Scratch sizes: everything fits; stripes; stripes and channel chunks.
const SIZES: [u32; 3] = [1 << 20, 8192, 4096];

/// Checks a one-operator program for both roundings and both activation types.
fn check(shapes: &[&[usize]], build: impl Fn(&mut Builder, &[TensorId]) -> TensorId) {
    check_in(&[DType::I8, DType::U8], &SIZES, shapes, &build);
    check_in(&[DType::I16], &WORD_SIZES, shapes, &build);
}

/// Scratch sizes for 16 bits, where a row has twice the bytes and a table up to 256 KiB.
const WORD_SIZES: [u32; 2] = [1 << 20, 20_000];

/// As `check`, for activations of these types: with int16, some are int8.
fn check_in(
    types: &[DType],
    sizes: &[u32],
    shapes: &[&[usize]],
    build: &dyn Fn(&mut Builder, &[TensorId]) -> TensorId,
) {
    for rounding in [Rounding::Fixed, Rounding::Float] {
        for &act in types {
            let mut b = Builder::new(rounding, act, 42);
            let inputs: Vec<TensorId> = shapes.iter().map(|s| b.input(s)).collect();
            let y = build(&mut b, &inputs);
            b.output(y);
            let graph = b.finish();
            let tables = graph.nodes.iter().any(|n| matches!(n.op, QOp::Lut(_) | QOp::Softmax(_)));
            let sizes = if act == DType::I16 && tables { &sizes[..1] } else { sizes };
            assert_equal_everywhere(&graph, sizes);
        }
    }
}

fn conv(kernel: [usize; 2], strides: [usize; 2], pads: [usize; 4], dilations: [usize; 2], group: usize) -> ConvGeom {
    ConvGeom { kernel, strides, pads, dilations, group }
}

#[test]
fn pointwise_conv_with_many_channels() {
    check(&[&[2, 70, 9, 7]], |b, x| b.conv(x[0], 90, conv([1, 1], [1, 1], [0; 4], [1, 1], 1), false));
}

#[test]
fn conv_with_asymmetric_pads_and_strides() {
    check(&[&[1, 5, 23, 19]], |b, x| b.conv(x[0], 33, conv([3, 5], [2, 3], [0, 3, 2, 1], [1, 1], 1), false));
}

#[test]
fn conv_with_a_stride_over_its_kernel() {
    check(&[&[1, 6, 20, 20]], |b, x| b.conv(x[0], 8, conv([2, 1], [5, 4], [1, 0, 0, 2], [1, 1], 1), false));
}

#[test]
fn dilated_conv() {
    check(&[&[1, 8, 17, 16]], |b, x| b.conv(x[0], 9, conv([3, 3], [1, 1], [4, 2, 3, 5], [4, 2], 1), false));
}

#[test]
fn conv_whose_first_and_last_rows_lie_in_the_padding() {
    check(&[&[1, 3, 4, 4]], |b, x| b.conv(x[0], 4, conv([2, 2], [1, 1], [5, 5, 6, 4], [1, 1], 1), false));
}

#[test]
fn grouped_conv_in_chunks_of_groups_and_inside_groups() {
    check(&[&[1, 24, 10, 10]], |b, x| b.conv(x[0], 36, conv([3, 3], [1, 1], [1; 4], [1, 1], 4), false));
    check(&[&[1, 64, 5, 5]], |b, x| b.conv(x[0], 128, conv([3, 3], [1, 1], [1; 4], [1, 1], 2), false));
}

#[test]
fn depthwise_conv_and_its_multiplier() {
    check(&[&[2, 70, 14, 9]], |b, x| b.conv(x[0], 70, conv([3, 3], [2, 1], [1; 4], [1, 1], 70), false));
    check(&[&[1, 12, 9, 9]], |b, x| b.conv(x[0], 36, conv([3, 3], [1, 1], [1; 4], [2, 1], 12), false));
}

#[test]
fn conv_that_keeps_its_accumulator_and_moves_behind_it() {
    check(&[&[1, 20, 8, 8]], |b, x| {
        let y = b.conv(x[0], 40, conv([3, 3], [1, 1], [1; 4], [1, 1], 1), true);
        let y = b.max_pool(y, PoolGeom { kernel: [2, 2], strides: [2, 2], ..PoolGeom::global([1, 1]) });
        let y = b.transpose(y, &[0, 2, 3, 1]);
        b.reshape(y, &[16, 40])
    });
}

#[test]
fn sums_and_products_broadcast() {
    let shapes: [[&[usize]; 2]; 6] = [
        [&[1, 9, 11, 10], &[1, 9, 11, 10]],
        [&[2, 9, 11, 10], &[1, 9, 1, 1]],
        [&[1, 9, 11, 10], &[9, 11, 1]],
        [&[1, 9, 11, 10], &[1]],
        [&[1, 1, 11, 10], &[3, 9, 1, 10]],
        [&[40, 60], &[60]],
    ];
    for [a, c] in shapes {
        check(&[a, c], |b, x| b.add(x[0], x[1]));
        check(&[a, c], |b, x| b.mul(x[1], x[0]));
        check(&[a, c], |b, x| b.extreme(x[0], x[1], false));
        check(&[a, c], |b, x| b.extreme(x[1], x[0], true));
        check(&[a, c], |b, x| b.div(x[0], x[1]));
        check(&[a, c], |b, x| b.div(x[1], x[0]));
        check(&[a], |b, x| {
            let c = b.constant(c);
            b.add(x[0], c)
        });
    }
}

#[test]
fn operands_of_other_ranks_change_their_order() {
    check(&[&[2, 3, 4, 5, 6], &[3, 4, 5, 6]], |b, x| b.mul(x[0], x[1]));
    check(&[&[2, 7, 5, 6], &[7, 5, 6]], |b, x| b.add(x[0], x[1]));
}

#[test]
fn concat_on_every_axis_with_and_without_new_scales() {
    for axis in 0..4 {
        let mut other = [2, 5, 6, 7];
        other[axis] = 3;
        check(&[&[2, 5, 6, 7], &other, &other], |b, x| b.concat(&[(x[0], true), (x[1], false), (x[2], true)], axis));
    }
    check(&[&[3, 5000], &[3, 7]], |b, x| b.concat(&[(x[0], true), (x[1], false)], 1));
}

#[test]
fn average_pools() {
    let geom = PoolGeom { kernel: [3, 2], strides: [2, 1], pads: [1, 1, 0, 1], ..PoolGeom::global([1, 1]) };
    check(&[&[2, 40, 13, 9]], |b, x| b.average_pool(x[0], geom));
    check(&[&[1, 40, 12, 9]], |b, x| b.average_pool(x[0], PoolGeom { ceil_mode: true, ..geom }));
    check(&[&[1, 40, 12, 9]], |b, x| b.average_pool(x[0], PoolGeom { count_include_pad: true, ..geom }));
    check(&[&[1, 90, 7, 7]], |b, x| b.average_pool(x[0], PoolGeom::global([7, 7])));
}

#[test]
fn max_pools() {
    let geom = PoolGeom { kernel: [3, 3], strides: [2, 2], pads: [1, 0, 1, 2], ..PoolGeom::global([1, 1]) };
    check(&[&[2, 40, 13, 9]], |b, x| b.max_pool(x[0], geom));
    check(&[&[1, 40, 12, 10]], |b, x| b.max_pool(x[0], PoolGeom { dilations: [2, 1], ceil_mode: true, ..geom }));
}

#[test]
fn tables_resize_reshape_transpose() {
    check(&[&[1, 30, 20, 10]], |b, x| b.lut(x[0]));
    check(&[&[2, 30, 6, 5]], |b, x| b.resize(x[0], 13, 10));
    check(&[&[1, 30, 9, 12]], |b, x| b.resize(x[0], 4, 5));
    check(&[&[3, 6, 5]], |b, x| b.resize(x[0], 12, 7));
    check(&[&[1, 30, 20, 10]], |b, x| b.reshape(x[0], &[30, 200]));
    check(&[&[1, 30, 20, 10]], |b, x| b.reshape(x[0], &[1, 20, 15, 20]));
    check(&[&[60, 90]], |b, x| b.reshape(x[0], &[1, 6, 30, 30]));
    check(&[&[1, 64, 1, 1]], |b, x| b.reshape(x[0], &[1, 64]));
    check(&[&[1, 30, 20, 10]], |b, x| b.transpose(x[0], &[0, 2, 3, 1]));
    check(&[&[2, 30, 20, 10]], |b, x| b.transpose(x[0], &[3, 1, 0, 2]));
    check(&[&[7, 30, 40]], |b, x| b.transpose(x[0], &[2, 0, 1]));
    check(&[&[3, 4, 5, 6, 7]], |b, x| b.transpose(x[0], &[4, 2, 0, 3, 1]));
}

#[test]
fn changes_of_scale_and_width() {
    check(&[&[2, 30, 7, 9]], |b, x| {
        let y = b.requantize(x[0]);
        let y = b.requantize(y);
        b.requantize(y)
    });
    check(&[&[3, 5000]], |b, x| b.requantize(x[0]));
}

#[test]
fn small_memory_really_cuts_layers_and_free_moves_cost_nothing() {
    let mut b = Builder::new(Rounding::Fixed, DType::I8, 1);
    let x = b.input(&[1, 64, 20, 20]);
    let y = b.conv(x, 96, conv([3, 3], [1, 1], [1; 4], [1, 1], 1), false);
    let y = b.average_pool(y, PoolGeom::global([20, 20]));
    let y = b.reshape(y, &[1, 96]);
    b.output(y);
    let graph = b.finish();
    let commands = |sram| {
        let model = artifact::decode(&compiled(&graph, Some(sram))).unwrap();
        let artifact::Body::Npu(npu) = &model.segments[1].body else { panic!("no program") };
        let plan = npu.plan.clone();
        (npu.program.commands.iter().map(|r| r.command).collect::<Vec<_>>(), plan)
    };
    let convs = |c: &[Command]| c.iter().filter(|c| matches!(c, Command::Conv(_))).count();
    let (roomy, plan) = commands(1 << 20);
    assert_eq!(convs(&roomy), 1);
    assert!(plan[2].tile.is_empty() && !roomy.iter().any(|c| matches!(c, Command::Trans(_))), "{plan:?}");
    let (tight, plan) = commands(8192);
    assert_eq!(convs(&tight), 20 * 16, "one row and six channels at a time");
    assert!(plan[0].tile.iter().all(|t| t.extent < t.total), "rows and channels are cut: {plan:?}");
}

#[test]
fn every_layer_that_cannot_fit_is_named_once_and_the_layers_behind_it_are_not() {
    let mut b = Builder::new(Rounding::Fixed, DType::I8, 1);
    let x = b.input(&[1, 1, 2, 9000]);
    let wide = b.resize(x, 2, 5000);
    let fine = b.lut(wide);
    let wide = b.max_pool(fine, PoolGeom { kernel: [2, 1], ..PoolGeom::global([1, 1]) });
    b.output(wide);
    let graph = b.finish();
    let problems = compile(&graph, &march(&graph, Some(8192)), [0; 32], &Search::default()).unwrap_err();
    let named: Vec<(&str, Option<&str>)> =
        problems.iter().map(|d| (d.code.as_str(), d.place.node.as_deref())).collect();
    assert_eq!(named, [("COMP02", Some("Resize_1")), ("COMP02", Some("MaxPool_3"))], "{problems:?}");
}

#[test]
fn blocks_of_channels_in_both_orders() {
    for order in [BlockOrder::Dcr, BlockOrder::Crd] {
        for block in [1, 2, 3] {
            check(&[&[2, 36, 5, 7]], |b, x| b.depth_to_space(x[0], BlockMove { block, order }));
            check(&[&[1, 9 * 36, 3, 1]], |b, x| b.depth_to_space(x[0], BlockMove { block, order }));
        }
    }
    check(&[&[2, 5, 12, 6]], |b, x| b.space_to_depth(x[0], 3));
    check(&[&[1, 70, 8, 8]], |b, x| b.space_to_depth(x[0], 2));
}

#[test]
fn boxes_of_every_rank() {
    check(&[&[2, 36, 9, 7]], |b, x| b.slice(x[0], &[1, 3, 2, 0], &[1, 20, 7, 7]));
    check(&[&[2, 36, 9, 7]], |b, x| b.slice(x[0], &[0, 0, 0, 5], &[2, 36, 9, 2]));
    check(&[&[1, 130, 40, 1]], |b, x| b.slice(x[0], &[0, 64, 1, 0], &[1, 66, 39, 1]));
    check(&[&[3, 50]], |b, x| b.slice(x[0], &[0, 7], &[3, 43]));
    check(&[&[2, 3, 4, 5, 6]], |b, x| b.slice(x[0], &[1, 0, 1, 2, 3], &[1, 3, 2, 3, 2]));
    check(&[&[2, 3, 4, 5]], |b, x| b.slice(x[0], &[0; 4], &[2, 3, 4, 5]));
}

#[test]
fn linear_resizes_up_and_down() {
    for transform in ["half_pixel", "pytorch_half_pixel", "asymmetric", "align_corners"] {
        // Weights have 11 bits, so that 8-bit sums fit 32: there is no 16-bit form.
        let bytes = |shape: &[usize], h, w| {
            let build = |b: &mut Builder, x: &[TensorId]| b.linear_resize(x[0], h, w, transform);
            check_in(&[DType::I8, DType::U8], &SIZES, &[shape], &build);
        };
        bytes(&[2, 36, 9, 7], 18, 21);
        bytes(&[1, 5, 23, 19], 8, 11);
        bytes(&[1, 70, 3, 4], 1, 13);
    }
}

#[test]
fn matrix_products_of_activations() {
    check(&[&[70, 40], &[40, 90]], |b, x| b.matmul(x[0], x[1], &[]));
    check(&[&[5, 9, 30], &[5, 30, 7]], |b, x| b.matmul(x[0], x[1], &[5]));
    check(&[&[2, 4, 33, 20], &[2, 4, 20, 17]], |b, x| b.matmul(x[0], x[1], &[2, 4]));
    check(&[&[2, 1, 6, 20], &[1, 4, 20, 3]], |b, x| b.matmul(x[0], x[1], &[2, 4]));
    check(&[&[1, 3, 6, 8]], |b, x| {
        let c = b.constant(&[1, 1, 8, 5]);
        b.matmul(x[0], c, &[1, 3])
    });
}

#[test]
fn reductions_along_every_axis() {
    for kind in [Reduction::Sum, Reduction::Mean, Reduction::Max] {
        for axis in 0..4 {
            check(&[&[2, 21, 13, 9]], |b, x| b.reduce(x[0], kind, axis));
        }
        check(&[&[3, 700]], |b, x| b.reduce(x[0], kind, 1));
        check(&[&[40, 3, 11]], |b, x| b.reduce(x[0], kind, 0));
    }
}

#[test]
fn softmax_along_every_axis() {
    for axis in 0..4 {
        check(&[&[2, 10, 13, 9]], |b, x| b.softmax(x[0], axis));
    }
    check(&[&[3, 1000]], |b, x| b.softmax(x[0], 1));
}

#[test]
fn tables_of_indices_and_paddings() {
    check(&[&[2, 36, 9, 7]], |b, x| b.gather(x[0], 1, &[35, 0, 0, 7, 12]));
    check(&[&[2, 36, 9, 7]], |b, x| b.gather(x[0], 3, &[6, 5, 4, 3, 2, 1, 0, 0, 1]));
    check(&[&[1, 36, 9, 7]], |b, x| b.gather(x[0], 0, &[0, 0, 0]));
    check(&[&[40, 1, 30]], |b, x| b.gather(x[0], 1, &[0; 20]));
    check(&[&[2, 36, 9, 7]], |b, x| b.pad(x[0], &[0, 1, 2, 0], &[1, 0, 3, 4]));
    check(&[&[3, 50]], |b, x| b.pad(x[0], &[0, 7], &[2, 0]));
    check(&[&[2, 3, 4, 5, 6]], |b, x| b.pad(x[0], &[1, 0, 1, 2, 3], &[0, 1, 0, 1, 0]));
}
