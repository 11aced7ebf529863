//! The activation functions of recurrent operators.

use crate::ExecError;
use crate::call::Call;
use ptq_ir::Attr;
use ptq_kernels::math;

/// A function with its parameters.
#[derive(Clone, Copy, Debug)]
pub(super) struct Activation {
    function: fn(f32, f32, f32) -> f32,
    alpha: f32,
    beta: f32,
}

impl Activation {
    /// Its value.
    pub(super) fn of(&self, x: f32) -> f32 {
        (self.function)(x, self.alpha, self.beta)
    }
}

/// A function of x, alpha and beta; which of them it reads, and their defaults.
type Entry = (&'static str, fn(f32, f32, f32) -> f32, Option<f32>, Option<f32>);

/// Functions by lower-case name.
const TABLE: &[Entry] = &[
    ("affine", |x, a, b| a * x + b, Some(1.0), Some(0.0)),
    ("elu", |x, a, _| if x < 0.0 { a * (math::exp(x) - 1.0) } else { x }, Some(1.0), None),
    ("hardsigmoid", |x, a, b| (a * x + b).clamp(0.0, 1.0), Some(0.2), Some(0.5)),
    ("leakyrelu", |x, a, _| if x < 0.0 { a * x } else { x }, Some(0.01), None),
    ("relu", |x, _, _| if x > 0.0 { x } else { 0.0 }, None, None),
    ("scaledtanh", |x, a, b| a * math::tanh(b * x), Some(1.0), Some(1.0)),
    ("sigmoid", |x, _, _| math::sigmoid(x), None, None),
    ("softplus", |x, _, _| math::softplus(x), None, None),
    ("softsign", |x, _, _| x / (1.0 + x.abs()), None, None),
    ("tanh", |x, _, _| math::tanh(x), None, None),
    ("thresholdedrelu", |x, a, _| if x > a { x } else { 0.0 }, Some(1.0), None),
];

/// The functions of each direction. `activation_alpha` and `activation_beta` are handed out in order to the functions
/// that read them.
pub(super) fn activations(
    call: &Call<'_>,
    defaults: &[&str],
    directions: usize,
) -> Result<Vec<Vec<Activation>>, ExecError> {
    let names: Vec<String> = match call.attrs.get("activations") {
        Some(Attr::Strs(names)) if !names.is_empty() => names.clone(),
        _ => defaults.iter().cycle().take(defaults.len() * directions).map(|&n| n.to_owned()).collect(),
    };
    if names.len() != defaults.len() * directions {
        return Err(call.bad(format!("{} activations, {} are expected", names.len(), defaults.len() * directions)));
    }
    let list = |name: &str| match call.attrs.get(name) {
        Some(Attr::Floats(v)) => v.clone(),
        _ => Vec::new(),
    };
    let (mut alphas, mut betas) = (list("activation_alpha").into_iter(), list("activation_beta").into_iter());
    let mut read = |name: &String| {
        let lower = name.to_lowercase();
        let entry = TABLE.iter().find(|(known, ..)| *known == lower);
        let &(_, function, alpha, beta) = entry.ok_or_else(|| call.bad(format!("activation {name} is not known")))?;
        let value = |given: &mut std::vec::IntoIter<f32>, default: Option<f32>| {
            default.map_or(0.0, |default| given.next().unwrap_or(default))
        };
        Ok(Activation { function, alpha: value(&mut alphas, alpha), beta: value(&mut betas, beta) })
    };
    let all = names.iter().map(&mut read).collect::<Result<Vec<_>, ExecError>>()?;
    Ok(all.chunks(defaults.len()).map(<[Activation]>::to_vec).collect())
}
