//! Every fuse rule: what it makes, that results stay equal, and each reason for which it does not fire.

mod activation;
mod batch_normalization;
mod build_rule;
mod constants;
mod gemm;
mod identity;
mod networks;
mod pad;
mod replacements;
mod support;
mod unused;
