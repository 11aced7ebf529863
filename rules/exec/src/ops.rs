//! The operators, one file a family, and the one table that names them.

mod activation;
mod activations;
mod arithmetic;
mod bits;
pub(crate) mod cast;
mod circular;
mod compare;
mod concat;
pub(crate) mod conv;
mod conv_nd;
mod conv_transpose;
mod conv_transpose_nd;
mod cumulative;
mod fill;
mod function;
mod gather;
mod gather_nd;
mod grid_sample;
mod local_norm;
mod matmul;
mod matrix;
mod norm;
mod one_hot;
mod pad;
mod pool;
mod pool_nd;
mod recurrent;
mod reduce;
mod regions;
mod reshape;
mod resize;
mod scatter;
mod select;
mod shape_of;
mod slice;
mod softmax;
mod taps;
mod topk;
mod transpose;
mod unary;

pub(crate) use function::function;

use crate::ExecError;
use crate::call::Call;
use ptq_ir::Tensor;

/// How an operator is computed.
#[derive(Clone, Copy)]
pub(crate) enum Kernel {
    /// Gives one tensor.
    One(fn(&Call<'_>) -> Result<Tensor, ExecError>),
    /// Gives several.
    Many(fn(&Call<'_>) -> Result<Vec<Tensor>, ExecError>),
}
use Kernel::{Many, One};

/// Every supported operator of `ai.onnx`, sorted by name.
pub(crate) const REGISTRY: &[(&str, Kernel)] = &[
    ("Abs", One(unary::abs)),
    ("Acos", One(circular::acos)),
    ("Acosh", One(circular::acosh)),
    ("Add", One(arithmetic::add)),
    ("And", One(compare::and)),
    ("ArgMax", One(reduce::arg_max)),
    ("ArgMin", One(reduce::arg_min)),
    ("Asin", One(circular::asin)),
    ("Asinh", One(circular::asinh)),
    ("Atan", One(circular::atan)),
    ("Atanh", One(circular::atanh)),
    ("AveragePool", One(pool::average)),
    ("BatchNormalization", One(norm::batch)),
    ("BitCast", One(bits::cast)),
    ("BitShift", One(bits::shift)),
    ("BitwiseAnd", One(bits::and)),
    ("BitwiseNot", One(bits::not)),
    ("BitwiseOr", One(bits::or)),
    ("BitwiseXor", One(bits::xor)),
    ("Cast", One(cast::cast)),
    ("Ceil", One(unary::ceil)),
    ("Celu", One(activation::celu)),
    ("Clip", One(unary::clip)),
    ("Compress", One(select::compress)),
    ("Concat", One(concat::concat)),
    ("ConstantOfShape", One(fill::constant_of_shape)),
    ("Conv", One(conv::conv)),
    ("ConvTranspose", One(conv_transpose::conv_transpose)),
    ("Cos", One(circular::cos)),
    ("Cosh", One(circular::cosh)),
    ("CumProd", One(cumulative::product)),
    ("CumSum", One(cumulative::sum)),
    ("DepthToSpace", One(transpose::depth_to_space)),
    ("Det", One(matrix::determinant)),
    ("Div", One(arithmetic::div)),
    ("Dropout", Many(reshape::dropout)),
    ("Elu", One(activation::elu)),
    ("Equal", One(compare::equal)),
    ("Erf", One(unary::erf)),
    ("Exp", One(unary::exp)),
    ("Expand", One(fill::expand)),
    ("Flatten", One(reshape::flatten)),
    ("Floor", One(unary::floor)),
    ("GRU", Many(recurrent::gru)),
    ("Gather", One(gather::gather)),
    ("GatherElements", One(gather_nd::elements)),
    ("GatherND", One(gather_nd::blocks)),
    ("Gemm", One(matmul::gemm)),
    ("GlobalAveragePool", One(pool::average)),
    ("GlobalLpPool", One(pool_nd::norm)),
    ("GlobalMaxPool", Many(pool::max)),
    ("Greater", One(compare::greater)),
    ("GreaterOrEqual", One(compare::greater_or_equal)),
    ("GridSample", One(grid_sample::grid_sample)),
    ("HardSigmoid", One(activation::hard_sigmoid)),
    ("HardSwish", One(activation::hard_swish)),
    ("Hardmax", One(local_norm::hardmax)),
    ("Identity", One(reshape::identity)),
    ("InstanceNormalization", One(norm::instance)),
    ("IsInf", One(bits::is_inf)),
    ("IsNaN", One(bits::is_nan)),
    ("LRN", One(local_norm::lrn)),
    ("LSTM", Many(recurrent::lstm)),
    ("LayerNormalization", Many(norm::layer)),
    ("LeakyRelu", One(activation::leaky_relu)),
    ("Less", One(compare::less)),
    ("LessOrEqual", One(compare::less_or_equal)),
    ("Log", One(unary::log)),
    ("LogSoftmax", One(softmax::log_softmax)),
    ("LpNormalization", One(local_norm::lp)),
    ("LpPool", One(pool_nd::norm)),
    ("MatMul", One(matmul::matmul)),
    ("Max", One(arithmetic::max)),
    ("MaxPool", Many(pool::max)),
    ("MaxRoiPool", One(regions::max_pool)),
    ("MaxUnpool", One(pool_nd::unpool)),
    ("Mean", One(arithmetic::mean)),
    ("Min", One(arithmetic::min)),
    ("Mod", One(arithmetic::modulo)),
    ("Mul", One(arithmetic::mul)),
    ("Neg", One(unary::neg)),
    ("NonZero", One(select::non_zero)),
    ("Not", One(compare::not)),
    ("OneHot", One(one_hot::one_hot)),
    ("Or", One(compare::or)),
    ("PRelu", One(arithmetic::prelu)),
    ("Pad", One(pad::pad)),
    ("Pow", One(arithmetic::pow)),
    ("RNN", Many(recurrent::rnn)),
    ("Range", One(fill::range)),
    ("Reciprocal", One(unary::reciprocal)),
    ("ReduceL1", One(reduce::reduce_l1)),
    ("ReduceL2", One(reduce::reduce_l2)),
    ("ReduceLogSum", One(reduce::reduce_log_sum)),
    ("ReduceLogSumExp", One(reduce::reduce_log_sum_exp)),
    ("ReduceMax", One(reduce::reduce_max)),
    ("ReduceMean", One(reduce::reduce_mean)),
    ("ReduceMin", One(reduce::reduce_min)),
    ("ReduceProd", One(reduce::reduce_prod)),
    ("ReduceSum", One(reduce::reduce_sum)),
    ("ReduceSumSquare", One(reduce::reduce_sum_square)),
    ("Relu", One(unary::relu)),
    ("Reshape", One(reshape::reshape)),
    ("Resize", One(resize::resize)),
    ("ReverseSequence", One(select::reverse_sequence)),
    ("RoiAlign", One(regions::align)),
    ("Round", One(unary::round)),
    ("ScatterElements", One(scatter::elements)),
    ("ScatterND", One(scatter::blocks)),
    ("Selu", One(activation::selu)),
    ("Shape", One(shape_of::shape)),
    ("Shrink", One(activation::shrink)),
    ("Sigmoid", One(unary::sigmoid)),
    ("Sign", One(unary::sign)),
    ("Sin", One(circular::sin)),
    ("Sinh", One(circular::sinh)),
    ("Size", One(shape_of::size)),
    ("Slice", One(slice::slice)),
    ("Softmax", One(softmax::softmax)),
    ("Softplus", One(unary::softplus)),
    ("Softsign", One(activation::softsign)),
    ("SpaceToDepth", One(transpose::space_to_depth)),
    ("Split", Many(concat::split)),
    ("Sqrt", One(unary::sqrt)),
    ("Squeeze", One(reshape::squeeze)),
    ("Sub", One(arithmetic::sub)),
    ("Sum", One(arithmetic::sum)),
    ("Tan", One(circular::tan)),
    ("Tanh", One(unary::tanh)),
    ("ThresholdedRelu", One(activation::thresholded_relu)),
    ("Tile", One(fill::tile)),
    ("TopK", Many(topk::top_k)),
    ("Transpose", One(transpose::transpose)),
    ("Trilu", One(matrix::triangle)),
    ("Unique", Many(select::unique)),
    ("Unsqueeze", One(reshape::unsqueeze)),
    ("Upsample", One(resize::upsample)),
    ("Where", One(compare::where_)),
    ("Xor", One(compare::xor)),
];

#[cfg(test)]
mod tests {
    #[test]
    fn the_table_is_sorted_and_names_each_operator_once() {
        assert!(super::REGISTRY.windows(2).all(|w| w[0].0 < w[1].0));
    }
}
