//! MobileNetV1, MobileNetV2, ResNet-18 and ResNet-50 at 224 × 224 as integer programs with made-up weights.

use ptq_ir::ops::{ConvGeom, PoolGeom};
use ptq_ir::{
    Activation, DType, Device, QAdd, QConv, QGraph, QNode, QOp, QPool, QTensor, QuantParams, Requant, Rounding,
    Segment, SegmentId, Tensor, TensorId,
};

/// Names of the networks.
pub(crate) const NETWORKS: [&str; 4] = ["mobilenet_v1", "mobilenet_v2", "resnet18", "resnet50"];

/// A network by name.
pub(crate) fn network(name: &str, march: &str) -> QGraph {
    let mut b = Builder::new(name, march);
    let y = match name {
        "mobilenet_v1" => mobilenet_v1(&mut b),
        "mobilenet_v2" => mobilenet_v2(&mut b),
        "resnet18" => resnet(&mut b, [2, 2, 2, 2], false),
        _ => resnet(&mut b, [3, 4, 6, 3], true),
    };
    let y = b.global_pool(y);
    let y = b.conv(y, 1000, 1, 1, 1);
    b.graph.outputs = vec![y];
    b.graph
}

fn mobilenet_v1(b: &mut Builder) -> TensorId {
    let mut x = b.image();
    x = b.conv(x, 32, 3, 2, 1);
    let blocks = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)];
    let tail = [(512, 1); 5].into_iter().chain([(1024, 2), (1024, 1)]);
    for (channels, stride) in blocks.into_iter().chain(tail) {
        x = b.depthwise(x, stride);
        x = b.conv(x, channels, 1, 1, 1);
    }
    x
}

fn mobilenet_v2(b: &mut Builder) -> TensorId {
    let mut x = b.image();
    x = b.conv(x, 32, 3, 2, 1);
    let settings =
        [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)];
    for (expand, channels, repeats, first) in settings {
        for i in 0..repeats {
            let (before, stride) = (x, if i == 0 { first } else { 1 });
            if expand > 1 {
                x = b.conv(x, b.channels(x) * expand, 1, 1, 1);
            }
            x = b.depthwise(x, stride);
            x = b.conv(x, channels, 1, 1, 1);
            if stride == 1 && b.channels(before) == channels {
                x = b.add(before, x);
            }
        }
    }
    b.conv(x, 1280, 1, 1, 1)
}

fn resnet(b: &mut Builder, repeats: [usize; 4], bottleneck: bool) -> TensorId {
    let mut x = b.image();
    x = b.conv(x, 64, 7, 2, 1);
    x = b.max_pool(x);
    for (stage, repeats) in repeats.into_iter().enumerate() {
        let mid = 64 << stage;
        let out = if bottleneck { 4 * mid } else { mid };
        for i in 0..repeats {
            let stride = if i == 0 && stage > 0 { 2 } else { 1 };
            let before = x;
            let y = if bottleneck {
                let y = b.conv(x, mid, 1, 1, 1);
                let y = b.conv(y, mid, 3, stride, 1);
                b.conv(y, out, 1, 1, 1)
            } else {
                let y = b.conv(x, mid, 3, stride, 1);
                b.conv(y, mid, 3, 1, 1)
            };
            let same = stride == 1 && b.channels(before) == out;
            let skip = if same { before } else { b.conv(before, out, 1, stride, 1) };
            x = b.add(skip, y);
        }
    }
    x
}

struct Builder {
    graph: QGraph,
}

impl Builder {
    fn new(name: &str, march: &str) -> Builder {
        let segment = Segment { device: Device::Bpu, subgraph: Some(0) };
        Builder {
            graph: QGraph {
                name: name.to_owned(),
                march: march.to_owned(),
                rounding: Rounding::Fixed,
                tensors: Vec::new(),
                nodes: Vec::new(),
                segments: vec![segment],
                inputs: Vec::new(),
                outputs: Vec::new(),
            },
        }
    }

