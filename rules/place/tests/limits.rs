//! Limits of operators and what reasons say about them: figures, whose limit it is, a remedy that can be followed.

use ptq_ir::{Attr, Attrs, DType, Graph, GraphBuilder, Tensor, ValueId};
use ptq_march::March;
use ptq_place::{Placement, Requests, place};

fn march(name: &str) -> March {
    March::from_toml(&ptq_march::source(name).expect("built in")).expect("valid")
}

fn ints(values: &[i64]) -> Attr {
    Attr::Ints(values.to_vec())
}

fn word(text: &str) -> Attr {
    Attr::Str(text.to_owned())
}

/// A graph of one node `t` with inputs of these shapes.
fn one(op: &str, inputs: &[&[usize]], attrs: Attrs, result: &[usize]) -> Graph {
    let mut b = GraphBuilder::new("g");
    let inputs: Vec<ValueId> = inputs.iter().enumerate().map(|(i, s)| b.input(&format!("x{i}"), s)).collect();
    let y = b.node(op, "t", &inputs, attrs, result);
    b.output(y);
    b.finish()
}

/// A convolution `t` with weights of a shape.
fn conv(op: &str, x: &[usize], weights: &[usize], attrs: Attrs, result: &[usize]) -> Graph {
    let mut b = GraphBuilder::new("g");
    let x = b.input("x", x);
    let w = b.constant("w", Tensor::zeros(DType::F32, weights));
    let y = b.node(op, "t", &[x, w], attrs, result);
    b.output(y);
    b.finish()
}

fn placed(g: &Graph, name: &str) -> Placement {
    place(g, &march(name), &Requests::default()).placement
}

/// The reason and the remedy of node `t`, empty on the BPU.
fn reason(g: &Graph, name: &str) -> (String, String) {
    let placement = placed(g, name);
    let row = placement.nodes.iter().find(|n| n.name == "t").expect("t");
    row.reason.as_ref().map(|r| (format!("{} {}", r.code, r.text), r.remedy.clone())).unwrap_or_default()
}

#[track_caller]
fn refused(g: &Graph, name: &str, text: &str, remedy: &str) {
    let (found, fix) = reason(g, name);
    assert_eq!(found, text);
    assert!(fix.starts_with(remedy), "{fix}");
}

#[track_caller]
fn accepted(g: &Graph, name: &str) {
    assert_eq!(reason(g, name).0, "");
}

#[test]
fn extents_and_batches_of_all_operators_are_limited() {
    let sigmoid = |shape: &[usize]| one("Sigmoid", &[shape], Attrs::default(), shape);
    refused(
        &sigmoid(&[1, 8, 1, 70000]),
        "bayes",
        "PLACE02 extent 70,000 > 65,536, the limit of Sigmoid on march bayes",
        "change the model so that the extent is at most 65,536",
    );
    refused(
        &sigmoid(&[5000, 4]),
        "bayes",
        "PLACE02 first extent 5,000 > 4,096, the limit of Sigmoid on march bayes",
        "split the input so that the first extent is at most 4,096",
    );
    let add = one("Add", &[&[5000, 4, 1, 1], &[5000, 4, 1, 1]], Attrs::default(), &[5000, 4, 1, 1]);
    refused(
        &add,
        "bayes",
        "PLACE02 batch 5,000 > 4,096, the limit of Add on march bayes",
        "split the input so that the batch is at most 4,096",
    );
    accepted(&sigmoid(&[1, 8, 64, 64]), "bayes");
    let x3 = "PLACE02 aligned C·H·W 32,768 > 8,192, the limit of Sigmoid on march bernoulli2";
    refused(&sigmoid(&[1, 8, 64, 64]), "bernoulli2", x3, "split the input so that the aligned C·H·W is at most 8,192");
    accepted(&sigmoid(&[1, 8, 32, 32]), "bernoulli2");
}

#[test]
fn an_activation_inside_a_convolution_is_no_table() {
    let mut b = GraphBuilder::new("g");
    let x = b.input("x", &[1, 8, 64, 64]);
    let [low, high] = [("low", 0.0), ("high", 6.0)].map(|(n, v)| b.constant(n, Tensor::scalar_f32(v)));
    let mut value = x;
    for name in ["first", "last"] {
        let w = b.constant(&format!("{name}_w"), Tensor::zeros(DType::F32, [8, 8, 1, 1]));
        value = b.node("Conv", name, &[value, w], Attrs::default(), &[1, 8, 64, 64]);
        if name == "first" {
            value = b.node("Clip", "t", &[value, low, high], Attrs::default(), &[1, 8, 64, 64]);
        }
    }
    b.output(value);
    let mut g = b.finish();
    refused(
        &g,
        "bernoulli2",
        "PLACE02 aligned C·H·W 32,768 > 8,192, the limit of Clip on march bernoulli2",
        "split the input",
    );
    g.nodes[1].fusible_into = Some("first".into());
    assert_eq!(placed(&g, "bernoulli2").nodes[1].absorbed_by.as_deref(), Some("first"));
}

