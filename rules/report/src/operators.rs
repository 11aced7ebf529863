//! What a march does with every operator, for `ptq ops` and the reference pages in `docs/`.

use crate::text_table::markdown;
use ptq_march::{Class, Int16, March, OpEntry, Provenance, Route};
use serde::Serialize;
use std::collections::BTreeMap;

/// One operator on one march.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OperatorRow {
    /// ONNX name.
    pub op: String,
    /// `direct`, `replaced`, `lut`, `passive`, `manual`, `cpu`, `folded` or `unsupported`.
    pub route: &'static str,
    /// Whether this version lowers it; otherwise it runs in float on the CPU although the target would accelerate it.
    pub computed: bool,
    /// Type shown in node tables, where it is accelerated.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub shown: Option<String>,
    /// The operators that it becomes, where it is replaced.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub becomes: Vec<String>,
    /// Lowest and highest allowed value of measured properties.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub limits: BTreeMap<String, (i64, i64)>,
    /// Limits of this version, which the target does not have.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub own_limits: BTreeMap<String, (i64, i64)>,
    /// Required words of attributes.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, Vec<String>>,
    /// Which tensors may be int16: `none`, `in`, `out` or `both`.
    pub int16: Int16,
    /// Why, where that is not obvious.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Where the row comes from.
    pub provenance: Provenance,
}

/// The table of a march, by operator. `others` are operators that the march does not name: they run on the CPU.
pub fn operators<'a>(march: &March, others: impl IntoIterator<Item = &'a str>) -> Vec<OperatorRow> {
    let mut rows = BTreeMap::new();
    for op in others {
        rows.insert(op.to_owned(), elsewhere(op, "cpu", Provenance::Assumed));
    }
    if let Some(lists) = &march.elsewhere {
        for (route, ops) in [("cpu", &lists.cpu), ("folded", &lists.folded), ("unsupported", &lists.unsupported)] {
            rows.extend(ops.iter().map(|op| (op.clone(), elsewhere(op, route, lists.provenance))));
        }
    }
    for (op, entry) in &march.op {
        let route = match (entry.class, entry.route) {
            (Class::Cpu, _) => "cpu",
            (_, Route::Replaced) => "replaced",
            (_, Route::Lut) => "lut",
            (Class::Passive, _) => "passive",
            (Class::Manual, _) => "manual",
            (Class::Active, Route::Direct) => "direct",
        };
        let row = OperatorRow {
            op: op.clone(),
            route,
            computed: entry.computed,
            shown: (entry.class != Class::Cpu).then(|| entry.shown.clone()),
            becomes: entry.becomes.clone(),
            limits: entry.limits.iter().map(|(name, &range)| (name.clone(), range.into())).collect(),
            own_limits: entry.own_limits.iter().map(|(name, &range)| (name.clone(), range.into())).collect(),
            attributes: entry.attributes.clone(),
            int16: if march.quantization.int16 { entry.int16 } else { Int16::None },
            note: note(entry),
            provenance: entry.provenance,
        };
        rows.insert(op.clone(), row);
    }
    rows.into_values().collect()
}

/// The note of a row, with what this version lacks.
fn note(entry: &OpEntry) -> Option<String> {
    let missing = entry.missing.as_ref().map(|m| format!("not in this version: {m}"));
    let parts: Vec<String> = entry.note.clone().into_iter().chain(missing).collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}

fn elsewhere(op: &str, route: &'static str, provenance: Provenance) -> OperatorRow {
    OperatorRow {
        op: op.to_owned(),
        route,
        computed: true,
        shown: None,
        becomes: Vec::new(),
        limits: BTreeMap::new(),
        own_limits: BTreeMap::new(),
        attributes: BTreeMap::new(),
        int16: Int16::None,
        note: None,
        provenance,
    }
}

/// The page of a march.
pub fn operators_markdown(march: &March, rows: &[OperatorRow]) -> String {
    let cells: Vec<[String; 7]> = rows.iter().map(|row| cells_of(row, march)).collect();
    format!(
        "# Operators on march `{}`\n\n{}.\n\n{ROUTES}\n{}",
        march.name,
        march.stands_for,
        markdown(["Operator", "Route", "Type", "Limits", "int16", "Note", "Provenance"], &cells)
    )
}

/// What the routes mean.
const ROUTES: &str = "\
* **direct**: accelerated within its limits, with thresholds of its own. **replaced**: as other operators.
* **lut**: as a table of 256 results.
* **passive**: moves data; accelerated between accelerated neighbours, sharing its input's scale.
* **manual**: on the CPU until `run_on_bpu` asks.
* **cpu**: in float on the CPU. **folded**: gone before placement. **unsupported**: refused by the vendor's converter;
  here it runs on the CPU.
* A route with *(not yet)* is one of the target that this version does not lower: the node runs in float on the CPU.
";

fn cells_of(row: &OperatorRow, march: &March) -> [String; 7] {
    let limit = |(name, (lo, hi)): (&String, &(i64, i64))| {
        if lo == hi { format!("{name} {lo}") } else { format!("{name} {lo}..{hi}") }
    };
    let mut limits: Vec<String> = row.limits.iter().map(limit).collect();
    limits.extend(row.own_limits.iter().map(|own| format!("{} (this version)", limit(own))));
    limits.extend(row.attributes.iter().map(|(name, words)| format!("{name} {}", words.join(" or "))));
    let mut route = row.route.to_owned();
    if !row.becomes.is_empty() {
        route = format!("{route}: {}", row.becomes.join(" + "));
    }
    if !row.computed {
        route.push_str(" (not yet)");
    }
    let int16 = match row.int16 {
        Int16::None => "",
        Int16::In => "in",
        Int16::Out => "out",
        Int16::Both => "in, out",
    };
    let provenance = serde_json::to_value(row.provenance).ok();
    let provenance = provenance.as_ref().and_then(|v| v.as_str()).unwrap_or_default();
    let shown = row.shown.clone().filter(|s| *s != row.op || march.name == "cpu").unwrap_or_default();
    let note = row.note.clone().unwrap_or_default();
    [row.op.clone(), route, shown, limits.join("; "), int16.to_owned(), note, provenance.to_owned()]
}
