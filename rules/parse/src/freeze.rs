//! Input shapes: what the model fixes, what the description fixes, and what stays open (an error).

use crate::budget::Budget;
use ptq_ir::{DType, Diagnostic, InputSpec, Place, Severity};
use ptq_onnx::{RawDim, RawInput};
use std::collections::BTreeMap;

/// A model input with its final shape.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct FrozenInput {
    pub(crate) name: String,
    pub(crate) dtype: DType,
    pub(crate) shape: Vec<usize>,
}

/// Fixes the shape of every input.
///
/// # Errors
/// Names each input whose shape stays open or does not fit its description, and each description without an input.
pub(crate) fn freeze(
    inputs: &[RawInput],
    specs: &BTreeMap<String, InputSpec>,
    budget: &Budget,
    notes: &mut Vec<Diagnostic>,
) -> Result<Vec<FrozenInput>, Vec<Diagnostic>> {
    let mut problems = unknown_names(inputs, specs);
    let mut out = Vec::with_capacity(inputs.len());
    for input in inputs {
        let wanted = specs.get(&input.name).and_then(|s| s.shape.as_deref());
        let items = specs.get(&input.name).and_then(|s| s.batch).filter(|&b| b > 1);
        let found = shape(input, wanted, budget, notes).and_then(|shape| match items {
            Some(items) => batched(shape, items, inputs, budget, input.dtype),
            None => Ok(shape),
        });
        match found {
            Ok(shape) => out.push(FrozenInput { name: input.name.clone(), dtype: input.dtype, shape }),
            Err(problem) => problems.push(problem.value(&input.name)),
        }
    }
    if problems.is_empty() { Ok(out) } else { Err(problems) }
}

fn unknown_names(inputs: &[RawInput], specs: &BTreeMap<String, InputSpec>) -> Vec<Diagnostic> {
    let real: Vec<&str> = inputs.iter().map(|i| i.name.as_str()).collect();
    specs
        .keys()
        .filter(|name| !real.contains(&name.as_str()))
        .map(|name| {
            let message = format!("the model has no input called {name:?}");
            Diagnostic::error("PARSE01", message).hint(format!("its inputs are {}", real.join(", ")))
        })
        .collect()
}

fn shape(
    input: &RawInput,
    wanted: Option<&[i64]>,
    budget: &Budget,
    notes: &mut Vec<Diagnostic>,
) -> Result<Vec<usize>, Diagnostic> {
    let shape = match (&input.dims, wanted) {
        (Some(dims), Some(wanted)) => merged(dims, wanted)?,
        (None, Some(wanted)) => wanted.iter().map(|&w| positive(w)).collect::<Option<_>>().ok_or_else(|| {
            Diagnostic::error("PARSE03", format!("shape {wanted:?} must be positive; the model does not state one"))
        })?,
        (Some(dims), None) => model_shape(input, dims, notes)?,
        (None, None) => return Err(open(input, "the model does not state a shape", None)),
    };
    budget.activation(input.dtype, &shape)?;
    Ok(shape)
}

/// The shape with a batch laid over it.
fn batched(
    mut shape: Vec<usize>,
    items: usize,
    inputs: &[RawInput],
    budget: &Budget,
    dtype: DType,
) -> Result<Vec<usize>, Diagnostic> {
    let refused = |why: String, hint: &str| {
        Err(Diagnostic::error("PARSE14", format!("batch = {items} {why}")).hint(hint.to_owned()))
    };
    if inputs.len() > 1 {
        let why = format!("goes with one input, the model has {}", inputs.len());
        return refused(why, "leave batch out, and fix the batch by the shapes of the inputs");
    }
    match shape.first_mut() {
        Some(first) if *first == 1 => *first = items,
        first => {
            let first = first.map_or_else(|| "no dimension at all".to_owned(), |d| d.to_string());
            let why = format!("needs a first dimension of 1, it is {first}");
            return refused(why, "leave batch out: the model has a batch of its own, and each sample holds all of it");
        }
    }
    budget.activation(dtype, &shape)?;
    Ok(shape)
}

fn positive(v: i64) -> Option<usize> {
    usize::try_from(v).ok().filter(|&v| v > 0)
}

fn merged(dims: &[RawDim], wanted: &[i64]) -> Result<Vec<usize>, Diagnostic> {
    let misfit = || {
        let message = format!("shape {wanted:?} does not fit the model's {}", spelled(dims));
        Diagnostic::error("PARSE03", message).hint("only open dimensions can be chosen")
    };
    if dims.len() != wanted.len() {
        return Err(misfit());
    }
    dims.iter()
        .zip(wanted)
        .map(|(dim, &w)| match (dim, positive(w)) {
            (RawDim::Fixed(n), Some(w)) if *n == w => Ok(w),
            (RawDim::Fixed(n), None) => Ok(*n),
            (RawDim::Open(_), Some(w)) => Ok(w),
            _ => Err(misfit()),
        })
        .collect()
}

/// The model's own shape; an open batch is 1, with a note.
fn model_shape(input: &RawInput, dims: &[RawDim], notes: &mut Vec<Diagnostic>) -> Result<Vec<usize>, Diagnostic> {
    let fixed = |d: &RawDim| match d {
        RawDim::Fixed(n) => Some(*n),
        RawDim::Open(_) => None,
    };
    let rest: Option<Vec<usize>> = dims.iter().skip(1).map(fixed).collect();
    match (dims.first().map(fixed), rest) {
        (Some(None), Some(rest)) if !rest.is_empty() => {
            let mut shape = vec![1];
            shape.extend(rest);
            notes.push(Diagnostic {
                code: "PARSE09".to_owned(),
                severity: Severity::Note,
                message: format!("the batch of {} is open and taken as 1", spelled(dims)),
                place: Place { value: Some(input.name.clone()), ..Place::default() },
                hint: Some(format!("set shape = {shape:?} to say so, or another batch")),
            });
            Ok(shape)
        }
        (Some(Some(first)), Some(rest)) => Ok([vec![first], rest].concat()),
        (None, _) => Ok(Vec::new()),
        _ => Err(open(input, &format!("shape {} is open", spelled(dims)), Some(dims))),
    }
}

fn open(input: &RawInput, why: &str, dims: Option<&[RawDim]>) -> Diagnostic {
    let example = dims.map_or("[…]".to_owned(), |dims| {
        let one = |(d, dim): (usize, &RawDim)| match dim {
            RawDim::Fixed(n) => n.to_string(),
            RawDim::Open(_) if d == 0 => "1".to_owned(),
            RawDim::Open(_) => "…".to_owned(),
        };
        format!("[{}]", dims.iter().enumerate().map(one).collect::<Vec<_>>().join(", "))
    });
    let hint = format!("set the key shape of input {:?}, such as shape = {example}", input.name);
    Diagnostic::error("PARSE02", why).hint(hint)
}

fn spelled(dims: &[RawDim]) -> String {
    format!("[{}]", dims.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
}
