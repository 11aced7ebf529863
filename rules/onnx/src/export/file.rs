//! Collects nodes, constants, inputs and outputs of a file, keeps names unique, and writes the bytes.

use super::ExportMeta;
use crate::proto::{
    AttributeProto, DimensionProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, StringStringEntryProto,
    TensorProto, TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto, attribute_type as kind,
};
use bytes::Bytes;
use prost::Message as _;
use ptq_ir::ops::{CUSTOM, FUNCTION, FUNCTION_DOMAIN, Operand, ScalarFunction};
use ptq_ir::{Attr, Attrs, DType, Diagnostic, IR_OPSET, QuantParams, Tensor};
use std::collections::BTreeSet;

/// Version of the file format that goes with operator set 17.
const IR_VERSION: i64 = 8;
/// Domain of ONNX Runtime's operators, which has 16-bit QuantizeLinear before operator set 21.
const MICROSOFT: &str = "com.microsoft";

/// A file in the making. Reserve the names that must stay before asking for fresh ones.
#[derive(Default)]
pub(super) struct OnnxFile {
    graph: GraphProto,
    values: BTreeSet<String>,
    nodes: BTreeSet<String>,
    domains: BTreeSet<String>,
}

impl OnnxFile {
    /// A file that will use these value and node names.
    pub(super) fn new<'a>(values: impl Iterator<Item = &'a str>, nodes: impl Iterator<Item = &'a str>) -> OnnxFile {
        OnnxFile {
            values: values.map(str::to_owned).collect(),
            nodes: nodes.map(str::to_owned).collect(),
            ..OnnxFile::default()
        }
    }

    /// A value name that is not taken, and from now on is.
    pub(super) fn fresh_value(&mut self, base: &str) -> String {
        fresh(&mut self.values, base)
    }

    /// A node name that is not taken, and from now on is.
    pub(super) fn fresh_node(&mut self, base: &str) -> String {
        fresh(&mut self.nodes, base)
    }

    /// Adds a model input.
    pub(super) fn input(&mut self, name: &str, dtype: DType, shape: &[usize]) {
        self.graph.input.push(value_info(name, dtype, shape));
    }

    /// Adds a model output.
    pub(super) fn output(&mut self, name: &str, dtype: DType, shape: &[usize]) {
        self.graph.output.push(value_info(name, dtype, shape));
    }

    /// Adds a constant under a reserved name.
    pub(super) fn constant(&mut self, name: &str, tensor: &Tensor) {
        self.graph.initializer.push(tensor_proto(name, tensor));
    }

    /// Adds a constant under a fresh name and returns the name.
    pub(super) fn fresh_constant(&mut self, base: &str, tensor: &Tensor) -> String {
        let name = self.fresh_value(base);
        self.constant(&name, tensor);
        name
    }

    /// Adds a node under a reserved name. An empty input name is an omitted input.
    pub(super) fn node(&mut self, op: &str, name: &str, inputs: &[String], outputs: &[String], attrs: &Attrs) {
        self.node_of("", op, name, inputs, outputs, attrs);
    }

    /// As [`OnnxFile::node`], of any domain. A function of one number is written as its steps.
    pub(super) fn node_of(
        &mut self,
        domain: &str,
        op: &str,
        name: &str,
        inputs: &[String],
        outputs: &[String],
        attrs: &Attrs,
    ) {
        if op == FUNCTION && (domain.is_empty() || domain == FUNCTION_DOMAIN) {
            return self.function(name, inputs, outputs, attrs);
        }
        let kept = inputs.iter().rposition(|i| !i.is_empty()).map_or(0, |i| i + 1);
        if !domain.is_empty() {
            self.domains.insert(domain.to_owned());
        }
        self.graph.node.push(NodeProto {
            input: inputs[..kept].to_vec(),
            output: outputs.to_vec(),
            name: Some(name.to_owned()),
            op_type: Some(op.to_owned()),
            domain: (!domain.is_empty()).then(|| domain.to_owned()),
            attribute: attrs.0.iter().filter(|(n, _)| *n != CUSTOM).map(|(n, a)| attribute(n, a)).collect(),
            doc_string: None,
            overload: None,
        });
    }

    /// The steps of a function, one node each; the last one has the function's name.
    fn function(&mut self, name: &str, inputs: &[String], outputs: &[String], attrs: &Attrs) {
        let steps = ScalarFunction::of(attrs).map(|f| f.steps).unwrap_or_default();
        let mut made: Vec<String> = Vec::with_capacity(steps.len());
        for (i, step) in steps.iter().enumerate() {
            let last = i + 1 == steps.len();
            let node = if last { name.to_owned() } else { self.fresh_node(&format!("{name}_step{i}")) };
            let output = match outputs.first().filter(|_| last) {
                Some(output) => output.clone(),
                None => self.fresh_value(&format!("{name}_step{i}_output")),
            };
            let operands: Vec<String> = step
                .operands
                .iter()
                .enumerate()
                .map(|(k, operand)| match operand {
                    Operand::Argument => inputs.first().cloned().unwrap_or_default(),
                    Operand::Step(k) => made[*k].clone(),
                    Operand::Number(v) => self.fresh_constant(&format!("{node}_input{k}"), &Tensor::scalar_f32(*v)),
                    Operand::Omitted => String::new(),
                })
                .collect();
            self.node(&step.op, &node, &operands, std::slice::from_ref(&output), &step.attrs);
            made.push(output);
        }
    }

    /// Adds a QuantizeLinear from a float value to `output`.
    pub(super) fn quantize(
        &mut self,
        node: &str,
        input: &str,
        output: &str,
        params: &QuantParams,
    ) -> Result<(), Diagnostic> {
        self.linear("QuantizeLinear", node, input, output, params)
    }

    /// Adds a DequantizeLinear from an integer value to `output`.
    pub(super) fn dequantize(
        &mut self,
        node: &str,
        input: &str,
        output: &str,
        params: &QuantParams,
    ) -> Result<(), Diagnostic> {
        self.linear("DequantizeLinear", node, input, output, params)
    }

    fn linear(
        &mut self,
        op: &str,
        node: &str,
        input: &str,
        output: &str,
        params: &QuantParams,
    ) -> Result<(), Diagnostic> {
        let bad = |why: String| Diagnostic::error("EXPORT01", why).node(node).value(output);
        let shape = if params.axis.is_some() { vec![params.scale.len()] } else { Vec::new() };
        let zeros = zero_bytes(params).ok_or_else(|| bad(format!("zero points do not fit {}", params.dtype)))?;
        let misfit = |_| bad(format!("{} scales and {} zero points", params.scale.len(), params.zero_point.len()));
        let scale = Tensor::from_f32(shape.clone(), params.scale.clone()).map_err(misfit)?;
        let zero = Tensor::from_le_bytes(params.dtype, &shape, &zeros).map_err(misfit)?;
        let scale = self.fresh_constant(&format!("{node}_scale"), &scale);
        let zero = self.fresh_constant(&format!("{node}_zero_point"), &zero);
        let attrs = params.axis.map(|a| Attrs::of([("axis", Attr::Int(a as i64))])).unwrap_or_default();
        let domain = if params.dtype == DType::I16 { MICROSOFT } else { "" };
        self.node_of(domain, op, node, &[input.to_owned(), scale, zero], &[output.to_owned()], &attrs);
        Ok(())
    }

    /// The bytes of the file.
    pub(super) fn finish(mut self, name: &str, meta: &ExportMeta) -> Vec<u8> {
        self.graph.name = Some(name.to_owned());
        let opset =
            |domain: &str, version| OperatorSetIdProto { domain: Some(domain.to_owned()), version: Some(version) };
        let mut opset_import = vec![opset("", IR_OPSET)];
        opset_import.extend(self.domains.iter().map(|d| opset(d, 1)));
        let entry =
            |(k, v): (&String, &String)| StringStringEntryProto { key: Some(k.clone()), value: Some(v.clone()) };
        ModelProto {
            ir_version: Some(IR_VERSION),
            opset_import,
            producer_name: Some("ptq".to_owned()),
            graph: Some(self.graph),
            metadata_props: meta.metadata.iter().map(entry).collect(),
            ..ModelProto::default()
        }
        .encode_to_vec()
    }
}

