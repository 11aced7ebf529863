//! The integer program run by naive scalar code on whole tensors: the reference for simulator and executor.
//!
//! Deliberately simple: one page an operator, plain loops, nothing shared with the fast kernels but the requantization
//! functions ([`ptq_kernels::requant`]). What each operator means is written at `ptq_ir::QOp`.

mod arithmetic;
mod border;
mod concat;
mod conv;
mod lut;
mod matmul;
mod moves;
mod operand;
mod pool;
mod ports;
mod reduce;

pub use ports::{port_values, real_outputs};

use crate::lifetimes::release_after;
use crate::{ExecError, eval_outputs, runs};
use operand::Operand;
use ptq_ir::{QGraph, QNode, QOp, Tensor, TensorId};

/// What observers of an interpreter see: every tensor that is not constant, once, model inputs first.
pub type IntegerSink<'a> = dyn FnMut(TensorId, &Tensor) + 'a;

/// Runs an integer program.
#[derive(Clone, Debug)]
pub struct Interpreter {
    graph: QGraph,
    release: Vec<Vec<usize>>,
}

impl Interpreter {
    /// Prepares a program.
    ///
    /// # Errors
    /// Names the first node that reads or writes a tensor that does not exist, or whose float operator is not supported.
    pub fn new(graph: &QGraph) -> Result<Interpreter, ExecError> {
        let count = graph.tensors.len();
        let numbers = |ids: &[TensorId]| ids.iter().map(|t| t.0 as usize).collect::<Vec<_>>();
        let mut ends = Vec::with_capacity(graph.nodes.len());
        for node in &graph.nodes {
            let (reads, writes) = (numbers(&node.inputs), numbers(&node.outputs));
            if reads.iter().chain(&writes).any(|&t| t >= count) {
                return Err(invalid(node, "names a tensor that does not exist".into()).at(&node.name));
            }
            if let QOp::Float { op, domain, attrs, .. } = &node.op
                && !runs(op, domain, attrs)
            {
                let error = ExecError::Unsupported { op: op.clone(), domain: domain.clone() };
                return Err(error.at(&node.name));
            }
            ends.push((reads, writes));
        }
        let kept = numbers(&graph.outputs);
        if kept.iter().chain(&numbers(&graph.inputs)).any(|&t| t >= count) {
            return Err(ExecError::Input {
                name: graph.name.clone(),
                why: "names a tensor that does not exist".into(),
            });
        }
        let release = release_after(count, &ends, &kept);
        Ok(Interpreter { graph: graph.clone(), release })
    }

    /// Runs the program on inputs in the model's order and returns its outputs in the model's order.
    ///
    /// # Errors
    /// When an input does not fit, or a node fails.
    pub fn run(&self, inputs: &[Tensor], sink: &mut IntegerSink<'_>) -> Result<Vec<Tensor>, ExecError> {
        let graph = &self.graph;
        let mut live: Vec<Option<Tensor>> = vec![None; graph.tensors.len()];
        if inputs.len() != graph.inputs.len() {
            let why = format!("{} inputs given, the model has {}", inputs.len(), graph.inputs.len());
            return Err(ExecError::Input { name: graph.name.clone(), why });
        }
        for (&id, tensor) in graph.inputs.iter().zip(inputs) {
            let t = graph.tensor(id);
            if tensor.shape() != t.shape || tensor.dtype() != t.dtype {
                let why =
                    format!("is {}{:?}, the model wants {}{:?}", tensor.dtype(), tensor.shape(), t.dtype, t.shape);
                return Err(ExecError::Input { name: t.name.clone(), why });
            }
            sink(id, tensor);
            live[id.0 as usize] = Some(tensor.clone());
        }
        for (node, release) in graph.nodes.iter().zip(&self.release) {
            let outputs = self.node(node, &live).map_err(|e| e.at(&node.name))?;
            for (&id, tensor) in node.outputs.iter().zip(outputs) {
                let t = graph.tensor(id);
                if tensor.shape() != t.shape || tensor.dtype() != t.dtype {
                    let made = format!("{}{:?}", tensor.dtype(), tensor.shape());
                    let why = format!("gives {made} for {}, declared {}{:?}", t.name, t.dtype, t.shape);
                    return Err(invalid(node, why).at(&node.name));
                }
                sink(id, &tensor);
                live[id.0 as usize] = Some(tensor);
            }
            for &t in release {
                live[t] = None;
            }
        }
        graph.outputs.iter().map(|&id| self.tensor(id, &live).cloned()).collect()
    }

