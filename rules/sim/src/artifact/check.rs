//! The invariants of a model: ids, order, shapes, memory.

use super::BinError;
use super::from_wire::inconsistent;
use super::model::{Body, Model, Npu, Segment};
use crate::Elem;
use crate::check::{check_node, check_tensor};
use ptq_ir::{Device, QNode, QOp, TensorId, numel};
use std::collections::BTreeSet;

impl Model {
    /// Checks everything that running the model relies on.
    ///
    /// # Errors
    /// The first contradiction found, by name.
    pub fn check(&self) -> Result<(), BinError> {
        let mut names = BTreeSet::new();
        for t in &self.tensors {
            check_tensor(t).map_err(|e| inconsistent(e.to_string()))?;
            if !names.insert(&t.name) {
                return Err(inconsistent(format!("two tensors are called {}", t.name)));
            }
        }
        let mut ready: Vec<bool> = self.tensors.iter().map(|t| t.data.is_some()).collect();
        for &id in &self.inputs {
            self.make(&mut ready, id, "the model's inputs")?;
        }
        for (i, segment) in self.segments.iter().enumerate() {
            self.check_segment(segment, &mut ready).map_err(|e| match e {
                BinError::Inconsistent(what) => inconsistent(format!("segment {i}: {what}")),
                other => other,
            })?;
        }
        self.outputs.iter().try_for_each(|&id| self.read(&ready, id, "the model's outputs"))
    }

    fn read(&self, ready: &[bool], id: TensorId, who: &str) -> Result<(), BinError> {
        match ready.get(id.0 as usize) {
            Some(true) => Ok(()),
            Some(false) => {
                let name = &self.tensors[id.0 as usize].name;
                Err(inconsistent(format!("{who}: {name} is read before it is made")))
            }
            None => Err(inconsistent(format!("{who}: tensor {} does not exist", id.0))),
        }
    }

    fn make(&self, ready: &mut [bool], id: TensorId, who: &str) -> Result<(), BinError> {
        match ready.get_mut(id.0 as usize) {
            Some(slot @ false) => {
                *slot = true;
                Ok(())
            }
            Some(true) => Err(inconsistent(format!("{who}: {} is made twice", self.tensors[id.0 as usize].name))),
            None => Err(inconsistent(format!("{who}: tensor {} does not exist", id.0))),
        }
    }

    fn check_segment(&self, segment: &Segment, ready: &mut [bool]) -> Result<(), BinError> {
        segment.inputs.iter().try_for_each(|&id| self.read(ready, id, "its inputs"))?;
        match &segment.body {
            Body::Float(nodes) => self.check_nodes(segment, Device::Cpu, nodes, ready)?,
            Body::Int(nodes) => self.check_nodes(segment, Device::Bpu, nodes, ready)?,
            Body::Npu(npu) => self.check_npu(segment, npu, ready)?,
        }
        segment.outputs.iter().try_for_each(|&id| self.read(ready, id, "its outputs"))
    }

    fn check_nodes(
        &self,
        segment: &Segment,
        device: Device,
        nodes: &[QNode],
        ready: &mut [bool],
    ) -> Result<(), BinError> {
        if segment.device != device {
            return Err(inconsistent(format!("is on the {} but holds nodes of the {device}", segment.device)));
        }
        for node in nodes {
            let on_cpu = matches!(node.op, QOp::Float { .. } | QOp::Quantize | QOp::Dequantize);
            if on_cpu != (device == Device::Cpu) {
                return Err(inconsistent(format!("{}: {} does not run on the {device}", node.name, node.op.name())));
            }
            node.inputs.iter().try_for_each(|&id| self.read(ready, id, &node.name))?;
            check_node(node, &self.tensors).map_err(|e| inconsistent(e.to_string()))?;
            node.outputs.iter().try_for_each(|&id| self.make(ready, id, &node.name))?;
        }
        Ok(())
    }

    fn check_npu(&self, segment: &Segment, npu: &Npu, ready: &mut [bool]) -> Result<(), BinError> {
        let program = &npu.program;
        program.check().map_err(|e| inconsistent(e.to_string()))?;
        if program.layers.len() != npu.plan.len() || segment.device != Device::Bpu {
            return Err(inconsistent("plan, layers or device do not fit the program"));
        }
        let mut made = BTreeSet::new();
        let mut supplied = BTreeSet::new();
        let mut sizes = Vec::with_capacity(npu.placed.len());
        for p in &npu.placed {
            let tensor = self.tensors.get(p.tensor.0 as usize);
            let tensor = tensor.ok_or_else(|| inconsistent(format!("tensor {} does not exist", p.tensor.0)))?;
            let elem = Elem::of(tensor.dtype);
            let elem = elem.ok_or_else(|| inconsistent(format!("{} is {}", tensor.name, tensor.dtype)))?;
            let bytes = numel(&tensor.shape).unwrap_or(usize::MAX).saturating_mul(elem.bytes()) as u64;
            let outside = u64::from(p.address).saturating_add(bytes) > u64::from(program.ddr_bytes);
            let over_constants = (p.address as usize) < program.constants.len();
            if outside || over_constants || p.layer.is_some_and(|l| usize::from(l) >= npu.plan.len()) {
                return Err(inconsistent(format!("{} has no place in memory", tensor.name)));
            }
            let fresh = if p.layer.is_some() { made.insert(p.tensor) } else { supplied.insert(p.tensor) };
            if !fresh {
                return Err(inconsistent(format!("{} is placed twice", tensor.name)));
            }
            sizes.push(bytes);
        }
        super::transfers::check(npu, &sizes)?;
        if supplied != segment.inputs.iter().copied().collect() {
            return Err(inconsistent("the placed inputs are not the segment's inputs"));
        }
        if !segment.outputs.iter().all(|id| made.contains(id)) {
            return Err(inconsistent("an output is not placed"));
        }
        segment.outputs.iter().try_for_each(|&id| self.make(ready, id, "the program"))
    }
}
