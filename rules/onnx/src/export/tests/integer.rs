//! The integer program in QDQ form.

use super::*;
use ptq_ir::ops::{ConvGeom, NearestResize, PoolGeom};
use ptq_ir::{
    Activation, Device, QAdd, QConcat, QConv, QGraph, QLut, QMul, QNode, QOp, QPool, QTensor, Requant, Rounding,
    Segment, SegmentId, TensorId,
};

/// Builds a program with the parameters that the export reads; multipliers are not among them.
struct Program(QGraph);

impl Program {
    fn tensor(&mut self, name: &str, shape: &[usize], dtype: DType, quant: Option<QuantParams>) -> TensorId {
        let source = name.trim_end_matches("_quantized").to_owned();
        let tensor = QTensor { name: name.to_owned(), source, shape: shape.to_vec(), dtype, quant, data: None };
        self.0.tensors.push(tensor);
        TensorId(self.0.tensors.len() as u32 - 1)
    }

    fn float(&mut self, name: &str, shape: &[usize]) -> TensorId {
        self.tensor(name, shape, DType::F32, None)
    }

    fn byte(&mut self, name: &str, shape: &[usize], scale: f32) -> TensorId {
        let quant = QuantParams::per_tensor(DType::U8, scale, 0);
        self.tensor(&format!("{name}_quantized"), shape, DType::U8, Some(quant))
    }

    fn node(&mut self, name: &str, op: QOp, inputs: &[TensorId], output: TensorId) -> TensorId {
        self.0.nodes.push(QNode {
            name: name.to_owned(),
            op,
            inputs: inputs.to_vec(),
            outputs: vec![output],
            segment: SegmentId(0),
            covers: vec![name.to_owned()],
        });
        output
    }

    fn weights(&mut self, name: &str, o: usize, i: usize) -> [TensorId; 2] {
        let scale: Vec<f32> = (0..o).map(|c| 0.01 + c as f32 * 0.003).collect();
        let w = self.tensor(name, &[o, i, 1, 1], DType::I8, Some(QuantParams::per_channel(DType::I8, scale, 0)));
        let data = (0..o * i).map(|k| (k as i64 * 37 % 200 - 100) as i8).collect();
        self.0.tensors[w.0 as usize].data = Some(Tensor::from_i8([o, i, 1, 1], data).unwrap());
        let b = self.tensor(&format!("{name}_bias"), &[o], DType::I32, None);
        self.0.tensors[b.0 as usize].data =
            Some(Tensor::from_i32([o], (0..o as i32).map(|c| c * 50).collect()).unwrap());
        [w, b]
    }
}

fn conv(activation: Activation, requant: Option<Requant>) -> QOp {
    let geom = ConvGeom { kernel: [1, 1], strides: [1, 1], pads: [0; 4], dilations: [1, 1], group: 1 };
    QOp::Conv(QConv { geom, requant, out_zero: 0, clamp_lo: 0, clamp_hi: 255, activation })
}

fn one() -> Requant {
    Requant::Float(vec![1.0])
}

/// Every operator of the integer program once.
pub(super) fn program() -> QGraph {
    let mut p = Program(QGraph {
        name: "model".to_owned(),
        march: "cpu".to_owned(),
        rounding: Rounding::Float,
        tensors: vec![],
        nodes: vec![],
        segments: vec![Segment { device: Device::Cpu, subgraph: None }],
        inputs: vec![],
        outputs: vec![],
    });
    let small = [1, 4, 4, 6];
    let x = p.float("x", &[1, 3, 4, 6]);
    let xq = p.byte("x", &[1, 3, 4, 6], 0.02);
    p.node("x_quantize", QOp::Quantize, &[x], xq);
    let [w, b] = p.weights("w", 4, 3);
    let a = p.byte("a", &small, 0.03);
    p.node("conv", conv(Activation::Relu, Some(one())), &[xq, w, b], a);
    let c = p.byte("c", &small, 0.01);
    let [w2, b2] = p.weights("w2", 4, 4);
    p.node("conv2", conv(Activation::Clip { min: 0.0, max: 6.0 }, Some(one())), &[a, w2, b2], c);
    let add = QAdd { requant: one(), out_zero: 0, clamp_lo: 0, clamp_hi: 255, activation: Activation::None };
    let s = p.byte("s", &small, 0.04);
    p.node("add", QOp::Add(add), &[a, c], s);
    let m = p.byte("m", &small, 0.05);
    p.node("mul", QOp::Mul(QMul { requant: one(), out_zero: 0, clamp_lo: 0, clamp_hi: 255 }), &[a, s], m);
    let l = p.byte("l", &small, 1.0 / 256.0);
    let lut = QLut { op: "Sigmoid".to_owned(), attrs: Attrs::default(), table: vec![0; 256] };
    p.node("sigmoid", QOp::Lut(lut), &[m], l);
    let cat = p.byte("cat", &[1, 8, 4, 6], 0.05);
    let concat = QConcat { axis: 1, requant: vec![None, None], out_zero: 0 };
    p.node("concat", QOp::Concat(concat), &[m, l], cat);
    let window = PoolGeom { kernel: [2, 2], strides: [2, 2], ..PoolGeom::global([2, 2]) };
    let mp = p.byte("mp", &[1, 8, 2, 3], 0.05);
    p.node("max", QOp::MaxPool(window), &[cat], mp);
    let up = p.byte("up", &[1, 8, 4, 6], 0.05);
    let whole = NearestResize { rows: vec![0, 0, 1, 1], cols: vec![0, 0, 1, 1, 2, 2] };
    p.node("up", QOp::Resize(whole), &[mp], up);
    let odd = p.byte("odd", &[1, 8, 3, 5], 0.05);
    let table = NearestResize { rows: vec![0, 1, 1], cols: vec![0, 0, 1, 2, 2] };
    p.node("odd", QOp::Resize(table), &[mp], odd);
    let av = p.byte("av", &[1, 8, 1, 2], 0.05);
    let pool = |geom| QOp::AveragePool(QPool { geom, requant: one(), out_zero: 0 });
    p.node("average", pool(window), &[odd], av);
    let g = p.byte("g", &[1, 8, 1, 1], 0.05);
    p.node("global", pool(PoolGeom::global([4, 6])), &[up], g);
    let t = p.byte("t", &[1, 1, 8, 2], 0.05);
    p.node("turn", QOp::Transpose { perm: vec![0, 2, 1, 3] }, &[av], t);
    let td = p.float("t", &[1, 1, 8, 2]);
    p.node("t_dequantize", QOp::Dequantize, &[t], td);
    // The tail: an int32 convolution, reshaped as int32, dequantized.
    let [w3, b3] = p.weights("w3", 5, 8);
    let acc = p.tensor("acc_quantized", &[1, 5, 1, 1], DType::I32, None);
    p.node("tail", conv(Activation::None, None), &[g, w3, b3], acc);
    let flat = p.tensor("logits_quantized", &[1, 5], DType::I32, None);
    p.node("flat", QOp::Reshape, &[acc], flat);
    let logits = p.float("logits", &[1, 5]);
    p.node("logits_dequantize", QOp::Dequantize, &[flat], logits);
    let soft = p.float("probabilities", &[1, 5]);
    let attrs = Attrs::of([("axis", Attr::Int(1))]);
    let float = QOp::Float { op: "Softmax".to_owned(), domain: String::new(), attrs, present: vec![true] };
    p.node("softmax", float, &[logits], soft);
    p.0.inputs = vec![x];
    p.0.outputs = vec![soft, td];
    p.0
}

