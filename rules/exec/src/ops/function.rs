//! A function of one number, step by step on blocks that stay in the cache.

use crate::ExecError;
use crate::buffers::Buffers;
use crate::call::Call;
use crate::eval::apply;
use ptq_ir::Tensor;
use ptq_ir::ops::{Operand, ScalarFunction};
use ptq_kernels::split;
use std::sync::{Mutex, PoisonError};

/// Elements that pass all steps together.
const BLOCK: usize = 4096;

/// Applies the steps to each element, each by the operator's own kernel: the same bits as the steps as nodes give.
pub(crate) fn function(call: &Call<'_>) -> Result<Tensor, ExecError> {
    let f = ScalarFunction::of(call.attrs).ok_or_else(|| call.bad("its steps do not read as a function"))?;
    let x = call.input(0)?;
    let numbers: Vec<Vec<Option<Tensor>>> =
        f.steps.iter().map(|s| s.operands.iter().map(Operand::tensor).collect()).collect();
    let v = x.f32s()?;
    let mut out = call.buffers.any(x.len());
    let (op, failure) = (call.op, Mutex::new(None));
    split(call.threads, x.len() * f.steps.len(), &mut out, BLOCK, |first, out| {
        // Buffers belong to one thread.
        let buffers = Buffers::default();
        let blocks = v[first * BLOCK..].chunks(BLOCK).zip(out.chunks_mut(BLOCK));
        for (block, out) in blocks {
            if let Err(e) = steps(op, &f, &numbers, &buffers, block, out) {
                *failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(e);
                return;
            }
        }
    });
    match failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(e) => Err(e),
        None => Ok(Tensor::from_f32(x.shape(), out)?),
    }
}

/// All steps on one block.
fn steps(
    op: &str,
    f: &ScalarFunction,
    numbers: &[Vec<Option<Tensor>>],
    buffers: &Buffers,
    block: &[f32],
    out: &mut [f32],
) -> Result<(), ExecError> {
    let mut own = buffers.empty(block.len());
    own.extend_from_slice(block);
    let argument = Tensor::from_f32([block.len()], own)?;
    let mut results: Vec<Tensor> = Vec::with_capacity(f.steps.len());
    for (step, numbers) in f.steps.iter().zip(numbers) {
        let operands: Vec<Option<&Tensor>> = step
            .operands
            .iter()
            .zip(numbers)
            .map(|(operand, number)| match operand {
                Operand::Argument => Some(&argument),
                Operand::Step(k) => results.get(*k),
                Operand::Number(_) | Operand::Omitted => number.as_ref(),
            })
            .collect();
        let inner = Call { op: &step.op, attrs: &step.attrs, inputs: &operands, outputs: 1, threads: 1, buffers };
        let mut made = apply("", &inner)?;
        match made.pop().filter(|t| made.is_empty() && t.shape() == [block.len()]) {
            Some(t) => results.push(t),
            None => {
                let why = format!("step {step} is not a function of one number");
                return Err(ExecError::Invalid { op: op.to_owned(), why });
            }
        }
    }
    out.copy_from_slice(results.last().map_or(Ok(block), Tensor::f32s)?);
    results.into_iter().chain([argument]).for_each(|t| buffers.recycle(t));
    Ok(())
}