    fn tensor<'a>(&'a self, id: TensorId, live: &'a [Option<Tensor>]) -> Result<&'a Tensor, ExecError> {
        let t = self.graph.tensor(id);
        t.data
            .as_ref()
            .or(live[id.0 as usize].as_ref())
            .ok_or_else(|| ExecError::Input { name: t.name.clone(), why: "was never made".into() })
    }

    fn node(&self, node: &QNode, live: &[Option<Tensor>]) -> Result<Vec<Tensor>, ExecError> {
        let tensors = node.inputs.iter().map(|&id| self.tensor(id, live)).collect::<Result<Vec<_>, _>>()?;
        if let QOp::Float { op, domain, attrs, present } = &node.op {
            let mut given = tensors.iter().copied();
            let operands: Vec<Option<&Tensor>> = present.iter().map(|&p| if p { given.next() } else { None }).collect();
            return eval_outputs(op, domain, attrs, &operands, node.outputs.len());
        }
        let out = node.outputs.first().ok_or_else(|| invalid(node, "has no output".into()))?;
        let out = self.graph.tensor(*out);
        let operands: Vec<Operand<'_>> =
            node.inputs.iter().zip(tensors).map(|(&id, data)| Operand { info: self.graph.tensor(id), data }).collect();
        let x = operands.first().ok_or_else(|| invalid(node, "has no input".into()))?;
        let y = match &node.op {
            QOp::Float { .. } => return Err(invalid(node, "is not an integer operator".into())),
            QOp::Quantize => border::quantize(x, out),
            QOp::Dequantize => border::dequantize(x),
            QOp::Conv(conv) => conv::run(conv, &operands, out),
            QOp::Add(add) => arithmetic::add(add, &operands, out),
            QOp::Mul(mul) => arithmetic::mul(mul, &operands, out),
            QOp::Extreme(extreme) => arithmetic::extreme(extreme, &operands, out),
            QOp::Div(div) => arithmetic::div(div, &operands, out),
            QOp::MatMul(matmul) => matmul::run(matmul, &operands, out),
            QOp::Reduce(reduce) => reduce::reduce(reduce, x, out),
            QOp::Softmax(softmax) => reduce::softmax(softmax, x, out),
            QOp::Concat(concat) => concat::run(concat, &operands, out),
            QOp::AveragePool(pool) => pool::average(pool, x, out),
            QOp::MaxPool(geom) => pool::max(geom, x, out),
            QOp::Lut(lut) => lut::run(lut, x, out),
            QOp::Resize(resize) => moves::resize(resize, x),
            QOp::LinearResize(resize) => moves::linear_resize(resize, x),
            QOp::DepthToSpace(block) => moves::depth_to_space(*block, x),
            QOp::SpaceToDepth { block } => moves::space_to_depth(*block, x),
            QOp::Slice { starts } => moves::slice(starts, x, &out.shape),
            QOp::Gather { axis, indices } => moves::gather(*axis, indices, x),
            QOp::Pad { before, value } => moves::pad(before, *value, x, &out.shape),
            QOp::Reshape => Ok(x.data.reshaped(out.shape.clone())?),
            QOp::Transpose { perm } => moves::transpose(perm, x),
            QOp::Requantize(requantize) => concat::requantize(requantize, x, out),
        };
        Ok(vec![y?])
    }
}

fn invalid(node: &QNode, why: String) -> ExecError {
    ExecError::Invalid { op: node.op.name().to_owned(), why }
}
