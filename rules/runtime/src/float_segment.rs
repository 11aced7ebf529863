//! Segments on the processor: float operators one by one, and borders.

use crate::border::{dequantize, quantize};
use crate::run::Run;
use crate::{RunOptions, RuntimeError, StepKind};
use ptq_exec::{ExecError, eval_on};
use ptq_ir::{Attrs, QNode, QOp, QuantParams, Tensor, TensorId};

/// Runs the nodes in order.
pub(crate) fn run(nodes: &[QNode], options: &RunOptions, run: &mut Run<'_, '_, '_, '_>) -> Result<(), RuntimeError> {
    for node in nodes {
        let results = match &node.op {
            QOp::Float { op, domain, attrs, present } => float(options.threads, node, op, domain, attrs, present, run)?,
            QOp::Quantize => {
                let params = params(node, node.outputs[0], run)?;
                vec![quantize(run.values.get(node.inputs[0])?, params, options.threads)?]
            }
            QOp::Dequantize => {
                let params = params(node, node.inputs[0], run)?;
                vec![dequantize(run.values.get(node.inputs[0])?, params, options.threads)?]
            }
            other => return Err(RuntimeError::node(&node.name, format!("{} is not a float operator", other.name()))),
        };
        if results.len() < node.outputs.len() {
            let why = format!("gave {} results, not {}", results.len(), node.outputs.len());
            return Err(RuntimeError::node(&node.name, why));
        }
        for (&id, tensor) in node.outputs.iter().zip(results) {
            run.made(id, tensor)?;
        }
        run.values.release(&node.inputs);
        let kind = match node.op {
            QOp::Quantize => StepKind::Quantize,
            QOp::Dequantize => StepKind::Dequantize,
            _ => StepKind::Cpu,
        };
        run.step(kind, node);
    }
    Ok(())
}

fn float(
    threads: usize,
    node: &QNode,
    op: &str,
    domain: &str,
    attrs: &Attrs,
    present: &[bool],
    run: &Run<'_, '_, '_, '_>,
) -> Result<Vec<Tensor>, RuntimeError> {
    let mut next = node.inputs.iter();
    let inputs: Vec<Option<&Tensor>> = present
        .iter()
        .map(|&p| if p { next.next().map(|&id| run.values.get(id)).transpose() } else { Ok(None) })
        .collect::<Result<_, _>>()?;
    eval_on(threads, op, domain, attrs, &inputs, node.outputs.len())
        .map_err(|source| RuntimeError::Float(ExecError::Node { node: node.name.clone(), source: Box::new(source) }))
}

fn params<'m>(node: &QNode, id: TensorId, run: &Run<'m, '_, '_, '_>) -> Result<&'m QuantParams, RuntimeError> {
    let tensor = &run.model.artifact.tensors[id.0 as usize];
    tensor.quant.as_ref().ok_or_else(|| RuntimeError::node(&node.name, format!("{} has no scale", tensor.name)))
}
