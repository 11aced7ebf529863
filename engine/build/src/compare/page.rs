//! A comparison as a page: table, chart, nodes.

use super::{Compared, Comparison};
use std::fmt::Write as _;

/// Nodes that the page lists.
const NODES: usize = 40;
const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 360.0;
const MARGIN: f64 = 60.0;

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

pub(super) fn page(c: &Comparison) -> String {
    let mut rows = String::new();
    for v in &c.variants {
        let settings: Vec<String> = v.settings.iter().map(|(k, s)| format!("{k} = {s}")).collect();
        let _ = writeln!(
            rows,
            "<tr{}><td>{}</td><td>{}</td><td>{}</td><td>{:.1}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            if v.pareto { " class=\"p\"" } else { "" },
            escape(&v.name),
            escape(&v.model),
            v.min_cosine.map_or_else(|| "-".to_owned(), |x| format!("{x:.6}")),
            v.bin_bytes as f64 / 1024.0,
            v.nodes_bpu,
            v.nodes_cpu,
            escape(&settings.join("; "))
        );
    }
    let head: String = c.variants.iter().map(|v| format!("<th>{}</th>", escape(&v.name))).collect();
    let mut nodes = String::new();
    for (node, _) in c.nodes_apart.iter().take(NODES) {
        let cell = |v: &Compared| v.nodes.get(node).map_or_else(|| "<td>-</td>".into(), |x| format!("<td>{x:.6}</td>"));
        let _ =
            writeln!(nodes, "<tr><td>{}</td>{}</tr>", escape(node), c.variants.iter().map(cell).collect::<String>());
    }
    format!(
        "<!DOCTYPE html><html><head><meta charset=\"utf-8\"><title>comparison</title><style>body{{font-family:sans-serif}}\
         table{{border-collapse:collapse;margin:1em 0}}td,th{{border:1px solid #ccc;padding:2px 8px;text-align:left}}\
         .p{{background:#e3f3e3}}</style></head><body>\n<h1>Comparison</h1>\n{}\n\
         <table><tr><th>variant</th><th>model</th><th>cosine</th><th>model.bin, KiB</th><th>BPU</th><th>CPU</th>\
         <th>settings that differ</th></tr>\n{rows}</table>\n<p>Green: no variant of the same model is at least as good in \
         accuracy and size and better in one.</p>\n<h2>Nodes whose similarity differs most</h2>\n\
         <table><tr><th>node</th>{head}</tr>\n{nodes}</table></body></html>\n",
        chart(c)
    )
}

/// Accuracy (loss of cosine, logarithmic) against size; the front as a line.
fn chart(c: &Comparison) -> String {
    let points: Vec<(f64, f64, &Compared)> = c
        .variants
        .iter()
        .filter_map(|v| Some((v.bin_bytes as f64 / 1024.0, (1.0 - v.min_cosine?).max(1e-9).log10(), v)))
        .collect();
    let range = |of: fn(&(f64, f64, &Compared)) -> f64| {
        let low = points.iter().map(of).fold(f64::INFINITY, f64::min);
        let high = points.iter().map(of).fold(f64::NEG_INFINITY, f64::max);
        if high - low > 1e-9 { (low, high) } else { (low - 0.5, low + 0.5) }
    };
    if points.is_empty() {
        return String::new();
    }
    let ((x0, x1), (y0, y1)) = (range(|p| p.0), range(|p| p.1));
    let at = |p: &(f64, f64, &Compared)| {
        let x = MARGIN + (p.0 - x0) / (x1 - x0) * (WIDTH - 2.0 * MARGIN);
        (x, MARGIN + (y1 - p.1) / (y1 - y0) * (HEIGHT - 2.0 * MARGIN))
    };
    let mut marks = String::new();
    for p in &points {
        let ((x, y), fill) = (at(p), if p.2.pareto { "#2a8a2a" } else { "#999" });
        let name = escape(&p.2.name);
        let _ = writeln!(
            marks,
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\" fill=\"{fill}\"><title>{name}: {:.1} KiB, 1 - cosine {:.2e}</title>\
             </circle><text x=\"{:.1}\" y=\"{:.1}\">{name}</text>",
            p.0,
            10f64.powf(p.1),
            x + 6.0,
            y - 5.0
        );
    }
    let mut models: Vec<&str> = points.iter().map(|p| p.2.model.as_str()).collect();
    models.sort_unstable();
    models.dedup();
    let mut fronts = String::new();
    for model in models {
        let mut front: Vec<_> = points.iter().filter(|p| p.2.pareto && p.2.model == model).collect();
        front.sort_by(|a, b| a.0.total_cmp(&b.0));
        let line: Vec<String> = front.iter().map(|p| at(p)).map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let _ = writeln!(fronts, "<polyline points=\"{}\" fill=\"none\" stroke=\"#2a8a2a\"/>", line.join(" "));
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{HEIGHT}\" font-size=\"11\">\
         <rect x=\"{MARGIN}\" y=\"{MARGIN}\" width=\"{}\" height=\"{}\" fill=\"none\" stroke=\"#ccc\"/>\n{fronts}{marks}\
         <text x=\"{MARGIN}\" y=\"{}\">model.bin {x0:.1} .. {x1:.1} KiB</text>\
         <text x=\"10\" y=\"20\">1 - cosine, logarithmic: {:.1e} (below) .. {:.1e}</text></svg>",
        WIDTH - 2.0 * MARGIN,
        HEIGHT - 2.0 * MARGIN,
        HEIGHT - 20.0,
        10f64.powf(y0),
        10f64.powf(y1)
    )
}
