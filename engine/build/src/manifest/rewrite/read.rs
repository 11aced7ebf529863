//! Reads one `[[rewrite]]`: values of the right kind, unknown keys refused, with the line of each.

use super::{CODE, DIMENSIONS, KEYS};
use crate::manifest::settings::{Reader, Spot, to_value};
use ptq_fuse::Rewrite;
use ptq_fuse::rewrite::{
    AttributeGuard, Dimension, DimensionGuard, Literal, NewConstant, NewNode, Operand, PatternNode, TensorGuard, When,
};
use ptq_place::nearest;
use std::collections::BTreeMap;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

type Value<'d> = Spanned<DeValue<'d>>;

/// Attributes of the standard domain that are no whole numbers, however they are written.
const FLOATS: [&str; 14] = [
    "activation_alpha",
    "activation_beta",
    "alpha",
    "beta",
    "bias",
    "clip",
    "cubic_coeff_a",
    "epsilon",
    "extrapolation_value",
    "gamma",
    "lambd",
    "momentum",
    "spatial_scale",
    "threshold",
];

/// A rewrite that is being read.
pub(super) struct Source<'r, 't> {
    r: &'r mut Reader<'t>,
    name: &'r str,
    /// Lines by dotted path of the parameters.
    pub(super) lines: BTreeMap<String, u32>,
}

impl<'r, 't> Source<'r, 't> {
    pub(super) fn new(r: &'r mut Reader<'t>, name: &'r str) -> Source<'r, 't> {
        Source { r, name, lines: BTreeMap::new() }
    }

    /// The rewrite and its summary; what does not read is among the problems.
    pub(super) fn rewrite(&mut self, table: &DeTable<'_>) -> (Rewrite, Option<String>) {
        let known: Vec<&str> = KEYS.iter().map(|k| k.0).filter(|k| *k != "file").chain([DIMENSIONS.0]).collect();
        self.known(table, &known);
        let mut out = Rewrite::default();
        let mut summary = None;
        for (key, value) in table.iter() {
            let (key, line) = (key.get_ref().as_ref(), self.r.spot(key).line);
            match key {
                "summary" => summary = self.text(value),
                "when" => {
                    self.lines.insert("when".into(), line);
                    match self.text(value).as_deref() {
                        Some("before") | None => {}
                        Some("after") => out.when = When::After,
                        Some(other) => self.bad(value, format!("when must be before or after, not {other:?}"), None),
                    }
                }
                "order" => {
                    self.lines.insert("order".into(), line);
                    match to_value(value.get_ref()).as_integer() {
                        Some(order) => out.order = order,
                        None => self.bad(value, "order must be a whole number".into(), None),
                    }
                }
                "match" => out.pattern = self.each(value, "pattern", Self::pattern),
                "replace" => out.replacement = self.each(value, "replacement", Self::new_node),
                "where" => out.tensors = self.named(value, "tensors", Self::guard),
                "dimensions" => out.dimensions = self.named(value, "dimensions", Self::dimension),
                "constants" => {
                    let found = self.named(value, "constants", |s, _, t| s.constant(t));
                    out.constants = found.into_iter().filter_map(|(name, c)| Some((name, c?))).collect();
                }
                _ => {}
            }
        }
        (out, summary)
    }

    fn bad<T>(&mut self, at: &Spanned<T>, why: String, hint: Option<String>) {
        let spot: Spot = self.r.spot(at);
        self.r.problem(CODE, format!("rewrite {}: {why}", self.name), &spot, hint);
    }

    fn known(&mut self, table: &DeTable<'_>, known: &[&str]) {
        for (key, _) in table.iter() {
            let name = key.get_ref().as_ref();
            if !known.contains(&name) {
                let close = nearest(name, known.iter().copied()).map(|c| format!("did you mean {c}?"));
                let hint = close.unwrap_or_else(|| format!("keys: {}", known.join(", ")));
                self.bad(key, format!("unknown key {name}"), Some(hint));
            }
        }
    }

    fn text(&mut self, value: &Value<'_>) -> Option<String> {
        match value.get_ref() {
            DeValue::String(text) => Some(text.to_string()),
            _ => {
                self.bad(value, "this must be text".into(), None);
                None
            }
        }
    }

    fn number(&mut self, value: &Value<'_>) -> Option<f64> {
        let found = crate::manifest::settings::number(&to_value(value.get_ref())).filter(|n| n.is_finite());
        if found.is_none() {
            self.bad(value, "this must be a number".into(), None);
        }
        found
    }

    fn whole(&mut self, value: &Value<'_>) -> Option<u64> {
        let found = to_value(value.get_ref()).as_integer().and_then(|n| u64::try_from(n).ok());
        if found.is_none() {
            self.bad(value, "this must be a whole number".into(), None);
        }
        found
    }

