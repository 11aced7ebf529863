//! Conversion of one node from the file's operator set to [`ptq_ir::IR_OPSET`], keeping its exact meaning.
//!
//! Done node by node in topological order, because some meanings depend on shapes (Softmax before 13) or on constants
//! that folding finds (axes of reductions from 18). One file a family, one table. Called by parse.

mod activation;
mod attention;
mod axes;
mod clip;
mod dropout;
mod einsum;
mod modulo;
mod moves;
mod non_max_suppression;
mod norm;
mod options;
mod pad;
mod parts;
mod pool;
mod resize;
mod rotary_embedding;
mod sampling;
mod slice;
mod softmax;
mod split;
mod topk;

use crate::raw::RawNode;
use ptq_ir::{DType, Diagnostic, Node, Tensor};

/// What a conversion may ask and make.
pub trait ConvertEnv {
    /// Type and shape of a value that was made before.
    fn typed(&self, value: &str) -> Option<(DType, Vec<usize>)>;
    /// Data of a value, if it is constant.
    fn constant(&self, value: &str) -> Option<Tensor>;
    /// Adds a constant under a free name like `base`, and returns that name.
    fn add_constant(&mut self, base: &str, tensor: Tensor) -> String;
    /// A free value name like `base`, reserved.
    fn fresh_value(&mut self, base: &str) -> String;
    /// A free node name like `base`, reserved.
    fn fresh_node(&mut self, base: &str) -> String;
}

/// A node on its way: the node, the file's operator set, the surroundings.
pub(crate) struct Conversion<'a> {
    pub(crate) node: RawNode,
    pub(crate) opset: i64,
    pub(crate) env: &'a mut dyn ConvertEnv,
}

type Converted = Result<Vec<RawNode>, Diagnostic>;

/// Converts a node. The result's nodes are in topological order; one of them keeps the name.
///
/// # Errors
/// `ONNX09` when the meaning cannot be kept; names the node.
pub fn convert(node: RawNode, opset: i64, env: &mut dyn ConvertEnv) -> Converted {
    match TABLE.iter().find(|(op, _)| *op == node.op) {
        Some((_, function)) if node.domain.is_empty() => function(Conversion { node, opset, env }),
        _ => Ok(vec![node]),
    }
}

/// Whether conversion knows the operator; some exist only in files and are always replaced.
pub(crate) fn replaces(op: &str) -> bool {
    TABLE.iter().any(|(known, _)| *known == op)
}

/// Operators for which [`replaces`] holds.
pub(crate) fn replaced() -> impl Iterator<Item = &'static str> {
    TABLE.iter().map(|(op, _)| *op).filter(|op| replaces(op))
}

/// Converts one operator.
type Convert = fn(Conversion<'_>) -> Converted;

const TABLE: &[(&str, Convert)] = &[
    ("AffineGrid", sampling::affine_grid),
    ("Attention", attention::attention),
    ("AveragePool", pool::average),
    ("BatchNormalization", norm::batch),
    ("Cast", options::cast),
    ("CastLike", moves::cast_like),
    ("CenterCropPad", moves::center_crop_pad),
    ("Clip", clip::clip),
    ("Col2Im", sampling::col2im),
    ("DeformConv", sampling::deform_conv),
    ("Dropout", dropout::dropout),
    ("Einsum", einsum::einsum),
    ("EyeLike", moves::eye_like),
    ("Gelu", activation::gelu),
    ("GridSample", sampling::grid_sample),
    ("GroupNormalization", norm::group),
    ("Hardmax", softmax::softmax),
    ("LogSoftmax", softmax::softmax),
    ("LpPool", pool::norm),
    ("MeanVarianceNormalization", norm::mean_variance),
    ("Mish", activation::mish),
    ("Mod", modulo::modulo),
    ("NonMaxSuppression", non_max_suppression::non_max_suppression),
    ("PRelu", activation::prelu),
    ("Pad", pad::pad),
    ("RMSNormalization", norm::root_mean_square),
    ("Range", options::range),
    ("ReduceL1", axes::reduce),
    ("ReduceL2", axes::reduce),
    ("ReduceLogSum", axes::reduce),
    ("ReduceLogSumExp", axes::reduce),
    ("ReduceMax", axes::reduce),
    ("ReduceMean", axes::reduce),
    ("ReduceMin", axes::reduce),
    ("ReduceProd", axes::reduce),
    ("ReduceSum", axes::axes_to_input),
    ("ReduceSumSquare", axes::reduce),
    ("Resize", resize::resize),
    ("RoiAlign", options::roi_align),
    ("RotaryEmbedding", rotary_embedding::rotary_embedding),
    ("Scatter", moves::scatter),
    ("Slice", slice::slice),
    ("Softmax", softmax::softmax),
    ("SpaceToDepth", moves::space_to_depth),
    ("Split", split::split),
    ("Squeeze", axes::axes_to_input),
    ("SwiGLU", activation::swish),
    ("Swish", activation::swish),
    ("TopK", topk::top_k),
    ("Unsqueeze", axes::axes_to_input),
    ("Upsample", resize::upsample),
];

impl Conversion<'_> {
    /// An error about this node.
    pub(crate) fn error(&self, why: impl Into<String>) -> Diagnostic {
        let message = format!("{} of operator set {}: {}", self.node.op, self.opset, why.into());
        Diagnostic::error("ONNX09", message).node(&self.node.name)
    }

    /// The finished node.
    pub(crate) fn done(self) -> Converted {
        Ok(vec![self.node])
    }

    /// The node as readings of `ptq_ir::ops` want it.
    pub(crate) fn as_node(&self) -> Node {
        Node {
            name: self.node.name.clone(),
            op: self.node.op.clone(),
            domain: String::new(),
            inputs: Vec::new(),
            outputs: Vec::new(),
            attrs: self.node.attrs.clone(),
            covers: Vec::new(),
            fusible_into: None,
        }
    }

    /// Removes a list attribute and returns it.
    pub(crate) fn take_ints(&mut self, name: &str) -> Option<Vec<i64>> {
        let ints = self.node.attrs.ints(name).map(<[i64]>::to_vec);
        self.node.attrs.0.remove(name);
        ints
    }

    /// Makes input `i` a constant called after the node and `what`.
    pub(crate) fn constant_input(&mut self, i: usize, what: &str, tensor: Tensor) {
        let name = self.env.add_constant(&format!("{}_{what}", self.node.name), tensor);
        self.node.set_input(i, Some(name));
    }

    /// Integers of input `i`: `None` when it is omitted.
    pub(crate) fn ints(&self, i: usize) -> Result<Option<Vec<i64>>, Diagnostic> {
        let Some(name) = self.node.input(i) else { return Ok(None) };
        let tensor = self.env.constant(name).ok_or_else(|| self.error(format!("input {name} must be constant")))?;
        tensor.to_i64s().map(Some).map_err(|e| self.error(format!("input {name}: {e}")))
    }

    /// Shape of input 0.
    pub(crate) fn shape(&self) -> Result<Vec<usize>, Diagnostic> {
        let typed = self.node.input(0).and_then(|n| self.env.typed(n));
        typed.map(|t| t.1).ok_or_else(|| self.error("input 0 is missing"))
    }

    /// Non-negative axes within the rank of input 0.
    pub(crate) fn axes(&self, raw: &[i64], rank: usize) -> Result<Vec<usize>, Diagnostic> {
        let axis =
            |&r: &i64| ptq_ir::ops::axis(r, rank).ok_or_else(|| self.error(format!("axis {r} is outside rank {rank}")));
        raw.iter().map(axis).collect()
    }
}

#[cfg(test)]
mod tests;
