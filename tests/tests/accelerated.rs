//! Every operator that march `bayes` accelerates beside convolutions, alone between two of them: it is placed on the BPU,
//! the compiled model equals the integer program, and stock ONNX Runtime's run of `quantized.onnx` is within a step of it.

use ptq_engine::{BuildOptions, Loaded, NoEvents, Project};
use ptq_ir::{Attr, Attrs, Graph, GraphBuilder, Tensor, ValueId};
use ptq_runtime::{Model, RunOptions};
use ptq_tests::model_project::verified;
use ptq_tests::numbers;
use ptq_tests::oracle;
use ptq_tests::project::TestProject;
use ptq_tests::skip::need;

/// Shape of the model's input.
const SHAPE: [usize; 4] = [1, 8, 6, 10];

/// A 1x1 Conv of all channels: random weights, or the identity.
fn conv(b: &mut GraphBuilder, name: &str, x: ValueId, shape: &[usize], random: Option<u64>) -> ValueId {
    let c = shape[1];
    let weights = match random {
        Some(seed) => numbers(&[c, c, 1, 1], seed),
        None => {
            let data = (0..c * c).map(|i| if i / c == i % c { 1.0 } else { 0.0 }).collect();
            Tensor::from_f32([c, c, 1, 1], data).expect("square")
        }
    };
    let w = b.constant(&format!("{name}_w"), weights);
    b.node("Conv", name, &[x, w], Attrs::default(), shape)
}

struct Case {
    /// Name of the operator's node, which is also its result's operator.
    op: &'static str,
    attrs: Attrs,
    /// What it reads.
    operands: &'static [Operand],
    /// Shape of its result.
    shape: &'static [usize],
    /// Largest difference from ONNX Runtime in steps of the result.
    steps: f32,
}

