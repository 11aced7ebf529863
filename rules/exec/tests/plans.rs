//! Float and fake-quantized plans over small graphs.
#![allow(clippy::unwrap_used)]

use ptq_exec::{ExecError, FakeQuantPlan, FloatPlan};
use ptq_ir::{ActivationQuant, Attr, Attrs, DType, Graph, GraphBuilder, QuantParams, QuantTable, Tensor};
use std::collections::BTreeMap;

/// x → Conv → Relu → (Add with Conv's result) → output; a second reader of x and an unused branch.
fn graph() -> Graph {
    let mut b = GraphBuilder::new("g");
    let x = b.input("x", &[1, 2, 3, 3]);
    let w = b.constant("w", Tensor::from_f32([2, 2, 1, 1], vec![0.5, -1.0, 0.25, 0.8]).unwrap());
    let conv = b.node("Conv", "conv", &[x, w], Attrs::default(), &[1, 2, 3, 3]);
    let relu = b.node("Relu", "relu", &[conv], Attrs::default(), &[1, 2, 3, 3]);
    let sum = b.node("Add", "add", &[relu, conv], Attrs::default(), &[1, 2, 3, 3]);
    b.node("Neg", "unused", &[x], Attrs::default(), &[1, 2, 3, 3]);
    b.output(sum);
    b.finish()
}

fn input() -> Tensor {
    Tensor::from_f32([1, 2, 3, 3], (0..18).map(|i| i as f32 * 0.3 - 2.0).collect()).unwrap()
}

#[test]
fn the_sink_sees_every_value_once_and_the_outputs_are_right() {
    let g = graph();
    let mut seen = Vec::new();
    let out =
        FloatPlan::new(&g).unwrap().run(&[input()], &mut |v, t| seen.push((g.value(v).name.clone(), t.len()))).unwrap();
    let names: Vec<&str> = seen.iter().map(|(n, _)| n.as_str()).collect();
    assert_eq!(names, ["x", "conv_out", "relu_out", "add_out", "unused_out"]);
    let x = input();
    let x = x.f32s().unwrap();
    for p in 0..9 {
        let conv = 0.5 * x[p] - x[9 + p];
        let expect = conv.max(0.0) + conv;
        assert!((out[0].f32s().unwrap()[p] - expect).abs() < 1e-6);
    }
}

#[test]
fn plans_can_run_again_and_threads_do_not_matter() {
    let plan = FloatPlan::new(&graph()).unwrap();
    let first = plan.run(&[input()], &mut |_, _| {}).unwrap();
    assert_eq!(plan.run(&[input()], &mut |_, _| {}).unwrap(), first);
    assert_eq!(plan.with_threads(3).run(&[input()], &mut |_, _| {}).unwrap(), first);
}

#[test]
fn activations_inside_convolutions_give_the_bits_of_their_operators() {
    let of = |name: &str, v: f32| Attrs::of([(name, Attr::Float(v))]);
    let cases = [
        ("Relu", Attrs::default()),
        ("Clip", Attrs::default()),
        ("HardSwish", Attrs::default()),
        ("Sigmoid", Attrs::default()),
        ("HardSigmoid", of("alpha", 0.3)),
        ("LeakyRelu", of("alpha", 0.07)),
    ];
    // Depthwise, wide and of few pixels: the three ways in which weights are packed.
    for (channels, group, size) in [(4usize, 4usize, 9usize), (14, 1, 41), (5, 1, 2)] {
        for (op, attrs) in &cases {
            let shape = [1, channels, size, size];
            let mut b = GraphBuilder::new("g");
            let x = b.input("x", &shape);
            let values = |n: usize, m: usize| (0..n).map(|i| (i * i % m) as f32 * 0.2 - 1.7).collect::<Vec<_>>();
            let kernel = [channels, channels / group, 1, 1];
            let w = b.constant("w", Tensor::from_f32(kernel, values(kernel.iter().product(), 19)).unwrap());
            let conv = b.node("Conv", "conv", &[x, w], Attrs::of([("group", Attr::Int(group as i64))]), &shape);
            let mut operands = vec![conv];
            if *op == "Clip" {
                operands.push(b.constant("lo", Tensor::from_f32([], vec![-0.5]).unwrap()));
                operands.push(b.constant("hi", Tensor::from_f32([], vec![0.9]).unwrap()));
            }
            let y = b.node(op, "act", &operands, attrs.clone(), &shape);
            b.output(y);
            let g = b.finish();
            let input = [Tensor::from_f32(shape, values(channels * size * size, 23)).unwrap()];
            let plan = FloatPlan::new(&g).unwrap();
            let expect = plan.run(&input, &mut |_, _| {}).unwrap();
            let mut seen = Vec::new();
            let fused = plan.clone().observing(&[]);
            assert_eq!(fused.run(&input, &mut |v, _| seen.push(v)).unwrap(), expect, "{op}, {channels} channels");
            assert_eq!(seen, [x, y], "{op}: the value between has vanished");
            assert_eq!(fused.with_threads(3).run(&input, &mut |_, _| {}).unwrap(), expect);
            let observed = plan.observing(&[conv]);
            observed.run(&input, &mut |v, _| seen.push(v)).unwrap();
            assert_eq!(seen[2..], [x, conv, y], "{op}: an observed value stays");
        }
    }
    // A second reader keeps the value too.
    let both = FloatPlan::new(&graph()).unwrap();
    let expect = both.run(&[input()], &mut |_, _| {}).unwrap();
    assert_eq!(both.observing(&[]).run(&[input()], &mut |_, _| {}).unwrap(), expect);
}

