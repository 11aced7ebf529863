//! The `ptq` program.
fn main() {}
