//! Tables of model tails: the whole placement with reasons, for each way a model ends, with and without `run_on_bpu`.

use ptq_ir::{Attr, Attrs, Graph, GraphBuilder, Tensor, ValueId};
use ptq_march::March;
use ptq_place::{Place, Requests, borders, cuts, place};

const IMAGE: [usize; 4] = [1, 4, 2, 2];

fn march(name: &str) -> March {
    March::from_toml(&ptq_march::source(name).expect("built in")).expect("valid")
}

fn conv(b: &mut GraphBuilder, name: &str, x: ValueId) -> ValueId {
    let w = b.constant(&format!("{name}_w"), Tensor::from_f32([4, 4, 1, 1], vec![0.1; 16]).expect("count"));
    b.node("Conv", name, &[x, w], Attrs::default(), &IMAGE)
}

fn op(b: &mut GraphBuilder, op: &str, name: &str, inputs: &[ValueId], shape: &[usize]) -> ValueId {
    b.node(op, name, inputs, Attrs::default(), shape)
}

fn reshape(b: &mut GraphBuilder, name: &str, x: ValueId, shape: &[usize]) -> ValueId {
    let dims = b.constant(&format!("{name}_shape"), Tensor::vec_i64(shape.iter().map(|&d| d as i64).collect()));
    b.node("Reshape", name, &[x, dims], Attrs::default(), shape)
}

/// A graph that `build` makes behind a first convolution `stem`, whose last value is the output.
fn graph(build: impl FnOnce(&mut GraphBuilder, ValueId) -> Vec<ValueId>, marks: &[(&str, &str)]) -> Graph {
    let mut b = GraphBuilder::new("g");
    let x = b.input("x", &IMAGE);
    let stem = conv(&mut b, "stem", x);
    for v in build(&mut b, stem) {
        b.output(v);
    }
    let mut g = b.finish();
    for (node, into) in marks {
        let id = g.find_node(node).expect("node");
        g.nodes[id.0 as usize].fusible_into = Some((*into).into());
    }
    assert!(g.verify().is_empty(), "{:?}", g.verify());
    g
}

/// `name BPU|CPU [id(n)] [int32] [in absorber] [code]` a node, then the codes of the warnings.
fn table(g: &Graph, march: &March, run_on_bpu: &[&str]) -> String {
    let requests = Requests { run_on_bpu: run_on_bpu.iter().map(|&n| n.into()).collect(), ..Requests::default() };
    let result = place(g, march, &requests);
    assert!(result.problems.is_empty(), "{:?}", result.problems);
    let mut lines = Vec::new();
    for n in &result.placement.nodes {
        let mut line = format!("{} {}", n.name, n.on);
        line += &n.subgraph.map(|id| format!(" id({id})")).unwrap_or_default();
        line += if n.int32 { " int32" } else { "" };
        line += &n.absorbed_by.as_ref().map(|a| format!(" in {a}")).unwrap_or_default();
        line += &n.reason.as_ref().map(|r| format!(" {}", r.code)).unwrap_or_default();
        if let Some(r) = &n.reason {
            assert!(!r.text.is_empty() && !r.remedy.is_empty(), "{}: {r:?}", n.name);
        }
        lines.push(line);
    }
    lines.extend(result.warnings.iter().map(|w| format!("warning {}", w.code)));
    lines.join("\n")
}

#[track_caller]
fn expect(g: &Graph, run_on_bpu: &[&str], expected: &str) {
    let expected: Vec<&str> = expected.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
    assert_eq!(table(g, &march("bayes"), run_on_bpu), expected.join("\n"));
}

#[test]
fn conv_relu() {
    let g = graph(
        |b, s| {
            let c = conv(b, "conv", s);
            vec![op(b, "Relu", "relu", &[c], &IMAGE)]
        },
        &[("relu", "conv")],
    );
    expect(&g, &[], "stem BPU id(0)\nconv BPU id(0) int32\nrelu CPU PLACE07");
    expect(&g, &["relu"], "stem BPU id(0)\nconv BPU id(0)\nrelu BPU id(0) in conv\nwarning PLACE22");
    // A march without an int32 tail costs nothing and says nothing.
    let text = ptq_march::source("cpu").expect("cpu").replace("tail_int32 = [\"Conv\"]", "tail_int32 = []");
    let without = March::from_toml(&text).expect("a march");
    let quantized = "stem BPU id(0)\nconv BPU id(0)\nrelu BPU id(0) in conv";
    assert_eq!(table(&g, &without, &["relu"]), quantized);
}

