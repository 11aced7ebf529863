//! The properties that march files may limit, each measured in one place.

use ptq_ir::{Graph, Node, ops};

/// Measures one property of a node; several values where it has several (height and width, inputs and outputs).
/// `None` when the node does not have the property.
type Measure = fn(&Graph, &Node) -> Option<Vec<i64>>;

/// Name, meaning and measure of every property.
pub const PROPERTIES: &[(&str, &str, Measure)] = &[
    ("added_axes", "axes of the result that the input does not have", added_axes),
    ("axis", "axis, counted from 0", axis),
    ("axis_extent", "extent of that axis", axis_extent),
    ("batch", "extent of the first axis", batch),
    ("block", "side of a block in pixels", block),
    ("changed_axes", "number of axes whose extent changes", changed_axes),
    ("channels_per_group", "input and output channels of one group", channels_per_group),
    ("constant_bounds", "1 when the bounds are constants", constant_bounds),
    ("constant_inputs", "number of constant inputs", constant_inputs),
    ("constant_weights", "1 when weights and bias are constants", constant_weights),
    ("dilation", "dilation of height and width", dilation),
    ("equal_parts", "1 when all outputs have one shape", equal_parts),
    ("image", "height and width of the input", image),
    ("image_area", "height times width of the input", image_area),
    ("input_channels", "channels of the input", input_channels),
    ("index_rank", "rank of the indices", index_rank),
    ("inputs", "number of inputs", inputs),
    ("kept_axes", "1 when reduced axes stay with extent 1", kept_axes),
    ("kernel", "kernel height and width", kernel),
    ("matrix_extents", "rows of the first matrix and extent of the sum", matrix_extents),
    ("negative_pads", "number of paddings that cut elements off", negative_pads),
    ("output_channels", "number of filters", output_channels),
    ("output_pad", "additional size of the output", output_pad),
    ("outputs", "number of outputs", outputs),
    ("pad", "padding of each side", pad),
    ("parameter_elements", "elements of each constant input", parameter_elements),
    ("rank", "rank of every tensor that is not constant", rank),
    ("reduced_axes", "number of reduced axes", reduced_axes),
    ("reduced_extent", "extent of each reduced axis", reduced_extent),
    ("resized_outer_axes", "number of resized axes besides the last two", resized_outer_axes),
    ("step", "step along every axis", step),
    ("stride", "stride of height and width", stride),
    ("weights_per_filter", "channels of one group times kernel area", weights_per_filter),
];

struct Window {
    kernel: [usize; 2],
    strides: [usize; 2],
    dilations: [usize; 2],
    pads: [usize; 4],
}

fn window(g: &Graph, n: &Node) -> Option<Window> {
    let x = &g.value(n.input(0)?).shape;
    if n.op == "Conv" {
        let w = &g.value(n.input(1)?).shape;
        let geom = ops::ConvGeom::of(n, x, w).ok()?;
        return Some(Window { kernel: geom.kernel, strides: geom.strides, dilations: geom.dilations, pads: geom.pads });
    }
    let geom = ops::PoolGeom::of(n, x).ok()?;
    Some(Window { kernel: geom.kernel, strides: geom.strides, dilations: geom.dilations, pads: geom.pads })
}

fn to_i64s(v: &[usize]) -> Vec<i64> {
    v.iter().map(|&x| i64::try_from(x).unwrap_or(i64::MAX)).collect()
}

fn kernel(g: &Graph, n: &Node) -> Option<Vec<i64>> {
    window(g, n).map(|w| to_i64s(&w.kernel))
}

fn stride(g: &Graph, n: &Node) -> Option<Vec<i64>> {
    window(g, n).map(|w| to_i64s(&w.strides))
}

fn dilation(g: &Graph, n: &Node) -> Option<Vec<i64>> {
    window(g, n).map(|w| to_i64s(&w.dilations))
}

fn pad(g: &Graph, n: &Node) -> Option<Vec<i64>> {
    window(g, n).map(|w| to_i64s(&w.pads))
}

fn weight_shape<'g>(g: &'g Graph, n: &Node) -> Option<&'g [usize]> {
    n.input(1).map(|w| g.value(w).shape.as_slice())
}

fn output_channels(g: &Graph, n: &Node) -> Option<Vec<i64>> {
    weight_shape(g, n)?.first().map(|&o| to_i64s(&[o]))
}

fn channels_per_group(g: &Graph, n: &Node) -> Option<Vec<i64>> {
    let w = weight_shape(g, n)?;
    let group = usize::try_from(n.attrs.int("group", 1)).ok().filter(|&g| g > 0)?;
    Some(to_i64s(&[*w.get(1)?, w.first()? / group]))
}

fn weights_per_filter(g: &Graph, n: &Node) -> Option<Vec<i64>> {
    let w = weight_shape(g, n)?;
    Some(vec![w.get(1..)?.iter().map(|&d| d as i64).product()])
}

fn rank(g: &Graph, n: &Node) -> Option<Vec<i64>> {
    let dynamic = n.inputs.iter().flatten().filter(|v| g.constant(**v).is_none());
    Some(dynamic.chain(&n.outputs).map(|&v| g.value(v).shape.len() as i64).collect())
}

fn axis(g: &Graph, n: &Node) -> Option<Vec<i64>> {
    own_axis(g, n).map(|a| vec![a as i64])
}

