//! float64 that depends on the model's inputs becomes float32: no stage behind parse computes it. Constants stay
//! float64, and exact, as long as they only meet constants.

use crate::build::Names;
use ptq_exec::eval;
use ptq_ir::{Attr, Attrs, DType, Diagnostic, Graph, Node, Place, Severity, ValueId};
use std::collections::BTreeMap;

/// What was narrowed so far.
#[derive(Default)]
pub(crate) struct Narrowing {
    /// Inputs and nodes whose float64 became float32, in file order.
    places: Vec<String>,
    /// The float32 twin of each float64 constant that a run-time node reads.
    twins: BTreeMap<ValueId, ValueId>,
}

impl Narrowing {
    /// The type that a model input gets.
    pub(crate) fn input(&mut self, name: &str, dtype: DType) -> DType {
        if dtype != DType::F64 {
            return dtype;
        }
        self.places.push(format!("input {name}"));
        DType::F32
    }

    /// Makes a node that depends on the model's inputs read and name float32 instead of float64. `names` are those of
    /// all values, taken or to come.
    ///
    /// # Errors
    /// When a constant does not convert.
    pub(crate) fn node(&mut self, graph: &mut Graph, names: &mut Names, node: &mut Node) -> Result<(), Diagnostic> {
        let by_shape = matches!(node.op.as_str(), "Shape" | "Size");
        if by_shape || node.inputs.iter().flatten().all(|&v| graph.constant(v).is_some()) {
            return Ok(());
        }
        let mut narrowed = false;
        for slot in node.inputs.iter_mut().flatten() {
            if graph.value(*slot).dtype == DType::F64 {
                *slot = self.twin(graph, names, *slot).map_err(|d| d.node(&node.name))?;
                narrowed = true;
            }
        }
        if node.is("Cast") && node.attrs.int("to", 0) == i64::from(DType::F64.onnx()) {
            node.attrs.set("to", Attr::Int(DType::F32.onnx().into()));
            narrowed = true;
        }
        if narrowed {
            self.places.push(format!("node {}", node.name));
        }
        Ok(())
    }

    fn twin(&mut self, graph: &mut Graph, names: &mut Names, wide: ValueId) -> Result<ValueId, Diagnostic> {
        if let Some(&twin) = self.twins.get(&wide) {
            return Ok(twin);
        }
        let to = Attrs::of([("to", Attr::Int(DType::F32.onnx().into()))]);
        let narrow = eval("Cast", "", &to, &[graph.constant(wide)])
            .map_err(|e| Diagnostic::error("PARSE05", e.to_string()))?
            .pop()
            .ok_or_else(|| Diagnostic::error("PARSE05", "Cast gives nothing"))?;
        let name = names.fresh(&format!("{}_float32", graph.value(wide).name));
        let twin = graph.add_constant(name, narrow);
        self.twins.insert(wide, twin);
        Ok(twin)
    }

    /// The note that says what was narrowed, if anything was.
    pub(crate) fn note(&self) -> Option<Diagnostic> {
        let first = self.places.first()?;
        let more = match self.places.len() - 1 {
            0 => String::new(),
            n => format!(" and {n} more places"),
        };
        Some(Diagnostic {
            code: "PARSE08".to_owned(),
            severity: Severity::Note,
            message: format!("float64 at run time is computed in float32: {first}{more}"),
            place: Place::default(),
            hint: None,
        })
    }
}
