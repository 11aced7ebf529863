//! ONNX bytes → [`RawModel`]: bounded, without panics, with every problem found in one go.
//!
//! Opset conversion needs shapes and comes later, node by node ([`crate::convert()`]). Called by parse.

mod attrs;
mod check;
mod constant;
mod element;
mod functions;
mod names;
mod sparse;
mod structure;
mod tensor;
mod widen;

use crate::meter::Meter;
use crate::proto::{GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto};
use crate::raw::{RawBody, RawControl, RawDim, RawInput, RawModel, RawNode, is_control};
use crate::scan::{Limits, scan};
use bytes::Bytes;
pub use check::is_quantized;
use element::ElementType;
use prost::Message as _;
use ptq_ir::{DType, Diagnostic, Tensor};
use std::collections::{BTreeMap, BTreeSet};
use tensor::External;

/// Most bytes of the scales at a border.
const MAX_BORDER_BYTES: usize = 1 << 20;

/// A small constant that lies in the file itself; `None` where it does not read.
pub(crate) fn plain_tensor(t: &TensorProto) -> Option<Tensor> {
    tensor::tensor(t, &|_| None, &Meter::new(MAX_BORDER_BYTES)).ok()
}

/// Imports a model. `external` returns the bytes of a file beside the model, by relative path.
///
/// # Errors
/// Every problem found: `ONNX01` not an ONNX file, `ONNX02` too large, `ONNX03` structure, `ONNX04` operator set,
/// `ONNX05` unknown operator, `ONNX06` already quantized, `ONNX07` tensor or attribute, `ONNX08` input type, `ONNX10` function.
pub fn import(
    bytes: &Bytes,
    external: &dyn Fn(&str) -> Option<Bytes>,
    limits: &Limits,
) -> Result<RawModel, Vec<Diagnostic>> {
    let mut model = decode(bytes, limits).map_err(|d| vec![d])?;
    let standard = |d: &Option<String>| matches!(d.as_deref(), None | Some("" | "ai.onnx"));
    let version = model.opset_import.iter().find(|o| standard(&o.domain)).and_then(|o| o.version);
    let mut importer = Importer {
        external,
        meter: Meter::new(limits.budget),
        quantized: limits.quantized,
        foreign: limits.foreign,
        problems: Vec::new(),
    };
    let opset = check::opset(version).unwrap_or_else(|d| {
        importer.problems.push(d);
        ptq_ir::IR_OPSET
    });
    importer.problems.extend(functions::inline(&mut model, opset, limits).err());
    let Some(graph) = model.graph else {
        importer.problems.push(Diagnostic::error("ONNX03", "the file holds no graph"));
        return Err(importer.problems);
    };
    let raw = importer.graph(&graph, opset);
    if importer.problems.is_empty() { Ok(raw) } else { Err(importer.problems) }
}

/// Relative paths of the files that hold a model's external data, sorted.
///
/// # Errors
/// When the bytes are no model or a path leads out of the model's folder.
pub fn external_files(bytes: &Bytes, limits: &Limits) -> Result<Vec<String>, Vec<Diagnostic>> {
    let model = decode(bytes, limits).map_err(|d| vec![d])?;
    let mut tensors = Vec::new();
    if let Some(graph) = &model.graph {
        structure::tensors(graph, &mut tensors);
    }
    model.functions.iter().for_each(|f| structure::node_tensors(&f.node, &mut tensors));
    let mut files = BTreeSet::new();
    let mut problems = Vec::new();
    for t in tensors.into_iter().filter(|t| t.data_location == Some(crate::proto::DATA_LOCATION_EXTERNAL)) {
        match tensor::external_location(t) {
            Ok(path) => drop(files.insert(path)),
            Err(why) => problems.push(Diagnostic::error("ONNX07", why).value(t.name.clone().unwrap_or_default())),
        }
    }
    if problems.is_empty() { Ok(files.into_iter().collect()) } else { Err(problems) }
}

fn decode(bytes: &Bytes, limits: &Limits) -> Result<ModelProto, Diagnostic> {
    scan(bytes, limits)?;
    ModelProto::decode(bytes.clone())
        .map_err(|e| Diagnostic::error("ONNX01", format!("the file is not an ONNX model: {e}")))
}

struct Importer<'a> {
    external: External<'a>,
    meter: Meter,
    quantized: bool,
    foreign: bool,
    problems: Vec<Diagnostic>,
}

