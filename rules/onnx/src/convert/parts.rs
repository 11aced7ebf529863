//! Several nodes in place of one: what decompositions are written with.

use super::{Conversion, Converted};
use crate::raw::RawNode;
use ptq_ir::{Attr, Attrs, Diagnostic, Tensor};

/// The nodes that replace one, in topological order.
pub(super) struct Parts<'a> {
    pub(super) c: Conversion<'a>,
    nodes: Vec<RawNode>,
}

impl<'a> Parts<'a> {
    /// No node yet.
    pub(super) fn of(c: Conversion<'a>) -> Parts<'a> {
        Parts { c, nodes: Vec::new() }
    }

    /// Name of input `i`.
    pub(super) fn input(&self, i: usize) -> Result<String, Diagnostic> {
        let name = self.c.node.input(i).map(str::to_owned);
        name.ok_or_else(|| self.c.error(format!("input {i} is missing")))
    }

    /// Whether output `k` is asked for.
    pub(super) fn makes(&self, k: usize) -> bool {
        self.c.node.outputs.len() > k
    }

    /// Adds a node and returns the name of its output. An empty input name omits the input.
    pub(super) fn op(&mut self, op: &str, inputs: &[&str], attrs: &[(&str, Attr)]) -> String {
        self.ops(op, inputs, attrs, 1).remove(0)
    }

    /// [`Parts::op`] with several outputs.
    pub(super) fn ops(&mut self, op: &str, inputs: &[&str], attrs: &[(&str, Attr)], outputs: usize) -> Vec<String> {
        let base = format!("{}_{}", self.c.node.name, op.to_lowercase());
        let name = self.c.env.fresh_node(&base);
        let outputs: Vec<String> = (0..outputs).map(|_| self.c.env.fresh_value(&base)).collect();
        self.push(name, op, inputs, attrs, outputs.clone());
        outputs
    }

    /// Adds the node that makes output `k` of the replaced one; the first output's node keeps its name.
    pub(super) fn result(&mut self, k: usize, op: &str, inputs: &[&str], attrs: &[(&str, Attr)]) -> String {
        let name = match k {
            0 => self.c.node.name.clone(),
            _ => self.c.env.fresh_node(&format!("{}_{}", self.c.node.name, op.to_lowercase())),
        };
        let output = self.c.node.outputs[k].clone();
        self.push(name, op, inputs, attrs, vec![output.clone()]);
        output
    }

    /// The nodes, after one last that makes the first output.
    pub(super) fn finish(mut self, op: &str, inputs: &[&str], attrs: &[(&str, Attr)]) -> Converted {
        self.result(0, op, inputs, attrs);
        Ok(self.nodes)
    }

    fn push(&mut self, name: String, op: &str, inputs: &[&str], attrs: &[(&str, Attr)], outputs: Vec<String>) {
        let inputs = inputs.iter().map(|i| (!i.is_empty()).then(|| (*i).to_owned())).collect();
        let attrs = Attrs(attrs.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect());
        let mut node = RawNode { name, op: op.to_owned(), domain: String::new(), inputs, outputs, attrs };
        node.trim_inputs();
        self.nodes.push(node);
    }

    /// A constant, named after the node and `what`.
    pub(super) fn constant(&mut self, what: &str, tensor: Tensor) -> String {
        self.c.env.add_constant(&format!("{}_{what}", self.c.node.name), tensor)
    }

    /// A constant of numbers.
    pub(super) fn floats(&mut self, what: &str, shape: &[usize], data: Vec<f32>) -> Result<String, Diagnostic> {
        let tensor = Tensor::from_f32(shape, data).map_err(|e| self.c.error(e.to_string()))?;
        Ok(self.constant(what, tensor))
    }

    /// A constant number.
    pub(super) fn number(&mut self, what: &str, value: f32) -> String {
        self.constant(what, Tensor::scalar_f32(value))
    }

    /// A constant list of integers.
    pub(super) fn ints(&mut self, what: &str, values: Vec<i64>) -> String {
        self.constant(what, Tensor::vec_i64(values))
    }

    /// `x` in another shape.
    pub(super) fn reshape(&mut self, x: &str, shape: &[usize]) -> String {
        let shape = self.ints("shape", signed(shape));
        self.op("Reshape", &[x, &shape], &[])
    }

    /// `x` with output axis `i` from axis `perm[i]`.
    pub(super) fn transpose(&mut self, x: &str, perm: &[usize]) -> String {
        self.op("Transpose", &[x], &[("perm", Attr::Ints(signed(perm)))])
    }

    /// The sum over `axes`, which are removed.
    pub(super) fn sum(&mut self, x: &str, axes: &[usize]) -> String {
        let axes = self.ints("axes", signed(axes));
        self.op("ReduceSum", &[x, &axes], &[("keepdims", Attr::Int(0))])
    }

    /// The mean over `axes`, which stay with extent 1.
    pub(super) fn mean(&mut self, x: &str, axes: &[i64]) -> String {
        self.op("ReduceMean", &[x], &[("axes", Attr::Ints(axes.to_vec())), ("keepdims", Attr::Int(1))])
    }

    /// Elements `start..end` along `axis`, in steps.
    pub(super) fn slice(&mut self, x: &str, axis: usize, [start, end, step]: [usize; 3]) -> String {
        let parts = [("start", start), ("end", end), ("axis", axis), ("step", step)];
        let [s, e, a, t] = parts.map(|(what, v)| self.ints(what, signed(&[v])));
        self.op("Slice", &[x, &s, &e, &a, &t], &[])
    }
}

/// Extents as ONNX integers.
pub(super) fn signed(values: &[usize]) -> Vec<i64> {
    values.iter().map(|&v| v as i64).collect()
}