#[test]
fn conv_transpose() {
    let g = graph(
        |b, s| {
            let c = conv(b, "conv", s);
            let perm = Attrs::of([("perm", Attr::Ints(vec![0, 2, 3, 1]))]);
            vec![b.node("Transpose", "transpose", &[c], perm, &[1, 2, 2, 4])]
        },
        &[],
    );
    expect(&g, &[], "stem BPU id(0)\nconv BPU id(0) int32\ntranspose BPU id(0) int32");
    // Asked for, it runs on the BPU at the model's border, and moves int8.
    expect(&g, &["transpose"], "stem BPU id(0)\nconv BPU id(0)\ntranspose BPU id(0)\nwarning PLACE22");
}

#[test]
fn conv_reshape_softmax() {
    let g = graph(
        |b, s| {
            let c = conv(b, "conv", s);
            let r = reshape(b, "reshape", c, &[1, 16]);
            vec![op(b, "Softmax", "softmax", &[r], &[1, 16])]
        },
        &[],
    );
    expect(&g, &[], "stem BPU id(0)\nconv BPU id(0) int32\nreshape CPU PLACE08\nsoftmax CPU PLACE02");
}

#[test]
fn conv_softmax() {
    let g = graph(
        |b, s| {
            let c = conv(b, "conv", s);
            vec![b.node("Softmax", "softmax", &[c], Attrs::of([("axis", Attr::Int(1))]), &IMAGE)]
        },
        &[],
    );
    expect(&g, &[], "stem BPU id(0)\nconv BPU id(0) int32\nsoftmax CPU PLACE05");
    expect(&g, &["softmax"], "stem BPU id(0)\nconv BPU id(0)\nsoftmax BPU id(0)\nwarning PLACE22");
}

#[test]
fn a_tail_conv_that_is_asked_for_gives_int8_and_ends_its_rule() {
    let tail = |sigmoid: bool| {
        graph(
            |b, s| {
                let c = conv(b, "conv", s);
                vec![if sigmoid { op(b, "Sigmoid", "sigmoid", &[c], &IMAGE) } else { c }]
            },
            &[],
        )
    };
    expect(&tail(false), &[], "stem BPU id(0)\nconv BPU id(0) int32");
    expect(&tail(false), &["conv"], "stem BPU id(0)\nconv BPU id(0)\nwarning PLACE22");
    expect(&tail(true), &["conv"], "stem BPU id(0)\nconv BPU id(0)\nsigmoid BPU id(0)\nwarning PLACE22");
}

#[test]
fn a_reshape_between_two_convs_and_beside_a_cpu_node() {
    let build = |middle: &'static str| {
        graph(
            move |b, s| {
                let c = conv(b, "conv", s);
                let m = op(b, middle, "middle", &[c], &IMAGE);
                let r = reshape(b, "reshape", m, &IMAGE);
                vec![conv(b, "last", r)]
            },
            &[],
        )
    };
    let between = "stem BPU id(0)\nconv BPU id(0)\nmiddle BPU id(0)\nreshape BPU id(0)\nlast BPU id(0) int32";
    expect(&build("Relu"), &[], between);
    let beside = "stem BPU id(0)\nconv BPU id(0)\nmiddle CPU PLACE01\n";
    expect(&build("Erf"), &[], &format!("{beside}reshape CPU PLACE08\nlast BPU id(1) int32"));
    // Asked for, it is quantized in front of its work.
    expect(&build("Erf"), &["reshape"], &format!("{beside}reshape BPU id(1)\nlast BPU id(1) int32"));
}

