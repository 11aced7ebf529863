//! Compile → load → run against independent evaluations of the same integer program, bit for bit and tensor by tensor:
//! single operators, random chains, both roundings, scratch memories so small that every layer is cut into pieces.
#![allow(clippy::unwrap_used)]

mod builder;
mod chains;
mod compare;
mod hostile;
mod mutations;
mod operators;
mod spread;
