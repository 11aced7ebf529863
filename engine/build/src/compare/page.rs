//! A comparison as a page that needs nothing else: charts, table, settings, nodes.

mod chart;
mod strips;

use super::{Compared, Comparison};
use chart::{Axis, Point, scatter};
use std::fmt::Write as _;

/// Nodes that the page lists.
const NODES: usize = 40;
/// Variants that the table of nodes shows side by side.
const COLUMNS: usize = 12;
/// Differences of cosine from 1 below this are drawn as this.
const LEAST_LOSS: f64 = 1e-9;

const STYLE: &str = "body{font-family:sans-serif;margin:1.5em;color:#222}table{border-collapse:collapse;margin:1em 0}\
    td,th{border:1px solid #ccc;padding:2px 8px;text-align:left}th{background:#f4f4f4;cursor:default}\
    th.s{cursor:pointer}.p{background:#e3f3e3}svg{margin:0 1em 1em 0}svg text{fill:#333}.charts{display:flex;flex-wrap:wrap}";

/// Sorts a table by a column when its head is clicked.
const SCRIPT: &str = "document.querySelectorAll('th.s').forEach((h,i)=>h.onclick=()=>{const b=h.closest('table').tBodies[0];\
    const v=r=>r.cells[i].dataset.v??r.cells[i].textContent;const up=h.dataset.up=h.dataset.up==='1'?'0':'1';\
    [...b.rows].sort((x,y)=>{const a=v(x),c=v(y),d=a-c;return(isNaN(d)?a.localeCompare(c):d)*(up==='1'?1:-1)})\
    .forEach(r=>b.append(r))});";

pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// How far the least similar output is from the float model's.
pub(super) fn loss(v: &Compared) -> Option<f64> {
    Some((1.0 - v.min_cosine?).max(LEAST_LOSS))
}

pub(super) fn page(c: &Comparison) -> String {
    let mut models: Vec<&str> = c.variants.iter().map(|v| v.model.as_str()).collect();
    models.sort_unstable();
    models.dedup();
    let by_latency = points(c, &models, |v| v.latency_us.map(|us| us / 1e3));
    let by_size = points(c, &models, |v| Some(v.bin_bytes as f64 / 1024.0));
    let y = || Axis { label: "1 - cosine".into(), log: true };
    let mut charts = String::new();
    if !by_latency.is_empty() {
        let x = Axis { label: "latency on the accelerator, ms (timed simulator)".into(), log: false };
        charts += &scatter("Accuracy against latency", &x, &y(), &by_latency, &models);
    }
    let x = Axis { label: "model.bin, KiB".into(), log: false };
    charts += &scatter("Accuracy against size", &x, &y(), &by_size, &models);
    format!(
        "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>comparison</title><style>{STYLE}</style></head><body>\n\
         <h1>{} variants</h1>\n<p>Green: no variant of the same model is at least as good in accuracy, size and latency and better \
         in one. Lower left is better; the line joins the best of each chart.</p>\n<div class=\"charts\">{charts}</div>\n{}{}{}\
         <script>{SCRIPT}</script></body></html>\n",
        c.variants.len(),
        strips::strips(c),
        table(c),
        nodes(c),
    )
}

fn points<'c>(c: &'c Comparison, models: &[&str], x: fn(&Compared) -> Option<f64>) -> Vec<Point<'c>> {
    let point = |v: &'c Compared| {
        let group = models.iter().position(|m| *m == v.model)?;
        let details = [Some(format!("1 - cosine {:.2e}", loss(v)?)), latency(v), Some(size(v))];
        let details: Vec<String> = details.into_iter().flatten().collect();
        Some(Point { x: x(v)?, y: loss(v)?, group, best: v.pareto, name: &v.name, details: details.join(", ") })
    };
    c.variants.iter().filter_map(point).collect()
}

fn latency(v: &Compared) -> Option<String> {
    v.latency_us.map(|us| format!("{:.3} ms", us / 1e3))
}

fn size(v: &Compared) -> String {
    format!("{:.1} KiB", v.bin_bytes as f64 / 1024.0)
}

fn table(c: &Comparison) -> String {
    let mut rows = String::new();
    for v in &c.variants {
        let settings: Vec<String> = v.settings.iter().map(|(k, s)| format!("{k} = {s}")).collect();
        let number = |shown: String, value: Option<f64>| {
            let value = value.map_or_else(|| "-1".to_owned(), |v| v.to_string());
            format!("<td data-v=\"{value}\">{shown}</td>")
        };
        let cosine = number(v.min_cosine.map_or_else(|| "-".to_owned(), |x| format!("{x:.6}")), v.min_cosine);
        let task = v.task.as_ref();
        let task = number(task.map_or_else(|| "-".to_owned(), |(m, x)| format!("{m} {x:.4}")), task.map(|(_, x)| *x));
        let latency = number(latency(v).unwrap_or_else(|| "-".to_owned()), v.latency_us);
        let _ = writeln!(
            rows,
            "<tr{}><td>{}</td><td>{}</td>{cosine}{task}{latency}{}<td>{}</td><td>{}</td><td>{}</td></tr>",
            if v.pareto { " class=\"p\"" } else { "" },
            escape(&v.name),
            escape(&v.model),
            number(size(v), Some(v.bin_bytes as f64)),
            v.nodes_bpu,
            v.nodes_cpu,
            escape(&settings.join("; "))
        );
    }
    let heads = ["variant", "model", "cosine", "task", "latency", "model.bin", "BPU", "CPU", "settings that differ"];
    let heads: String = heads.iter().map(|h| format!("<th class=\"s\">{h}</th>")).collect();
    format!("<h2>Variants</h2>\n<table><thead><tr>{heads}</tr></thead><tbody>\n{rows}</tbody></table>\n")
}

/// The nodes that vary most, for all variants of a small comparison, else for the best ones.
fn nodes(c: &Comparison) -> String {
    if c.nodes_apart.is_empty() {
        return String::new();
    }
    let few = c.variants.len() <= COLUMNS;
    let shown: Vec<&Compared> = c.variants.iter().filter(|v| few || v.pareto).take(COLUMNS).collect();
    let head: String = shown.iter().map(|v| format!("<th>{}</th>", escape(&v.name))).collect();
    let mut rows = String::new();
    for (node, apart) in c.nodes_apart.iter().take(NODES) {
        let cell =
            |v: &&Compared| v.nodes.get(node).map_or_else(|| "<td>-</td>".into(), |x| format!("<td>{x:.6}</td>"));
        let cells: String = shown.iter().map(cell).collect();
        let _ = writeln!(rows, "<tr><td>{}</td><td>{apart:.2e}</td>{cells}</tr>", escape(node));
    }
    let which = if few { "" } else { ", in the best variants" };
    format!(
        "<h2>Nodes whose similarity differs most{which}</h2>\n<table><thead><tr><th>node</th><th>range</th>{head}</tr></thead>\
         <tbody>\n{rows}</tbody></table>\n"
    )
}
