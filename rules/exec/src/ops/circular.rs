//! Circular and hyperbolic functions and their inverses, computed in double precision and rounded once.

use super::unary::real;
use crate::ExecError;
use crate::call::Call;
use ptq_ir::Tensor;
use ptq_kernels::math::wide;

macro_rules! functions {
    ($($name:ident),*) => {$(
        pub(super) fn $name(call: &Call<'_>) -> Result<Tensor, ExecError> {
            let single: &(dyn Fn(f32) -> f32 + Sync) = &|v| wide::$name(f64::from(v)) as f32;
            real(call, single, wide::$name)
        }
    )*};
}

functions!(acos, acosh, asin, asinh, atan, atanh, cos, cosh, sin, sinh, tan);