#[test]
fn types_and_kinds_are_requests_that_are_answered() {
    let g = graph(
        |b, s| {
            let c = conv(b, "conv", s);
            vec![op(b, "Erf", "erf", &[c], &IMAGE), conv(b, "head", s)]
        },
        &[],
    );
    let types = |node: &str, key: &str, wanted: &str| {
        let of = std::collections::BTreeMap::from([(key.to_owned(), wanted.to_owned())]);
        Requests { types: [(node.to_owned(), of)].into(), ..Requests::default() }
    };
    let kinds = |word: &str| Requests { optimization: vec![word.to_owned()], ..Requests::default() };
    let answers = |march_name: &str, requests: &Requests| {
        let result = place(&g, &march(march_name), requests);
        let all = result.warnings.iter().chain(&result.problems);
        all.map(|d| format!("{} {}", d.code, d.message)).collect::<Vec<_>>()
    };
    let cases = [
        (types("conv", "OutputType", "int8"), "PLACE22"),
        (types("stem", "InputType", "int8"), ""),
        (types("stem", "OutputType", "int16"), ""),
        (types("erf", "InputType0", "int8"), "PLACE23 InputType0 int8 was asked for, it runs in float on the CPU: Erf"),
        (types("nobody", "OutputType", "int8"), "PLACE20"),
        (kinds("set_model_output_int8"), "PLACE22"),
        (kinds("set_all_nodes_int16"), ""),
        (
            kinds("set_Softmax_input_int8"),
            "PLACE23 optimization set_Softmax_input_int8: the optimized graph has no Softmax",
        ),
        (kinds("set_everything"), "PLACE24 optimization: \"set_everything\" is not known"),
    ];
    for (requests, expected) in cases {
        let found = answers("bayes", &requests);
        let answered =
            if expected.is_empty() { found.is_empty() } else { found.iter().any(|f| f.starts_with(expected)) };
        assert!(answered, "{requests:?}: {found:?}");
    }
    let x3 = answers("bernoulli2", &types("stem", "OutputType", "int16"));
    assert!(x3[0].ends_with("march bernoulli2 has no output of Conv in 16 bits"), "{x3:?}");
}

#[test]
fn conv_add_skip_relu() {
    let g = graph(
        |b, s| {
            let c = conv(b, "conv", s);
            let a = op(b, "Add", "add", &[c, s], &IMAGE);
            vec![op(b, "Relu", "relu", &[a], &IMAGE)]
        },
        &[("relu", "add")],
    );
    let all = "stem BPU id(0)\nconv BPU id(0)\nadd BPU id(0)\nrelu BPU id(0) in add";
    expect(&g, &[], all);
    expect(&g, &["relu"], all);
}

#[test]
fn sigmoid_head() {
    let g = graph(
        |b, s| {
            let c = conv(b, "conv", s);
            vec![op(b, "Sigmoid", "sigmoid", &[c], &IMAGE)]
        },
        &[],
    );
    expect(&g, &[], "stem BPU id(0)\nconv BPU id(0) int32\nsigmoid CPU PLACE07");
    expect(&g, &["sigmoid"], "stem BPU id(0)\nconv BPU id(0)\nsigmoid BPU id(0)\nwarning PLACE22");
}

#[test]
fn concat_head() {
    let build = |sigmoid: bool| {
        graph(
            |b, s| {
                let box_ = conv(b, "box", s);
                let mut class = conv(b, "class", s);
                if sigmoid {
                    class = op(b, "Sigmoid", "sigmoid", &[class], &IMAGE);
                }
                let axis = Attrs::of([("axis", Attr::Int(1))]);
                vec![b.node("Concat", "concat", &[box_, class], axis, &[1, 8, 2, 2])]
            },
            &[],
        )
    };
    // A merge ends the tail: everything stays int8 on the BPU.
    expect(&build(false), &[], "stem BPU id(0)\nbox BPU id(0)\nclass BPU id(0)\nconcat BPU id(0)");
    let all = "stem BPU id(0)\nbox BPU id(0)\nclass BPU id(0)\nsigmoid BPU id(0)\nconcat BPU id(0)";
    // Boxes and scores in one scale are warned about.
    expect(&build(true), &[], &format!("{all}\nwarning PLACE26"));
    let requests = Requests { run_on_cpu: vec!["concat".into()], ..Requests::default() };
    assert!(place(&build(true), &march("bayes"), &requests).warnings.is_empty(), "its remedy");
}

