//! Builds integer programs by hand: one float input and its border, any integer operators, borders back to float.

use ptq_ir::ops::{BlockMove, ConvGeom, LinearResize, NearestResize, PoolGeom};
use ptq_ir::{
    Activation, Attrs, DType, Device, QAdd, QConcat, QConv, QDiv, QExtreme, QGraph, QLut, QMatMul, QMul, QNode, QOp,
    QPool, QReduce, QRequantize, QSoftmax, QTensor, QuantParams, Reduction, Requant, Rounding, Segment, SegmentId,
    Tensor, TensorId, broadcast_shapes, numel,
};
use ptq_kernels::requant::{fixed_from_f64, fixed_pair_from_f64};

/// Reproducible random numbers (splitmix64).
#[derive(Clone)]
pub(crate) struct Rng(pub(crate) u64);

impl Rng {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number in `lo..=hi`.
    pub(crate) fn range(&mut self, lo: i64, hi: i64) -> i64 {
        lo + (self.next() % (hi - lo + 1) as u64) as i64
    }

    pub(crate) fn size(&mut self, lo: usize, hi: usize) -> usize {
        self.range(lo as i64, hi as i64) as usize
    }

    pub(crate) fn chance(&mut self, percent: u64) -> bool {
        self.next() % 100 < percent
    }
}

/// An integer program under construction. Segment 0 quantizes inputs, 1 computes, 2 dequantizes outputs.
pub(crate) struct Builder {
    pub(crate) graph: QGraph,
    pub(crate) rng: Rng,
    act: DType,
}

const INPUTS: SegmentId = SegmentId(0);
const BODY: SegmentId = SegmentId(1);
const OUTPUTS: SegmentId = SegmentId(2);

impl Builder {
    pub(crate) fn new(rounding: Rounding, act: DType, seed: u64) -> Builder {
        let segment = |device| Segment { device, subgraph: (device == Device::Bpu).then_some(0) };
        let graph = QGraph {
            name: "test".into(),
            march: "test".into(),
            rounding,
            tensors: Vec::new(),
            nodes: Vec::new(),
            segments: [Device::Cpu, Device::Bpu, Device::Cpu].map(segment).to_vec(),
            inputs: Vec::new(),
            outputs: Vec::new(),
        };
        Builder { graph, rng: Rng(seed), act }
    }

    pub(crate) fn shape(&self, id: TensorId) -> Vec<usize> {
        self.graph.tensor(id).shape.clone()
    }

    fn tensor(
        &mut self,
        name: String,
        shape: &[usize],
        dtype: DType,
        quant: Option<QuantParams>,
        data: Option<Tensor>,
    ) -> TensorId {
        let id = TensorId(self.graph.tensors.len() as u32);
        self.graph.tensors.push(QTensor { source: name.clone(), name, shape: shape.to_vec(), dtype, quant, data });
        id
    }

    /// An activation with a random zero point (in the range of its type). Where activations have 16 bits, every third is int8.
    fn activation(&mut self, shape: &[usize]) -> TensorId {
        let narrow = self.act == DType::I16 && self.rng.chance(33);
        self.activation_of(if narrow { DType::I8 } else { self.act }, shape)
    }

    fn activation_of(&mut self, dtype: DType, shape: &[usize]) -> TensorId {
        let (scale, zero) = match dtype {
            DType::I16 => (3e-4, 0),
            DType::U8 => (0.05, self.rng.range(0, 255)),
            _ => (0.05, self.rng.range(-128, 127)),
        };
        let params = QuantParams::per_tensor(dtype, scale, zero as i32);
        let name = format!("t{}", self.graph.tensors.len());
        self.tensor(name, shape, dtype, Some(params), None)
    }

    /// An activation of the width of `x`.
    fn like(&mut self, x: TensorId, shape: &[usize]) -> TensorId {
        let dtype = self.graph.tensor(x).dtype;
        self.activation_of(if dtype == DType::I32 { self.act } else { dtype }, shape)
    }

    fn dtype(&self, id: TensorId) -> DType {
        self.graph.tensor(id).dtype
    }

    /// How much larger numbers of this tensor are than those of 8 bits.
    fn reach(&self, id: TensorId) -> f64 {
        if self.dtype(id) == DType::I16 { 256.0 } else { 1.0 }
    }

    fn zero(&self, id: TensorId) -> i32 {
        self.graph.tensor(id).quant.as_ref().map_or(0, |q| q.zero_point0())
    }

