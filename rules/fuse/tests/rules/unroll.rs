//! FUSE26 unroll-lstm.

use crate::support::{assert_equal_results, assert_example, fired, fused, reason, seeded};
use ptq_fuse::{FuseLog, FuseParams, fuse_with};
use ptq_ir::{Attr, Attrs, DType, Graph, GraphBuilder, Tensor, ValueId};

/// What an LSTM has besides its weights.
#[derive(Clone, Copy, Default)]
struct Form {
    bias: bool,
    states: bool,
    batch_first: bool,
    lengths: Option<i32>,
    attr: Option<(&'static str, i64)>,
}

fn lstm(steps: usize, inputs: usize, hidden: usize, form: Form) -> Graph {
    let mut b = GraphBuilder::new("g");
    let x = b.input("x", &if form.batch_first { [1, steps, inputs] } else { [steps, 1, inputs] });
    let mut operands = vec![
        Some(x),
        Some(b.constant("w", seeded(&[1, 4 * hidden, inputs], 5))),
        Some(b.constant("r", seeded(&[1, 4 * hidden, hidden], 6))),
    ];
    operands.push(form.bias.then(|| b.constant("b", seeded(&[1, 8 * hidden], 7))));
    operands.push(form.lengths.map(|n| b.constant("n", Tensor::from_i32([1], vec![n]).expect("one"))));
    let state = [1, 1, hidden];
    operands.push(form.states.then(|| b.input("h0", &state)));
    operands.push(form.states.then(|| b.constant("c0", seeded(&state, 8))));
    while operands.last() == Some(&None) {
        operands.pop();
    }
    let mut attrs = Attrs::of([("hidden_size", Attr::Int(hidden as i64))]);
    if form.batch_first {
        attrs.set("layout", Attr::Int(1));
    }
    if let Some((name, value)) = form.attr {
        attrs.set(name, Attr::Int(value));
    }
    let whole = if form.batch_first { [1, steps, 1, hidden] } else { [steps, 1, 1, hidden] };
    let first: Vec<ValueId> = operands.iter().flatten().copied().collect();
    let y = b.node("LSTM", "lstm", &first, attrs, &whole);
    b.output(y);
    let mut g = b.finish();
    g.nodes[0].inputs = operands;
    for what in ["h", "c"] {
        let v = g.add_value(what, DType::F32, state.to_vec());
        g.nodes[0].outputs.push(v);
        g.outputs.push(v);
    }
    g
}

fn unrolled(before: &Graph) -> (Graph, FuseLog) {
    let params = FuseParams { with: ["FUSE26".to_owned()].into(), ..FuseParams::default() };
    let mut after = before.clone();
    let log = fuse_with(&mut after, &params).expect("fuses");
    assert!(after.verify().is_empty(), "{:?}", after.verify());
    (after, log)
}

#[test]
fn a_short_sequence_becomes_its_steps_where_that_is_asked_for() {
    let forms = [
        Form::default(),
        Form { bias: true, ..Form::default() },
        Form { bias: true, states: true, lengths: Some(5), ..Form::default() },
        Form { bias: true, batch_first: true, states: true, ..Form::default() },
    ];
    for form in forms {
        let before = lstm(5, 3, 4, form);
        let (after, log) = unrolled(&before);
        assert_eq!(fired(&log, "FUSE26"), 1);
        let count = |op: &str| after.nodes.iter().filter(|n| n.is(op)).count();
        let states = usize::from(form.states);
        assert_eq!([count("LSTM"), count("Conv"), count("Add"), count("Split")], [0, 5 + states, 8 + 2 * states, 5]);
        assert_equal_results(&before, &after);
        assert_eq!(fused(&before).0.nodes.len(), 1, "nobody asked");
    }
}

#[test]
fn one_step_is_one_cell() {
    let before = lstm(1, 3, 2, Form::default());
    let (after, _) = unrolled(&before);
    assert_example("FUSE26", &before, &after);
    assert_equal_results(&before, &after);
}

#[test]
fn what_is_no_chain_of_plain_steps_stays() {
    let why = |g: &Graph| reason(&unrolled(g).1, "FUSE26", "lstm").to_owned();
    let long = "it runs 65 steps of 1 sequences, one sequence of at most 64 is unrolled";
    assert_eq!(why(&lstm(65, 1, 1, Form::default())), long);
    assert_eq!(unrolled(&lstm(64, 1, 1, Form::default())).1.fired.get("FUSE26"), Some(&1));
    let short = Form { lengths: Some(4), ..Form::default() };
    assert_eq!(why(&lstm(5, 2, 2, short)), "its sequence may be shorter than its input");
    let coupled = Form { attr: Some(("input_forget", 1)), ..Form::default() };
    assert_eq!(why(&lstm(5, 2, 2, coupled)), "it couples its gates, or its gates see the cell");
    let mut own = lstm(5, 2, 2, Form::default());
    own.nodes[0].attrs.set("activations", Attr::Strs(["Relu", "Tanh", "Tanh"].map(str::to_owned).to_vec()));
    assert_eq!(why(&own), "it names functions, or a bound, of its own");
    own.nodes[0].attrs.set("activations", Attr::Strs(["Sigmoid", "Tanh", "Tanh"].map(str::to_owned).to_vec()));
    assert_eq!(unrolled(&own).1.fired.get("FUSE26"), Some(&1));
    let mut back = lstm(5, 2, 2, Form::default());
    back.nodes[0].attrs.set("direction", Attr::Str("reverse".to_owned()));
    assert_eq!(why(&back), "its direction is not forward");
}
