//! MobileNetV1, MobileNetV2, ResNet-18 and ResNet-50 at 224 × 224 as integer programs with made-up weights.

#[path = "networks/builder.rs"]
mod builder;
#[path = "networks/classifiers.rs"]
#[allow(dead_code)]
pub(crate) mod classifiers;
#[path = "networks/detectors.rs"]
#[allow(dead_code)]
pub(crate) mod detectors;

pub(crate) use builder::{Act, Builder};
use ptq_ir::{QGraph, TensorId};

/// Names of the networks.
pub(crate) const NETWORKS: [&str; 4] = ["mobilenet_v1", "mobilenet_v2", "resnet18", "resnet50"];

/// A network by name.
pub(crate) fn network(name: &str, march: &str) -> QGraph {
    let mut b = Builder::new(name, march);
    let x = b.input(3, 224, 224);
    let y = match name {
        "mobilenet_v1" => mobilenet_v1(&mut b, x),
        "mobilenet_v2" => mobilenet_v2(&mut b, x),
        "resnet18" => resnet(&mut b, x, [2, 2, 2, 2], None),
        _ => resnet(&mut b, x, [3, 4, 6, 3], Some((64, 1))),
    };
    classify(&mut b, y);
    b.graph
}

/// The end of a classifier: mean of the image, one layer, 1,000 classes.
pub(crate) fn classify(b: &mut Builder, x: TensorId) {
    let x = b.global_pool(x);
    let y = b.conv(x, 1000, 1, 1, 1);
    b.output(y);
}

fn mobilenet_v1(b: &mut Builder, x: TensorId) -> TensorId {
    let mut x = b.conv(x, 32, 3, 2, 1);
    let blocks = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)];
    let tail = [(512, 1); 5].into_iter().chain([(1024, 2), (1024, 1)]);
    for (channels, stride) in blocks.into_iter().chain(tail) {
        x = b.depthwise(x, 3, stride);
        x = b.conv(x, channels, 1, 1, 1);
    }
    x
}

pub(crate) fn mobilenet_v2(b: &mut Builder, x: TensorId) -> TensorId {
    let mut x = b.conv(x, 32, 3, 2, 1);
    let settings =
        [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)];
    for (expand, channels, repeats, first) in settings {
        for i in 0..repeats {
            let (before, stride) = (x, if i == 0 { first } else { 1 });
            if expand > 1 {
                x = b.conv(x, b.channels(x) * expand, 1, 1, 1);
            }
            x = b.depthwise(x, 3, stride);
            x = b.conv(x, channels, 1, 1, 1);
            if stride == 1 && b.channels(before) == channels {
                x = b.add(before, x);
            }
        }
    }
    b.conv(x, 1280, 1, 1, 1)
}

/// A residual network; with bottlenecks of this width and these groups in the first stage, or without.
pub(crate) fn resnet(
    b: &mut Builder,
    x: TensorId,
    repeats: [usize; 4],
    bottleneck: Option<(usize, usize)>,
) -> TensorId {
    let x = b.conv(x, 64, 7, 2, 1);
    let mut x = b.max_pool(x, 3, 2, 1);
    for (stage, repeats) in repeats.into_iter().enumerate() {
        let out = if bottleneck.is_some() { 256 << stage } else { 64 << stage };
        for i in 0..repeats {
            let stride = if i == 0 && stage > 0 { 2 } else { 1 };
            let before = x;
            let y = match bottleneck {
                Some((width, groups)) => {
                    let y = b.conv(x, width << stage, 1, 1, 1);
                    let y = b.conv(y, width << stage, 3, stride, groups);
                    b.conv(y, out, 1, 1, 1)
                }
                None => {
                    let y = b.conv(x, out, 3, stride, 1);
                    b.conv(y, out, 3, 1, 1)
                }
            };
            let same = stride == 1 && b.channels(before) == out;
            let skip = if same { before } else { b.conv(before, out, 1, stride, 1) };
            x = b.add(skip, y);
        }
    }
    x
}