#[test]
fn a_merge_of_two_kinds_in_front_of_more_work_is_not_warned_about() {
    let g = graph(
        |b, s| {
            let scores = op(b, "Sigmoid", "sigmoid", &[s], &IMAGE);
            let axis = Attrs::of([("axis", Attr::Int(1))]);
            let both = b.node("Concat", "concat", &[s, scores], axis, &[1, 8, 2, 2]);
            let w = b.constant("w", Tensor::from_f32([4, 8, 1, 1], vec![0.1; 32]).expect("count"));
            vec![b.node("Conv", "last", &[both, w], Attrs::default(), &IMAGE)]
        },
        &[],
    );
    expect(&g, &[], "stem BPU id(0)\nsigmoid BPU id(0)\nconcat BPU id(0)\nlast BPU id(0) int32");
}

#[test]
fn a_node_in_both_lists_runs_on_the_cpu_and_is_warned_about() {
    let g = graph(|b, s| vec![op(b, "Sigmoid", "sigmoid", &[s], &IMAGE)], &[]);
    let mut requests =
        Requests { run_on_bpu: vec!["sigmoid".into()], run_on_cpu: vec!["sigmoid".into()], ..Requests::default() };
    let codes = |requests: &Requests| {
        let result = place(&g, &march("bayes"), requests);
        (result.placement.nodes[1].on, result.warnings.into_iter().map(|w| w.code).collect::<Vec<_>>())
    };
    assert_eq!(codes(&requests), (ptq_ir::Device::Cpu, vec!["PLACE25".to_owned()]));
    // The node's own key decides, so nothing is contradictory.
    requests.on.insert("sigmoid".into(), ptq_ir::Device::Bpu);
    assert_eq!(codes(&requests), (ptq_ir::Device::Bpu, vec!["PLACE22".to_owned()]));
}

/// The reasons of a graph's CPU nodes, with their remedies.
fn reasons(g: &Graph) -> Vec<(String, String)> {
    let placement = place(g, &march("bayes"), &Requests::default()).placement;
    let on_cpu = placement.nodes.into_iter().filter_map(|n| n.reason);
    on_cpu.map(|r| (format!("{} ({})", r.text, r.code), r.remedy)).collect()
}

#[test]
fn a_reshape_that_splits_the_channels_of_the_tail_says_so() {
    let g = graph(
        |b, s| {
            let r = reshape(b, "rs", s, &[1, 2, 2, 2, 2]);
            let perm = Attrs::of([("perm", Attr::Ints(vec![0, 1, 3, 4, 2]))]);
            vec![b.node("Transpose", "tr", &[r], perm, &[1, 2, 2, 2, 2])]
        },
        &[],
    );
    expect(&g, &[], "stem BPU id(0) int32\nrs CPU PLACE08\ntr CPU PLACE08");
    let why = "it cannot move the int32 of stem, the model's tail: the Reshape splits the channel axis 1 of 4 channels, each with \
               a scale of its own, over 2 axes (PLACE08)";
    let fix = "run_on_bpu = [\"rs\", \"tr\"], which makes the output int8";
    let found = reasons(&g);
    assert_eq!(found[0], (format!("passive, {why}"), fix.to_owned()));
    let behind = format!("passive, its producer rs runs on the CPU because {why}");
    assert_eq!(found[1], (behind, format!("first move rs: {fix}")));
    expect(&g, &["rs", "tr"], "stem BPU id(0)\nrs BPU id(0)\ntr BPU id(0)\nwarning PLACE22");
}