#[test]
fn dilated_convolutions_have_limits_of_their_own() {
    let dilated = |dilation: i64, stride: i64, size: usize| {
        let attrs = Attrs::of([
            ("dilations", ints(&[dilation; 2])),
            ("pads", ints(&[dilation; 4])),
            ("strides", ints(&[stride; 2])),
        ]);
        let out = (size - 1) / stride as usize + 1;
        conv("Conv", &[1, 8, size, size], &[8, 8, 3, 3], attrs, &[1, 8, out, out])
    };
    accepted(&dilated(2, 1, 16), "bayes");
    refused(
        &dilated(2, 2, 16),
        "bayes",
        "PLACE02 stride of a dilated kernel is 2, the limit of Conv on march bayes is exactly 1",
        "change the model so that the stride of a dilated kernel is exactly 1",
    );
    refused(
        &dilated(3, 1, 16),
        "bayes",
        "PLACE02 its dilations are 3 and 3 for an image of 16 x 16, the limit of Conv on march bayes is height and width that \
         the dilation divides",
        "pad the image",
    );
    refused(
        &dilated(3, 1, 18),
        "bernoulli2",
        "PLACE02 its dilations are 3 and 3, the limit of Conv on march bernoulli2 is powers of two",
        "change the model so that the dilation is a power of two",
    );
    // It gives int8 even as the model's tail, which is said.
    let result = place(&dilated(2, 1, 16), &march("bayes"), &Requests::default());
    assert!(!result.placement.nodes[0].int32);
    let [warning] = &result.warnings[..] else { panic!("{:?}", result.warnings) };
    let text = "output t_out has 256 levels: t gives int8 instead of int32, because dilation is 2, the limit of Conv on march \
                bayes for results of more than 8 bits is exactly 1";
    assert_eq!((warning.code.as_str(), warning.message.as_str()), ("PLACE27", text));
    // 16 bits are refused for the same reason.
    let asked = Requests { optimization: vec!["set_model_output_int16".into()], ..Requests::default() };
    let result = place(&dilated(2, 1, 16), &march("bayes"), &asked);
    assert!(result.warnings.iter().any(|w| w.message.contains("int8 is used: dilation is 2")), "{:?}", result.warnings);
}

#[test]
fn a_convolution_over_depth_is_a_form_of_its_own() {
    let deep = |depth: usize| conv("Conv", &[1, 4, 8, 8, 8], &[4, 4, depth, 3, 3], Attrs::default(), &[1, 4, 6, 6, 6]);
    refused(
        &deep(3),
        "bayes",
        "PLACE01 march bayes accelerates Conv 3-D, this version of ptq does not: it runs in float on the CPU",
        "nothing in the manifest; cut Conv 3-D out of the model",
    );
    refused(
        &deep(4000),
        "bayes",
        "PLACE02 kernel depth · channels 16,000 > 8,192, the limit of Conv 3-D on march bayes",
        "change the model so that the kernel depth · channels is at most 8,192",
    );
    // A march without that form says what is wrong: the rank.
    let (text, _) = reason(&deep(3), "cpu");
    assert_eq!(text, "PLACE02 rank is 5, the limit of Conv on march cpu is exactly 4");
}

#[test]
fn limits_count_before_what_this_version_computes() {
    let sample = |size: usize| {
        let shape = [1, 3, size, size];
        one("GridSample", &[&shape, &[1, size, size, 2]], Attrs::of([("mode", word("bilinear"))]), &shape)
    };
    refused(
        &sample(1024),
        "bayes",
        "PLACE02 H·W 1,048,576 > 737,280, the limit of GridSample on march bayes",
        "split the input so that the H·W is at most 737,280",
    );
    let text = "PLACE03 march bayes accelerates GridSample with mode bilinear, this version of ptq does not";
    refused(&sample(512), "bayes", text, "set mode to nearest");
    let steps = one("LSTM", &[&[5, 1, 4], &[1, 8, 4], &[1, 8, 2]], Attrs::default(), &[5, 1, 1, 2]);
    let text = "PLACE01 LSTM is accelerated only as Conv and Add and Mul and Sigmoid and Tanh, and no rule could replace this one";
    refused(&steps, "bayes", text, "fuse.with = [\"unroll-lstm\"]");
    let sorted = one("TopK", &[&[1, 8, 4, 4]], Attrs::default(), &[1, 8, 4, 4]);
    let text = "PLACE01 march bayes accelerates TopK, this version of ptq does not (no unit of its simulator sorts a line and keeps the \
                places of its elements): it runs in float on the CPU";
    refused(&sorted, "bayes", text, "nothing in the manifest; cut TopK out of the model, or write it with");
}

