//! An analysis as one page that needs nothing else: chart, graph, table, proposals, and plots of the costliest nodes.

use super::graph::{color, escape, graph, loss};
use super::plots::{channels, distribution, losses};
use super::{lines, short, shown, sqnr};
use ptq_calibrate::{Analysis, Errors, NodeAnalysis};
use std::fmt::Write as _;

const STYLE: &str = "body{font-family:sans-serif;margin:1.5em;color:#222}table{border-collapse:collapse;font-size:13px}\
td,th{border:1px solid #ccc;padding:2px 7px;text-align:left}th{background:#f2f2f2;position:sticky;top:0}\
.box{overflow:auto;border:1px solid #ccc;max-height:620px}pre{background:#f6f6f6;padding:.6em;margin:.3em 0}\
.columns{display:flex;gap:2em;flex-wrap:wrap}.columns>div{flex:1 1 460px}small{color:#666}a{color:inherit}";

/// The page; plots of at most `top` nodes. `model` and `variant` are names in the manifest.
pub fn analysis_html(a: &Analysis, model: &str, variant: &str, top: usize) -> String {
    let name = escape(variant);
    let rows: String = a.nodes.iter().enumerate().map(|(i, n)| row(i, n)).collect();
    let plots: String = a.nodes.iter().take(top).map(|n| plotted(a, n)).collect();
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Analysis of {name}</title><style>{STYLE}</style></head><body>\n\
         <h1>Where {name} loses accuracy</h1>\n<p>{} samples; errors at {}; score {}.</p>\n{}\n\
         <h2>Losses</h2><p>1 - cosine similarity, logarithmic, in the order of the graph. Bars: at the outputs when only this node is quantized. \
         Line: of the node's own result when everything is.</p><div class=\"box\">{}</div>\n\
         <h2>What would help</h2>\n{}\n\
         <h2>Nodes</h2><p>Alone: only this node's inputs and weights are quantized. Accumulated: its own result when everything is.</p>\n\
         <div class=\"box\"><table><tr><th>#</th><th>node</th><th>op</th><th>cosine alone</th><th>weights only</th><th>activations only</th>\
         <th>MSE</th><th>MRE</th><th>SQNR, dB</th><th>Chebyshev</th><th>accumulated cosine</th><th>its weights, dB</th></tr>\n{rows}</table></div>\n\
         <h2>Graph</h2><p>Coloured by what a node costs alone, from green (1e-7) to red (1e-2); grey on the CPU, pale what another node computes along.</p>\
         <div class=\"box\">{}</div>\n<h2>The costliest nodes</h2>\n{plots}</body></html>\n",
        a.samples,
        escape(&a.compared.join(", ")),
        shown(a.score),
        whole(a),
        losses(a),
        proposals(a, model),
        graph(a)
    )
}

fn whole(a: &Analysis) -> String {
    let row = |what: &str, e: &Errors| {
        format!(
            "<tr><td>{what}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            shown(e.cosine),
            short(e.mse),
            short(e.mre),
            sqnr(e),
            short(e.chebyshev)
        )
    };
    format!(
        "<table><tr><th>at the outputs</th><th>cosine</th><th>MSE</th><th>MRE</th><th>SQNR, dB</th><th>Chebyshev</th></tr>{}{}{}</table>",
        row("everything quantized", &a.whole.both),
        row("weights only", &a.whole.weights),
        row("activations only", &a.whole.activations)
    )
}

fn proposals(a: &Analysis, model: &str) -> String {
    if a.proposals.is_empty() {
        return "<p>Nothing that was tried raises the score.</p>".to_owned();
    }
    let mut out =
        String::from("<p>Each was measured on the same samples, with the table that the manifest would then give.</p>");
    for p in &a.proposals {
        let _ = write!(
            out,
            "<p><b>{:.6}</b> ({:+.6}): {}</p><pre>{}</pre>",
            p.score,
            p.gain,
            escape(&p.what),
            escape(&lines(p, model))
        );
    }
    out
}

fn row(i: usize, n: &NodeAnalysis) -> String {
    let e = &n.alone;
    format!(
        "<tr id=\"n-{0}\"><td>{1}</td><td style=\"background:{2}\">{0}</td><td>{3}</td><td>{4}</td><td>{5}</td><td>{6}</td><td>{7}</td>\
         <td>{8}</td><td>{9}</td><td>{10}</td><td>{11}</td><td>{12}</td></tr>\n",
        escape(&n.node),
        i + 1,
        color(loss(&e.both)),
        escape(&n.op),
        shown(e.both.cosine),
        shown(e.weights.cosine),
        shown(e.activations.cosine),
        short(e.both.mse),
        short(e.both.mre),
        sqnr(&e.both),
        short(e.both.chebyshev),
        shown(n.accumulated.both.cosine),
        n.weights.as_ref().and_then(|w| w.sqnr_db).map_or_else(|| "-".to_owned(), |d| format!("{d:.1}"))
    )
}

fn plotted(a: &Analysis, n: &NodeAnalysis) -> String {
    let mut out = format!("<h3>{}</h3><div class=\"columns\">", escape(&n.node));
    for name in n.inputs.iter().chain([&n.output]) {
        let Some(v) = a.values.iter().find(|v| v.name == *name) else { continue };
        let role = if *name == n.output { "makes" } else { "reads" };
        let _ = write!(
            out,
            "<div>{role} {}<br><small>{}: {}..{}, step {}, zero point {}; {:.4} % of {} elements outside, {} zeros</small><br>{}",
            escape(name),
            escape(&v.method),
            v.lo,
            v.hi,
            v.scale,
            v.zero_point,
            100.0 * v.clipped,
            v.count,
            v.zeros,
            distribution(v)
        );
        if !v.channels.is_empty() {
            let _ = write!(
                out,
                "<br><small>{} channels</small><br>{}",
                v.channels.len(),
                channels(&v.channels, Some((v.lo, v.hi)))
            );
        }
        out += "</div>";
    }
    if let Some(w) = &n.weights {
        let _ = write!(
            out,
            "<div>weights {}<br><small>{} filters; rounded at {} dB</small><br>{}</div>",
            escape(&w.name),
            w.channels.len(),
            w.sqnr_db.map_or_else(|| "-".to_owned(), |d| format!("{d:.1}")),
            channels(&w.channels, None)
        );
    }
    out + "</div>\n"
}
