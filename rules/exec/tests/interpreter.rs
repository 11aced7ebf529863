//! Integer operators worked out by hand, and the interpreter's convolution against the packed kernels.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use ptq_exec::Interpreter;
use ptq_ir::ops::{BlockMove, BlockOrder, ConvGeom, NearestResize, PoolGeom};
use ptq_ir::{
    Activation, Attr, Attrs, DType, Device, QAdd, QConcat, QConv, QGraph, QLut, QMul, QNode, QOp, QPool, QTensor,
    QuantParams, Requant, Rounding, Segment, SegmentId, Tensor, TensorId,
};
use ptq_kernels::requant::fixed_from_f64;
use ptq_kernels::{IntConv, IntConvSpec, Isa, Sign, bytes_of, to_nchw, to_nhwc};

fn tensor(name: &str, shape: &[usize], dtype: DType, quant: Option<(f32, i32)>) -> QTensor {
    QTensor {
        name: name.to_owned(),
        source: name.to_owned(),
        shape: shape.to_vec(),
        dtype,
        quant: quant.map(|(s, z)| QuantParams::per_tensor(dtype, s, z)),
        data: None,
    }
}

/// Runs one operator; the inputs are model inputs.
fn run(op: QOp, inputs: &[(QTensor, Tensor)], out: QTensor) -> Result<Tensor, String> {
    let n = inputs.len() as u32;
    let mut tensors: Vec<QTensor> = inputs.iter().map(|(t, _)| t.clone()).collect();
    tensors.push(out);
    let node = QNode {
        name: "node".into(),
        op,
        inputs: (0..n).map(TensorId).collect(),
        outputs: vec![TensorId(n)],
        segment: SegmentId(0),
        covers: vec![],
    };
    let graph = QGraph {
        name: "g".into(),
        march: "cpu".into(),
        rounding: Rounding::Float,
        tensors,
        nodes: vec![node],
        segments: vec![Segment { device: Device::Bpu, subgraph: Some(0) }],
        inputs: (0..n).map(TensorId).collect(),
        outputs: vec![TensorId(n)],
    };
    let mut seen = 0;
    let data: Vec<Tensor> = inputs.iter().map(|(_, d)| d.clone()).collect();
    let y = Interpreter::new(&graph).and_then(|i| i.run(&data, &mut |_, _| seen += 1)).map_err(|e| e.to_string())?;
    assert_eq!(seen, n + 1, "every tensor is seen once");
    Ok(y.into_iter().next().unwrap())
}

fn bytes(shape: &[usize], zero: i32, v: &[u8]) -> (QTensor, Tensor) {
    (tensor("x", shape, DType::U8, Some((1.0, zero))), Tensor::from_u8(shape, v.to_vec()).unwrap())
}

#[test]
fn sums_round_by_the_march() {
    let a = bytes(&[1, 4], 10, &[10, 11, 12, 255]);
    let b = bytes(&[1, 1], 3, &[6]);
    let out = || tensor("y", &[1, 4], DType::U8, Some((1.0, 5)));
    let add = |requant| {
        let op = QAdd { requant, out_zero: 5, clamp_lo: 7, clamp_hi: 200, activation: Activation::None };
        run(QOp::Add(op), &[a.clone(), b.clone()], out()).unwrap().u8s().unwrap().to_vec()
    };
    // (a - 10)·0.5 + 3·0.5 = 1.5, 2, 2.5, 124 …: half to even.
    assert_eq!(add(Requant::Float(vec![0.5, 0.5])), [7, 7, 7, 129]);
    // The same in fixed point: half away from zero.
    assert_eq!(add(Requant::Fixed(vec![(1, 1), (1, 1)])), [7, 7, 8, 129]);
    let op = QAdd {
        requant: Requant::Fixed(vec![(1, 1), (1, 2)]),
        out_zero: 0,
        clamp_lo: 0,
        clamp_hi: 255,
        activation: Activation::None,
    };
    assert!(run(QOp::Add(op), &[a, b], out()).unwrap_err().contains("one shift"));
}

