//! Programs of small graphs, run in the interpreter: places of extremes, comparisons, parts of the channels of a tail.

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
    program_with(graph, quant, &Requests::default())
}

fn program_with(graph: &Graph, quant: &QuantTable, requests: &Requests) -> QGraph {
    let march = March::from_toml(&ptq_march::source("bayes").expect("built in")).expect("valid");
    let (placement, _) = place(graph, &march, requests).checked().expect("places");
    let on_cpu: Vec<&str> = placement.nodes.iter().filter(|n| n.reason.is_some()).map(|n| n.name.as_str()).collect();
    assert!(on_cpu.is_empty(), "{on_cpu:?} on the CPU");
    ptq_partition::partition(graph, &march, &placement, quant, &std::collections::BTreeSet::new())
        .expect("has a program")
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

/// Asks for the node `op`.
fn asked() -> Requests {
    Requests { run_on_bpu: vec!["op".into()], ..Requests::default() }
}

/// Whether a comparison holds.
fn holds(op: &str, a: f64, b: f64) -> bool {
    match op {
        "Equal" => a == b,
        "Greater" => a > b,
        "GreaterOrEqual" => a >= b,
        "Less" => a < b,
        _ => a <= b,
    }
}

#[test]
fn comparisons_are_of_steps_of_one_scale() {
    let shape = [2, 1, 16, 16];
    let int8 = |scale, zero| QuantParams::per_tensor(DType::I8, scale, zero);
    let int16 = |scale| QuantParams::per_tensor(DType::I16, scale, 0);
    let pairs = [
        (int8(0.01, 0), int8(0.01, 0)),
        (int8(0.01, 3), int8(0.01, -128)),
        (int8(0.02, 0), int8(0.007, 0)),
        (int8(0.003, 90), int8(0.011, -7)),
        (int16(3e-5), int16(3e-5)),
        (int16(2e-5), int16(3e-5)),
    ];
    for (a, b) in pairs {
        for op in ["Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"] {
            let mut g = GraphBuilder::new("g");
            let (x, y) = (g.input("x", &shape), g.input("y", &shape));
            let z = g.node(op, "op", &[x, y], Attrs::default(), &shape);
            g.output(z);
            let mut g = g.finish();
            g.values[z.0 as usize].dtype = DType::Bool;
            let program = program_with(&g, &table(&[("x", a.clone()), ("y", b.clone())]), &asked());
            let floats = program.nodes.iter().filter(|n| matches!(n.op, QOp::Float { .. }));
            assert_eq!(floats.map(|n| n.op.name()).collect::<Vec<_>>(), ["Cast"]);
            // Every fourth pair is equal before it is rounded.
            let (x, mut y) = (numbers(&shape, 5), numbers(&shape, 6).f32s().expect("float").to_vec());
            x.f32s().expect("float").iter().zip(&mut y).step_by(4).for_each(|(x, y)| *y = *x);
            let inputs = [x, Tensor::from_f32(shape, y).expect("count")];
            let mut steps = [Vec::new(), Vec::new()];
            let found = Interpreter::new(&program).expect("a program").run(&inputs, &mut |id, t| {
                let name = &program.tensor(id).name;
                if let Some(i) = ["x_quantized", "y_quantized"].iter().position(|n| n == name) {
                    steps[i] = t.to_f64s();
                }
            });
            let found = found.expect("runs").swap_remove(0);
            assert_eq!((found.dtype(), found.shape()), (DType::Bool, &shape[..]));
            let coarser = f64::from(a.scale0().max(b.scale0()));
            let in_steps = |q: f64, p: &QuantParams| (q - f64::from(p.zero_point0())) * f64::from(p.scale0()) / coarser;
            let (mut compared, mut true_ones) = (0, 0);
            for (i, found) in found.to_f64s().into_iter().enumerate() {
                let pair = [in_steps(steps[0][i], &a), in_steps(steps[1][i], &b)];
                if pair.iter().any(|s| (s - s.floor() - 0.5).abs() < 1e-3) {
                    continue;
                }
                let expected = holds(op, pair[0].round(), pair[1].round());
                assert_eq!(found != 0.0, expected, "{op} of {pair:?} with {a:?} and {b:?}");
                (compared, true_ones) = (compared + 1, true_ones + usize::from(expected));
            }
            assert!(compared > 400 && true_ones > 20 && true_ones < compared, "{op}: {true_ones} of {compared}");
        }
    }
}

#[test]
fn a_constant_is_compared_in_steps_of_the_other_operand() {
    let shape = [1, 4, 4, 4];
    for (constant, reached) in [(0.305, true), (-1.27, true), (7.0, false), (-7.0, false)] {
        for (op, first) in [("Greater", false), ("LessOrEqual", true), ("Equal", false)] {
            let mut g = GraphBuilder::new("g");
            let x = g.input("x", &shape);
            let c = g.constant("c", Tensor::scalar_f32(constant));
            let operands = if first { [c, x] } else { [x, c] };
            let z = g.node(op, "op", &operands, Attrs::default(), &shape);
            g.output(z);
            let mut g = g.finish();
            g.values[z.0 as usize].dtype = DType::Bool;
            let quant = table(&[("x", QuantParams::per_tensor(DType::I8, 0.01, 0))]);
            let program = program_with(&g, &quant, &asked());
            let copies = program.nodes.iter().filter(|n| matches!(n.op, QOp::Requantize(_))).count();
            assert_eq!(copies == 0, reached, "{constant}: {copies} requantized");
            let x = Tensor::from_f32(shape, (0..64).map(|i| i as f32 * 0.04 - 1.27).collect()).expect("count");
            let found = Interpreter::new(&program).expect("a program").run(std::slice::from_ref(&x), &mut |_, _| {});
            let found = found.expect("runs").swap_remove(0).to_f64s();
            let expected = x.f32s().expect("float").iter().map(|&x| {
                let (x, c) = ((f64::from(x) * 100.0).round(), (f64::from(constant) * 100.0).round_ties_even());
                f64::from(u8::from(if first { holds(op, c, x) } else { holds(op, x, c) }))
            });
            assert_eq!(found, expected.collect::<Vec<_>>(), "{op} with {constant}");
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