enum Operand {
    /// The result of a Conv.
    Map,
    /// The result of another one, with its last two axes swapped.
    Turned,
    /// The result of a Conv through a Sigmoid, well away from zero.
    Positive,
    Ints(&'static [i64]),
    /// Shape and elements.
    Places(&'static [usize], fn(usize) -> i64),
    /// Points of a grid of this shape, from outside to outside.
    Grid(&'static [usize]),
    Index(i64),
}

use Operand::{Grid, Index, Ints, Map, Places, Positive, Turned};

fn ints(name: &str, values: &[i64]) -> Attrs {
    Attrs::of([(name, Attr::Ints(values.to_vec()))])
}

fn int(name: &str, value: i64) -> Attrs {
    Attrs::of([(name, Attr::Int(value))])
}

fn sampled(padding: &str, corners: i64) -> Attrs {
    let word = |w: &str| Attr::Str(w.to_owned());
    Attrs::of([("mode", word("nearest")), ("padding_mode", word(padding)), ("align_corners", Attr::Int(corners))])
}

fn cases() -> Vec<Case> {
    let case = |op, attrs, operands, shape, steps| Case { op, attrs, operands, shape, steps };
    let none = Attrs::default;
    let both = |name: &str, values: &[i64], keep: i64| {
        let mut attrs = ints(name, values);
        attrs.set("keepdims", Attr::Int(keep));
        attrs
    };
    vec![
        case("Max", none(), &[Map, Positive], &SHAPE, 1.0),
        case("Min", none(), &[Map, Positive], &SHAPE, 1.0),
        case("Div", none(), &[Map, Positive], &SHAPE, 1.0),
        case("MatMul", none(), &[Map, Turned], &[1, 8, 6, 6], 1.0),
        case("ReduceSum", int("keepdims", 1), &[Map, Ints(&[2])], &[1, 8, 1, 10], 1.0),
        case("ReduceMean", both("axes", &[1], 1), &[Map], &[1, 1, 6, 10], 1.0),
        case("ReduceMax", both("axes", &[3], 1), &[Map], &[1, 8, 6, 1], 0.0),
        case("Softmax", int("axis", 1), &[Map], &SHAPE, 1.0),
        case("Softmax", int("axis", 3), &[Map], &SHAPE, 1.0),
        case("Pad", none(), &[Map, Ints(&[0, 2, 1, 0, 0, 0, 0, 3])], &[1, 10, 7, 13], 0.0),
        case("Expand", none(), &[Map, Ints(&[4, 1, 1, 1])], &[4, 8, 6, 10], 0.0),
        case("Tile", none(), &[Map, Ints(&[1, 1, 1, 3])], &[1, 8, 6, 30], 0.0),
        case("Gather", int("axis", 1), &[Map, Ints(&[7, 0, 0, -1, 3])], &[1, 5, 6, 10], 0.0),
        // The same rows for every column; others for each; every element of an item; a part of the columns.
        case(
            "GatherElements",
            int("axis", 2),
            &[Map, Places(&[1, 8, 4, 10], |i| (i / 10 % 4) as i64 - 3)],
            &[1, 8, 4, 10],
            0.0,
        ),
        case(
            "GatherElements",
            int("axis", 2),
            &[Map, Places(&[1, 8, 4, 10], |i| (i * 7 % 6) as i64)],
            &[1, 8, 4, 10],
            0.0,
        ),
        case("GatherElements", int("axis", 1), &[Map, Places(&[1, 8, 6, 10], |i| (i * 5 % 8) as i64)], &SHAPE, 0.0),
        case("GatherElements", int("axis", -1), &[Map, Places(&[1, 3, 2, 4], |i| (i % 10) as i64)], &[1, 3, 2, 4], 0.0),
        case("GridSample", sampled("zeros", 0), &[Map, Grid(&[1, 5, 7, 2])], &[1, 8, 5, 7], 0.0),
        case("GridSample", sampled("border", 1), &[Map, Grid(&[1, 9, 4, 2])], &[1, 8, 9, 4], 0.0),
        case("Atan", none(), &[Map], &SHAPE, 1.0),
        case("Cos", none(), &[Map], &SHAPE, 1.0),
        case("Sin", none(), &[Map], &SHAPE, 1.0),
    ]
}

fn graph(case: &Case) -> Graph {
    let mut b = GraphBuilder::new("g");
    let x = b.input("x", &SHAPE);
    let mut inputs = Vec::new();
    for (i, operand) in case.operands.iter().enumerate() {
        let name = format!("conv_{i}");
        inputs.push(match operand {
            Map => conv(&mut b, &name, x, &SHAPE, Some(i as u64 + 1)),
            Turned => {
                let y = conv(&mut b, &name, x, &SHAPE, Some(i as u64 + 1));
                b.node("Transpose", "turn", &[y], ints("perm", &[0, 1, 3, 2]), &[1, 8, 10, 6])
            }
            Positive => {
                let y = conv(&mut b, &name, x, &SHAPE, Some(i as u64 + 1));
                b.node("Sigmoid", "sigmoid", &[y], Attrs::default(), &SHAPE)
            }
            Ints(values) => b.constant(&name, Tensor::vec_i64(values.to_vec())),
            Places(shape, of) => {
                let all = (0..shape.iter().product()).map(of).collect();
                b.constant(&name, Tensor::from_i64(*shape, all).expect("count"))
            }
            Grid(shape) => {
                let points = numbers(shape, 3).f32s().expect("float").iter().map(|v| v * 1.4).collect();
                b.constant(&name, Tensor::from_f32(*shape, points).expect("count"))
            }
            Index(value) => b.constant(&name, Tensor::from_i64([], vec![*value]).expect("one")),
        });
    }
    let y = b.node(case.op, "op", &inputs, case.attrs.clone(), case.shape);
    let out = conv(&mut b, "tail", y, case.shape, None);
    b.output(out);
    b.finish()
}

const MANIFEST: &str = "
[model.m]
path = \"model.onnx\"
[model.m.calibration]
data = \"data\"
type = \"max\"
[[variant]]
name = \"v\"
model = \"m\"
march = \"bayes\"
run_on_bpu = [\"op\"]
";

/// Builds the case and checks its placement and its program; the tail's result, ONNX Runtime's, and a step of the operator.
fn built(case: &Case) -> Result<(Tensor, Tensor, f32), String> {
    let (loaded, ours, theirs) = run(&graph(case), MANIFEST)?;
    let computed = loaded.integer.nodes.iter().find(|n| n.name == "op").ok_or("the operator is gone")?;
    let moves = ["Gather", "Reshape"].contains(&computed.op.name());
    if !moves && computed.op.name() != case.op {
        return Err(format!("computed as {:?}", computed.op));
    }
    let step = loaded.integer.tensor(computed.outputs[0]).quant.as_ref().ok_or("runs in float")?.scale0();
    Ok((ours, theirs, step))
}

/// Builds and verifies a graph with the input `x`; its first output of the compiled model, and of `quantized.onnx` in ONNX Runtime.
fn run(graph: &Graph, manifest: &str) -> Result<(Loaded, Tensor, Tensor), String> {
    let project = TestProject::new(manifest);
    project.write("model.onnx", &ptq_onnx::export_float(graph, &ptq_onnx::ExportMeta::default()));
    let samples = [numbers(&SHAPE, 77), numbers(&SHAPE, 78)];
    for (i, sample) in samples.iter().enumerate() {
        project.write(&format!("data/{i}.npy"), &ptq_sample::write_npy(sample)?);
    }
    let opened = Project::open(&project.file("ptq.toml"), &[]).map_err(|e| e.to_string())?;
    let report = opened.build(&BuildOptions::default(), &NoEvents).map_err(|e| e.to_string())?;
    let errors: Vec<String> = report.variants.iter().flat_map(|v| v.errors()).map(ToString::to_string).collect();
    if !errors.is_empty() {
        return Err(errors.join("\n"));
    }
    let loaded = opened.load("v", &NoEvents).map_err(|e| e.to_string())?;
    let model = Model::load(&loaded.bin).map_err(|e| e.to_string())?;
    let verified = verified(&loaded, &samples[..1], 2)?;
    if !verified.passed {
        return Err(verified.to_string());
    }
    let ours = model.run(&samples[..1], &RunOptions { threads: 1 }).map_err(|e| e.to_string())?.swap_remove(0);
    let theirs = oracle::run(&project.file("out/v/quantized.onnx"), "x", &samples[0], "unfused")?;
    Ok((loaded, ours, theirs))
}

#[test]
fn operators_between_convolutions_run_as_integers_everywhere() {
    if need(oracle::python()).is_none() {
        return;
    }
    let mut problems = Vec::new();
    for case in cases() {
        match built(&case) {
            Err(why) => problems.push(format!("{}: {why}", case.op)),
            Ok((ours, theirs, step)) => {
                let (ours, theirs) = (ours.to_f64s(), theirs.to_f64s());
                let off: Vec<f64> = ours.iter().zip(&theirs).map(|(a, b)| (a - b).abs() / f64::from(step)).collect();
                let largest = off.iter().copied().fold(0.0, f64::max);
                let equal = off.iter().filter(|&&d| d < 0.01).count();
                if ours.len() != theirs.len()
                    || largest > f64::from(case.steps) + 0.01
                    || equal * 1000 < off.len() * 995
                {
                    problems.push(format!("{}: {largest} steps away, {equal} of {} equal", case.op, off.len()));
                }
            }
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn dropped_axes_and_single_indices_keep_the_operator_on_the_bpu() {
    let flat = |op, attrs, operands| Case { op, attrs, operands, shape: &[1, 8, 6, 10], steps: 1.0 };
    let dropped = |axes: &[i64]| Attrs::of([("axes", Attr::Ints(axes.to_vec())), ("keepdims", Attr::Int(0))]);
    let cases: [(Case, &[usize]); 2] = [
        (flat("ReduceMax", dropped(&[2]), &[Map]), &[1, 8, 10]),
        (flat("Gather", int("axis", 2), &[Map, Index(-2)]), &[1, 8, 10]),
    ];
    for (case, shape) in cases {
        let mut b = GraphBuilder::new("g");
        let x = b.input("x", &SHAPE);
        let mut inputs = vec![conv(&mut b, "conv", x, &SHAPE, Some(1))];
        if let Some(Index(i)) = case.operands.get(1) {
            inputs.push(b.constant("index", Tensor::from_i64([], vec![*i]).expect("one")));
        }
        let y = b.node(case.op, "op", &inputs, case.attrs.clone(), shape);
        let dims = b.constant("dims", Tensor::vec_i64(vec![1, 8, 1, 10]));
        let back = b.node("Reshape", "back", &[y, dims], Attrs::default(), &[1, 8, 1, 10]);
        let out = conv(&mut b, "tail", back, &[1, 8, 1, 10], None);
        b.output(out);
        let mut graph = b.finish();
        ptq_fuse::fuse(&mut graph).expect("fuses");
        let march = ptq_march::March::from_toml(&ptq_march::source("bayes").expect("built in")).expect("valid");
        let placed = ptq_place::place(&graph, &march, &ptq_place::Requests::default()).placement;
        let on_cpu: Vec<&str> = placed.nodes.iter().filter(|n| n.reason.is_some()).map(|n| n.name.as_str()).collect();
        assert!(on_cpu.is_empty(), "{}: {on_cpu:?} on the CPU", case.op);
    }
}

/// Kernel, strides, pads, groups, output extents of an image of 6x10, and the operators between the two convolutions.
type Up<'a> = ([usize; 2], [i64; 2], [i64; 4], i64, [usize; 2], &'a [&'a str]);

#[test]
fn transposed_convolutions_run_as_convolutions_everywhere() {
    if need(oracle::python()).is_none() {
        return;
    }
    let turned = ["Conv", "Reshape", "Transpose", "Reshape", "Slice"];
    let cases: [Up<'_>; 6] = [
        ([4, 4], [2, 2], [1, 1, 1, 1], 1, [12, 20], &["Conv", "DepthToSpace", "Slice"]),
        ([4, 4], [2, 2], [1, 1, 1, 1], 8, [12, 20], &["Conv", "DepthToSpace", "Slice"]),
        ([3, 3], [2, 2], [1, 1, 0, 0], 1, [12, 20], &["Conv", "DepthToSpace"]),
        ([3, 3], [1, 1], [1, 1, 1, 1], 2, [6, 10], &["Conv"]),
        ([4, 4], [4, 4], [0, 0, 0, 0], 1, [24, 40], &["Conv", "DepthToSpace", "DepthToSpace"]),
        ([1, 5], [1, 3], [0, 1, 0, 1], 1, [6, 30], &turned),
    ];
    let mut problems = Vec::new();
    for (kernel, strides, pads, group, out, expected) in cases {
        let mut b = GraphBuilder::new("g");
        let x = b.input("x", &SHAPE);
        let y = conv(&mut b, "front", x, &SHAPE, Some(1));
        let weights = numbers(&[8, 8 / group as usize, kernel[0], kernel[1]], 5);
        let (w, bias) = (b.constant("op_w", weights), b.constant("op_b", numbers(&[8], 6)));
        let mut attrs = ints("strides", &strides);
        attrs.set("pads", Attr::Ints(pads.to_vec()));
        attrs.set("group", Attr::Int(group));
        let shape = [1, 8, out[0], out[1]];
        let y = b.node("ConvTranspose", "op", &[y, w, bias], attrs, &shape);
        let out = conv(&mut b, "tail", y, &shape, None);
        b.output(out);
        let shown = format!("kernel {kernel:?} strides {strides:?} pads {pads:?} groups {group}");
        let (loaded, ours, theirs) = match run(&b.finish(), MANIFEST) {
            Ok(run) => run,
            Err(why) => {
                problems.push(format!("{shown}: {why}"));
                continue;
            }
        };
        let ops: Vec<&str> = loaded.integer.nodes.iter().map(|n| n.op.name()).collect();
        let wanted = [&["Quantize", "Conv"], expected, &["Conv", "Dequantize"]].concat();
        if ops != wanted {
            problems.push(format!("{shown}: computed as {ops:?}"));
        }
        let scale =
            loaded.integer.nodes.iter().rev().nth(2).and_then(|n| loaded.integer.tensor(n.outputs[0]).quant.as_ref());
        let step = f64::from(scale.map_or(0.0, ptq_ir::QuantParams::scale0));
        let (ours, theirs) = (ours.to_f64s(), theirs.to_f64s());
        let off: Vec<f64> = ours.iter().zip(&theirs).map(|(a, b)| (a - b).abs() / step).collect();
        let (largest, equal) = (off.iter().copied().fold(0.0, f64::max), off.iter().filter(|&&d| d < 0.01).count());
        if ours.len() != theirs.len() || largest > 1.01 || equal * 1000 < off.len() * 995 {
            problems.push(format!("{shown}: {largest} steps away, {equal} of {} equal", off.len()));
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn parts_of_the_channels_of_a_tail_keep_int32_with_their_own_scales() {
    if need(oracle::python()).is_none() {
        return;
    }
    let mut b = GraphBuilder::new("g");
    let x = b.input("x", &SHAPE);
    let y = conv(&mut b, "front", x, &SHAPE, Some(1));
    let y = conv(&mut b, "tail", y, &SHAPE, Some(2));
    let bounds = [("starts", 3), ("ends", 7), ("axes", 1)].map(|(name, v)| b.constant(name, Tensor::vec_i64(vec![v])));
    let out = b.node("Slice", "op", &[&[y], &bounds[..]].concat(), Attrs::default(), &[1, 4, 6, 10]);
    b.output(out);
    let manifest = MANIFEST.replace("run_on_bpu = [\"op\"]\n", "");
    let (loaded, ours, theirs) = run(&b.finish(), &manifest).expect("builds and verifies");
    let node = |name: &str| loaded.integer.nodes.iter().find(|n| n.name == name).expect("a node");
    let params = |name: &str| loaded.integer.tensor(node(name).outputs[0]).quant.clone().expect("integers");
    let (whole, part) = (params("tail"), params("op"));
    assert_eq!((part.dtype, part.axis, &part.scale[..]), (ptq_ir::DType::I32, Some(1), &whole.scale[3..7]));
    let (ours, theirs) = (ours.to_f64s(), theirs.to_f64s());
    let reach = theirs.iter().fold(0.0f64, |m, v| m.max(v.abs()));
    let off = ours.iter().zip(&theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(reach > 0.0 && off <= 1e-5 * reach, "{off} of {reach}");
}

/// A Conv whose channels are equal in pairs, so that every extreme is there twice, and the place of one along the channels.
fn place_of(op: &str, keep: i64, last: i64) -> Graph {
    let mut b = GraphBuilder::new("g");
    let x = b.input("x", &SHAPE);
    let half = numbers(&[4, 8, 1, 1], 9);
    let half = half.f32s().expect("float");
    let w = Tensor::from_f32([8, 8, 1, 1], [half, half].concat()).expect("count");
    let w = b.constant("w", w);
    let y = b.node("Conv", "conv", &[x, w], Attrs::default(), &SHAPE);
    let attrs = [("axis", Attr::Int(-3)), ("keepdims", Attr::Int(keep)), ("select_last_index", Attr::Int(last))];
    let shape: &[usize] = if keep == 0 { &[1, 6, 10] } else { &[1, 1, 6, 10] };
    let out = b.node(op, "op", &[y], Attrs::of(attrs), shape);
    b.output(out);
    let mut g = b.finish();
    g.values[out.0 as usize].dtype = ptq_ir::DType::I64;
    g
}

#[test]
fn places_of_extremes_are_those_of_the_integers() {
    if need(oracle::python()).is_none() {
        return;
    }
    for (op, keep, last) in [("ArgMax", 1, 0), ("ArgMax", 0, 1), ("ArgMin", 0, 0), ("ArgMin", 1, 1)] {
        let shown = format!("{op} keepdims {keep} last {last}");
        let (loaded, ours, theirs) =
            run(&place_of(op, keep, last), MANIFEST).unwrap_or_else(|why| panic!("{shown}: {why}"));
        assert_eq!(ours.dtype(), ptq_ir::DType::I64, "{shown}");
        let floats: Vec<&str> = loaded
            .integer
            .nodes
            .iter()
            .filter(|n| matches!(n.op, ptq_ir::QOp::Float { .. }))
            .map(|n| n.op.name())
            .collect();
        assert!(floats.iter().all(|op| ["Cast", "Reshape"].contains(op)), "{shown}: {floats:?} in float");
        // What the interpreter's 8-bit values say, counted by hand.
        let mut maps = Vec::new();
        let plan = ptq_exec::Interpreter::new(&loaded.integer).expect("a program");
        let found = plan.run(&[numbers(&SHAPE, 77)], &mut |id, t: &Tensor| {
            if loaded.integer.tensor(id).name == "conv_out_quantized" {
                maps = t.to_f64s();
            }
        });
        let places = (0..60).map(|pixel| {
            let line: Vec<f64> = (0..8).map(|c| maps[c * 60 + pixel]).collect();
            let best = line.iter().copied().fold(line[0], if op == "ArgMax" { f64::max } else { f64::min });
            let place =
                if last == 0 { line.iter().position(|&v| v == best) } else { line.iter().rposition(|&v| v == best) };
            place.expect("one is the best") as f64
        });
        assert_eq!(found.expect("runs")[0].to_f64s(), places.collect::<Vec<_>>(), "{shown}");
        let equal = ours.to_f64s().iter().zip(theirs.to_f64s()).filter(|(a, b)| **a == *b).count();
        assert!(ours.shape() == theirs.shape() && equal >= 57, "{shown}: {equal} of 60 as in ONNX Runtime");
    }
}

/// Two Convs whose results a comparison reads, or one and a constant; the truth is the first output, and a Where takes the one or the other.
fn compared(op: &str, constant: Option<f32>) -> Graph {
    let mut b = GraphBuilder::new("g");
    let x = b.input("x", &SHAPE);
    let a = conv(&mut b, "conv_0", x, &SHAPE, Some(1));
    let c = conv(&mut b, "conv_1", x, &SHAPE, Some(2));
    let other = constant.map_or(c, |v| b.constant("limit", Tensor::scalar_f32(v)));
    let truth = b.node(op, "op", &[a, other], Attrs::default(), &SHAPE);
    let chosen = b.node("Where", "choose", &[truth, a, c], Attrs::default(), &SHAPE);
    let out = conv(&mut b, "tail", chosen, &SHAPE, None);
    b.output(truth);
    b.output(out);
    let mut g = b.finish();
    g.values[truth.0 as usize].dtype = ptq_ir::DType::Bool;
    g
}

#[test]
fn comparisons_run_as_integers_everywhere() {
    if need(oracle::python()).is_none() {
        return;
    }
    for op in ["Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"] {
        for constant in [None, Some(0.25)] {
            let shown = format!("{op} constant {constant:?}");
            let (loaded, ours, theirs) =
                run(&compared(op, constant), MANIFEST).unwrap_or_else(|why| panic!("{shown}: {why}"));
            assert_eq!((ours.dtype(), theirs.dtype()), (ptq_ir::DType::Bool, ptq_ir::DType::Bool), "{shown}");
            let floats = loaded.integer.nodes.iter().filter(|n| matches!(n.op, ptq_ir::QOp::Float { .. }));
            let floats: Vec<&str> = floats.map(|n| n.op.name()).collect();
            assert_eq!(floats, ["Cast", "Where"], "{shown}");
            let (ours, theirs) = (ours.to_f64s(), theirs.to_f64s());
            let equal = ours.iter().zip(&theirs).filter(|(a, b)| a == b).count();
            assert!(ours.len() == 480 && equal >= 475, "{shown}: {equal} of {} as in ONNX Runtime", ours.len());
            let both = ours.iter().any(|&v| v != 0.0) && ours.contains(&0.0);
            assert!(both, "{shown}: one answer for all");
        }
    }
}

#[test]
fn a_comparison_is_left_to_the_cpu_until_it_is_asked_for() {
    let march = ptq_march::March::from_toml(&ptq_march::source("bayes").expect("built in")).expect("valid");
    for op in ["Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"] {
        let placed = ptq_place::place(&compared(op, None), &march, &ptq_place::Requests::default()).placement;
        let row = placed.nodes.iter().find(|n| n.name == "op").expect("placed");
        let reason = row.reason.as_ref().expect("on the CPU");
        assert_eq!((reason.code.as_str(), reason.remedy.contains("run_on_bpu")), ("PLACE05", true), "{op}: {reason:?}");
    }
}

#[test]
fn a_short_lstm_runs_as_integers_where_its_steps_are_asked_for() {
    if need(oracle::python()).is_none() {
        return;
    }
    let (steps, inputs, hidden) = (6, 80, 8);
    let mut b = GraphBuilder::new("g");
    let x = b.input("x", &SHAPE);
    let y = conv(&mut b, "front", x, &SHAPE, Some(1));
    let dims = b.constant("rows", Tensor::vec_i64(vec![steps as i64, 1, inputs as i64]));
    let rows = b.node("Reshape", "to_rows", &[y, dims], Attrs::default(), &[steps, 1, inputs]);
    let scaled = |shape: &[usize], seed| {
        let data = numbers(shape, seed).f32s().expect("float").iter().map(|v| v * 0.3).collect();
        Tensor::from_f32(shape, data).expect("count")
    };
    let w = b.constant("w", scaled(&[1, 4 * hidden, inputs], 2));
    let r = b.constant("r", scaled(&[1, 4 * hidden, hidden], 3));
    let bias = b.constant("b", scaled(&[1, 8 * hidden], 4));
    let y = b.node("LSTM", "op", &[rows, w, r, bias], int("hidden_size", hidden as i64), &[steps, 1, 1, hidden]);
    let dims = b.constant("image", Tensor::vec_i64(vec![1, steps as i64, 1, hidden as i64]));
    let image = b.node("Reshape", "to_image", &[y, dims], Attrs::default(), &[1, steps, 1, hidden]);
    let out = conv(&mut b, "tail", image, &[1, steps, 1, hidden], None);
    b.output(out);
    let graph = b.finish();
    let asked = MANIFEST.replace("run_on_bpu = [\"op\"]", "fuse.with = [\"unroll-lstm\"]");
    let (loaded, ours, theirs) = run(&graph, &asked).expect("builds and verifies");
    let floats = loaded.integer.nodes.iter().filter(|n| matches!(n.op, ptq_ir::QOp::Float { .. })).count();
    assert_eq!(floats, 0, "{floats} nodes in float");
    let (ours, theirs) = (ours.to_f64s(), theirs.to_f64s());
    let off: Vec<f64> = ours.iter().zip(&theirs).map(|(a, b)| (a - b).abs()).collect();
    let largest = off.iter().copied().fold(0.0, f64::max);
    assert!(ours.len() == 48 && largest < 0.03, "{largest} away");
    // Its float form is as it was where nobody asks, and it says what to ask for.
    let (loaded, ..) = run(&graph, &MANIFEST.replace("run_on_bpu = [\"op\"]", "")).expect("builds and verifies");
    assert!(loaded.integer.nodes.iter().any(|n| n.op.name() == "LSTM"));
}