#[test]
fn parts_of_the_tail_keep_int32_and_blocks_of_channels_do_not() {
    let slice = |axis: i64, step: i64| {
        graph(
            |b, s| {
                let parameters = [("starts", 0), ("ends", step), ("axes", axis), ("steps", step)];
                let constants = parameters.map(|(name, v)| b.constant(name, Tensor::vec_i64(vec![v])));
                let mut shape = IMAGE;
                shape[axis as usize] = 1;
                vec![b.node("Slice", "sl", &[&[s], &constants[..]].concat(), Attrs::default(), &shape)]
            },
            &[],
        )
    };
    expect(&slice(2, 1), &[], "stem BPU id(0) int32\nsl BPU id(0) int32");
    expect(&slice(1, 1), &[], "stem BPU id(0) int32\nsl BPU id(0) int32");
    expect(&slice(1, 2), &[], "stem BPU id(0) int32\nsl CPU PLACE08");
    let mut split =
        graph(|b, s| vec![b.node("Split", "split", &[s], Attrs::of([("axis", Attr::Int(1))]), &[1, 2, 2, 2])], &[]);
    let second = split.add_value("second", ptq_ir::DType::F32, vec![1, 2, 2, 2]);
    split.nodes[1].outputs.push(second);
    split.outputs.push(second);
    expect(&split, &[], "stem BPU id(0) int32\nsplit BPU id(0) int32");
    let blocks = graph(
        |b, s| vec![b.node("DepthToSpace", "d2s", &[s], Attrs::of([("blocksize", Attr::Int(2))]), &[1, 1, 4, 4])],
        &[],
    );
    let found = reasons(&blocks);
    assert!(found[0].0.contains("the DepthToSpace spreads the channel axis 1 of 4 channels"), "{found:?}");
}

#[test]
fn a_chain_of_passive_nodes_names_its_cause_once() {
    let g = graph(
        |b, s| {
            let e = op(b, "Erf", "erf", &[s], &IMAGE);
            let first = reshape(b, "first", e, &[1, 16]);
            let second = reshape(b, "second", first, &IMAGE);
            vec![conv(b, "conv", second)]
        },
        &[],
    );
    let cause = "Erf has no accelerated form on march bayes (PLACE01) (PLACE08)";
    let found = reasons(&g);
    assert_eq!(found[1].0, format!("passive, its producer erf runs on the CPU because {cause}"));
    assert_eq!(found[2].0, format!("passive, its producer first runs on the CPU with erf, because {cause}"));
    assert!(found[2].1.starts_with("first move erf: replace Erf"), "{found:?}");
}

#[test]
fn a_node_that_fusion_added_names_the_node_of_the_model() {
    let mut b = GraphBuilder::new("g");
    let x = b.input("x", &[1, 16]);
    let r = reshape(&mut b, "fc_reshape_input", x, &[1, 16, 1, 1]);
    let w = b.constant("w", Tensor::from_f32([4, 16, 1, 1], vec![0.1; 64]).expect("count"));
    let c = b.node("Conv", "fc", &[r, w], Attrs::default(), &[1, 4, 1, 1]);
    b.output(c);
    let g = b.finish();
    let expected = "passive, its input x is a model input (ptq made this Reshape for fc) (PLACE08)";
    let fix = "run_on_bpu = [\"fc_reshape_input\"], which quantizes x in front of it";
    assert_eq!(reasons(&g), [(expected.to_owned(), fix.to_owned())]);
    expect(&g, &["fc_reshape_input"], "fc_reshape_input BPU id(0)\nfc BPU id(0) int32");
}

#[test]
fn several_heads_each_have_their_own_tail() {
    let g = graph(
        |b, s| {
            let boxes = conv(b, "box", s);
            let class = conv(b, "class", s);
            vec![boxes, op(b, "Sigmoid", "sigmoid", &[class], &IMAGE)]
        },
        &[],
    );
    expect(&g, &[], "stem BPU id(0)\nbox BPU id(0) int32\nclass BPU id(0) int32\nsigmoid CPU PLACE07");
    expect(
        &g,
        &["sigmoid"],
        "stem BPU id(0)\nbox BPU id(0) int32\nclass BPU id(0)\nsigmoid BPU id(0)\nwarning PLACE22",
    );
}

#[test]
fn a_conv_that_feeds_an_output_and_a_consumer() {
    let g = graph(
        |b, s| {
            let c = conv(b, "conv", s);
            vec![s, op(b, "Relu", "relu", &[c], &IMAGE)]
        },
        &[("relu", "conv")],
    );
    expect(&g, &[], "stem BPU id(0)\nconv BPU id(0) int32\nrelu CPU PLACE07");
}

