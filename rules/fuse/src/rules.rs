//! Fuse rules, one file each. Their order is in `registry`.

pub(crate) mod convert_batch_normalization;
pub(crate) mod convert_conv_transpose;
pub(crate) mod convert_div;
pub(crate) mod convert_gemm;
pub(crate) mod convert_matmul;
pub(crate) mod convert_reduce;
pub(crate) mod convert_sum;
pub(crate) mod drop_unused;
pub(crate) mod fold_arithmetic_behind;
pub(crate) mod fold_arithmetic_in_front;
pub(crate) mod fold_batch_normalization;
pub(crate) mod fold_constants;
pub(crate) mod fold_pad;
pub(crate) mod keep_rank;
pub(crate) mod mark_activation;
pub(crate) mod merge_arithmetic;
pub(crate) mod merge_reshapes;
pub(crate) mod merge_transposes;
pub(crate) mod move_through;
pub(crate) mod outline_function;
pub(crate) mod raise_to_images;
pub(crate) mod recognize_function;
pub(crate) mod recognize_normalization;
pub(crate) mod recognize_softmax;
pub(crate) mod remove_identity;
pub(crate) mod unroll_lstm;