    fn flag(&mut self, value: &Value<'_>) -> Option<bool> {
        let found = to_value(value.get_ref()).as_bool();
        if found.is_none() {
            self.bad(value, "this must be true or false".into(), None);
        }
        found
    }

    fn list<'d>(&mut self, value: &'d Value<'_>) -> Vec<&'d Value<'d>> {
        match value.get_ref() {
            DeValue::Array(list) => list.iter().collect(),
            _ => {
                self.bad(value, "this must be a list".into(), None);
                Vec::new()
            }
        }
    }

    fn table<'d>(&mut self, value: &'d Value<'_>) -> Option<&'d DeTable<'d>> {
        match value.get_ref() {
            DeValue::Table(table) => Some(table),
            _ => {
                self.bad(value, "this must be a table".into(), None);
                None
            }
        }
    }

    /// A list of tables.
    fn each<T>(&mut self, value: &Value<'_>, path: &str, one: fn(&mut Self, &str, &DeTable<'_>) -> T) -> Vec<T> {
        let mut out = Vec::new();
        for (i, item) in self.list(value).into_iter().enumerate() {
            let path = format!("{path}[{i}]");
            self.lines.insert(path.clone(), self.r.spot(item).line);
            if let Some(table) = self.table(item) {
                out.push(one(self, &path, table));
            }
        }
        out
    }

    /// A table of tables.
    fn named<T>(
        &mut self,
        value: &Value<'_>,
        path: &str,
        one: fn(&mut Self, &str, &DeTable<'_>) -> T,
    ) -> BTreeMap<String, T> {
        let mut out = BTreeMap::new();
        let Some(table) = self.table(value) else { return out };
        for (key, inner) in table.iter() {
            let path = format!("{path}.{}", key.get_ref());
            self.lines.insert(path.clone(), self.r.spot(key).line);
            if let Some(inner) = self.table(inner) {
                out.insert(key.get_ref().to_string(), one(self, &path, inner));
            }
        }
        out
    }

    fn literal(&mut self, value: &Value<'_>) -> Option<Literal> {
        Some(match value.get_ref() {
            DeValue::String(text) => Literal::Text(text.to_string()),
            DeValue::Boolean(b) => Literal::Int(i64::from(*b)),
            DeValue::Integer(_) => Literal::Int(to_value(value.get_ref()).as_integer()?),
            DeValue::Float(_) => Literal::Float(self.number(value)?),
            DeValue::Array(list) => {
                Literal::List(list.iter().map(|v| self.literal(v)).collect::<Option<Vec<Literal>>>()?)
            }
            _ => {
                self.bad(value, "this must be a number, a text, or a list of them".into(), None);
                return None;
            }
        })
    }

    /// A value of an attribute; of those that hold other numbers, whole ones are such numbers too.
    fn attribute(&mut self, domain: &str, name: &str, value: &Value<'_>) -> Option<Literal> {
        let found = self.literal(value)?;
        Some(if domain.is_empty() && FLOATS.contains(&name) { as_float(found) } else { found })
    }

    fn texts(&mut self, value: &Value<'_>) -> Vec<String> {
        self.list(value).into_iter().filter_map(|v| self.text(v)).collect()
    }

    fn operands(&mut self, value: &Value<'_>) -> Vec<Operand> {
        let mut out = Vec::new();
        for item in self.list(value) {
            match item.get_ref() {
                DeValue::String(name) => out.push(Operand::Name(name.to_string())),
                _ => out.extend(self.number(item).map(Operand::Number)),
            }
        }
        out
    }

    fn shape(&mut self, value: &Value<'_>) -> Option<Vec<Dimension>> {
        let mut out = Vec::new();
        for item in self.list(value) {
            out.push(match item.get_ref() {
                DeValue::String(word) => Dimension::Word(word.to_string()),
                _ => Dimension::Size(self.whole(item)?),
            });
        }
        Some(out)
    }

    fn domain(&mut self, table: &DeTable<'_>) -> String {
        let found = table.get("domain").and_then(|v| self.text(v)).unwrap_or_default();
        if found == "ai.onnx" { String::new() } else { found }
    }

    fn pattern(&mut self, path: &str, table: &DeTable<'_>) -> PatternNode {
        self.known(table, &["op", "domain", "inputs", "outputs", "attributes"]);
        let mut out = PatternNode { domain: self.domain(table), ..PatternNode::default() };
        out.op = table.get("op").and_then(|v| self.text(v)).unwrap_or_default();
        out.inputs = table.get("inputs").map(|v| self.operands(v)).unwrap_or_default();
        out.outputs = table.get("outputs").map(|v| self.texts(v)).unwrap_or_default();
        let attributes = table.get("attributes").and_then(|v| self.table(v));
        for (key, value) in attributes.into_iter().flat_map(|t| t.iter()) {
            let name = key.get_ref().to_string();
            self.lines.insert(format!("{path}.attributes.{name}"), self.r.spot(key).line);
            let guard = self.attribute_guard(&out.domain, &name, value);
            out.attributes.insert(name, guard);
        }
        out
    }

    fn attribute_guard(&mut self, domain: &str, name: &str, value: &Value<'_>) -> AttributeGuard {
        let mut out = AttributeGuard::default();
        let DeValue::Table(table) = value.get_ref() else {
            if let Some(literal) = self.attribute(domain, name, value) {
                match literal.captured() {
                    Some(capture) => out.capture = Some(capture.to_owned()),
                    None => out.one_of = vec![literal],
                }
            }
            return out;
        };
        self.known(table, &["is", "in", "min", "max", "default", "capture"]);
        for (key, value) in table.iter() {
            match key.get_ref().as_ref() {
                "is" => out.one_of.extend(self.attribute(domain, name, value)),
                "in" => {
                    for item in self.list(value) {
                        out.one_of.extend(self.attribute(domain, name, item));
                    }
                }
                "min" => out.min = self.number(value),
                "max" => out.max = self.number(value),
                "default" => out.default = self.attribute(domain, name, value),
                "capture" => out.capture = self.text(value).map(|t| t.trim_start_matches('$').to_owned()),
                _ => {}
            }
        }
        out
    }

    fn new_node(&mut self, path: &str, table: &DeTable<'_>) -> NewNode {
        self.known(table, &["op", "domain", "inputs", "outputs", "attributes"]);
        let mut out = NewNode { domain: self.domain(table), ..NewNode::default() };
        out.op = table.get("op").and_then(|v| self.text(v)).unwrap_or_default();
        out.inputs = table.get("inputs").map(|v| self.operands(v)).unwrap_or_default();
        out.outputs = table.get("outputs").map(|v| self.texts(v)).unwrap_or_default();
        let attributes = table.get("attributes").and_then(|v| self.table(v));
        for (key, value) in attributes.into_iter().flat_map(|t| t.iter()) {
            let name = key.get_ref().to_string();
            self.lines.insert(format!("{path}.attributes.{name}"), self.r.spot(key).line);
            if let Some(literal) = self.attribute(&out.domain, &name, value) {
                out.attributes.insert(name, literal);
            }
        }
        out
    }

    fn guard(&mut self, path: &str, table: &DeTable<'_>) -> TensorGuard {
        let mut out = TensorGuard::default();
        const KEYS: [&str; 11] = [
            "constant",
            "equals",
            "min",
            "max",
            "tolerance",
            "type",
            "rank",
            "shape",
            "elements",
            "single_consumer",
            "output",
        ];
        self.known(table, &KEYS);
        for (key, value) in table.iter() {
            self.lines.insert(format!("{path}.{}", key.get_ref()), self.r.spot(key).line);
            match key.get_ref().as_ref() {
                "constant" => out.constant = self.flag(value),
                "equals" => out.equals = self.literal(value).map(as_float),
                "min" => out.min = self.number(value),
                "max" => out.max = self.number(value),
                "tolerance" => out.tolerance = self.number(value).unwrap_or_default(),
                "type" => out.dtype = self.text(value),
                "rank" => out.rank = self.whole(value).and_then(|n| usize::try_from(n).ok()),
                "shape" => out.shape = self.shape(value),
                "elements" => out.elements = self.whole(value),
                "single_consumer" => out.single_consumer = self.flag(value),
                "output" => out.output = self.flag(value),
                _ => {}
            }
        }
        out
    }

    fn dimension(&mut self, path: &str, table: &DeTable<'_>) -> DimensionGuard {
        let mut out = DimensionGuard::default();
        self.known(table, &["min", "max", "multiple_of"]);
        for (key, value) in table.iter() {
            self.lines.insert(format!("{path}.{}", key.get_ref()), self.r.spot(key).line);
            match key.get_ref().as_ref() {
                "min" => out.min = self.whole(value),
                "max" => out.max = self.whole(value),
                "multiple_of" => out.multiple_of = self.whole(value),
                _ => {}
            }
        }
        out
    }

    fn constant(&mut self, table: &DeTable<'_>) -> Option<NewConstant> {
        self.known(table, &["value", "type", "shape"]);
        let dtype = table.get("type").and_then(|v| self.text(v)).unwrap_or_else(|| "float32".to_owned());
        let shape = table.get("shape").and_then(|v| self.shape(v));
        let value = self.literal(table.get("value")?)?;
        Some(NewConstant { value: as_float(value), dtype, shape })
    }
}

/// Numbers in one form, so that 2 and 2.0 are the same.
fn as_float(literal: Literal) -> Literal {
    match literal {
        Literal::Int(v) => Literal::Float(v as f64),
        Literal::List(list) => Literal::List(list.into_iter().map(as_float).collect()),
        other => other,
    }
}