#[test]
fn gemm_softmax() {
    // Fusion makes a Conv and Reshapes of a Gemm.
    let g = graph(
        |b, s| {
            let r = reshape(b, "flatten", s, &[1, 16, 1, 1]);
            let w = b.constant("w", Tensor::from_f32([10, 16, 1, 1], vec![0.1; 160]).expect("count"));
            let c = b.node("Conv", "gemm", &[r, w], Attrs::default(), &[1, 10, 1, 1]);
            let r = reshape(b, "gemm_out", c, &[1, 10]);
            vec![op(b, "Softmax", "softmax", &[r], &[1, 10])]
        },
        &[],
    );
    let chain = "stem BPU id(0)\nflatten BPU id(0)\ngemm BPU id(0)";
    expect(&g, &[], &format!("{chain} int32\ngemm_out CPU PLACE08\nsoftmax CPU PLACE02"));
}

#[test]
fn a_reason_names_limit_and_value_and_what_would_move_the_node() {
    let mut b = GraphBuilder::new("g");
    let x = b.input("x", &[1, 4, 1024, 1024]);
    let c = b.node("Erf", "wide", &[x], Attrs::default(), &[1, 4, 1024, 1024]);
    let perm = Attrs::of([("perm", Attr::Ints(vec![0, 1, 3, 2]))]);
    let t = b.node("Transpose", "turn", &[c], perm, &[1, 4, 1024, 1024]);
    b.output(t);
    let p = place(&b.finish(), &march("bayes"), &Requests::default()).placement;
    let r = p.nodes[1].reason.as_ref().expect("reason");
    let text =
        "passive, its producer wide runs on the CPU because Erf has no accelerated form on march bayes (PLACE01)";
    assert_eq!(r.text, text);
    assert!(r.remedy.starts_with("first move wide: replace Erf"), "{}", r.remedy);
}

#[test]
fn a_border_costs_what_its_volume_is() {
    let g = graph(
        |b, s| {
            let e = op(b, "Erf", "erf", &[s], &IMAGE);
            vec![conv(b, "conv", e)]
        },
        &[],
    );
    let placement = place(&g, &march("bayes"), &Requests::default()).placement;
    assert_eq!(placement.subgraphs(), 2);
    let found: Vec<_> = borders(&g, &placement)
        .into_iter()
        .map(|b| (b.kind, b.producer.unwrap_or_default(), b.elements, b.bytes))
        .collect();
    let expected = [
        ("Quantize", "", 16, 80),
        ("Dequantize", "stem", 16, 80),
        ("Quantize", "erf", 16, 80),
        // int32 at the tail: four bytes in, four out.
        ("Dequantize", "conv", 16, 128),
    ];
    assert_eq!(found, expected.map(|(kind, producer, n, bytes)| (kind, producer.to_owned(), n, bytes)));
}

#[test]
fn a_cut_costs_its_borders_and_names_its_nodes() {
    let g = graph(
        |b, s| {
            let e = op(b, "Erf", "erf", &[s], &IMAGE);
            let f = op(b, "Erf", "again", &[e], &IMAGE);
            vec![conv(b, "conv", f)]
        },
        &[],
    );
    let placement = place(&g, &march("bayes"), &Requests::default()).placement;
    let found: Vec<_> = cuts(&g, &placement, &borders(&g, &placement))
        .into_iter()
        .map(|c| {
            let counts = [c.quantize_elements, c.dequantize_elements, c.bytes, c.border_operations, c.node_operations];
            (c.place, c.nodes.join(" "), counts)
        })
        .collect();
    let expected = [
        (Place::Cut, "erf again", [16, 16, 160, 80, 32]),
        (Place::Tail, "", [0, 16, 128, 32, 0]),
        (Place::Head, "", [16, 0, 80, 48, 0]),
    ];
    assert_eq!(found, expected.map(|(place, nodes, counts)| (place, nodes.to_owned(), counts)));
}