#[test]
fn limits_of_this_version_are_not_the_marchs() {
    let mut b = GraphBuilder::new("g");
    let x = b.input("x", &[1, 4, 8, 8]);
    let parameters = [("starts", [0, 0]), ("ends", [8, 8]), ("axes", [2, 3]), ("steps", [2, 2])];
    let constants = parameters.map(|(name, v)| b.constant(name, Tensor::vec_i64(v.to_vec())));
    let y = b.node("Slice", "t", &[&[x], &constants[..]].concat(), Attrs::default(), &[1, 4, 4, 4]);
    b.output(y);
    refused(
        &b.finish(),
        "bayes",
        "PLACE02 axes cut with steps 2 > 1, the limit of Slice in this version of ptq; march bayes has no such limit",
        "use one Slice for each axis",
    );
    let entry = &march("bayes").op["Slice"];
    assert!(!entry.limits.contains_key("stepped_axes") && entry.own_limits.contains_key("stepped_axes"));
    // Words of attributes as well.
    let attrs = Attrs::of([("mode", word("linear")), ("coordinate_transformation_mode", word("tf_crop_and_resize"))]);
    refused(
        &one("Resize", &[&[1, 4, 8, 8]], attrs, &[1, 4, 16, 16]),
        "bayes",
        "PLACE03 march bayes accelerates Resize with coordinate_transformation_mode tf_crop_and_resize, this version of ptq \
         does not",
        "set coordinate_transformation_mode to half_pixel or",
    );
}

#[test]
fn nearest_resizes_have_factors_that_are_powers_of_two() {
    let resize = |height: usize, width: usize, mode: &str| {
        one("Resize", &[&[1, 4, 8, 8]], Attrs::of([("mode", word(mode))]), &[1, 4, 8 * height, 8 * width])
    };
    accepted(&resize(2, 2, "nearest"), "bayes");
    accepted(&resize(3, 3, "linear"), "bayes");
    let of_bayes = "the limit of Resize on march bayes is";
    refused(
        &resize(3, 3, "nearest"),
        "bayes",
        &format!(
            "PLACE02 its factors of height and width are 3 and 3, {of_bayes} nearest factors that are powers of two"
        ),
        "choose factors that are powers of two, or mode linear",
    );
    refused(
        &resize(4, 2, "nearest"),
        "bayes",
        &format!(
            "PLACE02 its factors of height and width are 4 and 2, {of_bayes} a nearest factor of height up to that of width"
        ),
        "resize the width at least as much as the height",
    );
}

#[test]
fn transposed_convolutions_have_a_window_and_little_padding() {
    let up = |kernel: usize, stride: i64, pad: i64| {
        let attrs = Attrs::of([("strides", ints(&[stride; 2])), ("pads", ints(&[pad; 4]))]);
        conv("ConvTranspose", &[1, 8, 4, 4], &[8, 8, kernel, kernel], attrs, &[1, 8, 8, 8])
    };
    let starts = |kernel, stride, pad, text: &str| {
        let (found, _) = reason(&up(kernel, stride, pad), "bayes");
        assert!(found.starts_with(text), "{found}");
    };
    starts(4, 2, 1, "PLACE01 ConvTranspose is accelerated only as Conv and DepthToSpace");
    starts(
        4,
        2,
        3,
        "PLACE02 its pads are [3, 3, 3, 3] for kernel [4, 4] and strides [2, 2], the limit of ConvTranspose",
    );
    starts(1, 2, 0, "PLACE02 kernel height · width 1 < 2");
    starts(3, 1, 0, "PLACE02 stride of height · width 1 < 2");
    starts(15, 2, 0, "PLACE02 kernel 15 > 14");
}