#[test]
fn errors_name_the_node_or_the_input() {
    let mut g = graph();
    g.nodes[1].op = "Whirl".into();
    let e = FloatPlan::new(&g).unwrap_err();
    assert!(matches!(&e, ExecError::Node { node, .. } if node == "relu"), "{e}");
    assert!(e.to_string().contains("Whirl"));
    let plan = FloatPlan::new(&graph()).unwrap();
    let wrong = Tensor::zeros(DType::F32, [1, 2, 3, 4]);
    for inputs in [vec![wrong], vec![], vec![input(), input()]] {
        assert!(matches!(plan.run(&inputs, &mut |_, _| {}), Err(ExecError::Input { .. })));
    }
    let mut g = graph();
    g.values[3].shape = vec![1, 2, 3, 5];
    let e = FloatPlan::new(&g).and_then(|p| p.run(&[input()], &mut |_, _| {})).unwrap_err().to_string();
    assert!(e.contains("declared"), "{e}");
}

#[test]
fn fake_quantization_rounds_activations_and_weights() {
    let g = graph();
    let w = g.find_value("w").unwrap();
    let params = QuantParams::per_tensor(DType::U8, 0.1, 3);
    let activation = ActivationQuant { params: params.clone(), lo: -0.3, hi: 25.2, method: "max".into() };
    let table = QuantTable {
        activations: BTreeMap::from([("x".to_owned(), activation.clone()), ("relu_out".to_owned(), activation)]),
        ..QuantTable::default()
    };
    let weights = BTreeMap::from([(w, QuantParams::per_channel(DType::I8, vec![0.01, 0.02], 0))]);
    let plan = FakeQuantPlan::new(&g, &table, &weights).unwrap();
    let mut values = BTreeMap::new();
    plan.run(&[input()], &mut |v, t| drop(values.insert(g.value(v).name.clone(), t.f32s().unwrap().to_vec()))).unwrap();
    // q = clamp(rint(x / 0.1) + 3, 0, 255), so nothing lies below -0.3.
    for (x, q) in input().f32s().unwrap().iter().zip(&values["x"]) {
        let expect = ((x / 0.1).round_ties_even() + 3.0).clamp(0.0, 255.0) - 3.0;
        assert_eq!(*q, expect * 0.1);
    }
    let x = &values["x"];
    let conv: Vec<f32> =
        (0..9).map(|p| (-100.0f32 * 0.01).mul_add(x[9 + p], (50.0f32 * 0.01).mul_add(x[p], 0.0))).collect();
    assert_eq!(&values["conv_out"][..9], conv);
    let second: f32 = (40.0f32 * 0.02).mul_add(x[9], (12.0f32 * 0.02).mul_add(x[0], 0.0));
    assert_eq!(values["conv_out"][9], second, "0.25 / 0.02 is a tie and goes to the even 12");
    let broken = BTreeMap::from([(w, QuantParams::per_channel(DType::I8, vec![0.01; 3], 0))]);
    assert!(FakeQuantPlan::new(&g, &table, &broken).is_err());
}