    fn node(&mut self, op: QOp, inputs: Vec<TensorId>, output: TensorId, segment: SegmentId) -> TensorId {
        let name = format!("{}_{}", op.name(), self.graph.nodes.len());
        self.graph.nodes.push(QNode {
            name: name.clone(),
            op,
            inputs,
            outputs: vec![output],
            segment,
            covers: vec![name],
        });
        output
    }

    pub(crate) fn input(&mut self, shape: &[usize]) -> TensorId {
        let name = format!("input{}", self.graph.inputs.len());
        let x = self.tensor(name, shape, DType::F32, None, None);
        self.graph.inputs.push(x);
        let q = self.activation(shape);
        self.node(QOp::Quantize, vec![x], q, INPUTS)
    }

    pub(crate) fn output(&mut self, id: TensorId) {
        let shape = self.shape(id);
        let y = self.tensor(format!("output{}", self.graph.outputs.len()), &shape, DType::F32, None, None);
        self.graph.outputs.push(y);
        self.node(QOp::Dequantize, vec![id], y, OUTPUTS);
    }

    /// Moves quantize nodes to the front and dequantize nodes to the back.
    pub(crate) fn finish(mut self) -> QGraph {
        self.graph.nodes.sort_by_key(|n| n.segment);
        self.graph
    }

    fn requant(&self, factors: &[f64]) -> Requant {
        match self.graph.rounding {
            Rounding::Float => Requant::Float(factors.iter().map(|&m| m as f32).collect()),
            Rounding::Fixed => Requant::Fixed(factors.iter().map(|&m| fixed_from_f64(m)).collect()),
        }
    }

    /// A random positive factor around `centre`.
    fn factor(&mut self, centre: f64) -> f64 {
        centre * (0.5 + self.rng.range(0, 1000) as f64 / 1000.0)
    }

    /// The type's range, sometimes cut by an activation.
    fn clamp(&mut self, y: TensorId) -> (i32, i32) {
        let (zero, (lo, hi)) = (self.zero(y), self.dtype(y).quant_range().unwrap());
        match self.rng.range(0, 2) {
            0 => (lo, hi),
            1 => (zero, hi),
            _ => (zero, hi.min(zero + 40)),
        }
    }

    fn int8(&mut self, count: usize, lo: i64, hi: i64) -> Vec<i8> {
        (0..count).map(|_| self.rng.range(lo, hi) as i8).collect()
    }

    pub(crate) fn conv(&mut self, x: TensorId, oc: usize, geom: ConvGeom, int32: bool) -> TensorId {
        let [n, c, h, w] = self.shape(x)[..] else { panic!("rank") };
        let [kh, kw] = geom.kernel;
        let icg = c / geom.group;
        let data = self.int8(oc * icg * kh * kw, -127, 127);
        let w_id = self.graph.tensors.len();
        let data = Tensor::from_i8([oc, icg, kh, kw], data).unwrap();
        let weights = self.tensor(format!("w{w_id}"), &[oc, icg, kh, kw], DType::I8, None, Some(data));
        let mut inputs = vec![x, weights];
        if self.rng.chance(80) {
            let bias: Vec<i32> = (0..oc).map(|_| self.rng.range(-20_000, 20_000) as i32).collect();
            let bias = Tensor::from_i32([oc], bias).unwrap();
            inputs.push(self.tensor(format!("b{w_id}"), &[oc], DType::I32, None, Some(bias)));
        }
        let [oh, ow] = geom.out_hw([h, w]).unwrap();
        let shape = [n, oc, oh, ow];
        if int32 {
            let params = QuantParams::per_channel(DType::I32, (1..=oc).map(|i| i as f32 * 1e-3).collect(), 1);
            let y = self.tensor(format!("t{w_id}_acc"), &shape, DType::I32, Some(params), None);
            let conv = QConv {
                geom,
                requant: None,
                out_zero: 0,
                clamp_lo: i32::MIN,
                clamp_hi: i32::MAX,
                activation: Activation::None,
            };
            return self.node(QOp::Conv(conv), inputs, y, BODY);
        }
        let y = self.activation(&shape);
        let centre = 60.0 / (5000.0 * ((icg * kh * kw) as f64).sqrt());
        let entries = if self.rng.chance(80) { oc } else { 1 };
        let centre = centre * self.reach(y) / self.reach(x);
        let factors: Vec<f64> = (0..entries).map(|_| self.factor(centre)).collect();
        let out_zero = self.zero(y);
        let (clamp_lo, clamp_hi) = self.clamp(y);
        let requant = Some(self.requant(&factors));
        let conv = QConv { geom, requant, out_zero, clamp_lo, clamp_hi, activation: Activation::None };
        self.node(QOp::Conv(conv), inputs, y, BODY)
    }

