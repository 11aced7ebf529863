//! Segments on the accelerator: inputs into DDR, the program on the functional simulator, results out of DDR.

use crate::run::Run;
use crate::stored::{from_stored, to_stored};
use crate::{RuntimeError, StepKind};
use ptq_ir::{QTensor, Tensor, numel};
use ptq_sim::Simulator;
use ptq_sim::artifact::{Npu, Placed, Segment};

/// Runs a program.
pub(crate) fn run(segment: &Segment, npu: &Npu, run: &mut Run<'_, '_, '_, '_>) -> Result<(), RuntimeError> {
    let given = || npu.placed.iter().filter(|p| p.layer.is_none());
    let stored = given().map(|p| Ok(to_stored(run.values.get(p.tensor)?)?));
    let stored = stored.collect::<Result<Vec<_>, RuntimeError>>()?;
    run.layout_step(StepKind::InputLayout, segment.inputs.last().copied());
    let mut simulator = Simulator::new(&npu.program);
    for (p, bytes) in given().zip(&stored) {
        let name = &run.model.artifact.tensors[p.tensor.0 as usize].name;
        simulator.write_ddr(p.address, bytes).map_err(|e| RuntimeError::node(name, e))?;
    }
    drop(stored);
    // An input may also leave the segment unchanged, so inputs are released at the end.
    simulator.run()?;
    run.program_step();
    for p in npu.placed.iter().filter(|p| p.layer.is_some()) {
        let leaves = segment.outputs.contains(&p.tensor);
        if leaves || run.is_watched() {
            let declared = &run.model.artifact.tensors[p.tensor.0 as usize];
            let tensor = read(&simulator, p, declared)?;
            run.made(p.tensor, tensor)?;
            run.layout_step(StepKind::OutputLayout, Some(p.tensor));
        }
    }
    run.values.release(&segment.inputs);
    Ok(())
}

/// A result in the model's own axis order.
fn read(simulator: &Simulator<'_>, placed: &Placed, declared: &QTensor) -> Result<Tensor, RuntimeError> {
    let len = numel(&declared.shape).unwrap_or(0) * declared.dtype.bytes();
    let bytes = simulator.read_ddr(placed.address, len).map_err(|e| RuntimeError::node(&declared.name, e))?;
    Ok(from_stored(bytes, declared.dtype, &declared.shape)?)
}
