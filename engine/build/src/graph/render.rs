//! A graph of actions as text: for Graphviz, for Mermaid, for programs, and as a page that needs nothing else.

use super::{ActionGraph, GraphNode};
use std::fmt::Write as _;

/// Variants that a label names.
const NAMED: usize = 3;

fn label(node: &GraphNode) -> String {
    let mut names = node.variants.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    if node.variants.len() > NAMED {
        let _ = write!(names, " and {} more", node.variants.len() - NAMED);
    }
    names
}

fn colour(state: &str) -> &'static str {
    match state {
        "done" => "#cfe8cf",
        "missing" => "#ffe2a8",
        "failed" => "#f6b8b8",
        _ => "#e6e6e6",
    }
}

impl ActionGraph {
    /// In the language of Graphviz.
    pub fn dot(&self) -> String {
        let mut out = String::from("digraph actions {\n  rankdir=LR;\n  node [shape=box, style=filled];\n");
        for n in &self.nodes {
            let (id, stage, names, fill) = (&n.id, &n.stage, label(n), colour(n.state));
            let _ = writeln!(out, "  \"{id}\" [label=\"{stage} {}\\n{names}\", fillcolor=\"{fill}\"];", n.state);
        }
        for (from, to) in &self.edges {
            let _ = writeln!(out, "  \"{from}\" -> \"{to}\";");
        }
        out + "}\n"
    }

    /// In the language of Mermaid.
    pub fn mermaid(&self) -> String {
        let number = |id: &str| self.nodes.iter().position(|n| n.id == id).unwrap_or(0);
        let mut out = String::from("flowchart LR\n");
        for (i, n) in self.nodes.iter().enumerate() {
            let _ = writeln!(out, "  n{i}[\"{} {}<br>{}\"]:::{}", n.stage, n.state, label(n), n.state);
        }
        for (from, to) in &self.edges {
            let _ = writeln!(out, "  n{} --> n{}", number(from), number(to));
        }
        for state in ["done", "missing", "waiting", "failed"] {
            let _ = writeln!(out, "  classDef {state} fill:{}", colour(state));
        }
        out
    }

    /// As JSON: `{ "nodes": [{ "id", "stage", "state", "variants" }], "edges": [[from, to]] }`.
    pub fn json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default() + "\n"
    }

    /// As a page with a drawing: a column a stage, a box an action.
    pub fn html(&self) -> String {
        let (width, height, step_x, step_y) = (190usize, 40usize, 250usize, 54usize);
        let mut stages: Vec<&str> = self.nodes.iter().map(|n| n.stage.as_str()).collect();
        stages.dedup();
        let mut rows = vec![0usize; stages.len()];
        let mut places = std::collections::BTreeMap::new();
        let mut boxes = String::new();
        for n in &self.nodes {
            let column = stages.iter().position(|s| *s == n.stage).unwrap_or(0);
            let (x, y) = (column * step_x + 10, rows[column] * step_y + 40);
            rows[column] += 1;
            places.insert(n.id.as_str(), (x, y));
            let _ = writeln!(
                boxes,
                "<g><title>{} {}: {}</title><rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" rx=\"5\" \
                 fill=\"{}\" stroke=\"#777\"/><text x=\"{}\" y=\"{}\">{}</text><text x=\"{}\" y=\"{}\">{}</text></g>",
                n.stage,
                n.state,
                n.variants.join(", "),
                colour(n.state),
                x + 6,
                y + 16,
                n.id,
                x + 6,
                y + 32,
                label(n).chars().take(28).collect::<String>()
            );
        }
        let mut lines = String::new();
        for (from, to) in &self.edges {
            if let (Some((x1, y1)), Some((x2, y2))) = (places.get(from.as_str()), places.get(to.as_str())) {
                let (x1, y1, y2) = (x1 + width, y1 + height / 2, y2 + height / 2);
                let _ = writeln!(lines, "<path d=\"M{x1} {y1} C{} {y1} {} {y2} {x2} {y2}\"/>", x1 + 40, x2 - 40);
            }
        }
        let heads: String = stages
            .iter()
            .enumerate()
            .map(|(i, s)| format!("<text x=\"{}\" y=\"24\" font-weight=\"bold\">{s}</text>", i * step_x + 10))
            .collect();
        let (w, h) = (stages.len() * step_x, rows.iter().max().unwrap_or(&0) * step_y + 60);
        format!(
            "<!DOCTYPE html><html><head><meta charset=\"utf-8\"><title>actions</title></head><body>\n\
             <svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{w}\" height=\"{h}\" font-family=\"sans-serif\" \
             font-size=\"11\">\n{heads}\n<g fill=\"none\" stroke=\"#aaa\">{lines}</g>\n{boxes}</svg>\n\
             <p>{} actions; green: done, yellow: would run, gray: waiting, red: failed</p></body></html>\n",
            self.nodes.len()
        )
    }
}
