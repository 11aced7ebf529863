//! Custom operators: computed by whoever provides their program. A node's declaration names the program by a digest of all
//! that it depends on, so a result depends on nothing but the node and its inputs, as for every other operator. The engine
//! provides the programs of a manifest, `ptq run` those of its own.

use crate::ExecError;
use crate::call::Call;
use ptq_ir::ops::{CUSTOM, CustomOp};
use ptq_ir::{Attrs, Tensor};
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

/// One application of a custom operator.
#[derive(Clone, Copy, Debug)]
pub struct CustomCall<'a> {
    /// Operator.
    pub op: &'a str,
    /// Domain.
    pub domain: &'a str,
    /// Attributes, as the model states them.
    pub attrs: &'a Attrs,
    /// Inputs; `None` for an omitted one.
    pub inputs: &'a [Option<&'a Tensor>],
    /// Types and shapes of its outputs.
    pub outputs: &'a [(ptq_ir::DType, Vec<usize>)],
}

/// A program that computes custom operators.
pub trait CustomProgram: Send + Sync {
    /// The outputs.
    ///
    /// # Errors
    /// Why there are none, in words.
    fn compute(&self, call: &CustomCall<'_>) -> Result<Vec<Tensor>, String>;
}

static PROGRAMS: RwLock<BTreeMap<String, Arc<dyn CustomProgram>>> = RwLock::new(BTreeMap::new());

/// Makes a program available under its digest, in place of an equal one that was before.
pub fn provide(program: &str, runs: Arc<dyn CustomProgram>) {
    PROGRAMS.write().unwrap_or_else(PoisonError::into_inner).insert(program.to_owned(), runs);
}

/// Whether a node is a custom operator.
pub(crate) fn is_custom(attrs: &Attrs) -> bool {
    attrs.get(CUSTOM).is_some()
}

/// Whether a program is there.
pub fn is_provided(program: &str) -> bool {
    PROGRAMS.read().unwrap_or_else(PoisonError::into_inner).contains_key(program)
}

/// Applies a custom operator.
pub(crate) fn apply(domain: &str, call: &Call<'_>) -> Result<Vec<Tensor>, ExecError> {
    let declared = CustomOp::of(call.attrs).ok_or_else(|| call.bad("its declaration does not read"))?;
    let program = PROGRAMS.read().unwrap_or_else(PoisonError::into_inner).get(&declared.program).cloned();
    let program = program.ok_or_else(|| ExecError::NoProgram {
        op: format!("{domain}.{}", call.op),
        name: declared.name.clone(),
        program: declared.program.chars().take(12).collect(),
    })?;
    let given: Vec<_> = call.inputs.iter().map(|t| t.map(|t| (t.dtype(), t.shape()))).collect();
    let outputs = declared.infer(&given, call.attrs).map_err(|why| call.bad(why))?;
    let mut attrs = call.attrs.clone();
    attrs.0.remove(CUSTOM);
    let made = program
        .compute(&CustomCall { op: call.op, domain, attrs: &attrs, inputs: call.inputs, outputs: &outputs })
        .map_err(|why| call.bad(why))?;
    let found = made.iter().map(|t| (t.dtype(), t.shape().to_vec()));
    if !found.eq(outputs.iter().cloned()) {
        let shown: Vec<String> = made.iter().map(|t| format!("{}{:?}", t.dtype(), t.shape())).collect();
        return Err(call.bad(format!("its program gives {}, declared {outputs:?}", shown.join(", "))));
    }
    Ok(made)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ptq_ir::ops::{CustomInput, CustomOutput};

    struct Doubles;

    impl CustomProgram for Doubles {
        fn compute(&self, call: &CustomCall<'_>) -> Result<Vec<Tensor>, String> {
            assert!(call.attrs.get(CUSTOM).is_none(), "the program sees the model's attributes only");
            let x = call.inputs[0].ok_or("no input")?;
            let y = x.f32s().map_err(|e| e.to_string())?.iter().map(|v| v * 2.0).collect();
            Ok(vec![Tensor::from_f32(call.outputs[0].1.clone(), y).map_err(|e| e.to_string())?])
        }
    }

    fn run(program: &str, outputs: Vec<CustomOutput>) -> Result<Vec<Tensor>, ExecError> {
        let op =
            CustomOp { name: "twice".into(), program: program.into(), inputs: vec![CustomInput::default()], outputs };
        let mut attrs = Attrs::default();
        op.mark(&mut attrs).expect("encodes");
        let x = Tensor::from_f32([2], vec![1.0, -3.0]).expect("count");
        crate::eval("Twice", "my.ops", &attrs, &[Some(&x)])
    }

    #[test]
    fn a_provided_program_computes_and_is_held_to_the_declaration() {
        provide("digest-of-doubles", Arc::new(Doubles));
        let y = run("digest-of-doubles", vec![CustomOutput::default()]).expect("runs");
        assert_eq!(y[0].f32s().expect("float"), [2.0, -6.0]);
        let wrong = CustomOutput { dtype: Some("int8".into()), ..CustomOutput::default() };
        let said = run("digest-of-doubles", vec![wrong]).expect_err("another type").to_string();
        assert!(said.contains("gives float32[2], declared [(I8, [2])]"), "{said}");
    }

    #[test]
    fn a_missing_program_is_named_with_what_to_do() {
        let said = run("digest-of-nobody", vec![CustomOutput::default()]).expect_err("nobody").to_string();
        assert!(said.contains("my.ops.Twice") && said.contains("[custom_op.twice]"), "{said}");
    }
}
