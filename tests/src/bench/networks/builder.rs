//! Makes integer programs with made-up weights, layer by layer. Used by the networks beside it.
//!
//! Only structure matters here: scales are all equal, weights a fixed pattern.

use ptq_ir::ops::{ConvGeom, NearestResize, PoolGeom};
use ptq_ir::{
    Activation, Attrs, DType, Device, QAdd, QConcat, QConv, QGraph, QLut, QMatMul, QMul, QNode, QOp, QPool, QSoftmax,
    QTensor, QuantParams, Requant, Rounding, Segment, SegmentId, Tensor, TensorId,
};

/// What follows a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// Nothing, or a clamp, which costs nothing.
    Clamp,
    /// A function by table: SiLU, GELU, sigmoid.
    Table,
}

/// A program under construction; one segment on the accelerator.
pub(crate) struct Builder {
    pub(crate) graph: QGraph,
    /// Multiply-accumulates so far.
    pub(crate) macs: u64,
    /// Weights so far, biases not counted.
    pub(crate) weights: u64,
}

impl Builder {
    pub(crate) fn new(name: &str, march: &str) -> Builder {
        let segment = Segment { device: Device::Bpu, subgraph: Some(0) };
        let graph = QGraph {
            name: name.to_owned(),
            march: march.to_owned(),
            rounding: Rounding::Fixed,
            tensors: Vec::new(),
            nodes: Vec::new(),
            segments: vec![segment],
            inputs: Vec::new(),
            outputs: Vec::new(),
        };
        Builder { graph, macs: 0, weights: 0 }
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

    /// The shape of a tensor of four axes.
    pub(crate) fn shape(&self, id: TensorId) -> [usize; 4] {
        let s = &self.graph.tensors[id.0 as usize].shape;
        [s[0], s[1], s[2], s[3]]
    }

    pub(crate) fn channels(&self, id: TensorId) -> usize {
        self.shape(id)[1]
    }

    /// An input of this shape, batch 1.
    pub(crate) fn input(&mut self, c: usize, h: usize, w: usize) -> TensorId {
        let x = self.tensor(&[1, c, h, w], None);
        self.graph.inputs.push(x);
        x
    }

    /// Marks a tensor as an output.
    pub(crate) fn output(&mut self, x: TensorId) {
        self.graph.outputs.push(x);
    }

    /// A square convolution padded so that stride 1 keeps the size.
    pub(crate) fn conv(&mut self, x: TensorId, filters: usize, kernel: usize, stride: usize, group: usize) -> TensorId {
        let pad = (kernel - 1) / 2;
        self.padded_conv(x, filters, (kernel, stride, pad), group)
    }

    /// A convolution with a function behind it.
    pub(crate) fn conv_act(&mut self, x: TensorId, f: usize, k: usize, s: usize, g: usize, act: Act) -> TensorId {
        let y = self.conv(x, f, k, s, g);
        if act == Act::Table { self.lut(y) } else { y }
    }

    /// A square convolution: kernel, stride, padding on all sides.
    pub(crate) fn padded_conv(
        &mut self,
        x: TensorId,
        filters: usize,
        window: (usize, usize, usize),
        group: usize,
    ) -> TensorId {
        self.any_conv(x, filters, window, group, false)
    }

    /// A pointwise convolution whose accumulators are an output, as at the end of a detector.
    pub(crate) fn tail_conv(&mut self, x: TensorId, filters: usize) {
        let y = self.any_conv(x, filters, (1, 1, 0), 1, true);
        self.output(y);
    }

    fn any_conv(
        &mut self,
        x: TensorId,
        filters: usize,
        (kernel, stride, pad): (usize, usize, usize),
        group: usize,
        int32: bool,
    ) -> TensorId {
        let [_, c, h, w] = self.shape(x);
        let geom = ConvGeom { kernel: [kernel; 2], strides: [stride; 2], pads: [pad; 4], dilations: [1, 1], group };
        let count = filters * c / group * kernel * kernel;
        let values = (0..count).map(|i| (i * 31 + i / 7) as i8).collect();
        let shape = [filters, c / group, kernel, kernel];
        let weights = Tensor::from_i8(shape, values).unwrap_or_else(|e| panic!("{e}"));
        let weights = self.tensor(&shape, Some(weights));
        let bias = Tensor::from_i32([filters], vec![7; filters]).unwrap_or_else(|e| panic!("{e}"));
        let bias = self.tensor(&[filters], Some(bias));
        let requant = (!int32).then(|| Requant::Fixed(vec![(1 << 30, 38); filters]));
        let (clamp_lo, clamp_hi) = if int32 { (i32::MIN, i32::MAX) } else { (-128, 127) };
        let conv = QConv { geom, requant, out_zero: 0, clamp_lo, clamp_hi, activation: Activation::None };
        let out = |n: usize| (n + 2 * pad - kernel) / stride + 1;
        let (oh, ow) = (out(h), out(w));
        self.macs += (count * oh * ow) as u64;
        self.weights += count as u64;
        let y = self.node(QOp::Conv(conv), vec![x, weights, bias], &[1, filters, oh, ow]);
        if int32 {
            let t = &mut self.graph.tensors[y.0 as usize];
            t.dtype = DType::I32;
            t.quant = Some(QuantParams::per_channel(DType::I32, vec![1e-3; filters], 1));
        }
        y
    }

    /// A depthwise convolution.
    pub(crate) fn depthwise(&mut self, x: TensorId, kernel: usize, stride: usize) -> TensorId {
        let c = self.channels(x);
        self.conv(x, c, kernel, stride, c)
    }

    /// A convolution over the first channels only, the others pass.
    pub(crate) fn partial_conv(&mut self, x: TensorId, channels: usize, kernel: usize) -> TensorId {
        let c = self.channels(x);
        let (head, tail) = (self.slice(x, 0, channels), self.slice(x, channels, c - channels));
        let head = self.conv(head, channels, kernel, 1, 1);
        self.concat(&[head, tail])
    }

    pub(crate) fn add(&mut self, a: TensorId, b: TensorId) -> TensorId {
        let add = QAdd {
            requant: Requant::Fixed(vec![(1 << 30, 31), (1 << 30, 31)]),
            out_zero: 0,
            clamp_lo: -128,
            clamp_hi: 127,
            activation: Activation::None,
        };
        let shape = self.graph.tensor(a).shape.clone();
        self.node(QOp::Add(add), vec![a, b], &shape)
    }

    /// A product; `b` may hold one value a channel.
    pub(crate) fn mul(&mut self, a: TensorId, b: TensorId) -> TensorId {
        let requant = Requant::Fixed(vec![(1 << 30, 37)]);
        let shape = self.graph.tensor(a).shape.clone();
        self.node(QOp::Mul(QMul { requant, out_zero: 0, clamp_lo: -128, clamp_hi: 127 }), vec![a, b], &shape)
    }

    /// A function by table.
    pub(crate) fn lut(&mut self, x: TensorId) -> TensorId {
        let table = (-128..128).collect();
        let shape = self.graph.tensor(x).shape.clone();
        self.node(QOp::Lut(QLut { op: "Sigmoid".into(), attrs: Attrs::default(), table }), vec![x], &shape)
    }

    /// Some channels.
    pub(crate) fn slice(&mut self, x: TensorId, start: usize, channels: usize) -> TensorId {
        self.slice_axis(x, 1, start, channels)
    }

    /// A part of one axis.
    pub(crate) fn slice_axis(&mut self, x: TensorId, axis: usize, start: usize, extent: usize) -> TensorId {
        let (mut starts, mut shape) = (vec![0; 4], self.shape(x));
        (starts[axis], shape[axis]) = (start, extent);
        self.node(QOp::Slice { starts }, vec![x], &shape)
    }

    /// Channels behind each other.
    pub(crate) fn concat(&mut self, parts: &[TensorId]) -> TensorId {
        let [n, _, h, w] = self.shape(parts[0]);
        let c = parts.iter().map(|&p| self.channels(p)).sum();
        let concat = QConcat { axis: 1, requant: vec![None; parts.len()], out_zero: 0 };
        self.node(QOp::Concat(concat), parts.to_vec(), &[n, c, h, w])
    }

    /// Twice the size, nearest pixel.
    pub(crate) fn upsample(&mut self, x: TensorId) -> TensorId {
        let [n, c, h, w] = self.shape(x);
        let axis = |n: usize| {
            NearestResize::axis(n, 2 * n, 2.0, "asymmetric", "floor").unwrap_or_else(|| panic!("upsampling"))
        };
        self.node(QOp::Resize(NearestResize { rows: axis(h), cols: axis(w) }), vec![x], &[n, c, 2 * h, 2 * w])
    }

    /// Maximum over a window.
    pub(crate) fn max_pool(&mut self, x: TensorId, kernel: usize, stride: usize, pad: usize) -> TensorId {
        let [n, c, h, w] = self.shape(x);
        let out = |n: usize| (n + 2 * pad - kernel) / stride + 1;
        self.node(QOp::MaxPool(pool(kernel, stride, pad)), vec![x], &[n, c, out(h), out(w)])
    }

    /// Mean over the whole image.
    pub(crate) fn global_pool(&mut self, x: TensorId) -> TensorId {
        let [_, c, h, _] = self.shape(x);
        let pool = QPool { geom: pool(h, 1, 0), requant: Requant::Fixed(vec![(1 << 30, 35); h * h]), out_zero: 0 };
        self.node(QOp::AveragePool(pool), vec![x], &[1, c, 1, 1])
    }

    /// The same elements under another shape.
    pub(crate) fn reshape(&mut self, x: TensorId, shape: &[usize]) -> TensorId {
        self.node(QOp::Reshape, vec![x], shape)
    }

    pub(crate) fn transpose(&mut self, x: TensorId, perm: &[usize]) -> TensorId {
        let shape: Vec<usize> = perm.iter().map(|&a| self.graph.tensor(x).shape[a]).collect();
        self.node(QOp::Transpose { perm: perm.to_vec() }, vec![x], &shape)
    }

    /// A product of matrices over the last two of four axes.
    pub(crate) fn matmul(&mut self, a: TensorId, b: TensorId) -> TensorId {
        let ([n, heads, m, k], [_, _, _, columns]) = (self.shape(a), self.shape(b));
        self.macs += (n * heads * m * k * columns) as u64;
        let matmul = QMatMul { requant: Requant::Fixed(vec![(1 << 30, 38)]), out_zero: 0 };
        self.node(QOp::MatMul(matmul), vec![a, b], &[n, heads, m, columns])
    }

    /// Softmax along the last axis.
    pub(crate) fn softmax(&mut self, x: TensorId) -> TensorId {
        let table = (0..256).map(|k| ((1 << 20) as f64 * (-0.1 * f64::from(k)).exp()).round() as u32).collect();
        let shape = self.graph.tensor(x).shape.clone();
        let softmax =
            QSoftmax { axis: shape.len() - 1, table, requant: Requant::Fixed(vec![(127 << 24, 24)]), out_zero: 0 };
        self.node(QOp::Softmax(softmax), vec![x], &shape)
    }
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
