//! `ptq dump`.

use super::run::load;
use crate::args::Dump;
use crate::failure::Failure;
use ptq_sim::artifact::Body;

pub(crate) fn run(args: &Dump) -> Result<u8, Failure> {
    let model = load(&args.model, args.packed.as_deref())?;
    let artifact = model.artifact();
    let name = |id: &ptq_ir::TensorId| artifact.tensors[id.0 as usize].name.as_str();
    for (i, segment) in artifact.segments.iter().enumerate() {
        match &segment.body {
            Body::Float(nodes) => {
                println!("; segment {i}: CPU");
                for n in nodes {
                    println!("  {} = {}({})", list(&n.outputs, name), n.op.name(), list(&n.inputs, name));
                }
            }
            Body::Int(nodes) => {
                println!("; segment {i}: integer executor");
                for n in nodes {
                    println!("  {} = {}({})", list(&n.outputs, name), n.op.name(), list(&n.inputs, name));
                }
            }
            Body::Npu(npu) => {
                println!("; segment {i}: BPU");
                if !npu.follows.is_empty() {
                    println!("; plan {}", npu.follows);
                }
                print!("{}", ptq_sim::dump(&npu.program));
            }
        }
    }
    Ok(0)
}

fn list<'a>(ids: &[ptq_ir::TensorId], name: impl Fn(&ptq_ir::TensorId) -> &'a str) -> String {
    ids.iter().map(name).collect::<Vec<_>>().join(", ")
}