    /// A constant operand.
    pub(crate) fn constant(&mut self, shape: &[usize]) -> TensorId {
        let count = numel(shape).unwrap();
        let zero = if self.act == DType::U8 { 100 } else { 3 };
        let zero = if self.act == DType::I16 { 0 } else { zero };
        let params = QuantParams::per_tensor(self.act, 0.02, zero);
        let data = match self.act {
            DType::I16 => Tensor::from_i16(shape, (0..count).map(|_| self.rng.range(-32_768, 32_767) as i16).collect()),
            DType::U8 => Tensor::from_u8(shape, (0..count).map(|_| self.rng.range(0, 255) as u8).collect()),
            _ => Tensor::from_i8(shape, (0..count).map(|_| self.rng.range(-128, 127) as i8).collect()),
        };
        let name = format!("c{}", self.graph.tensors.len());
        self.tensor(name, shape, self.act, Some(params), Some(data.unwrap()))
    }

    pub(crate) fn add(&mut self, a: TensorId, b: TensorId) -> TensorId {
        let shape = broadcast_shapes(&self.shape(a), &self.shape(b)).unwrap();
        let y = self.activation(&shape);
        let reach = self.reach(y);
        let (fa, mut fb) = (self.factor(0.5) * reach / self.reach(a), self.factor(0.7) * reach / self.reach(b));
        if self.rng.chance(30) {
            fb = -fb;
        }
        let requant = self.pair(fa, fb);
        let out_zero = self.zero(y);
        let (clamp_lo, clamp_hi) = self.clamp(y);
        let add = QAdd { requant, out_zero, clamp_lo, clamp_hi, activation: Activation::None };
        self.node(QOp::Add(add), vec![a, b], y, BODY)
    }

    pub(crate) fn mul(&mut self, a: TensorId, b: TensorId) -> TensorId {
        let shape = broadcast_shapes(&self.shape(a), &self.shape(b)).unwrap();
        let y = self.activation(&shape);
        let factor = self.factor(0.01) * self.reach(y) / self.reach(a) / self.reach(b);
        let out_zero = self.zero(y);
        let (clamp_lo, clamp_hi) = self.clamp(y);
        let mul = QMul { requant: self.requant(&[factor]), out_zero, clamp_lo, clamp_hi };
        self.node(QOp::Mul(mul), vec![a, b], y, BODY)
    }

    /// Multipliers of two operands.
    fn pair(&self, a: f64, b: f64) -> Requant {
        match self.graph.rounding {
            Rounding::Float => Requant::Float(vec![a as f32, b as f32]),
            Rounding::Fixed => {
                let (ma, mb, shift) = fixed_pair_from_f64(a, b);
                Requant::Fixed(vec![(ma, shift), (mb, shift)])
            }
        }
    }

    pub(crate) fn extreme(&mut self, a: TensorId, b: TensorId, smaller: bool) -> TensorId {
        let y = self.activation(&broadcast_shapes(&self.shape(a), &self.shape(b)).unwrap());
        let reach = self.reach(y);
        let (fa, fb) = (self.factor(0.8) * reach / self.reach(a), self.factor(0.9) * reach / self.reach(b));
        let extreme = QExtreme { smaller, requant: self.pair(fa, fb), out_zero: self.zero(y) };
        self.node(QOp::Extreme(extreme), vec![a, b], y, BODY)
    }

    pub(crate) fn div(&mut self, a: TensorId, b: TensorId) -> TensorId {
        let y = self.activation(&broadcast_shapes(&self.shape(a), &self.shape(b)).unwrap());
        let factor = self.factor(20.0) * self.reach(y) * self.reach(b) / self.reach(a);
        let div = QDiv { requant: self.requant(&[factor]), out_zero: self.zero(y) };
        self.node(QOp::Div(div), vec![a, b], y, BODY)
    }

    /// Product over the last two axes; `batch` is the shape in front of them.
    pub(crate) fn matmul(&mut self, a: TensorId, b: TensorId, batch: &[usize]) -> TensorId {
        let (sa, sb) = (self.shape(a), self.shape(b));
        let (m, k, n) = (sa[sa.len() - 2], sa[sa.len() - 1], sb[sb.len() - 1]);
        let y = self.activation(&[batch, &[m, n]].concat());
        let centre = 60.0 / (5000.0 * (k as f64).sqrt()) * self.reach(y) / self.reach(a) / self.reach(b);
        let factor = self.factor(centre);
        let matmul = QMatMul { requant: self.requant(&[factor]), out_zero: self.zero(y) };
        self.node(QOp::MatMul(matmul), vec![a, b], y, BODY)
    }

