//! AVX2 versions of the integer kernels.
#![allow(unsafe_code)]

pub(super) mod finish;
pub(super) mod taps;
pub(super) mod tile;
pub(super) mod transpose;