#[test]
fn products_broadcast_channels() {
    let a = bytes(&[1, 2, 1, 2], 1, &[2, 3, 4, 5]);
    let b = bytes(&[1, 2, 1, 1], 0, &[1, 10]);
    let op = QMul { requant: Requant::Float(vec![0.5]), out_zero: 0, clamp_lo: 0, clamp_hi: 18 };
    let y = run(QOp::Mul(op), &[a, b], tensor("y", &[1, 2, 1, 2], DType::U8, Some((1.0, 0)))).unwrap();
    // 1·1/2 = 0.5 → 0, 2·1/2 = 1, 3·10/2 = 15, 4·10/2 = 20 → 18.
    assert_eq!(y.u8s().unwrap(), &[0, 1, 15, 18]);
}

#[test]
fn concatenation_requantizes_only_where_told() {
    let (a, b) = (bytes(&[1, 1, 2], 4, &[0, 255]), bytes(&[1, 2, 2], 4, &[4, 5, 6, 255]));
    let op = QConcat { axis: 1, requant: vec![None, Some(Requant::Float(vec![2.0]))], out_zero: 1 };
    let y = run(QOp::Concat(op), &[a, b], tensor("y", &[1, 3, 2], DType::U8, Some((1.0, 1)))).unwrap();
    assert_eq!(y.u8s().unwrap(), &[0, 255, 1, 3, 5, 255]);
}

#[test]
fn pools_count_the_taps_inside() {
    let geom = PoolGeom {
        kernel: [2, 2],
        strides: [2, 2],
        pads: [1, 1, 0, 0],
        dilations: [1, 1],
        ceil_mode: false,
        count_include_pad: false,
    };
    let x = bytes(&[1, 1, 3, 3], 1, &[2, 3, 5, 7, 9, 11, 1, 1, 255]);
    let requant = Requant::Float((1..=4).map(|n| 1.0 / n as f32).collect());
    let out = || tensor("y", &[1, 1, 2, 2], DType::U8, Some((1.0, 0)));
    let y = run(QOp::AveragePool(QPool { geom, requant, out_zero: 0 }), std::slice::from_ref(&x), out()).unwrap();
    // 1; (2 + 4) / 2; (6 + 0) / 2; (8 + 10 + 0 + 254) / 4.
    assert_eq!(y.u8s().unwrap(), &[1, 3, 3, 68]);
    let y = run(QOp::MaxPool(geom), &[x], out()).unwrap();
    assert_eq!(y.u8s().unwrap(), &[2, 5, 7, 255]);
}

#[test]
fn tables_and_moves_keep_their_order() {
    let table: Vec<i16> = (-128..=127).map(|q: i16| -q.max(-127)).collect();
    let x = (
        tensor("x", &[2, 3], DType::I8, Some((1.0, 0))),
        Tensor::from_i8([2, 3], vec![-128, -1, 0, 1, 2, 127]).unwrap(),
    );
    let out = |shape: &[usize]| tensor("y", shape, DType::I8, Some((1.0, 0)));
    let lut = QLut { op: "Neg".into(), attrs: Attrs::default(), table };
    let y = run(QOp::Lut(lut), std::slice::from_ref(&x), out(&[2, 3])).unwrap();
    assert_eq!(y.i8s().unwrap(), &[127, 1, 0, -1, -2, -127]);
    let y = run(QOp::Transpose { perm: vec![1, 0] }, std::slice::from_ref(&x), out(&[3, 2])).unwrap();
    assert_eq!(y.i8s().unwrap(), &[-128, 1, -1, 2, 0, 127]);
    let resize = NearestResize { rows: vec![1, 0], cols: vec![2, 2, 0] };
    let y = run(QOp::Resize(resize), std::slice::from_ref(&x), out(&[2, 3])).unwrap();
    assert_eq!(y.i8s().unwrap(), &[127, 127, 1, 0, 0, -128]);
    let y = run(QOp::Reshape, &[x], out(&[6])).unwrap();
    assert_eq!(y.shape(), &[6]);
}

