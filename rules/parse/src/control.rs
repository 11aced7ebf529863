//! Control flow whose course does not depend on data: If with a constant condition is replaced by its branch, Loop and
//! Scan are unrolled. Names of the sub-graph stay where they are free, and carry the step's number in a loop.

use crate::build::Builder;
use crate::order;
use ptq_ir::{Attr, Attrs, Diagnostic, Tensor};
use ptq_onnx::{RawBody, RawControl, RawNode};
use std::collections::BTreeMap;

/// Most nodes and steps that unrolling may add.
const MAX_UNROLLED: usize = 100_000;

/// A sub-graph ready to be added any number of times.
struct Body<'a> {
    raw: &'a RawBody,
    nodes: Vec<RawNode>,
    /// Names of captured values and of its constants, inside → outside.
    scope: BTreeMap<String, String>,
}

type Added = Result<(), Diagnostic>;

/// An error about a node of control flow.
fn refuse(node: &RawNode, why: impl Into<String>) -> Diagnostic {
    Diagnostic::error("PARSE10", format!("{}: {}", node.op, why.into())).node(&node.name)
}

/// An error about a course that depends on the model's inputs.
fn depends(node: &RawNode, what: &str) -> Diagnostic {
    refuse(node, format!("{what} depends on the model's input (data-dependent control flow), not only on shapes"))
        .hint("fix every input shape, or export the model with this decision made: traced, without the other course")
}

impl Builder {
    /// Replaces a node of control flow.
    ///
    /// # Errors
    /// `PARSE10` with the node and the reason.
    pub(crate) fn control(&mut self, node: &RawNode, control: &RawControl) -> Added {
        match node.op.as_str() {
            "If" => self.branch(node, control),
            "Loop" => self.unroll_loop(node, control),
            _ => self.unroll_scan(node, control),
        }
    }

    fn branch(&mut self, node: &RawNode, control: &RawControl) -> Added {
        let condition = own(node, control, 0).ok_or_else(|| refuse(node, "the condition is missing"))?;
        let taken = self.truth(condition).ok_or_else(|| depends(node, "the condition"))?;
        let body = self.body(node, control, if taken { "then_branch" } else { "else_branch" })?;
        let outputs = self.step(node, &body, &[], "")?;
        self.bind(node, &outputs)
    }

    fn unroll_loop(&mut self, node: &RawNode, control: &RawControl) -> Added {
        let trips = match own(node, control, 0) {
            None => None,
            Some(name) => Some(self.integer(name).ok_or_else(|| depends(node, "the trip count"))?),
        };
        let mut go = match own(node, control, 1) {
            None => true,
            Some(name) => self.truth(name).ok_or_else(|| depends(node, "the condition"))?,
        };
        let body = self.body(node, control, "body")?;
        let mut carried = self.owned(node, control, 2..control.own)?;
        let scans = (body.raw.outputs.len())
            .checked_sub(1 + carried.len())
            .filter(|_| body.raw.inputs.len() == 2 + carried.len())
            .ok_or_else(|| refuse(node, "the body does not fit the node's inputs"))?;
        let mut scanned = vec![Vec::new(); scans];
        let mut i = 0i64;
        while go && trips.is_none_or(|t| i < t) {
            let step = self.scalar(node, i);
            let condition = self.constant_of(node, Tensor::from_bool(Vec::new(), vec![true]))?;
            let args = [vec![step, condition], carried].concat();
            let mut outputs = self.step(node, &body, &args, &format!("/{i}"))?.into_iter();
            let next = outputs.next().unwrap_or_default();
            go = self.truth(&next).ok_or_else(|| depends(node, "the condition of the next step"))?;
            carried = outputs.by_ref().take(args.len() - 2).collect();
            scanned.iter_mut().zip(outputs).for_each(|(all, one)| all.push(one));
            i += 1;
        }
        let mut results = carried;
        for (k, parts) in scanned.into_iter().enumerate() {
            results.push(self.stack(node, &parts, 0, &format!("scan_{k}"))?);
        }
        self.bind(node, &results)
    }