#[test]
fn a_reader_of_another_width_gets_a_copy_of_its_own_and_sinks_do_not_see_it() {
    let g = graph();
    let of = |dtype, scale| ActivationQuant {
        params: QuantParams::per_tensor(dtype, scale, 0),
        lo: -12.7,
        hi: 12.7,
        method: "max".into(),
    };
    // relu_out has 16 bits, add reads it in 8.
    let table = QuantTable {
        activations: BTreeMap::from([
            ("relu_out".to_owned(), of(DType::I16, 0.001)),
            (QuantTable::reader_key("relu_out", "add"), of(DType::I8, 0.1)),
        ]),
        ..QuantTable::default()
    };
    let read = table.with_readers(&g);
    assert_eq!(read.nodes.len(), g.nodes.len() + 1);
    assert!(read.verify().is_empty(), "{:?}", read.verify());
    assert_eq!(*table.with_readers(&read), *read, "once is enough");
    let plan = FakeQuantPlan::new(&g, &table, &BTreeMap::new()).unwrap();
    let mut values = BTreeMap::new();
    let mut sink = |v: ptq_ir::ValueId, t: &Tensor| drop(values.insert(v, t.f32s().unwrap().to_vec()));
    let sum = plan.run(&[input()], &mut sink).unwrap().remove(0);
    assert!(values.keys().all(|v| (v.0 as usize) < g.values.len()));
    let of = |name: &str| &values[&g.find_value(name).unwrap()];
    let rounded = |x: f32, s: f32| (x / s).round_ties_even() * s;
    for ((sum, relu), conv) in sum.f32s().unwrap().iter().zip(of("relu_out")).zip(of("conv_out")) {
        assert_eq!(*relu, rounded(conv.max(0.0), 0.001));
        assert_eq!(*sum, rounded(*relu, 0.1) + conv);
    }
}

#[test]
fn a_packed_gemm_has_the_bits_of_the_operator() {
    let mut b = GraphBuilder::new("g");
    let x = b.input("x", &[1, 37]);
    let w = b.constant(
        "w",
        Tensor::from_f32([21, 37], (0..777).map(|i| (i * 7 % 31) as f32 * 0.1 - 1.3).collect()).unwrap(),
    );
    let c = b.constant("c", Tensor::from_f32([21], (0..21).map(|i| i as f32 * 0.3).collect()).unwrap());
    let y = b.node("Gemm", "fc", &[x, w, c], Attrs::of([("transB", Attr::Int(1))]), &[1, 21]);
    b.output(y);
    let g = b.finish();
    let x = Tensor::from_f32([1, 37], (0..37).map(|i| (i * i % 19) as f32 * 0.2 - 1.0).collect()).unwrap();
    let packed = FloatPlan::new(&g).unwrap().run(std::slice::from_ref(&x), &mut |_, _| {}).unwrap();
    let inputs = [Some(&x), g.constant(w), g.constant(c)];
    let plain = ptq_exec::eval("Gemm", "", &g.nodes[0].attrs, &inputs).unwrap();
    assert_eq!(packed, plain);
}

#[test]
fn split_gives_as_many_parts_as_the_node_has_outputs() {
    let mut b = GraphBuilder::new("g");
    let x = b.input("x", &[1, 4]);
    let first = b.node("Split", "split", &[x], Attrs::of([("axis", Attr::Int(1))]), &[1, 2]);
    b.output(first);
    let mut g = b.finish();
    let second = g.add_value("second", DType::F32, vec![1, 2]);
    g.nodes[0].outputs.push(second);
    g.outputs.push(second);
    let x = Tensor::from_f32([1, 4], vec![1.0, 2.0, 3.0, 4.0]).unwrap();
    let y = FloatPlan::new(&g).unwrap().run(&[x], &mut |_, _| {}).unwrap();
    assert_eq!(y[1].f32s().unwrap(), &[3.0, 4.0]);
}
