//! The compiled program as verification sees it: the runtime's, or a stand-in of a test.

use ptq_ir::{DType, Tensor};
use ptq_runtime::{Model, RunOptions};

/// A named, typed model input or output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Name.
    pub name: String,
    /// Element type.
    pub dtype: DType,
    /// Shape.
    pub shape: Vec<usize>,
}

/// Receives each tensor that a run makes, by its name in the integer program.
pub type TensorSink<'s> = &'s mut dyn FnMut(&str, &Tensor);

/// Runs a compiled program on model inputs and returns the model outputs; the error is a sentence.
pub type RunFn<'a> = Box<dyn Fn(&[Tensor], TensorSink<'_>) -> Result<Vec<Tensor>, String> + 'a>;

/// A loaded `model.bin`: what it says about its borders, and how to run it.
pub struct BinRun<'a> {
    /// Inputs in its order.
    pub inputs: Vec<Port>,
    /// Outputs in its order.
    pub outputs: Vec<Port>,
    /// Runs it.
    pub run: RunFn<'a>,
}

impl<'a> BinRun<'a> {
    /// A model in the runtime.
    pub fn of(model: &'a Model, options: RunOptions) -> BinRun<'a> {
        let ports = |list: Vec<ptq_runtime::Port<'_>>| list.iter().map(Port::of).collect();
        let run = move |inputs: &[Tensor], sink: TensorSink<'_>| {
            model.run_with(inputs, &options, &mut |name, t| sink(name, t)).map_err(|e| e.to_string())
        };
        BinRun { inputs: ports(model.inputs()), outputs: ports(model.outputs()), run: Box::new(run) }
    }
}

impl Port {
    fn of(port: &ptq_runtime::Port<'_>) -> Port {
        Port { name: port.name.to_owned(), dtype: port.dtype, shape: port.shape.to_vec() }
    }
}
