//! A Conv with Relu on the BPU and a Sigmoid on the CPU: float graph, table, placement, integer program.

use ptq_ir::{
    Activation, ActivationQuant, Attr, Attrs, DType, Device, Graph, GraphBuilder, QConv, QGraph, QNode, QOp, QTensor,
    QuantParams, QuantTable, Requant, Rounding, Segment, SegmentId, Tensor, TensorId, ops,
};
use ptq_march::Class;
use ptq_place::{NodePlacement, Placement, Reason};
use std::collections::BTreeMap;

pub(crate) const X: [usize; 4] = [1, 3, 8, 8];
pub(crate) const Y: [usize; 4] = [1, 4, 8, 8];
const X_SCALE: f32 = 1.0 / 127.0;
const Y_SCALE: f32 = 2.5 / 127.0;

/// Values in -1..1 (splitmix64).
pub(crate) fn seeded(shape: &[usize], seed: u64) -> Tensor {
    let mut state = seed;
    let n: usize = shape.iter().product();
    let values = (0..n)
        .map(|_| {
            state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut z = state;
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            ((z ^ (z >> 31)) >> 40) as f32 / 8_388_608.0 - 1.0
        })
        .collect();
    Tensor::from_f32(shape, values).expect("count")
}

/// conv → relu → sigmoid.
pub(crate) fn float() -> Graph {
    let mut b = GraphBuilder::new("g");
    let x = b.input("x", &X);
    let w = b.constant("w", seeded(&[4, 3, 1, 1], 5));
    let c = b.node("Conv", "conv", &[x, w], Attrs::of([("kernel_shape", Attr::Ints(vec![1, 1]))]), &Y);
    let r = b.node("Relu", "relu", &[c], Attrs::default(), &Y);
    let s = b.node("Sigmoid", "sigmoid", &[r], Attrs::default(), &Y);
    b.output(s);
    let mut g = b.finish();
    g.nodes[1].fusible_into = Some("conv".into());
    g
}

pub(crate) fn quant() -> QuantTable {
    let entry = |scale: f32, method: &str| ActivationQuant {
        params: QuantParams::per_tensor(DType::I8, scale, 0),
        lo: -scale * 127.0,
        hi: scale * 127.0,
        method: method.into(),
    };
    let activations = [("x", entry(X_SCALE, "max")), ("relu_out", entry(Y_SCALE, "kl"))];
    let weights = QuantParams::per_channel(DType::I8, integer_weights(&float()).1, 0);
    QuantTable {
        activations: activations.into_iter().map(|(n, e)| (n.to_owned(), e)).collect(),
        weights: BTreeMap::from([("w".to_owned(), weights)]),
        ..QuantTable::default()
    }
}

pub(crate) fn placement() -> Placement {
    let row = |name: &str, op: &str, on: Device| NodePlacement {
        int16_inputs: Vec::new(),
        int16_output: false,
        name: name.into(),
        op: op.into(),
        on,
        subgraph: (on == Device::Bpu).then_some(0),
        shown: if on == Device::Bpu { "HzSQuantizedConv".into() } else { op.into() },
        class: Class::Active,
        absorbed_by: (name == "relu").then(|| "conv".to_owned()),
        int32: false,
        level: u32::from(on == Device::Bpu),
        reason: (on == Device::Cpu).then(|| Reason {
            code: "PLACE05".into(),
            text: "quantized only on request, \"ask\" for it".into(),
            remedy: "ask".into(),
        }),
    };
    let nodes = vec![
        row("conv", "Conv", Device::Bpu),
        row("relu", "Relu", Device::Bpu),
        row("sigmoid", "Sigmoid", Device::Cpu),
    ];
    Placement { nodes }
}