    fn unroll_scan(&mut self, node: &RawNode, control: &RawControl) -> Added {
        let body = self.body(node, control, "body")?;
        let inputs = usize::try_from(node.attrs.int("num_scan_inputs", 0)).unwrap_or(0);
        let states = control.own.checked_sub(inputs).filter(|_| inputs > 0 && body.raw.inputs.len() == control.own);
        let states = states.ok_or_else(|| refuse(node, "num_scan_inputs does not fit its inputs"))?;
        let scans = body.raw.outputs.len().checked_sub(states);
        let scans = scans.ok_or_else(|| refuse(node, "the body does not fit the node's outputs"))?;
        let mut carried = self.owned(node, control, 0..states)?;
        let sequences = self.owned(node, control, states..control.own)?;
        let entry = |name: &str, k: usize| node.attrs.ints(name).and_then(|v| v.get(k).copied()).unwrap_or(0);
        let mut axes = Vec::new();
        let mut length = None;
        for (k, sequence) in sequences.iter().enumerate() {
            let shape = self.shape(sequence);
            let axis = ptq_ir::ops::axis(entry("scan_input_axes", k), shape.len());
            let axis = axis.ok_or_else(|| refuse(node, format!("scan input {k} has no such axis")))?;
            if length.is_some_and(|l| l != shape[axis]) {
                return Err(refuse(node, "its scan inputs have different lengths"));
            }
            length = Some(shape[axis]);
            axes.push(axis as i64);
        }
        let length = length.unwrap_or(0);
        let mut scanned = vec![Vec::new(); scans];
        for i in 0..length {
            let mut args = carried;
            for (k, sequence) in sequences.iter().enumerate() {
                let at = if entry("scan_input_directions", k) == 1 { length - 1 - i } else { i };
                let at = self.scalar(node, at as i64);
                let attrs = Attrs::of([("axis", Attr::Int(axes[k]))]);
                args.push(self.made(node, "Gather", &[sequence.clone(), at], attrs, &format!("in_{k}_{i}"))?);
            }
            let mut outputs = self.step(node, &body, &args, &format!("/{i}"))?.into_iter();
            carried = outputs.by_ref().take(states).collect();
            scanned.iter_mut().zip(outputs).for_each(|(all, one)| all.push(one));
        }
        let mut results = carried;
        for (k, mut parts) in scanned.into_iter().enumerate() {
            if entry("scan_output_directions", k) == 1 {
                parts.reverse();
            }
            results.push(self.stack(node, &parts, entry("scan_output_axes", k), &format!("scan_{k}"))?);
        }
        self.bind(node, &results)
    }