impl Importer<'_> {
    fn graph(&mut self, graph: &GraphProto, opset: i64) -> RawModel {
        let mut constants = self.constants(graph);
        let inputs: Vec<RawInput> = graph
            .input
            .iter()
            .filter(|i| !constants.contains_key(i.name.as_deref().unwrap_or("")))
            .map(|i| self.input(i))
            .collect();
        let outputs: Vec<String> = graph.output.iter().map(|o| o.name.clone().unwrap_or_default()).collect();
        let (mut nodes, control) = self.nodes(&graph.node, &mut constants);
        drop_unread_outputs(&mut nodes, &outputs);
        self.problems.extend(check::operators(&nodes, self.quantized, self.foreign));
        self.problems.extend(structure::definitions(&inputs, &outputs, &nodes, &constants));
        RawModel { opset, inputs, outputs, nodes, constants, control, notes: widen::notes(graph) }
    }

    /// Initializers, dense and sparse.
    fn constants(&mut self, graph: &GraphProto) -> BTreeMap<String, Tensor> {
        let mut out = self.initializers(&graph.initializer);
        for (i, proto) in graph.sparse_initializer.iter().enumerate() {
            let name = proto.values.as_ref().and_then(|v| v.name.clone()).unwrap_or_default();
            let value = sparse::sparse(proto, self.external, &self.meter);
            match value {
                _ if name.is_empty() => {
                    self.problems.push(Diagnostic::error("ONNX03", format!("sparse initializer {i} has no name")));
                }
                Err(why) => self.problems.push(Diagnostic::error("ONNX07", why).value(name)),
                Ok(tensor) => {
                    if out.insert(name.clone(), tensor).is_some() {
                        let why = "two initializers share this name";
                        self.problems.push(Diagnostic::error("ONNX03", why).value(name));
                    }
                }
            }
        }
        out
    }

    /// A sub-graph and the outer values that it reads.
    fn body(&mut self, graph: &GraphProto, node: &str) -> (RawBody, BTreeSet<String>) {
        let mut constants = self.constants(graph);
        let name = |v: &ValueInfoProto| v.name.clone().unwrap_or_default();
        let inputs: Vec<String> = graph.input.iter().map(name).filter(|n| !constants.contains_key(n)).collect();
        let outputs: Vec<String> = graph.output.iter().map(name).collect();
        let (mut nodes, control) = self.nodes(&graph.node, &mut constants);
        drop_unread_outputs(&mut nodes, &outputs);
        let body = RawBody { inputs, outputs, nodes, constants, control };
        let (captured, problems) = structure::captured(&body);
        self.problems.extend(problems.into_iter().map(|p| p.node(node)));
        (body, captured)
    }

    /// The sub-graphs of a node; its captured values become further inputs.
    fn control(&mut self, proto: &NodeProto, node: &mut RawNode) -> RawControl {
        let own = proto.input.len();
        let mut bodies = BTreeMap::new();
        let mut captured = BTreeSet::new();
        for a in proto.attribute.iter().filter(|a| attrs::is_body(a)) {
            let (Some(name), Some(graph)) = (&a.name, &a.g) else { continue };
            let (body, outer) = self.body(graph, &node.name);
            captured.extend(outer);
            if bodies.insert(name.clone(), body).is_some() {
                let why = format!("attribute {name} is given twice");
                self.problems.push(Diagnostic::error("ONNX07", why).node(&node.name));
            }
        }
        node.inputs.resize(own, None);
        node.inputs.extend(captured.iter().cloned().map(Some));
        RawControl { own, captured: captured.into_iter().collect(), bodies }
    }

    fn initializers(&mut self, protos: &[TensorProto]) -> BTreeMap<String, Tensor> {
        let mut out = BTreeMap::new();
        for (i, proto) in protos.iter().enumerate() {
            let name = proto.name.clone().unwrap_or_default();
            if name.is_empty() {
                self.problems.push(Diagnostic::error("ONNX03", format!("initializer {i} has no name")));
                continue;
            }
            let value = tensor::tensor(proto, self.external, &self.meter).unwrap_or_else(|why| {
                self.problems.push(Diagnostic::error("ONNX07", why).value(&name));
                Tensor::zeros(DType::F32, vec![0])
            });
            if out.insert(name.clone(), value).is_some() {
                self.problems.push(Diagnostic::error("ONNX03", "two initializers share this name").value(name));
            }
        }
        out
    }

    fn input(&mut self, info: &ValueInfoProto) -> RawInput {
        let name = info.name.clone().unwrap_or_default();
        let tensor = info.r#type.as_ref().and_then(|t| t.tensor_type.as_ref());
        let number = tensor.and_then(|t| t.elem_type).unwrap_or(0);
        let kind = tensor.map_or(Err("the input is not a tensor".to_owned()), |_| ElementType::of(number));
        let dtype = kind.map(ElementType::dtype).unwrap_or_else(|why| {
            self.problems.push(Diagnostic::error("ONNX08", why).value(&name));
            DType::F32
        });
        let dim = |d: &crate::proto::DimensionProto| match d.dim_value {
            Some(n) if n > 0 => usize::try_from(n).map_or(RawDim::Open(None), RawDim::Fixed),
            _ => RawDim::Open(d.dim_param.clone().filter(|p| !p.is_empty())),
        };
        let dims = tensor.and_then(|t| t.shape.as_ref()).map(|s| s.dim.iter().map(dim).collect());
        RawInput { name, dtype, dims }
    }

    fn nodes(
        &mut self,
        protos: &[NodeProto],
        constants: &mut BTreeMap<String, Tensor>,
    ) -> (Vec<RawNode>, BTreeMap<String, RawControl>) {
        let mut out = Vec::new();
        let mut controls = BTreeMap::new();
        for (i, (proto, name)) in protos.iter().zip(names::node_names(protos)).enumerate() {
            let op = proto.op_type.clone().unwrap_or_default();
            if op.is_empty() {
                self.problems.push(Diagnostic::error("ONNX03", format!("node {i} has no operator")).node(name));
                continue;
            }
            let mut attrs = attrs::attrs(proto, self.external, &self.meter).unwrap_or_else(|whys| {
                self.problems.extend(whys.into_iter().map(|w| Diagnostic::error("ONNX07", w).node(&name)));
                ptq_ir::Attrs::default()
            });
            widen::widen(&op, &mut attrs);
            let domain = proto.domain.clone().filter(|d| d != "ai.onnx").unwrap_or_default();
            let given = |n: &String| (!n.is_empty()).then(|| n.clone());
            let mut node = RawNode {
                outputs: output_names(proto, &name),
                inputs: proto.input.iter().map(given).collect(),
                name,
                op,
                domain,
                attrs,
            };
            node.trim_inputs();
            if node.op == "Constant" && node.domain.is_empty() {
                self.constant(&node, constants);
                continue;
            }
            if node.domain.is_empty() && is_control(&node.op) {
                let control = self.control(proto, &mut node);
                controls.insert(node.name.clone(), control);
            }
            out.push(node);
        }
        (out, controls)
    }

    fn constant(&mut self, node: &RawNode, constants: &mut BTreeMap<String, Tensor>) {
        let problem = match (constant::constant(&node.attrs), node.outputs.first()) {
            (Ok(tensor), Some(name)) => constants
                .insert(name.clone(), tensor)
                .map(|_| Diagnostic::error("ONNX03", format!("{name} is made twice"))),
            (Ok(_), None) => None,
            // A problem with the attribute itself was reported when it was read.
            (Err(_), _) if self.problems.iter().any(|p| p.place.node.as_ref() == Some(&node.name)) => {
                node.outputs.iter().for_each(|o| drop(constants.insert(o.clone(), Tensor::vec_i64(Vec::new()))));
                None
            }
            (Err(why), _) => Some(Diagnostic::error("ONNX07", why)),
        };
        self.problems.extend(problem.map(|p| p.node(&node.name)));
    }
}

/// Names of a node's outputs; an omitted one in the middle gets a name that no file uses.
fn output_names(proto: &NodeProto, node: &str) -> Vec<String> {
    let kept = proto.output.iter().rposition(|o| !o.is_empty()).map_or(0, |i| i + 1);
    let name = |(i, o): (usize, &String)| if o.is_empty() { format!("{node}/unused:{i}") } else { o.clone() };
    proto.output[..kept].iter().enumerate().map(name).collect()
}

/// Operators whose further outputs ONNX lets a file omit.
const OPTIONAL_OUTPUTS: [&str; 4] = ["BatchNormalization", "Dropout", "LayerNormalization", "MaxPool"];

fn drop_unread_outputs(nodes: &mut [RawNode], outputs: &[String]) {
    let read: BTreeSet<String> =
        nodes.iter().flat_map(|n| n.inputs.iter().flatten().cloned()).chain(outputs.iter().cloned()).collect();
    for node in nodes.iter_mut().filter(|n| OPTIONAL_OUTPUTS.contains(&n.op.as_str())) {
        let kept = node.outputs.iter().rposition(|o| read.contains(o)).map_or(1, |i| i + 1);
        node.outputs.truncate(kept);
    }
}

#[cfg(test)]
mod tests;