    pub(crate) fn reduce(&mut self, x: TensorId, kind: Reduction, axis: usize) -> TensorId {
        let mut shape = self.shape(x);
        let extent = std::mem::replace(&mut shape[axis], 1) as f64;
        let factor = match kind {
            Reduction::Max => None,
            Reduction::Sum => Some(self.factor(1.0 / extent.sqrt())),
            Reduction::Mean => Some(self.factor(1.0 / extent)),
        };
        let y = if factor.is_some() { self.like(x, &shape) } else { self.moved(x, &shape) };
        let out_zero = if factor.is_some() { self.zero(y) } else { 0 };
        let requant = factor.map(|f| self.requant(&[f]));
        self.node(QOp::Reduce(QReduce { kind, axis, requant, out_zero }), vec![x], y, BODY)
    }

    pub(crate) fn softmax(&mut self, x: TensorId, axis: usize) -> TensorId {
        let y = self.like(x, &self.shape(x));
        let scale = 0.05 * self.rng.range(1, 4) as f64 / self.reach(x);
        let one = f64::from(if self.dtype(x) == DType::I16 { 1u32 << 30 } else { 1 << 20 });
        let values = 1u32 << (8 * self.dtype(x).bytes());
        let table = (0..values).map(|k| (one * (-scale * f64::from(k)).exp()).round() as u32).collect();
        let softmax = QSoftmax { axis, table, requant: self.requant(&[127.0 * self.reach(y)]), out_zero: self.zero(y) };
        self.node(QOp::Softmax(softmax), vec![x], y, BODY)
    }

    pub(crate) fn gather(&mut self, x: TensorId, axis: usize, indices: &[u32]) -> TensorId {
        let mut shape = self.shape(x);
        shape[axis] = indices.len();
        let y = self.moved(x, &shape);
        self.node(QOp::Gather { axis, indices: indices.to_vec() }, vec![x], y, BODY)
    }

    pub(crate) fn pad(&mut self, x: TensorId, before: &[usize], after: &[usize]) -> TensorId {
        let shape: Vec<usize> = self.shape(x).iter().zip(before).zip(after).map(|((d, b), a)| d + b + a).collect();
        let y = self.moved(x, &shape);
        let value = self.zero(x);
        self.node(QOp::Pad { before: before.to_vec(), value }, vec![x], y, BODY)
    }

    /// Concatenation; inputs whose flag is set change their scale.
    pub(crate) fn concat(&mut self, parts: &[(TensorId, bool)], axis: usize) -> TensorId {
        let mut shape = self.shape(parts[0].0);
        shape[axis] = parts.iter().map(|(p, _)| self.shape(*p)[axis]).sum();
        let y = self.activation(&shape);
        let mut requant = Vec::new();
        for &(part, scaled) in parts {
            let scaled = scaled || self.dtype(part) != self.dtype(y);
            let factor = self.factor(0.8) * self.reach(y) / self.reach(part);
            requant.push(scaled.then(|| self.requant(&[factor])));
        }
        let out_zero = self.zero(y);
        self.node(QOp::Concat(QConcat { axis, requant, out_zero }), parts.iter().map(|p| p.0).collect(), y, BODY)
    }

    pub(crate) fn average_pool(&mut self, x: TensorId, geom: PoolGeom) -> TensorId {
        let [n, c, h, w] = self.shape(x)[..] else { panic!("rank") };
        let [oh, ow] = geom.out_hw([h, w]).unwrap();
        let y = self.like(x, &[n, c, oh, ow]);
        let area = geom.kernel[0] * geom.kernel[1];
        let ratio = self.factor(1.0);
        let count = |n: usize| if geom.count_include_pad { area } else { n };
        let factors: Vec<f64> = (1..=area).map(|n| ratio / count(n) as f64).collect();
        let pool = QPool { geom, requant: self.requant(&factors), out_zero: self.zero(y) };
        self.node(QOp::AveragePool(pool), vec![x], y, BODY)
    }