#[test]
fn operands_are_measured_against_the_result() {
    let matmul = |a: &[usize], b: &[usize], y: &[usize]| one("MatMul", &[a, b], Attrs::default(), y);
    refused(
        &matmul(&[1, 4, 8, 500], &[1, 4, 500, 4100], &[1, 4, 8, 4100]),
        "bayes",
        "PLACE02 number of columns 4,100 > 4,096, the limit of MatMul on march bayes",
        "change the model so that the number of columns is at most 4,096",
    );
    accepted(&matmul(&[2, 4, 8, 5], &[2, 1, 5, 6], &[2, 4, 8, 6]), "bayes");
    for (a, b) in [([2, 1, 8, 5], [2, 4, 5, 6]), ([2, 4, 8, 5], [1, 4, 5, 6])] {
        let (text, _) = reason(&matmul(&a, &b, &[2, 4, 8, 6]), "bayes");
        assert!(text.contains("a first operand that broadcasts all or no outer axes"), "{text}");
    }
    let y = [2, 3, 4, 5, 6];
    let mul = |b: &[usize]| one("Mul", &[&y, b], Attrs::default(), &y);
    accepted(&mul(&y), "bayes");
    accepted(&mul(&[2, 3, 1, 5, 6]), "bayes");
    // Two neighbours and three broadcast axes: nothing merges.
    let (text, _) = reason(&mul(&[2, 1, 4, 1, 6]), "bayes");
    assert_eq!(text, "PLACE02 rank after merging neighbouring axes 5 > 4, the limit of Mul on march bayes");
    let (text, _) = reason(&one("Mul", &[&[2, 3, 4, 4], &[1, 3, 4, 4]], Attrs::default(), &[2, 3, 4, 4]), "bayes");
    assert!(text.ends_with("the limit of Mul on march bayes is no broadcast along axis 0"), "{text}");
    let x3 = |b: &[usize]| one("Mul", &[&[1, 8, 64, 64], b], Attrs::default(), &[1, 8, 64, 64]);
    accepted(&x3(&[1, 8, 1, 1]), "bernoulli2");
    refused(
        &x3(&[1, 1, 64, 64]),
        "bernoulli2",
        "PLACE02 its operands are [1, 8, 64, 64] and [1, 1, 64, 64], the limit of Mul on march bernoulli2 is NCHW times NCHW, \
         NC11 or one number",
        "bring the second operand to NCHW with an Expand",
    );
}

#[test]
fn remedies_are_sentences_that_can_be_followed() {
    let softmax = one("Softmax", &[&[1, 10]], Attrs::default(), &[1, 10]);
    refused(
        &softmax,
        "bayes",
        "PLACE02 rank is 2, the limit of Softmax on march bayes is exactly 4",
        "put a Reshape in front of t and one behind it, so that the rank is exactly 4, and ask for it: run_on_bpu = [\"t\"]",
    );
    let mut b = GraphBuilder::new("g");
    let x = b.input("x", &[1, 4, 2, 2]);
    let two = b.constant("two", Tensor::scalar_f32(2.0));
    let y = b.node("Div", "t", &[x, two], Attrs::default(), &[1, 4, 2, 2]);
    b.output(y);
    refused(
        &b.finish(),
        "bayes",
        "PLACE02 its divisor two is a constant, the limit of Div on march bayes is feature maps only",
        "multiply by the reciprocal instead: a Mul with the constant 1 / two",
    );
    let mut b = GraphBuilder::new("g");
    let x = b.input("x", &[1, 5, 2, 2]);
    let y = b.node("Split", "t", &[x], Attrs::of([("axis", Attr::Int(1))]), &[1, 3, 2, 2]);
    let mut g = b.finish();
    let second = g.add_value("second", DType::F32, vec![1, 2, 2, 2]);
    g.nodes[0].outputs.push(second);
    g.outputs = vec![y, second];
    refused(
        &g,
        "bayes",
        "PLACE02 its parts are 3 and 2 along axis 1, the limit of Split on march bayes is equal parts",
        "split into equal parts and join those that belong together, or use a Slice for each part",
    );
}

#[test]
fn a_recognized_normalization_names_the_nodes_that_it_was_made_of() {
    let mut b = GraphBuilder::new("g");
    let x = b.input("x", &[1, 8, 16]);
    let y = b.node("LayerNormalization", "t", &[x], Attrs::default(), &[1, 8, 16]);
    b.output(y);
    let mut g = b.finish();
    let text = "PLACE01 LayerNormalization is computed in float on march bayes: a variance does not fit 8 bits";
    assert_eq!(reason(&g, "bayes").0, text);
    g.nodes[0].covers = ["mean", "sub", "pow"].map(str::to_owned).to_vec();
    let recognized = format!("{text} (ptq recognized it in 4 nodes of the model, mean to t: FUSE14)");
    refused(&g, "bayes", &recognized, "train with BatchNormalization in its place");
}
