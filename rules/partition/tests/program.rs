//! Programs of small graphs, run in the interpreter: places of extremes, parts of the channels of a tail.

use ptq_exec::Interpreter;
use ptq_ir::{
    ActivationQuant, Attr, Attrs, DType, Graph, GraphBuilder, QGraph, QOp, QuantParams, QuantTable, Tensor, numel,
};
use ptq_march::March;
use ptq_place::{Requests, place};

/// Reproducible numbers between -1 and 1.
fn numbers(shape: &[usize], seed: u64) -> Tensor {
    let mut state = seed;
    let data = (0..numel(shape).expect("small")).map(|_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u32 << 23) as f32 - 1.0
    });
    Tensor::from_f32(shape, data.collect()).expect("as many numbers as elements")
}

fn table(values: &[(&str, QuantParams)]) -> QuantTable {
    let entry =
        |params: &QuantParams| ActivationQuant { params: params.clone(), lo: -1.0, hi: 1.0, method: "max".into() };
    QuantTable {
        activations: values.iter().map(|(name, p)| ((*name).to_owned(), entry(p))).collect(),
        ..QuantTable::default()
    }
}

fn program(graph: &Graph, quant: &QuantTable) -> QGraph {
    let march = March::from_toml(&ptq_march::source("bayes").expect("built in")).expect("valid");
    let (placement, _) = place(graph, &march, &Requests::default()).checked().expect("places");
    let on_cpu: Vec<&str> = placement.nodes.iter().filter(|n| n.reason.is_some()).map(|n| n.name.as_str()).collect();
    assert!(on_cpu.is_empty(), "{on_cpu:?} on the CPU");
    ptq_partition::partition(graph, &march, &placement, quant).expect("has a program")
}

#[test]
fn places_of_extremes_are_exact_for_every_extent_and_zero_point() {
    let shape = |c: usize| [2, c, 3, 4];
    for (channels, scale, zero) in [(1, 0.01, 0), (5, 0.3, 0), (8, 0.01, -128), (33, 0.2, 5), (64, 0.011, 127)] {
        for (op, last) in [("ArgMax", 0), ("ArgMax", 1), ("ArgMin", 0), ("ArgMin", 1)] {
            let mut b = GraphBuilder::new("g");
            let x = b.input("x", &shape(channels));
            let attrs = Attrs::of([("axis", Attr::Int(1)), ("select_last_index", Attr::Int(last))]);
            let y = b.node(op, "op", &[x], attrs, &[2, 1, 3, 4]);
            b.output(y);
            let mut g = b.finish();
            g.values[y.0 as usize].dtype = DType::I64;
            let quant = table(&[("x", QuantParams::per_tensor(DType::I8, scale, zero))]);
            let program = program(&g, &quant);
            let floats = program.nodes.iter().filter(|n| matches!(n.op, QOp::Float { .. }));
            assert_eq!(floats.map(|n| n.op.name()).collect::<Vec<_>>(), ["Cast"]);
            let input = numbers(&shape(channels), channels as u64);
            let mut stored = Vec::new();
            let found =
                Interpreter::new(&program).expect("a program").run(std::slice::from_ref(&input), &mut |id, t| {
                    if program.tensor(id).name == "x_quantized" {
                        stored = t.to_f64s();
                    }
                });
            let found = found.expect("runs").swap_remove(0);
            let expected = (0..24).map(|i| {
                let (item, pixel) = (i / 12, i % 12);
                let line = (0..channels).map(|c| stored[(item * channels + c) * 12 + pixel]);
                let line: Vec<f64> = line.map(|v| if op == "ArgMax" { v } else { -v }).collect();
                let best = line.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let mut places = (0..channels).filter(|&c| line[c] == best);
                let place = if last == 0 { places.next() } else { places.next_back() };
                place.expect("one is the best") as i64
            });
            let shown = format!("{op} last {last} of {channels}, scale {scale}, zero {zero}");
            assert_eq!(found.to_i64s().expect("integers"), expected.collect::<Vec<_>>(), "{shown}");
        }
    }
}

#[test]
fn parts_of_the_channels_of_a_tail_have_their_own_scales() {
    let mut b = GraphBuilder::new("g");
    let x = b.input("x", &[1, 3, 2, 2]);
    let w = b.constant("w", numbers(&[6, 3, 1, 1], 3));
    let conv = b.node("Conv", "conv", &[x, w], Attrs::default(), &[1, 6, 2, 2]);
    let left = b.node("Split", "split", &[conv], Attrs::of([("axis", Attr::Int(1))]), &[1, 3, 2, 2]);
    let mut g = b.finish();
    let right = g.add_value("right", DType::F32, vec![1, 3, 2, 2]);
    g.nodes[1].outputs.push(right);
    g.outputs = vec![left, right];
    let mut quant = table(&[("x", QuantParams::per_tensor(DType::I8, 1.0 / 127.0, 0))]);
    let scales: Vec<f32> = (1..=6).map(|i| i as f32 / 700.0).collect();
    quant.weights.insert("w".to_owned(), QuantParams::per_channel(DType::I8, scales, 0));
    let program = program(&g, &quant);
    let params = |name: &str| {
        let tensor = program.tensors.iter().find(|t| t.name == name).expect("a tensor");
        tensor.quant.clone().expect("integers")
    };
    let whole = params("conv_out_quantized");
    for (part, at) in [("split_out_quantized", 0..3), ("right_quantized", 3..6)] {
        let part = params(part);
        assert_eq!((part.dtype, part.axis, &part.scale[..]), (DType::I32, Some(1), &whole.scale[at]));
    }
    let mut sums = Vec::new();
    let plan = Interpreter::new(&program).expect("a program");
    let found = plan.run(&[numbers(&[1, 3, 2, 2], 9)], &mut |id, t| {
        if program.tensor(id).name == "conv_out_quantized" {
            sums = t.to_f64s();
        }
    });
    let expected = sums.iter().enumerate().map(|(i, q)| (*q as f32 * whole.scale[i / 4]).to_bits());
    let found = found.expect("runs");
    let found = found.iter().flat_map(|t| t.f32s().expect("real numbers")).map(|v| v.to_bits());
    assert_eq!(found.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
}