    /// Prepares a sub-graph: sorts it and adds its constants.
    fn body<'a>(&mut self, node: &RawNode, control: &'a RawControl, name: &str) -> Result<Body<'a>, Diagnostic> {
        let raw = control.bodies.get(name).ok_or_else(|| refuse(node, format!("sub-graph {name} is missing")))?;
        let mut scope = BTreeMap::new();
        for (inner, outer) in control.captured.iter().zip(node.inputs.iter().skip(control.own)) {
            scope.insert(inner.clone(), outer.clone().unwrap_or_default());
        }
        for (inner, tensor) in &raw.constants {
            let outer = self.fresh_name(inner);
            self.constant(outer.clone(), tensor.clone(), &node.name)?;
            scope.insert(inner.clone(), outer);
        }
        let mut nodes = raw.nodes.clone();
        order::sort(&mut nodes).map_err(|mut problems| problems.swap_remove(0))?;
        Ok(Body { raw, nodes, scope })
    }

    /// Adds a sub-graph once and returns the outer names of its outputs.
    fn step(
        &mut self,
        node: &RawNode,
        body: &Body<'_>,
        args: &[String],
        suffix: &str,
    ) -> Result<Vec<String>, Diagnostic> {
        if args.len() != body.raw.inputs.len() {
            return Err(refuse(node, "the sub-graph has another number of inputs than it is given"));
        }
        let mut scope = body.scope.clone();
        scope.extend(body.raw.inputs.iter().cloned().zip(args.iter().cloned()));
        self.unrolled(node, 1 + body.nodes.len())?;
        for inner in &body.nodes {
            let mut outer = inner.clone();
            outer.name = self.fresh_node_name(&format!("{}{suffix}", inner.name));
            for name in outer.inputs.iter_mut().flatten() {
                name.clone_from(scope.get(name).ok_or_else(|| refuse(node, format!("{name} is made by nothing")))?);
            }
            for name in &mut outer.outputs {
                let fresh = self.fresh_name(&format!("{name}{suffix}"));
                self.spend(fresh.len() * 2, &node.name)?;
                scope.insert(std::mem::replace(name, fresh.clone()), fresh);
            }
            self.spend(outer.name.len(), &node.name)?;
            self.add(outer, body.raw.control.get(&inner.name))?;
        }
        let name = |o: &String| scope.get(o).cloned().ok_or_else(|| refuse(node, format!("{o} is made by nothing")));
        body.raw.outputs.iter().map(name).collect()
    }

    /// Counts what unrolling adds.
    fn unrolled(&mut self, node: &RawNode, count: usize) -> Added {
        self.unrolled += count;
        if self.unrolled > MAX_UNROLLED {
            let why = format!("unrolling needs more than {MAX_UNROLLED} nodes");
            return Err(refuse(node, why).hint("export the model with fewer steps, or without the loop"));
        }
        Ok(())
    }

    /// Gives the results the names of the node's outputs.
    fn bind(&mut self, node: &RawNode, results: &[String]) -> Added {
        if results.len() < node.outputs.len() {
            return Err(refuse(
                node,
                format!("{} outputs are read, the sub-graph has {}", node.outputs.len(), results.len()),
            ));
        }
        for (i, (output, result)) in node.outputs.iter().zip(results).enumerate() {
            let base = if i == 0 { node.name.clone() } else { format!("{}_{i}", node.name) };
            let name = if i == 0 { base } else { self.fresh_node_name(&base) };
            self.add_node(name, "Identity", std::slice::from_ref(result), output.clone(), Attrs::default())?;
        }
        Ok(())
    }

    /// Results of all steps along a new axis.
    fn stack(&mut self, node: &RawNode, parts: &[String], axis: i64, what: &str) -> Result<String, Diagnostic> {
        if parts.is_empty() {
            return Err(refuse(node, "it runs no step, so that the shape of its results is not known"));
        }
        let mut rows = Vec::with_capacity(parts.len());
        for (i, part) in parts.iter().enumerate() {
            let axes = self.constant_of(node, Ok(Tensor::vec_i64(vec![axis])))?;
            rows.push(self.made(node, "Unsqueeze", &[part.clone(), axes], Attrs::default(), &format!("{what}_{i}"))?);
        }
        self.made(node, "Concat", &rows, Attrs::of([("axis", Attr::Int(axis))]), what)
    }

    /// Adds a node of one output and returns that.
    fn made(
        &mut self,
        node: &RawNode,
        op: &str,
        inputs: &[String],
        attrs: Attrs,
        what: &str,
    ) -> Result<String, Diagnostic> {
        self.unrolled(node, 1)?;
        let base = format!("{}/{what}", node.name);
        self.spend(base.len() * 2, &node.name)?;
        let (name, output) = (self.fresh_node_name(&base), self.fresh_name(&base));
        self.add_node(name, op, inputs, output.clone(), attrs)?;
        Ok(output)
    }

    fn add_node(&mut self, name: String, op: &str, inputs: &[String], output: String, attrs: Attrs) -> Added {
        let inputs = inputs.iter().cloned().map(Some).collect();
        let node = RawNode { name, op: op.to_owned(), domain: String::new(), inputs, outputs: vec![output], attrs };
        self.add_converted(node)
    }

    fn scalar(&mut self, node: &RawNode, value: i64) -> String {
        let tensor = Tensor::from_i64(Vec::new(), vec![value]).expect("invariant: a scalar has one element");
        self.shared_constant(&format!("{}/step_{value}", node.name), tensor)
    }

    fn constant_of(
        &mut self,
        node: &RawNode,
        tensor: Result<Tensor, ptq_ir::TensorError>,
    ) -> Result<String, Diagnostic> {
        let tensor = tensor.map_err(|e| refuse(node, e.to_string()))?;
        let key = format!("{}/{}_{:?}", node.name, tensor.dtype(), tensor.to_f64s());
        Ok(self.shared_constant(&key, tensor))
    }

    /// The constant value of a condition.
    fn truth(&self, name: &str) -> Option<bool> {
        self.integer(name).map(|v| v != 0)
    }

    fn integer(&self, name: &str) -> Option<i64> {
        match self.constant_value(name)?.to_f64s()[..] {
            [v] => Some(v as i64),
            _ => None,
        }
    }

    /// Names of own inputs, all of which must be given.
    fn owned(
        &self,
        node: &RawNode,
        control: &RawControl,
        range: std::ops::Range<usize>,
    ) -> Result<Vec<String>, Diagnostic> {
        let name =
            |i| own(node, control, i).map(str::to_owned).ok_or_else(|| refuse(node, format!("input {i} is missing")));
        range.map(name).collect()
    }
}

/// Own input `i` of a node, when given.
fn own<'a>(node: &'a RawNode, control: &RawControl, i: usize) -> Option<&'a str> {
    if i < control.own { node.input(i) } else { None }
}
