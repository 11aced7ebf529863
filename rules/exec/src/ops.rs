//! The operators, one file a family, and the one table that names them.

mod activations;
mod arithmetic;
pub(crate) mod cast;
mod compare;
mod concat;
pub(crate) mod conv;
mod conv_nd;
mod conv_transpose;
mod conv_transpose_nd;
mod fill;
mod function;
mod gather;
mod grid_sample;
mod local_norm;
mod matmul;
mod norm;
mod pad;
mod pool;
mod pool_nd;
mod recurrent;
mod reduce;
mod regions;
mod reshape;
mod resize;
mod slice;
mod softmax;
mod taps;
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
    ("Add", One(arithmetic::add)),
    ("And", One(compare::and)),
    ("ArgMax", One(reduce::arg_max)),
    ("ArgMin", One(reduce::arg_min)),
    ("AveragePool", One(pool::average)),
    ("BatchNormalization", One(norm::batch)),
    ("Cast", One(cast::cast)),
    ("Ceil", One(unary::ceil)),
    ("Clip", One(unary::clip)),
    ("Concat", One(concat::concat)),
    ("ConstantOfShape", One(fill::constant_of_shape)),
    ("Conv", One(conv::conv)),
    ("ConvTranspose", One(conv_transpose::conv_transpose)),
    ("DepthToSpace", One(transpose::depth_to_space)),
    ("Div", One(arithmetic::div)),
    ("Dropout", Many(reshape::dropout)),
    ("Elu", One(unary::elu)),
    ("Equal", One(compare::equal)),
    ("Erf", One(unary::erf)),
    ("Exp", One(unary::exp)),
    ("Expand", One(fill::expand)),
    ("Flatten", One(reshape::flatten)),
    ("Floor", One(unary::floor)),
    ("GRU", Many(recurrent::gru)),
    ("Gather", One(gather::gather)),
    ("Gemm", One(matmul::gemm)),
    ("GlobalAveragePool", One(pool::average)),
    ("GlobalLpPool", One(pool_nd::norm)),
    ("GlobalMaxPool", Many(pool::max)),
    ("Greater", One(compare::greater)),
    ("GreaterOrEqual", One(compare::greater_or_equal)),
    ("GridSample", One(grid_sample::grid_sample)),
    ("HardSigmoid", One(unary::hard_sigmoid)),
    ("HardSwish", One(unary::hard_swish)),
    ("Hardmax", One(local_norm::hardmax)),
    ("Identity", One(reshape::identity)),
    ("InstanceNormalization", One(norm::instance)),
    ("LRN", One(local_norm::lrn)),
    ("LSTM", Many(recurrent::lstm)),
    ("LayerNormalization", Many(norm::layer)),
    ("LeakyRelu", One(unary::leaky_relu)),
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
    ("Not", One(compare::not)),
    ("Or", One(compare::or)),
    ("PRelu", One(arithmetic::prelu)),
    ("Pad", One(pad::pad)),
    ("Pow", One(arithmetic::pow)),
    ("RNN", Many(recurrent::rnn)),
    ("Range", One(fill::range)),
    ("Reciprocal", One(unary::reciprocal)),
    ("ReduceL2", One(reduce::reduce_l2)),
    ("ReduceMax", One(reduce::reduce_max)),
    ("ReduceMean", One(reduce::reduce_mean)),
    ("ReduceMin", One(reduce::reduce_min)),
    ("ReduceProd", One(reduce::reduce_prod)),
    ("ReduceSum", One(reduce::reduce_sum)),
    ("Relu", One(unary::relu)),
    ("Reshape", One(reshape::reshape)),
    ("Resize", One(resize::resize)),
    ("RoiAlign", One(regions::align)),
    ("Round", One(unary::round)),
    ("Sigmoid", One(unary::sigmoid)),
    ("Sign", One(unary::sign)),
    ("Slice", One(slice::slice)),
    ("Softmax", One(softmax::softmax)),
    ("Softplus", One(unary::softplus)),
    ("SpaceToDepth", One(transpose::space_to_depth)),
    ("Split", Many(concat::split)),
    ("Sqrt", One(unary::sqrt)),
    ("Squeeze", One(reshape::squeeze)),
    ("Sub", One(arithmetic::sub)),
    ("Sum", One(arithmetic::sum)),
    ("Tanh", One(unary::tanh)),
    ("Tile", One(fill::tile)),
    ("Transpose", One(transpose::transpose)),
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
