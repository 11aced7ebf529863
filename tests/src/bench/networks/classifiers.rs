//! Classifiers at 224 × 224 as their authors describe them, in the form that runs (branches of RepVGG and MobileOne merged).

use super::{Act, Builder, mobilenet_v2, resnet};
use ptq_ir::TensorId;

/// Builds a classifier; `None` when there is none of this name.
pub(crate) fn build(name: &str, march: &str) -> Option<Builder> {
    let mut b = Builder::new(name, march);
    let x = b.input(3, 224, 224);
    let y = match name {
        "MobileNetV2" => mobilenet_v2(&mut b, x),
        "ResNet18" => resnet(&mut b, x, [2, 2, 2, 2], None),
        "ResNeXt50_32x4d" => resnet(&mut b, x, [3, 4, 6, 3], Some((128, 32))),
        "GoogLeNet" => googlenet(&mut b, x),
        "RepVGG_A0" => repvgg(&mut b, x, [2, 4, 14, 1], [48, 96, 192, 1280], 1),
        "RepVGG_A1" => repvgg(&mut b, x, [2, 4, 14, 1], [64, 128, 256, 1280], 1),
        "RepVGG_A2" => repvgg(&mut b, x, [2, 4, 14, 1], [96, 192, 384, 1408], 1),
        "RepVGG_B0" => repvgg(&mut b, x, [4, 6, 16, 1], [64, 128, 256, 1280], 1),
        "RepVGG_B1g4" => repvgg(&mut b, x, [4, 6, 16, 1], [128, 256, 512, 2048], 4),
        "RepVGG_B1g2" => repvgg(&mut b, x, [4, 6, 16, 1], [128, 256, 512, 2048], 2),
        "MobileOne_S0" => mobileone(&mut b, x, [48, 128, 256, 1024], false),
        "MobileOne_S1" => mobileone(&mut b, x, [96, 192, 512, 1280], false),
        "MobileOne_S2" => mobileone(&mut b, x, [96, 256, 640, 2048], false),
        "MobileOne_S3" => mobileone(&mut b, x, [128, 320, 768, 2048], false),
        "MobileOne_S4" => mobileone(&mut b, x, [192, 448, 896, 2048], true),
        "FasterNet_T0" => fasternet(&mut b, x, 40, [1, 2, 8, 2], Act::Table),
        "FasterNet_T1" => fasternet(&mut b, x, 64, [1, 2, 8, 2], Act::Table),
        "FasterNet_T2" => fasternet(&mut b, x, 96, [1, 2, 8, 2], Act::Clamp),
        "FasterNet_S" => fasternet(&mut b, x, 128, [1, 2, 13, 2], Act::Clamp),
        _ => return None,
    };
    let y = if b.shape(y)[2] > 1 { b.global_pool(y) } else { y };
    b.tail_conv(y, 1000);
    Some(b)
}

/// One 3 × 3 convolution a block; every other one has groups.
fn repvgg(b: &mut Builder, x: TensorId, depth: [usize; 4], width: [usize; 4], groups: usize) -> TensorId {
    let mut x = b.conv(x, width[0].min(64), 3, 2, 1);
    let mut layer = 1;
    for (depth, width) in depth.into_iter().zip(width) {
        for i in 0..depth {
            let group = if layer % 2 == 0 && layer <= 26 { groups } else { 1 };
            x = b.conv(x, width, 3, if i == 0 { 2 } else { 1 }, group);
            layer += 1;
        }
    }
    x
}

/// Depthwise and pointwise in turn; the largest one also weighs channels in its last blocks.
fn mobileone(b: &mut Builder, x: TensorId, width: [usize; 4], weighs: bool) -> TensorId {
    let mut x = b.conv(x, width[0].min(64), 3, 2, 1);
    for ((depth, width), weighed) in [2, 8, 10, 1].into_iter().zip(width).zip([0, 0, 5, 1]) {
        for i in 0..depth {
            let weigh = weighs && i + weighed >= depth;
            x = b.depthwise(x, 3, if i == 0 { 2 } else { 1 });
            x = if weigh { weigh_channels(b, x) } else { x };
            x = b.conv(x, width, 1, 1, 1);
            x = if weigh { weigh_channels(b, x) } else { x };
        }
    }
    x
}

/// Each channel times a number that the mean of all decides.
fn weigh_channels(b: &mut Builder, x: TensorId) -> TensorId {
    let c = b.channels(x);
    let mean = b.global_pool(x);
    let y = b.conv(mean, c / 16, 1, 1, 1);
    let y = b.conv_act(y, c, 1, 1, 1, Act::Table);
    b.mul(x, y)
}

/// A quarter of the channels is convolved, then two pointwise layers with a sum around all.
fn fasternet(b: &mut Builder, x: TensorId, width: usize, depth: [usize; 4], act: Act) -> TensorId {
    let mut x = b.padded_conv(x, width, (4, 4, 0), 1);
    for (stage, depth) in depth.into_iter().enumerate() {
        let c = width << stage;
        if stage > 0 {
            x = b.padded_conv(x, c, (2, 2, 0), 1);
        }
        for _ in 0..depth {
            let y = b.partial_conv(x, c / 4, 3);
            let y = b.conv_act(y, 2 * c, 1, 1, 1, act);
            let y = b.conv(y, c, 1, 1, 1);
            x = b.add(x, y);
        }
    }
    let x = b.global_pool(x);
    b.conv_act(x, 1280, 1, 1, 1, act)
}

fn googlenet(b: &mut Builder, x: TensorId) -> TensorId {
    let x = b.conv(x, 64, 7, 2, 1);
    let x = b.max_pool(x, 3, 2, 1);
    let x = b.conv(x, 64, 1, 1, 1);
    let x = b.conv(x, 192, 3, 1, 1);
    let mut x = b.max_pool(x, 3, 2, 1);
    let stages: [&[[usize; 6]]; 3] = [
        &[[64, 96, 128, 16, 32, 32], [128, 128, 192, 32, 96, 64]],
        &[
            [192, 96, 208, 16, 48, 64],
            [160, 112, 224, 24, 64, 64],
            [128, 128, 256, 24, 64, 64],
            [112, 144, 288, 32, 64, 64],
            [256, 160, 320, 32, 128, 128],
        ],
        &[[256, 160, 320, 32, 128, 128], [384, 192, 384, 48, 128, 128]],
    ];
    for (i, stage) in stages.into_iter().enumerate() {
        x = match i {
            0 => x,
            1 => b.max_pool(x, 3, 2, 1),
            _ => b.max_pool(x, 2, 2, 0),
        };
        for &[one, three_in, three, five_in, five, pooled] in stage {
            let a = b.conv(x, one, 1, 1, 1);
            let y = b.conv(x, three_in, 1, 1, 1);
            let y = b.conv(y, three, 3, 1, 1);
            let z = b.conv(x, five_in, 1, 1, 1);
            let z = b.conv(z, five, 3, 1, 1);
            let p = b.max_pool(x, 3, 1, 1);
            let p = b.conv(p, pooled, 1, 1, 1);
            x = b.concat(&[a, y, z, p]);
        }
    }
    x
}