#[test]
fn borders_divide_and_multiply() {
    let x = (tensor("x", &[4], DType::F32, None), Tensor::from_f32([4], vec![0.25, 0.75, -9.0, 1e9]).unwrap());
    let y = run(QOp::Quantize, &[x], tensor("y", &[4], DType::I8, Some((0.5, 2)))).unwrap();
    assert_eq!(y.i8s().unwrap(), &[2, 4, -16, 127], "ties to even, saturated");
    let mut x = tensor("x", &[1, 2, 2], DType::I32, None);
    x.quant = Some(QuantParams::per_channel(DType::I32, vec![0.5, 0.25], 1));
    let data = Tensor::from_i32([1, 2, 2], vec![1, -3, 100_000, 7]).unwrap();
    let y = run(QOp::Dequantize, &[(x, data)], tensor("y", &[1, 2, 2], DType::F32, None)).unwrap();
    assert_eq!(y.f32s().unwrap(), &[0.5, -1.5, 25_000.0, 1.75]);
}

#[test]
fn float_islands_follow_onnx_and_omitted_inputs() {
    let x = (tensor("x", &[3], DType::F32, None), Tensor::from_f32([3], vec![-1.0, 0.5, 9.0]).unwrap());
    let max = (tensor("m", &[], DType::F32, None), Tensor::scalar_f32(6.0));
    let op = |op: &str| QOp::Float {
        op: op.into(),
        domain: String::new(),
        attrs: Attrs::of([("unread", Attr::Int(1))]),
        present: vec![true, false, true],
    };
    let out = || tensor("y", &[3], DType::F32, None);
    let y = run(op("Clip"), &[x.clone(), max.clone()], out()).unwrap();
    assert_eq!(y.f32s().unwrap(), &[-1.0, 0.5, 6.0]);
    let e = run(op("Whirl"), &[x, max], out()).unwrap_err();
    assert!(e.contains("Whirl") && e.contains("node"), "{e}");
}

