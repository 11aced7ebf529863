//! Functions that the standard has an operator for, recognized by what they compute. Called by FUSE12.

use ptq_ir::ops::{FUNCTION, FUNCTION_DOMAIN, Operand, ScalarFunction};
use ptq_ir::{Attr, Attrs, Tensor};

/// Where no bound of a Clip is expected any more.
const FAR: f32 = 1_048_576.0;
/// Allowed difference from the operator, as a share of the result or of the argument, whichever is larger: near zero
/// that is next to nothing, so that an added 1e-6 is not overlooked.
const TOLERANCE: f32 = 2e-6;

/// An operator of the standard.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Known {
    /// Its name.
    pub(crate) op: &'static str,
    /// Its attributes.
    pub(crate) attrs: Attrs,
    /// Constants behind its first input; `None` is omitted.
    pub(crate) constants: Vec<Option<f32>>,
}

/// The operator that computes the same numbers: compared, with parameters read off the function itself, on a grid of
/// 0.03 between -16 and 16, on powers of two up to 2^20, and on both sides of every constant in the function, where
/// it may have a bend. Points at which the function overflows are left out.
pub(crate) fn recognize(function: &ScalarFunction) -> Option<Known> {
    let points = points(function);
    let values = apply(FUNCTION, FUNCTION_DOMAIN, &function.to_attrs(), &points, &[])?;
    let same = |known: &Known| {
        apply(known.op, "", &known.attrs, &points, &known.constants).is_some_and(|found| {
            let close = |x: f32, a: f32, b: f32| (a - b).abs() <= TOLERANCE * b.abs().max(x.abs());
            points.iter().zip(values.iter().zip(&found)).all(|(&x, (&a, &b))| !a.is_finite() || close(x, a, b))
        })
    };
    let at = |x: f32| apply(FUNCTION, FUNCTION_DOMAIN, &function.to_attrs(), &[x], &[])?.first().copied();
    candidates(at(-FAR)?, at(FAR)?, [at(-1.0)?, at(-0.5)?, at(0.0)?, at(0.5)?]).into_iter().find(same)
}

/// The operators, with the parameters that the function's values far out and near zero ask for.
fn candidates(low: f32, high: f32, [minus_one, left, middle, right]: [f32; 4]) -> Vec<Known> {
    let plain = |op| Known { op, attrs: Attrs::default(), constants: Vec::new() };
    let mut out = ["Relu", "Abs", "HardSwish", "Sigmoid", "Tanh", "Softplus", "Softsign"].map(plain).to_vec();
    let (min, max) = ((low > -FAR / 2.0).then_some(low), (high < FAR / 2.0).then_some(high));
    if (min, max) != (None, None) && min.unwrap_or(f32::NEG_INFINITY) < max.unwrap_or(f32::INFINITY) {
        out.push(Known { constants: vec![min, max], ..plain("Clip") });
    }
    let slope = -minus_one;
    if slope != 0.0 && (slope - 1.0).abs() > 1e-3 && slope.is_finite() {
        out.push(Known { attrs: Attrs::of([("alpha", Attr::Float(slope))]), ..plain("LeakyRelu") });
    }
    let usual = [1.0 / 6.0, 0.2, 0.25, 0.5, 1.0];
    let slope = right - left;
    let alpha = usual.into_iter().find(|u| (u - slope).abs() < 1e-6).unwrap_or(slope);
    if alpha != 0.0 && alpha.is_finite() {
        let attrs = Attrs::of([("alpha", Attr::Float(alpha)), ("beta", Attr::Float(middle))]);
        out.push(Known { attrs, ..plain("HardSigmoid") });
    }
    out
}

fn points(function: &ScalarFunction) -> Vec<f32> {
    let mut out: Vec<f32> = (-512..=512).map(|i| i as f32 / 32.0).collect();
    for exponent in 5..=20 {
        let far = f32::from(2u8).powi(exponent);
        out.extend([far, -far, 0.75 * far, -0.75 * far]);
    }
    let numbers = function.steps.iter().flat_map(|s| &s.operands).filter_map(|o| match o {
        Operand::Number(v) if v.is_finite() => Some(*v),
        _ => None,
    });
    for v in numbers.collect::<Vec<_>>() {
        out.extend([v, -v].iter().flat_map(|&v| [v, v - 0.01 * v.abs().max(0.01), v + 0.01 * v.abs().max(0.01)]));
    }
    out
}

/// An operator on a list of numbers; `None` where it cannot be applied.
fn apply(op: &str, domain: &str, attrs: &Attrs, x: &[f32], constants: &[Option<f32>]) -> Option<Vec<f32>> {
    let x = Tensor::from_f32([x.len()], x.to_vec()).ok()?;
    let constants: Vec<Option<Tensor>> = constants.iter().map(|c| c.map(Tensor::scalar_f32)).collect();
    let inputs: Vec<Option<&Tensor>> = std::iter::once(Some(&x)).chain(constants.iter().map(Option::as_ref)).collect();
    ptq_exec::eval(op, domain, attrs, &inputs).ok()?.pop()?.into_f32s().ok()
}