/// Symmetric int8 weights of each output channel, and their scales.
fn integer_weights(g: &Graph) -> (Tensor, Vec<f32>) {
    let w = g.constant(g.find_value("w").expect("w")).expect("constant").f32s().expect("float");
    let scales: Vec<f32> = w.chunks(3).map(|c| c.iter().fold(0f32, |m, v| m.max(v.abs())) / 127.0).collect();
    let q = w.iter().enumerate().map(|(i, v)| (v / scales[i / 3]).round() as i8).collect();
    (Tensor::from_i8([4, 3, 1, 1], q).expect("count"), scales)
}

fn tensor(name: &str, source: &str, shape: &[usize], dtype: DType, quant: Option<QuantParams>) -> QTensor {
    QTensor { name: name.into(), source: source.into(), shape: shape.to_vec(), dtype, quant, data: None }
}

pub(crate) fn integer() -> QGraph {
    let (weights, scales) = integer_weights(&float());
    let per_tensor = |s| Some(QuantParams::per_tensor(DType::I8, s, 0));
    let mut w = tensor("w_quantized", "w", &[4, 3, 1, 1], DType::I8, None);
    w.quant = Some(QuantParams::per_channel(DType::I8, scales.clone(), 0));
    w.data = Some(weights);
    let conv = QConv {
        geom: ops::ConvGeom { kernel: [1, 1], strides: [1, 1], pads: [0; 4], dilations: [1, 1], group: 1 },
        requant: Some(Requant::Float(scales.iter().map(|s| X_SCALE * s / Y_SCALE).collect())),
        out_zero: 0,
        clamp_lo: 0,
        clamp_hi: 127,
        activation: Activation::Relu,
    };
    let sigmoid =
        QOp::Float { op: "Sigmoid".into(), domain: String::new(), attrs: Attrs::default(), present: vec![true] };
    let node = |name: &str, op, inputs: &[u32], output: u32, segment: u32, covers: &[&str]| QNode {
        name: name.into(),
        op,
        inputs: inputs.iter().map(|i| TensorId(*i)).collect(),
        outputs: vec![TensorId(output)],
        segment: SegmentId(segment),
        covers: covers.iter().map(|c| (*c).to_owned()).collect(),
    };
    QGraph {
        name: "g".into(),
        march: "bayes".into(),
        rounding: Rounding::Float,
        tensors: vec![
            tensor("x", "x", &X, DType::F32, None),
            tensor("x_quantized", "x", &X, DType::I8, per_tensor(X_SCALE)),
            w,
            tensor("relu_out_quantized", "relu_out", &Y, DType::I8, per_tensor(Y_SCALE)),
            tensor("relu_out", "relu_out", &Y, DType::F32, None),
            tensor("sigmoid_out", "sigmoid_out", &Y, DType::F32, None),
        ],
        nodes: vec![
            node("x_quantize", QOp::Quantize, &[0], 1, 0, &[]),
            node("conv", QOp::Conv(conv), &[1, 2], 3, 1, &["conv", "relu"]),
            node("relu_out_dequantize", QOp::Dequantize, &[3], 4, 2, &[]),
            node("sigmoid", sigmoid, &[4], 5, 2, &["sigmoid"]),
        ],
        segments: vec![
            Segment { device: Device::Cpu, subgraph: None },
            Segment { device: Device::Bpu, subgraph: Some(0) },
            Segment { device: Device::Cpu, subgraph: None },
        ],
        inputs: vec![TensorId(0)],
        outputs: vec![TensorId(5)],
    }
}

/// Changes the data of a constant of the float graph.
pub(crate) fn change_constant(g: &mut Graph, name: &str, change: impl FnOnce(&mut Vec<f32>)) {
    let v = g.find_value(name).expect("value");
    let t = &g.constants[&v];
    let (shape, mut values) = (t.shape().to_vec(), t.f32s().expect("float").to_vec());
    change(&mut values);
    g.constants.insert(v, Tensor::from_f32(shape, values).expect("count"));
}

/// No settings, for the report page.
pub(crate) fn fired() -> BTreeMap<String, usize> {
    BTreeMap::from([("FUSE08".to_owned(), 1)])
}
