//! Every fuse rule: what it makes, that results stay equal, and each reason for which it does not fire.

mod activation;
mod arithmetic;
mod batch_normalization;
mod build_rule;
mod constants;
mod conversions;
mod functions;
mod gemm;
mod identity;
mod moves;
mod networks;
mod normalization;
mod pad;
mod real_models;
mod replacements;
mod rewrites;
mod softmax;
mod support;
mod unroll;
mod unused;
