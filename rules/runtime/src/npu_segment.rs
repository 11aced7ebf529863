//! Segments on the accelerator: inputs into DDR, the program on the functional simulator, results out of DDR.

use crate::run::Run;
use crate::stored::{from_stored, to_stored};
use crate::{RuntimeError, StepKind};
use ptq_ir::{QTensor, numel};
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
    let declared = |p: &Placed| &run.model.artifact.tensors[p.tensor.0 as usize];
    let asked = |p: &&Placed| p.layer.is_some() && (run.is_watched() || segment.outputs.contains(&p.tensor));
    let results = npu.placed.iter().filter(asked).map(|p| Ok((p.tensor, read(&simulator, p, declared(p))?)));
    let results = results.collect::<Result<Vec<_>, RuntimeError>>()?;
    // Giving its memory back belongs to the program, and not to what comes next.
    drop(simulator);
    run.program_step();
    for (id, bytes) in results {
        let declared = &run.model.artifact.tensors[id.0 as usize];
        run.made(id, from_stored(&bytes, declared.dtype, &declared.shape, 1)?)?;
        run.layout_step(StepKind::OutputLayout, Some(id));
    }
    run.values.release(&segment.inputs);
    Ok(())
}

/// The bytes of a result as the accelerator stores it.
fn read(simulator: &Simulator<'_>, placed: &Placed, declared: &QTensor) -> Result<Vec<u8>, RuntimeError> {
    let len = numel(&declared.shape).unwrap_or(0) * declared.dtype.bytes();
    let bytes = simulator.read_ddr(placed.address, len).map_err(|e| RuntimeError::node(&declared.name, e))?;
    Ok(bytes.to_vec())
}
