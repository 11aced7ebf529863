//! `report.md`: one page about one variant. Called by the engine when it materializes a variant.

use crate::Measure;
use crate::data_table::data_section;
use crate::search_table::section;
use crate::tables::{NODE_COLUMNS, OUTPUT_COLUMNS, node_cells, output_cells};
use crate::text_table::markdown;
use ptq_calibrate::{FileFacts, SearchReport};
use ptq_ir::Device;
use ptq_rule::{GraphRuleMeta, Skip};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// What the page is about.
#[derive(Clone, Copy, Debug)]
pub struct ReportInput<'a> {
    /// Name of the variant.
    pub variant: &'a str,
    /// Name of the model.
    pub model: &'a str,
    /// Name of the march.
    pub march: &'a str,
    /// Settings as the manifest names them, in the order to show.
    pub settings: &'a [(String, String)],
    /// Measures.
    pub measure: &'a Measure,
    /// What a calibration search tried; `None` without one.
    pub search: Option<&'a SearchReport>,
    /// Files of calibration data; none where there are none.
    pub data: &'a [FileFacts],
    /// All fuse rules, for names and summaries.
    pub rules: &'a [GraphRuleMeta],
    /// How often each fuse rule fired, by code.
    pub fired: &'a BTreeMap<String, usize>,
    /// Where fuse rules did not fire, and why.
    pub skipped: &'a [Skip],
}

/// The page: settings, both tables, CPU nodes with reasons, fusion, calibration data.
pub fn report_markdown(input: &ReportInput<'_>) -> String {
    let mut out = format!("# {}\n\n", input.variant);
    let settings: Vec<[String; 2]> = [("model", input.model), ("march", input.march)]
        .into_iter()
        .map(|(k, v)| [k.to_owned(), v.to_owned()])
        .chain(input.settings.iter().map(|(k, v)| [k.clone(), v.clone()]))
        .collect();
    out.push_str(&markdown(["Setting", "Value"], &settings));
    out.push_str(&format!("\n## Outputs\n\n{}\n", measured_on(input.measure)));
    out.push_str(&markdown(OUTPUT_COLUMNS, &input.measure.outputs.iter().map(output_cells).collect::<Vec<_>>()));
    out.push_str(&input.search.map(section).unwrap_or_default());
    out.push_str("\n## Nodes\n\n");
    out.push_str(&markdown(NODE_COLUMNS, &input.measure.nodes.iter().map(node_cells).collect::<Vec<_>>()));
    out.push_str(&cpu_nodes(input.measure));
    out.push_str(&fusion(input));
    out.push_str(&data_section(input.data));
    out
}

fn measured_on(measure: &Measure) -> String {
    let mut out = String::from("Integer program against float graph on one sample:");
    for s in &measure.samples {
        let from =
            s.file.as_deref().map_or("seeded synthetic values, no data was given".to_owned(), |f| format!("`{f}`"));
        // Writing to a String cannot fail.
        let _ = write!(out, " {} from {from};", s.input);
    }
    out.pop();
    out.push_str(".\nL1 is the mean absolute difference, L2 the root of the summed squares divided by the count.\n");
    out
}

fn cpu_nodes(measure: &Measure) -> String {
    let rows: Vec<[String; 4]> = measure
        .nodes
        .iter()
        .filter(|n| n.on == Device::Cpu)
        .map(|n| {
            let (code, text) = n.reason.as_ref().map_or(("--", "--"), |r| (r.code.as_str(), r.text.as_str()));
            [n.node.clone(), n.shown.clone(), code.to_owned(), text.to_owned()]
        })
        .collect();
    match rows.is_empty() {
        true => "\n## Nodes on the CPU\n\nNone.\n".to_owned(),
        false => format!("\n## Nodes on the CPU\n\n{}", markdown(["Node", "Type", "Rule", "Reason"], &rows)),
    }
}

fn fusion(input: &ReportInput<'_>) -> String {
    let named = |code: &str| input.rules.iter().find(|r| r.code == code).map_or("", |r| r.name).to_owned();
    let fired: Vec<[String; 3]> =
        input.fired.iter().map(|(code, n)| [code.clone(), named(code), n.to_string()]).collect();
    let skipped: Vec<[String; 4]> =
        input.skipped.iter().map(|s| [s.code.clone(), named(&s.code), s.node.clone(), s.reason.clone()]).collect();
    let mut out = String::from("\n## Fusion\n\n");
    match fired.is_empty() {
        true => out.push_str("No rule changed the graph.\n"),
        false => out.push_str(&markdown(["Rule", "Name", "Fired"], &fired)),
    }
    if !skipped.is_empty() {
        out.push_str("\nWhere a rule matched and did not fire:\n\n");
        out.push_str(&markdown(["Rule", "Name", "Node", "Why not"], &skipped));
    }
    out
}
