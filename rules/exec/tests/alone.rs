//! One quantized node at a time, against whole runs with only that node's parameters; and channel scales in weights.
#![allow(clippy::unwrap_used)]

use ptq_exec::{AlonePlan, FakeQuantPlan, FloatPlan, Part};
use ptq_ir::{ActivationQuant, Attrs, DType, Graph, GraphBuilder, NodeId, QuantParams, QuantTable, Tensor, ValueId};
use std::collections::BTreeMap;

/// x → Conv a → Relu → Conv b → output; every value has one reader.
fn chain() -> Graph {
    let mut b = GraphBuilder::new("g");
    let x = b.input("x", &[1, 2, 3, 3]);
    let w = |seed: i32| {
        let data = (0..4).map(|i| ((i * 7 + seed * 3) % 11) as f32 / 5.0 - 1.0).collect();
        Tensor::from_f32([2, 2, 1, 1], data).unwrap()
    };
    let (wa, wb) = (b.constant("wa", w(1)), b.constant("wb", w(2)));
    let a = b.node("Conv", "a", &[x, wa], Attrs::default(), &[1, 2, 3, 3]);
    let relu = b.node("Relu", "relu", &[a], Attrs::default(), &[1, 2, 3, 3]);
    let y = b.node("Conv", "b", &[relu, wb], Attrs::default(), &[1, 2, 3, 3]);
    b.output(y);
    b.finish()
}

fn input() -> Tensor {
    Tensor::from_f32([1, 2, 3, 3], (0..18).map(|i| (i * i % 17) as f32 * 0.21 - 1.3).collect()).unwrap()
}

fn activation(params: QuantParams) -> ActivationQuant {
    ActivationQuant { params, lo: -2.0, hi: 2.0, method: "max".into() }
}

#[test]
fn a_node_alone_is_the_whole_run_with_only_its_parameters() {
    let g = chain();
    let step = || activation(QuantParams::per_tensor(DType::I8, 0.05, 0));
    let names = [("a", "x", "wa"), ("b", "relu_out", "wb")];
    let weights: BTreeMap<ValueId, QuantParams> = names
        .iter()
        .map(|(_, _, w)| (g.find_value(w).unwrap(), QuantParams::per_channel(DType::I8, vec![0.03, 0.02], 0)))
        .collect();
    let table = QuantTable {
        activations: names.iter().map(|(_, x, _)| ((*x).to_owned(), step())).collect(),
        ..QuantTable::default()
    };
    let nodes: Vec<NodeId> = names.iter().map(|(n, _, _)| g.find_node(n).unwrap()).collect();
    let mut found = BTreeMap::new();
    let plan = AlonePlan::new(&g, &table, &weights, &g.outputs).unwrap();
    let parts = [Part::Both, Part::Weights, Part::Activations];
    let mut keep = |id: NodeId, part: Part, seen: &[Option<Tensor>]| {
        found.insert((id, format!("{part:?}")), seen[0].clone().unwrap());
    };
    plan.run(&[input()], &nodes, &parts, &mut keep).unwrap();
    let float = FloatPlan::new(&g).unwrap().run(&[input()], &mut |_, _| {}).unwrap();
    for (node, x, w) in names {
        let w = g.find_value(w).unwrap();
        let only = QuantTable { activations: BTreeMap::from([(x.to_owned(), step())]), ..QuantTable::default() };
        let weight = BTreeMap::from([(w, weights[&w].clone())]);
        let none = (QuantTable::default(), BTreeMap::new());
        let parts = [("Both", &only, &weight), ("Weights", &none.0, &weight), ("Activations", &only, &none.1)];
        for (part, table, weight) in parts {
            let slow = FakeQuantPlan::new(&g, table, weight).unwrap().run(&[input()], &mut |_, _| {}).unwrap();
            let fast = &found[&(g.find_node(node).unwrap(), part.to_owned())];
            assert_eq!(*fast, slow[0], "{node} {part}");
            assert_ne!(*fast, float[0], "{node} {part} changes nothing");
        }
    }
}

/// x → Conv a → Conv left → Add → output, a → Conv right → Add; and x → Conv other → output of its own.
fn branches() -> Graph {
    let mut b = GraphBuilder::new("g");
    let x = b.input("x", &[1, 2, 3, 3]);
    let conv = |b: &mut GraphBuilder, name: &str, x, seed: usize| {
        let data = (0..4).map(|i| ((i * 5 + seed * 3) % 7) as f32 / 3.0 - 1.0).collect();
        let w = b.constant(&format!("w_{name}"), Tensor::from_f32([2, 2, 1, 1], data).unwrap());
        b.node("Conv", name, &[x, w], Attrs::default(), &[1, 2, 3, 3])
    };
    let a = conv(&mut b, "a", x, 1);
    let left = conv(&mut b, "left", a, 2);
    let right = conv(&mut b, "right", a, 3);
    let sum = b.node("Add", "sum", &[left, right], Attrs::default(), &[1, 2, 3, 3]);
    let other = conv(&mut b, "other", x, 4);
    b.output(sum);
    b.output(other);
    b.finish()
}