    fn tensor(&mut self, shape: &[usize], data: Option<Tensor>) -> TensorId {
        let id = TensorId(self.graph.tensors.len() as u32);
        let quant = data.is_none().then(|| QuantParams::per_tensor(DType::I8, 0.1, 0));
        let dtype = data.as_ref().map_or(DType::I8, Tensor::dtype);
        let name = format!("t{}", id.0);
        self.graph.tensors.push(QTensor { source: name.clone(), name, shape: shape.to_vec(), dtype, quant, data });
        id
    }

    fn node(&mut self, op: QOp, inputs: Vec<TensorId>, shape: &[usize]) -> TensorId {
        let output = self.tensor(shape, None);
        let name = format!("{}_{}", op.name(), self.graph.nodes.len());
        let covers = Vec::new();
        self.graph.nodes.push(QNode { name, op, inputs, outputs: vec![output], segment: SegmentId(0), covers });
        output
    }

    fn shape(&self, id: TensorId) -> [usize; 4] {
        let s = &self.graph.tensors[id.0 as usize].shape;
        [s[0], s[1], s[2], s[3]]
    }

    fn channels(&self, id: TensorId) -> usize {
        self.shape(id)[1]
    }

    fn image(&mut self) -> TensorId {
        let x = self.tensor(&[1, 3, 224, 224], None);
        self.graph.inputs.push(x);
        x
    }

    fn depthwise(&mut self, x: TensorId, stride: usize) -> TensorId {
        let c = self.channels(x);
        self.conv(x, c, 3, stride, c)
    }

    fn conv(&mut self, x: TensorId, filters: usize, kernel: usize, stride: usize, group: usize) -> TensorId {
        let [_, c, h, w] = self.shape(x);
        let pad = (kernel - 1) / 2;
        let geom = ConvGeom { kernel: [kernel; 2], strides: [stride; 2], pads: [pad; 4], dilations: [1, 1], group };
        let count = filters * c / group * kernel * kernel;
        let values = (0..count).map(|i| (i * 31 + i / 7) as i8).collect();
        let shape = [filters, c / group, kernel, kernel];
        let weights = Tensor::from_i8(shape, values).unwrap_or_else(|e| panic!("{e}"));
        let weights = self.tensor(&shape, Some(weights));
        let bias = Tensor::from_i32([filters], vec![7; filters]).unwrap_or_else(|e| panic!("{e}"));
        let bias = self.tensor(&[filters], Some(bias));
        let conv = QConv {
            geom,
            requant: Some(Requant::Fixed(vec![(1 << 30, 38); filters])),
            out_zero: 0,
            clamp_lo: -128,
            clamp_hi: 127,
            activation: Activation::None,
        };
        self.node(QOp::Conv(conv), vec![x, weights, bias], &[1, filters, h.div_ceil(stride), w.div_ceil(stride)])
    }

    fn add(&mut self, a: TensorId, b: TensorId) -> TensorId {
        let add = QAdd {
            requant: Requant::Fixed(vec![(1 << 30, 31), (1 << 30, 31)]),
            out_zero: 0,
            clamp_lo: -128,
            clamp_hi: 127,
            activation: Activation::None,
        };
        let shape = self.shape(a);
        self.node(QOp::Add(add), vec![a, b], &shape)
    }

    fn pool(kernel: usize, stride: usize, pad: usize) -> PoolGeom {
        PoolGeom {
            kernel: [kernel; 2],
            strides: [stride; 2],
            pads: [pad; 4],
            dilations: [1, 1],
            ceil_mode: false,
            count_include_pad: false,
        }
    }

    fn max_pool(&mut self, x: TensorId) -> TensorId {
        let [_, c, h, w] = self.shape(x);
        self.node(QOp::MaxPool(Self::pool(3, 2, 1)), vec![x], &[1, c, h / 2, w / 2])
    }

    fn global_pool(&mut self, x: TensorId) -> TensorId {
        let [_, c, h, _] = self.shape(x);
        let pool =
            QPool { geom: Self::pool(h, 1, 0), requant: Requant::Fixed(vec![(1 << 30, 35); h * h]), out_zero: 0 };
        self.node(QOp::AveragePool(pool), vec![x], &[1, c, 1, 1])
    }
}
