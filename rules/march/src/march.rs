//! A march: the whole file, read and checked.

use crate::{Class, Elsewhere, Hardware, Int16, OpEntry, Range, Route, Shared};
use ptq_ir::{ActScheme, DType, Diagnostic, Rounding};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Where a figure comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Provenance {
    /// Stated in a vendor's or project's document.
    Published,
    /// Measured on the hardware or program itself.
    Measured,
    /// Fitted to published results.
    Fitted,
    /// Our assumption.
    Assumed,
}

/// How image inputs arrive: pixel values 0..255 stored without rounding.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageInput {
    /// Stored type.
    pub dtype: DType,
    /// Value added to the pixel.
    pub zero_point: i32,
}

/// Arithmetic of a march.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quantization {
    /// Scheme of activations.
    pub activations: ActScheme,
    /// Rounding of requantization.
    pub rounding: Rounding,
    /// Storage of image inputs.
    pub image_input: ImageInput,
    /// Operators that give int32 at the model's tail.
    pub tail_int32: Vec<String>,
    /// Operators into which an activation may be fused.
    pub fuse_activation_into: Vec<String>,
    /// Whether a fused Clip may have a lower bound other than 0.
    pub fuse_any_clip: bool,
    /// Whether activations may be int16, where an operator's entry allows it.
    #[serde(default = "yes")]
    pub int16: bool,
    /// Where these facts come from.
    pub provenance: Provenance,
}

fn yes() -> bool {
    true
}

/// A target description.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct March {
    /// Version of this file's form.
    pub schema: u32,
    /// Name, as in manifests.
    pub name: String,
    /// The hardware or program that it stands for.
    pub stands_for: String,
    /// Arithmetic.
    pub quantization: Quantization,
    /// Hardware parameters; `None` where segments run on the host processor.
    pub hardware: Option<Hardware>,
    /// Operators that the target's documents place outside the accelerator, where they say so.
    #[serde(default)]
    pub elsewhere: Option<Elsewhere>,
    /// Limits that many operators have in common.
    #[serde(default)]
    pub shared: Vec<Shared>,
    /// Operators by ONNX name. An operator without an entry runs on the CPU. A form of an operator with limits of its own,
    /// such as `Conv 3-D`, has its entry under the operator's name and what tells it apart.
    pub op: BTreeMap<String, OpEntry>,
}

impl March {
    /// Reads a march file.
    ///
    /// # Errors
    /// One diagnostic for each problem found, with the line where the parser knows it.
    pub fn from_toml(text: &str) -> Result<March, Vec<Diagnostic>> {
        let mut march: March = toml::from_str(text).map_err(|e| {
            let mut d = Diagnostic::error("MARCH01", e.message().to_owned());
            if let Some(span) = e.span() {
                let before = text.get(..span.start).unwrap_or(text);
                d = d.line(before.matches('\n').count() as u32 + 1);
            }
            vec![d]
        })?;
        let problems = march.check();
        march.spread_shared();
        if problems.is_empty() { Ok(march) } else { Err(problems) }
    }

    /// Which tensors of an operator may be int16. The host processor computes whatever it accelerates in any width, so that
    /// only tables of accelerators list it.
    pub fn int16_of(&self, op: &str) -> Int16 {
        match self.op.get(op) {
            Some(entry) if self.quantization.int16 && self.hardware.is_some() => entry.int16,
            Some(_) if self.quantization.int16 => Int16::Both,
            _ => Int16::None,
        }
    }

    /// Every form of an operator that has an entry, by name: the operator's own, then those named `<operator> <form>`.
    pub fn forms(&self, op: &str) -> Vec<(&str, &OpEntry)> {
        let is_form = |name: &str| name.strip_prefix(op).is_some_and(|form| form.is_empty() || form.starts_with(' '));
        self.op
            .range(op.to_owned()..)
            .take_while(|(name, _)| is_form(name))
            .map(|(name, e)| (name.as_str(), e))
            .collect()
    }

    /// Writes shared limits into the entries that they hold for.
    fn spread_shared(&mut self) {
        let named: Vec<String> = self.shared.iter().flat_map(|s| s.ops.iter().cloned()).collect();
        for shared in &self.shared {
            for (op, entry) in &mut self.op {
                let as_itself = entry.class != Class::Cpu && entry.route != Route::Replaced;
                let meant =
                    if shared.ops.is_empty() { as_itself && !named.contains(op) } else { shared.ops.contains(op) };
                for (limit, range) in shared.limits.iter().filter(|_| meant) {
                    entry.limits.entry(limit.clone()).or_insert(*range);
                }
            }
        }
    }

    fn check(&self) -> Vec<Diagnostic> {
        let mut problems = Vec::new();
        if self.schema != 1 {
            problems.push(Diagnostic::error("MARCH02", format!("schema {} is unknown, 1 is expected", self.schema)));
        }
        for (op, entry) in &self.op {
            if (entry.route == Route::Replaced) == entry.becomes.is_empty() {
                let message = format!("{op}: route \"replaced\" and the list `becomes` go together");
                problems.push(Diagnostic::error("MARCH05", message));
            }
            if self.elsewhere.as_ref().is_some_and(|e| e.list_of(op).is_some()) {
                problems.push(Diagnostic::error("MARCH05", format!("{op} has an entry and is listed elsewhere")));
            }
            let limits = entry.limits.iter().chain(&entry.own_limits).chain(&entry.wide_limits);
            problems.extend(limits.filter_map(|(limit, range)| empty_range(op, limit, *range)));
            for name in entry.not_yet.keys().filter(|name| !entry.attributes.contains_key(*name)) {
                let message = format!("{op}: `not_yet` names {name}, which `attributes` does not");
                problems.push(Diagnostic::error("MARCH05", message));
            }
        }
        for shared in &self.shared {
            let limits = shared.limits.iter();
            problems.extend(limits.filter_map(|(limit, range)| empty_range("shared", limit, *range)));
            for op in shared.ops.iter().filter(|op| !self.op.contains_key(*op)) {
                problems.push(Diagnostic::error("MARCH05", format!("shared limits name {op}, which has no entry")));
            }
        }
        if let Some(hw) = &self.hardware {
            problems.extend(hw.check());
        }
        problems
    }
}

/// A problem where a range holds nothing.
fn empty_range(op: &str, limit: &str, range: Range) -> Option<Diagnostic> {
    let what = format!("limit {limit} of {op}: min {} is above max {}", range.min, range.max);
    (range.min > range.max).then(|| Diagnostic::error("MARCH03", what))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_march_reads_and_carries_its_own_name() {
        for name in crate::names().chain(crate::model_names()) {
            let text = crate::source(name).expect("listed");
            let march = March::from_toml(&text).unwrap_or_else(|e| panic!("{name}: {e:?}"));
            assert_eq!(march.name, name);
        }
    }

    #[test]
    fn a_typo_is_reported_with_its_line() {
        let text = crate::source("cpu").expect("listed").replace("stands_for", "stand_for");
        let problems = March::from_toml(&text).expect_err("unknown key");
        assert!(problems[0].place.line.is_some(), "{problems:?}");
    }
}