    /// A tensor with the same parameters and another shape.
    fn moved(&mut self, x: TensorId, shape: &[usize]) -> TensorId {
        let (dtype, mut quant) = (self.graph.tensor(x).dtype, self.graph.tensor(x).quant.clone());
        if let Some(q) = quant.as_mut().filter(|q| q.axis.is_some()) {
            // The tests do not track the channel axis; one scale serves.
            *q = QuantParams::per_tensor(dtype, 1e-3, 0);
        }
        let name = format!("t{}", self.graph.tensors.len());
        self.tensor(name, shape, dtype, quant, None)
    }

    pub(crate) fn max_pool(&mut self, x: TensorId, geom: PoolGeom) -> TensorId {
        let [n, c, h, w] = self.shape(x)[..] else { panic!("rank") };
        let [oh, ow] = geom.out_hw([h, w]).unwrap();
        let y = self.moved(x, &[n, c, oh, ow]);
        self.node(QOp::MaxPool(geom), vec![x], y, BODY)
    }

    pub(crate) fn lut(&mut self, x: TensorId) -> TensorId {
        let y = self.activation(&self.shape(x));
        let (lo, hi) = self.dtype(y).quant_range().unwrap();
        let table =
            (0..1 << (8 * self.dtype(x).bytes())).map(|_| self.rng.range(lo.into(), hi.into()) as i16).collect();
        self.node(QOp::Lut(QLut { op: "Sigmoid".into(), attrs: Attrs::default(), table }), vec![x], y, BODY)
    }

    /// The same numbers in another random form.
    pub(crate) fn requantize(&mut self, x: TensorId) -> TensorId {
        let y = self.activation(&self.shape(x));
        let factor = self.factor(0.8) * self.reach(y) / self.reach(x);
        let requantize = QRequantize { requant: self.requant(&[factor]), out_zero: self.zero(y) };
        self.node(QOp::Requantize(requantize), vec![x], y, BODY)
    }

    pub(crate) fn resize(&mut self, x: TensorId, oh: usize, ow: usize) -> TensorId {
        let mut shape = self.shape(x);
        let rank = shape.len();
        let axis = |input: usize, output: usize| {
            let scale = output as f64 / input as f64;
            NearestResize::axis(input, output, scale, "asymmetric", "floor").unwrap()
        };
        let resize = NearestResize { rows: axis(shape[rank - 2], oh), cols: axis(shape[rank - 1], ow) };
        (shape[rank - 2], shape[rank - 1]) = (oh, ow);
        let y = self.moved(x, &shape);
        self.node(QOp::Resize(resize), vec![x], y, BODY)
    }

    pub(crate) fn reshape(&mut self, x: TensorId, shape: &[usize]) -> TensorId {
        let y = self.moved(x, shape);
        self.node(QOp::Reshape, vec![x], y, BODY)
    }

    pub(crate) fn transpose(&mut self, x: TensorId, perm: &[usize]) -> TensorId {
        let shape = self.shape(x);
        let shape: Vec<usize> = perm.iter().map(|&a| shape[a]).collect();
        let y = self.moved(x, &shape);
        self.node(QOp::Transpose { perm: perm.to_vec() }, vec![x], y, BODY)
    }

    pub(crate) fn linear_resize(&mut self, x: TensorId, oh: usize, ow: usize, transform: &str) -> TensorId {
        let [n, c, h, w] = self.shape(x)[..] else { panic!("rank") };
        let axis =
            |from: usize, to: usize| LinearResize::axis(from, to, to as f64 / from as f64, transform).expect("known");
        let (rows, cols) = (axis(h, oh), axis(w, ow));
        let resize = LinearResize { rows, cols, transform: transform.to_owned(), scales: None };
        let y = self.moved(x, &[n, c, oh, ow]);
        self.node(QOp::LinearResize(resize), vec![x], y, BODY)
    }

    pub(crate) fn depth_to_space(&mut self, x: TensorId, block: BlockMove) -> TensorId {
        let shape: [usize; 4] = self.shape(x).try_into().unwrap();
        let y = self.moved(x, &block.to_space(shape).unwrap());
        self.node(QOp::DepthToSpace(block), vec![x], y, BODY)
    }

    pub(crate) fn space_to_depth(&mut self, x: TensorId, block: usize) -> TensorId {
        let [n, c, h, w] = self.shape(x)[..] else { panic!("rank") };
        let y = self.moved(x, &[n, c * block * block, h / block, w / block]);
        self.node(QOp::SpaceToDepth { block }, vec![x], y, BODY)
    }

    pub(crate) fn slice(&mut self, x: TensorId, starts: &[usize], extents: &[usize]) -> TensorId {
        let y = self.moved(x, extents);
        self.node(QOp::Slice { starts: starts.to_vec() }, vec![x], y, BODY)
    }
}
