//! The properties that march files may limit: each has a name, a meaning, a measure, and the words of reasons about it.

mod facts;
mod measures;
mod operands;
mod windows;

use facts as f;
use measures as m;
use operands as o;
use ptq_ir::{Graph, Node};
use windows as w;

/// Measures one property of a node; several values where it has several (height and width, inputs and outputs).
/// `None` when the node does not have the property.
type Measure = fn(&Graph, &Node) -> Option<Vec<i64>>;

/// What is said about one node.
type Sentence = fn(&Graph, &Node) -> String;

/// One property that march files may limit.
#[derive(Clone, Copy)]
pub struct Property {
    /// Name in march files.
    pub name: &'static str,
    /// What is measured.
    pub meaning: &'static str,
    pub(crate) measure: Measure,
    pub(crate) words: Words,
}

/// How reasons speak of a property.
#[derive(Clone, Copy)]
pub(crate) enum Words {
    /// A number, called so.
    Count(&'static str),
    /// A number that says 1 or 0: what does not hold, what the march asks for, and what would make it hold.
    Fact { broken: Sentence, need: &'static str, fix: Sentence },
}

const fn count(name: &'static str, shown: &'static str, meaning: &'static str, measure: Measure) -> Property {
    Property { name, meaning, measure, words: Words::Count(shown) }
}

const fn fact(
    name: &'static str,
    meaning: &'static str,
    measure: Measure,
    broken: Sentence,
    need: &'static str,
    fix: Sentence,
) -> Property {
    Property { name, meaning, measure, words: Words::Fact { broken, need, fix } }
}

/// Every property.
pub const PROPERTIES: &[Property] = &[
    count("added_axes", "number of added axes", "axes of the result that the input does not have", m::added_axes),
    count("aligned_elements", "aligned C·H·W", "elements of an image, aligned as in memory", m::aligned_elements),
    count("axis", "axis", "axis, counted from 0", m::axis),
    count("axis_extent", "extent of its axis", "extent of that axis", m::axis_extent),
    count("batch", "batch", "extent of the first axis", m::batch),
    count("block", "blocksize", "side of a block in pixels", m::block),
    count("changed_axes", "number of changed axes", "number of axes whose extent changes", m::changed_axes),
    fact(
        "channel_operand",
        "1 when one operand has the result's shape and the other that, NC11 or one element",
        o::channel_operand,
        o::shapes,
        "NCHW times NCHW, NC11 or one number",
        |_, _| "bring the second operand to NCHW with an Expand, or to NC11 with a reduction".to_owned(),
    ),
    count("channels", "number of channels", "channels of every image that is read or made", m::channels),
    count(
        "channels_per_group",
        "number of channels of a group",
        "input and output channels of one group",
        w::channels_per_group,
    ),
    fact(
        "constant_bounds",
        "1 when the bounds are constants",
        m::constant_weights,
        f::dynamic_operand,
        "constant bounds",
        f::make_constant,
    ),
    count("constant_inputs", "number of constant inputs", "number of constant inputs", m::constant_inputs),
    fact(
        "constant_weights",
        "1 when all inputs but the first are constants",
        m::constant_weights,
        f::dynamic_operand,
        "constant operands",
        f::make_constant,
    ),
    fact(
        "depth_pad_fits",
        "1 when the padding of the depth is at most half the kernel's",
        w::depth_pad_fits,
        w::depth_pads,
        "at most half the kernel's depth on each side",
        |_, _| "pad the depth with a Pad in front of it".to_owned(),
    ),
    count("depth_weights", "kernel depth · channels", "kernel depth times channels of a group", w::depth_weights),
    count("dilated_stride", "stride of a dilated kernel", "stride where the dilation is above 1", w::dilated_stride),
    count("dilation", "dilation", "dilation of height and width", w::dilation),
    fact(
        "dilation_divides",
        "1 when the dilation divides height and width of the input",
        w::dilation_divides,
        w::dilated_image,
        "height and width that the dilation divides",
        |_, _| "pad the image so that the dilation divides its height and width".to_owned(),
    ),
    fact(
        "dilation_of_stride",
        "1 when the stride divides dilations above 1",
        w::dilation_of_stride,
        w::dilations,
        "dilations that the stride divides",
        |_, _| "change the model so that the stride divides the dilation".to_owned(),
    ),
    fact(
        "dilation_powers",
        "1 when dilations are powers of two",
        w::dilation_powers,
        w::dilations,
        "powers of two",
        |_, _| "change the model so that the dilation is a power of two".to_owned(),
    ),
    count("elements", "number of elements", "elements of every tensor that is not constant", m::elements),
    fact("equal_parts", "1 when all outputs have one shape", m::equal_parts, f::parts, "equal parts", |_, _| {
        "split into equal parts and join those that belong together, or use a Slice for each part".to_owned()
    }),
    fact(
        "equal_ranks",
        "1 when both operands have one rank",
        o::equal_ranks,
        o::shapes,
        "operands of one rank",
        |_, _| "bring both operands to one rank with a Reshape".to_owned(),
    ),
    fact(
        "equal_strides",
        "1 when the strides of height and width are equal",
        w::equal_strides,
        w::strides,
        "equal strides of height and width",
        |_, _| "change the model so that the strides are equal".to_owned(),
    ),
    fact(
        "feature_inputs",
        "1 when no input is a constant",
        m::feature_inputs,
        f::constant_operand,
        "feature maps only",
        f::instead_of_constant,
    ),
    count(
        "folded_rank",
        "rank after merging neighbouring axes",
        "axes of a 5-D operator that stay when neighbours are merged that broadcast alike",
        o::folded_rank,
    ),
    count("groups", "number of groups", "number of groups", w::groups),
    count("image", "height or width", "height and width of the input", m::image),
    count("image_area", "H·W", "height times width of the input", m::image_area),
    count("image_batch", "batch", "first extent of every tensor of rank 4", m::image_batch),
    count("image_extents", "C, H or W", "extents of every tensor of rank 4 besides the first", m::image_extents),
    count("index_rank", "rank of its indices", "rank of the indices", m::index_rank),
    count("inner_extents", "extent", "extents of every tensor besides the first", m::inner_extents),
    count("input_channels", "number of channels of its input", "channels of the input", m::input_channels),
    count("inputs", "number of inputs", "number of inputs", m::inputs),
    fact(
        "kept_axes",
        "1 when reduced axes stay with extent 1",
        m::kept_axes,
        |_, _| "keepdims is 0".to_owned(),
        "keepdims 1",
        |_, _| "set keepdims to 1 and put a Squeeze behind it".to_owned(),
    ),
    count("kernel", "kernel", "kernel height and width", w::kernel),
    count("kernel_area", "kernel height · width", "kernel height times width", w::kernel_area),
    count("kernel_depth", "kernel depth", "kernel depth of a 3-D window", w::kernel_depth),
    count(
        "matrix_batch",
        "number of matrices along an axis",
        "extents of the result besides the last two",
        o::matrix_batch,
    ),
    fact(
        "matrix_broadcast",
        "1 when the first operand broadcasts all or no outer axes, and the second only the last of them",
        o::matrix_broadcast,
        o::shapes,
        "a first operand that broadcasts all or no outer axes, and a second that broadcasts the last ones",
        |_, _| "repeat the operands with an Expand in front of it".to_owned(),
    ),
    count("matrix_columns", "number of columns", "columns of the second matrix", o::matrix_columns),
    count(
        "matrix_extents",
        "number of rows or of summed elements",
        "rows of the first matrix and extent of the sum",
        o::matrix_extents,
    ),
    fact(
        "nearest_factors",
        "1 when the factors of a nearest Resize are powers of two",
        w::nearest_factors,
        w::resize_factors,
        "nearest factors that are powers of two",
        |_, _| "choose factors that are powers of two, or mode linear".to_owned(),
    ),
    fact(
        "nearest_order",
        "1 when the height's factor of a nearest Resize is at most the width's",
        w::nearest_order,
        w::resize_factors,
        "a nearest factor of height up to that of width",
        |_, _| "resize the width at least as much as the height, or choose mode linear".to_owned(),
    ),
    count("negative_pads", "number of negative pads", "number of paddings that cut elements off", m::negative_pads),
    fact(
        "one_way_broadcast",
        "1 when one operand has the result's shape",
        o::one_way_broadcast,
        o::shapes,
        "a broadcast of one operand to the shape of the other",
        |_, _| "repeat one operand with an Expand in front of it".to_owned(),
    ),
    fact(
        "outer_broadcast",
        "1 when an operand broadcasts the first axis",
        o::outer_broadcast,
        o::shapes,
        "no broadcast along axis 0",
        |_, _| "repeat the operand along axis 0 with an Expand in front of it".to_owned(),
    ),
    count("outer_extent", "first extent", "first extent of every tensor", m::outer_extent),
    count("output_channels", "number of filters", "number of filters", w::output_channels),
    count("output_pad", "output_padding", "additional size of the output", w::output_pad),
    count("outputs", "number of outputs", "number of outputs", m::outputs),
    count("pad", "pad", "padding of each side", w::pad),
    fact(
        "pad_fits",
        "1 when pad · stride is at most the kernel, and below it where the stride is odd",
        w::pad_fits,
        w::pads_and_strides,
        "pad · stride up to the kernel, below it for odd strides",
        |_, _| "pad less and cut the result with a Slice".to_owned(),
    ),
    count(
        "parameter_elements",
        "number of elements of its constant",
        "elements of each constant input",
        m::parameter_elements,
    ),
    count("rank", "rank", "rank of every tensor that is not constant", m::rank),
    count("reduced_axes", "number of reduced axes", "number of reduced axes", m::reduced_axes),
    count("reduced_extent", "extent of its reduced axis", "extent of each reduced axis", m::reduced_extent),
    count(
        "resized_outer_axes",
        "number of resized axes besides H and W",
        "number of resized axes besides the last two",
        m::resized_outer_axes,
    ),
    count("sequence_batch", "batch", "sequences of a recurrent operator", m::sequence_batch),
    fact(
        "sorted",
        "1 when the results are sorted",
        |_, n| Some(vec![n.attrs.int("sorted", 1)]),
        |_, _| "sorted is 0".to_owned(),
        "sorted results",
        |_, _| "set sorted to 1".to_owned(),
    ),
    count("stepped_axes", "axes cut with steps", "axes that are cut where one is cut by steps", m::stepped_axes),
    count("stride", "stride", "stride of height and width", w::stride),
    count("stride_area", "stride of height · width", "stride of height times stride of width", w::stride_area),
    fact(
        "stride_powers",
        "1 when strides are powers of two",
        w::stride_powers,
        w::strides,
        "strides that are powers of two",
        |_, _| "change the model so that the stride is 2 or 4".to_owned(),
    ),
    count(
        "table_elements",
        "number of elements of its table",
        "elements that a constant choice of elements runs over, and those that it gives",
        m::table_elements,
    ),
    count(
        "weights_per_filter",
        "number of weights of a filter",
        "channels of one group times kernel area",
        w::weights_per_filter,
    ),
];

/// The property of this name.
pub(crate) fn property(name: &str) -> Option<&'static Property> {
    PROPERTIES.iter().find(|p| p.name == name)
}

pub(crate) fn to_i64s(v: &[usize]) -> Vec<i64> {
    v.iter().map(|&x| i64::try_from(x).unwrap_or(i64::MAX)).collect()
}

fn flag(holds: bool) -> Vec<i64> {
    vec![i64::from(holds)]
}

/// Shapes of the tensors of a node that are not constants: inputs, then outputs.
fn dynamic_shapes<'g>(g: &'g Graph, n: &'g Node) -> impl Iterator<Item = &'g [usize]> {
    let inputs = n.inputs.iter().flatten().filter(|v| g.constant(**v).is_none());
    inputs.chain(&n.outputs).map(|&v| g.value(v).shape.as_slice())
}

/// `3 and 5`, `2, 3 and 5`.
fn listed(parts: &[String]) -> String {
    match parts {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}