fn numbers(seed: u64) -> impl FnMut() -> u64 {
    let mut s = seed | 1;
    move || {
        s ^= s << 13;
        s ^= s >> 7;
        s ^= s << 17;
        s >> 11
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn convolution_equals_the_packed_kernel(
        (kh, kw, sh, sw) in (1usize..=4, 1usize..=4, 1usize..=5, 1usize..=5),
        (dh, dw) in (1usize..=2, 1usize..=2),
        (top, left, bottom, right) in (0usize..=3, 0usize..=3, 0usize..=3, 0usize..=3),
        (group, depth, per_group) in prop_oneof![
            (1usize..=3, 1usize..=6, 1usize..=9),
            (1usize..=20).prop_map(|c| (c, 1, 1)),
        ],
        (h, w) in (1usize..=12, 1usize..=12),
        fixed: bool,
        accumulators: bool,
        seed: u64,
    ) {
        let geom = ConvGeom {
            kernel: [kh, kw],
            strides: [sh, sw],
            pads: [top, left, bottom, right],
            dilations: [dh, dw],
            group,
        };
        let Some([oh, ow]) = geom.out_hw([h, w]) else { return Ok(()) };
        let (channels, filters) = (group * depth, group * per_group);
        let mut next = numbers(seed);
        let x: Vec<i8> = (0..channels * h * w).map(|_| next() as i8).collect();
        let weights: Vec<i8> = (0..filters * depth * kh * kw).map(|_| next() as i8).collect();
        let bias: Vec<i32> = (0..filters).map(|_| (next() % 2001) as i32 - 1000).collect();
        let zero = i32::from(next() as i8);
        let factors: Vec<f64> = (0..filters).map(|i| 0.5f64.powi(5 + i as i32 % 3) * [1.0, 1.1][i % 2]).collect();
        let requant = if fixed {
            Requant::Fixed(factors.iter().map(|&f| fixed_from_f64(f)).collect())
        } else {
            Requant::Float(factors.iter().map(|&f| f as f32).collect())
        };
        let requant = (!accumulators).then_some(requant);
        let clamp = if accumulators { (i32::MIN, i32::MAX) } else { (-90, 127) };
        let conv = QConv {
            geom,
            requant: requant.clone(),
            out_zero: 4,
            clamp_lo: clamp.0,
            clamp_hi: clamp.1,
            activation: Activation::None,
        };
        let operands = [
            (tensor("x", &[1, channels, h, w], DType::I8, Some((1.0, zero))), Tensor::from_i8([1, channels, h, w], x.clone()).unwrap()),
            (tensor("w", &[filters, depth, kh, kw], DType::I8, None), Tensor::from_i8([filters, depth, kh, kw], weights.clone()).unwrap()),
            (tensor("b", &[filters], DType::I32, None), Tensor::from_i32([filters], bias.clone()).unwrap()),
        ];
        let dtype = if accumulators { DType::I32 } else { DType::I8 };
        let naive = run(QOp::Conv(conv), &operands, tensor("y", &[1, filters, oh, ow], dtype, None)).unwrap();
        let spec = IntConvSpec {
            weights: &weights,
            filters,
            bias: Some(&bias),
            geom: &geom,
            channels,
            image: [h, w],
            input: Sign::Signed,
            input_zero: zero,
            requant: requant.as_ref(),
            out_zero: 4,
            clamp,
        };
        let packed = IntConv::pack(Isa::best(), &spec).unwrap();
        let mut nhwc = vec![0i8; x.len()];
        to_nhwc(&x, channels, &mut nhwc);
        let n = filters * oh * ow;
        if accumulators {
            let (mut y, mut nchw) = (vec![0i32; n], vec![0i32; n]);
            packed.run_i32(1, 1, bytes_of(&nhwc), &mut y).unwrap();
            to_nchw(&y, filters, &mut nchw);
            prop_assert_eq!(naive.i32s().unwrap(), &nchw[..]);
        } else {
            let (mut y, mut nchw) = (vec![0u8; n], vec![0u8; n]);
            packed.run(1, 1, bytes_of(&nhwc), &mut y).unwrap();
            to_nchw(&y, filters, &mut nchw);
            prop_assert_eq!(bytes_of(naive.i8s().unwrap()), &nchw[..]);
        }
    }
}

#[test]
fn blocks_and_boxes_are_those_of_the_float_operators() {
    let values: Vec<i8> = (0..2 * 12 * 4 * 6).map(|i| (i % 251) as i8).collect();
    let data = Tensor::from_i8([2, 12, 4, 6], values).unwrap();
    let x = (tensor("x", &[2, 12, 4, 6], DType::I8, Some((1.0, 0))), data.clone());
    let same = |op: QOp, name: &str, attrs: Attrs, more: &[Tensor]| {
        let mut operands = vec![Some(&data)];
        operands.extend(more.iter().map(Some));
        let expected = ptq_exec::eval(name, "", &attrs, &operands).unwrap().remove(0);
        let out = tensor("y", expected.shape(), DType::I8, Some((1.0, 0)));
        assert_eq!(run(op, std::slice::from_ref(&x), out).unwrap(), expected, "{name}");
    };
    for (mode, order) in [("DCR", BlockOrder::Dcr), ("CRD", BlockOrder::Crd)] {
        let attrs = Attrs::of([("blocksize", Attr::Int(2)), ("mode", Attr::Str(mode.into()))]);
        same(QOp::DepthToSpace(BlockMove { block: 2, order }), "DepthToSpace", attrs, &[]);
    }
    same(QOp::SpaceToDepth { block: 2 }, "SpaceToDepth", Attrs::of([("blocksize", Attr::Int(2))]), &[]);
    let bounds = [vec![1, 3, 0, 2], vec![2, 9, 4, 5]].map(Tensor::vec_i64);
    same(QOp::Slice { starts: vec![1, 3, 0, 2] }, "Slice", Attrs::default(), &bounds);
    let outside = run(QOp::Slice { starts: vec![0, 11, 0, 0] }, &[x], tensor("y", &[2, 2, 4, 6], DType::I8, None));
    assert!(outside.unwrap_err().contains("not inside"));
}