fn fresh(taken: &mut BTreeSet<String>, base: &str) -> String {
    let mut name = base.to_owned();
    let mut n = 2;
    while !taken.insert(name.clone()) {
        name = format!("{base}_{n}");
        n += 1;
    }
    name
}

/// Zero points as elements of the quantized type; `None` when one is outside its range.
fn zero_bytes(params: &QuantParams) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    for &zero in &params.zero_point {
        match params.dtype {
            DType::I8 => out.extend(i8::try_from(zero).ok()?.to_le_bytes()),
            DType::U8 => out.extend(u8::try_from(zero).ok()?.to_le_bytes()),
            DType::I16 => out.extend(i16::try_from(zero).ok()?.to_le_bytes()),
            DType::I32 => out.extend(zero.to_le_bytes()),
            _ => return None,
        }
    }
    Some(out)
}

fn value_info(name: &str, dtype: DType, shape: &[usize]) -> ValueInfoProto {
    let dim = |&n: &usize| DimensionProto { dim_value: Some(n as i64), ..DimensionProto::default() };
    let shape = TensorShapeProto { dim: shape.iter().map(dim).collect() };
    let tensor_type = TensorTypeProto { elem_type: Some(dtype.onnx()), shape: Some(shape) };
    ValueInfoProto {
        name: Some(name.to_owned()),
        r#type: Some(TypeProto { tensor_type: Some(tensor_type), ..TypeProto::default() }),
        doc_string: None,
    }
}

fn tensor_proto(name: &str, tensor: &Tensor) -> TensorProto {
    TensorProto {
        dims: tensor.shape().iter().map(|&n| n as i64).collect(),
        data_type: Some(tensor.dtype().onnx()),
        name: (!name.is_empty()).then(|| name.to_owned()),
        raw_data: Some(Bytes::from(tensor.to_le_bytes())),
        ..TensorProto::default()
    }
}

fn attribute(name: &str, attr: &Attr) -> AttributeProto {
    let mut out = AttributeProto { name: Some(name.to_owned()), ..AttributeProto::default() };
    let text = |s: &String| Bytes::from(s.clone().into_bytes());
    let number = match attr {
        Attr::Float(v) => {
            out.f = Some(*v);
            kind::FLOAT
        }
        Attr::Int(v) => {
            out.i = Some(*v);
            kind::INT
        }
        Attr::Str(v) => {
            out.s = Some(text(v));
            kind::STRING
        }
        Attr::Tensor(v) => {
            out.t = Some(tensor_proto("", v));
            kind::TENSOR
        }
        Attr::Floats(v) => {
            out.floats.clone_from(v);
            kind::FLOATS
        }
        Attr::Ints(v) => {
            out.ints.clone_from(v);
            kind::INTS
        }
        Attr::Strs(v) => {
            out.strings = v.iter().map(text).collect();
            kind::STRINGS
        }
    };
    out.r#type = Some(number);
    out
}