#[test]
fn every_integer_tensor_is_a_quantize_linear_and_every_reader_has_its_own_dequantize() {
    let program = program();
    let bytes = export_qdq(&program, &ExportMeta::default()).unwrap();
    assert_eq!(bytes, export_qdq(&program, &ExportMeta::default()).unwrap());
    let file = decode(&bytes);
    check(&file);
    for tensor in program.tensors.iter().filter(|t| t.dtype == DType::U8) {
        let maker = file.node.iter().find(|n| n.output.contains(&tensor.name)).unwrap();
        assert_eq!(maker.op_type.as_deref(), Some("QuantizeLinear"), "{}", tensor.name);
    }
    let is = |n: &&NodeProto, op: &str| n.op_type.as_deref() == Some(op);
    for dequantize in file.node.iter().filter(|n| is(n, "DequantizeLinear")) {
        let out = &dequantize.output[0];
        let readers = file.node.iter().filter(|n| n.input.contains(out)).count();
        let is_output = file.output.iter().any(|o| o.name.as_ref() == Some(out));
        assert_eq!(readers + usize::from(is_output), 1, "{out}");
    }
    let names: Vec<_> = file.output.iter().map(|o| o.name.as_deref().unwrap()).collect();
    assert_eq!((file.input[0].name.as_deref(), names), (Some("x"), vec!["probabilities", "t"]));
}

#[test]
fn the_bias_scale_is_the_product_of_input_and_weight_scales() {
    let file = decode(&export_qdq(&program(), &ExportMeta::default()).unwrap());
    let bias = find(&file, "conv_dequantize_2");
    let scale = file.initializer.iter().find(|t| t.name.as_ref() == Some(&bias.input[1])).unwrap();
    let expected: Vec<u8> = (0..4).flat_map(|c| (0.02f32 * (0.01 + c as f32 * 0.003)).to_le_bytes()).collect();
    assert_eq!(scale.raw_data.as_deref(), Some(expected.as_slice()));
    assert_eq!(bias.input[0], "w_bias");
    assert_eq!(find(&file, "conv").input, ["conv_input_0", "conv_input_1", "conv_input_2"]);
}

#[test]
fn activations_tails_and_resizes_have_their_forms() {
    let file = decode(&export_qdq(&program(), &ExportMeta::default()).unwrap());
    let op = |name: &str| find(&file, name).op_type.clone().unwrap();
    assert_eq!([op("conv_activation"), op("conv2_activation")], ["Relu", "Clip"]);
    assert_eq!(find(&file, "conv_activation").input, find(&file, "conv").output);
    assert_eq!(find(&file, "tail").output, ["acc_quantized_float"]);
    assert_eq!(find(&file, "flat").input[0], "acc_quantized_float");
    assert_eq!(find(&file, "flat").output, ["logits"]);
    assert!(!file.node.iter().any(|n| n.name.as_deref() == Some("logits_dequantize")));
    assert_eq!([op("up"), op("odd"), op("odd_gather_rows")], ["Resize", "Gather", "Gather"]);
    assert_eq!([op("average"), op("global")], ["AveragePool", "GlobalAveragePool"]);
}

#[test]
fn an_integer_tensor_without_scale_is_refused() {
    let mut program = program();
    let at = program.tensors.iter().position(|t| t.name == "a_quantized").unwrap();
    program.tensors[at].quant = None;
    let error = export_qdq(&program, &ExportMeta::default()).unwrap_err();
    assert_eq!((error.code.as_str(), error.place.node.as_deref()), ("EXPORT03", Some("conv")));
}