/// The axis that a node names; a Softmax means its last one where it names none.
fn own_axis(g: &Graph, n: &Node) -> Option<usize> {
    let rank = g.value(n.input(0)?).shape.len();
    ops::axis(n.attrs.int("axis", if n.is("Softmax") { -1 } else { 0 }), rank)
}

fn axis_extent(g: &Graph, n: &Node) -> Option<Vec<i64>> {
    extent(g, n, own_axis(g, n)?).map(|d| vec![d])
}

fn index_rank(g: &Graph, n: &Node) -> Option<Vec<i64>> {
    Some(vec![g.value(n.input(1)?).shape.len() as i64])
}

fn inputs(_: &Graph, n: &Node) -> Option<Vec<i64>> {
    Some(vec![n.inputs.len() as i64])
}

fn kept_axes(_: &Graph, n: &Node) -> Option<Vec<i64>> {
    Some(vec![n.attrs.int("keepdims", 1)])
}

fn matrix_extents(g: &Graph, n: &Node) -> Option<Vec<i64>> {
    let shape = &g.value(n.input(0)?).shape;
    Some(to_i64s(&shape[shape.len().checked_sub(2)?..]))
}

fn negative_pads(g: &Graph, n: &Node) -> Option<Vec<i64>> {
    let pads = g.const_input(n, 1)?.to_i64s().ok()?;
    Some(vec![pads.iter().filter(|&&p| p < 0).count() as i64])
}

fn added_axes(g: &Graph, n: &Node) -> Option<Vec<i64>> {
    let rank = |v: ptq_ir::ValueId| g.value(v).shape.len() as i64;
    Some(vec![rank(*n.outputs.first()?) - rank(n.input(0)?)])
}

fn block(_: &Graph, n: &Node) -> Option<Vec<i64>> {
    Some(vec![n.attrs.int("blocksize", 0)])
}

fn step(g: &Graph, n: &Node) -> Option<Vec<i64>> {
    if n.input(4).is_none() {
        return Some(vec![1]);
    }
    g.const_input(n, 4).and_then(|steps| steps.to_i64s().ok())
}

fn equal_parts(g: &Graph, n: &Node) -> Option<Vec<i64>> {
    let mut shapes = n.outputs.iter().map(|&v| &g.value(v).shape);
    let first = shapes.next()?;
    Some(vec![i64::from(shapes.all(|s| s == first))])
}

fn extent(g: &Graph, n: &Node, axis: usize) -> Option<i64> {
    g.value(n.input(0)?).shape.get(axis).map(|&d| i64::try_from(d).unwrap_or(i64::MAX))
}

fn batch(g: &Graph, n: &Node) -> Option<Vec<i64>> {
    extent(g, n, 0).map(|d| vec![d])
}

fn input_channels(g: &Graph, n: &Node) -> Option<Vec<i64>> {
    extent(g, n, 1).map(|d| vec![d])
}

fn image(g: &Graph, n: &Node) -> Option<Vec<i64>> {
    Some(vec![extent(g, n, 2)?, extent(g, n, 3)?])
}

fn image_area(g: &Graph, n: &Node) -> Option<Vec<i64>> {
    Some(vec![extent(g, n, 2)?.saturating_mul(extent(g, n, 3)?)])
}

fn output_pad(_: &Graph, n: &Node) -> Option<Vec<i64>> {
    Some(n.attrs.ints("output_padding").map_or(vec![0], <[i64]>::to_vec))
}

fn changed_axes(g: &Graph, n: &Node) -> Option<Vec<i64>> {
    let (x, y) = (&g.value(n.input(0)?).shape, &g.value(*n.outputs.first()?).shape);
    let padded = std::iter::repeat_n(&1, y.len().saturating_sub(x.len())).chain(x);
    Some(vec![padded.zip(y).filter(|(a, b)| a != b).count() as i64])
}

fn parameter_elements(g: &Graph, n: &Node) -> Option<Vec<i64>> {
    let constants = n.inputs.iter().flatten().filter_map(|v| g.constant(*v));
    Some(constants.map(|t| t.shape().iter().product::<usize>() as i64).collect())
}

fn reduced_axes(g: &Graph, n: &Node) -> Option<Vec<i64>> {
    ops::reduced_axes(g, n).map(|axes| vec![axes.len() as i64])
}

fn reduced_extent(g: &Graph, n: &Node) -> Option<Vec<i64>> {
    ops::reduced_axes(g, n)?.into_iter().map(|a| extent(g, n, a)).collect()
}

fn constant_inputs(g: &Graph, n: &Node) -> Option<Vec<i64>> {
    Some(vec![n.inputs.iter().flatten().filter(|v| g.constant(**v).is_some()).count() as i64])
}

fn constant_weights(g: &Graph, n: &Node) -> Option<Vec<i64>> {
    let constant = n.inputs.iter().skip(1).flatten().all(|v| g.constant(*v).is_some());
    Some(vec![i64::from(constant)])
}

fn constant_bounds(g: &Graph, n: &Node) -> Option<Vec<i64>> {
    constant_weights(g, n)
}

fn outputs(_: &Graph, n: &Node) -> Option<Vec<i64>> {
    Some(vec![n.outputs.len() as i64])
}

fn resized_outer_axes(g: &Graph, n: &Node) -> Option<Vec<i64>> {
    let (x, y) = (&g.value(n.input(0)?).shape, &g.value(*n.outputs.first()?).shape);
    let outer = x.len().saturating_sub(2);
    Some(vec![x.iter().zip(y).take(outer).filter(|(a, b)| a != b).count() as i64])
}