#[test]
fn only_what_depends_on_a_node_runs_again_and_other_branches_stay_float() {
    let g = branches();
    let names = ["a", "left", "right", "other"];
    let weights: BTreeMap<ValueId, QuantParams> = names
        .iter()
        .map(|n| (g.find_value(&format!("w_{n}")).unwrap(), QuantParams::per_channel(DType::I8, vec![0.3, 0.2], 0)))
        .collect();
    let table = QuantTable::default();
    let mut nodes: Vec<NodeId> = names.iter().map(|n| g.find_node(n).unwrap()).collect();
    nodes.sort_unstable();
    let mut found = BTreeMap::new();
    let plan = AlonePlan::new(&g, &table, &weights, &g.outputs).unwrap();
    plan.run(&[input()], &nodes, &[Part::Both], &mut |id, _, seen| drop(found.insert(id, seen.to_vec()))).unwrap();
    for name in names {
        let w = g.find_value(&format!("w_{name}")).unwrap();
        let weight = BTreeMap::from([(w, weights[&w].clone())]);
        let slow = FakeQuantPlan::new(&g, &table, &weight).unwrap().run(&[input()], &mut |_, _| {}).unwrap();
        let expected = match name {
            "other" => vec![None, Some(slow[1].clone())],
            _ => vec![Some(slow[0].clone()), None],
        };
        assert_eq!(found[&g.find_node(name).unwrap()], expected, "{name}");
    }
}

#[test]
fn side_by_side_gives_every_value_of_both_runs() {
    let g = chain();
    let step = || activation(QuantParams::per_tensor(DType::I8, 0.05, 0));
    let table = QuantTable {
        activations: ["x", "relu_out"].into_iter().map(|x| (x.to_owned(), step())).collect(),
        ..QuantTable::default()
    };
    let wb = g.find_value("wb").unwrap();
    let weights = BTreeMap::from([(wb, QuantParams::per_channel(DType::I8, vec![0.03, 0.02], 0))]);
    let (mut float, mut rounded) = (BTreeMap::new(), BTreeMap::new());
    FloatPlan::new(&g).unwrap().run(&[input()], &mut |v, t| drop(float.insert(v, t.clone()))).unwrap();
    let plan = FakeQuantPlan::new(&g, &table, &weights).unwrap();
    plan.run(&[input()], &mut |v, t| drop(rounded.insert(v, t.clone()))).unwrap();
    let wanted: Vec<ValueId> = table.activations.keys().map(|n| g.find_value(n).unwrap()).collect();
    let beside = FloatPlan::new(&g).unwrap().observing(&wanted);
    let mut seen = 0;
    let mut compare = |v: ValueId, f: &Tensor, q: &Tensor| {
        assert_eq!((f, q), (&float[&v], &rounded[&v]), "{}", g.value(v).name);
        seen += 1;
    };
    plan.observing(&[]).beside(&beside, &[input()], &mut compare).unwrap();
    assert_eq!(seen, 3, "x, relu_out and the output; the Conv in front of the Relu computes it along");
}

#[test]
fn channel_scales_are_in_the_weights_that_are_rounded() {
    let g = chain();
    let scales = vec![0.02f32, 0.3];
    let params = QuantParams { dtype: DType::I8, scale: scales.clone(), zero_point: vec![0; 2], axis: Some(1) };
    let table = QuantTable {
        activations: BTreeMap::from([("relu_out".to_owned(), activation(params))]),
        ..QuantTable::default()
    };
    let wb = g.find_value("wb").unwrap();
    let step = 0.004f32;
    let weights = BTreeMap::from([(wb, QuantParams::per_channel(DType::I8, vec![step; 2], 0))]);
    let mut values = BTreeMap::new();
    let plan = FakeQuantPlan::new(&g, &table, &weights).unwrap();
    plan.run(&[input()], &mut |v, t| drop(values.insert(g.value(v).name.clone(), t.f32s().unwrap().to_vec()))).unwrap();
    let w = g.constant(wb).unwrap().f32s().unwrap();
    for p in 0..9 {
        let integer = |c: usize| (values["relu_out"][c * 9 + p] / scales[c]).round();
        let weight = |c: usize| (w[c] * scales[c] / step).round_ties_even().clamp(-127.0, 127.0);
        let expect = (integer(0) * weight(0) + integer(1) * weight(1)) * step;
        let got = values[&g.value(g.outputs[0]).name][p];
        assert!((got - expect).abs() <= 1e-5 * expect.abs().max(1.0), "{got} {expect}");
    }
}
