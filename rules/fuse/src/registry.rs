//! The one ordered list of fuse rules. Read by `fixed_point` and by the reference pages.

use crate::graph_rule::GraphRule;
use crate::rules::{
    convert_batch_normalization, convert_conv_transpose, convert_div, convert_gemm, convert_matmul, convert_reduce,
    convert_sum, drop_unused, fold_arithmetic_behind, fold_arithmetic_in_front, fold_batch_normalization,
    fold_constants, fold_pad, keep_rank, mark_activation, merge_arithmetic, merge_reshapes, merge_transposes,
    move_through, outline_function, raise_to_images, recognize_function, recognize_normalization, recognize_softmax,
    remove_identity, unroll_lstm,
};
use ptq_rule::GraphRuleMeta;

/// Every rule, in the order in which a round asks those of one phase.
pub(crate) const RULES: [GraphRule; 26] = [
    // Before everything: guards ask "is it constant?".
    fold_constants::RULE,
    // Before the folds: a dead reader must not look like a second reader.
    drop_unused::RULE,
    // Before the folds: a no-op between two nodes hides that they are neighbours.
    remove_identity::RULE,
    // Before everything that looks at operators: a function that has a name is one node to all other rules. Before the
    // folds of arithmetic: they would take `x + 3` out of a HardSwish into the Conv in front.
    recognize_function::RULE,
    // Before the folds of arithmetic, which would take its factor into the product behind it. Before convert-reduce: an
    // InstanceNormalization is made of reductions over height and width.
    recognize_normalization::RULE,
    // Before move-through: a Transpose may pass a Softmax, and not a sum.
    recognize_softmax::RULE,
    // Free of the rest: other words for the same thing.
    convert_reduce::RULE,
    convert_sum::RULE,
    // Before convert-batch-normalization: a BN behind a Conv costs nothing there, a Conv of its own costs one.
    // Before convert-gemm: it folds into a Gemm as well, but not through the Reshape that a converted Gemm ends with.
    fold_batch_normalization::RULE,
    // Before the fold in front: a Conv in front of the arithmetic never has padding in the way.
    fold_arithmetic_behind::RULE,
    fold_arithmetic_in_front::RULE,
    // After the folds: what no Conv took.
    merge_arithmetic::RULE,
    // After the folds: takes what those left. Before fold-pad: a BN behind a Pad becomes a Conv to pad.
    convert_batch_normalization::RULE,
    // After the folds and merges, which say what becomes of a divisor that is no power of two.
    convert_div::RULE,
    // Free of the rest.
    fold_pad::RULE,
    // After the folds behind: a BN or a bias is one number a channel there, s·s behind the blocks.
    convert_conv_transpose::RULE,
    // After fold-batch-normalization, see there.
    convert_gemm::RULE,
    // After the folds, which see a MatMul next to its factors and not through a Reshape.
    convert_matmul::RULE,
    // Free of the rest.
    unroll_lstm::RULE,
    // After convert-reduce and the recognitions, which read reductions as exporters write them.
    keep_rank::RULE,
    raise_to_images::RULE,
    // After the rules that add Reshapes.
    move_through::RULE,
    merge_transposes::RULE,
    merge_reshapes::RULE,
    // Hides, before mark-activation: activations that a Conv may compute stay outside of functions by its own guard.
    outline_function::RULE,
    // Hides, and last: it names producers and depends on who reads them, which every other rule may change.
    mark_activation::RULE,
];

/// Codes of the rules that run only where they are asked for.
const ON_REQUEST: [&str; 1] = ["FUSE26"];

static METAS: [GraphRuleMeta; RULES.len()] = {
    let mut metas = [RULES[0].meta; RULES.len()];
    let mut i = 0;
    while i < RULES.len() {
        metas[i] = RULES[i].meta;
        i += 1;
    }
    metas
};

/// Whether a rule runs only where `fuse.with` asks for it.
pub fn is_on_request(code: &str) -> bool {
    ON_REQUEST.contains(&code)
}

/// Metadata of every fuse rule, in the order in which they run.
pub fn rules() -> &'static [GraphRuleMeta] {
    &METAS
}
