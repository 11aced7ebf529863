//! A prediction as one page that needs nothing else: summary, costs of every row, timeline, graph, assumptions.

mod costs;
mod graph;
mod timeline;

use super::text::nv12_note;
use super::{PerfKind, PerfRow, Performance};
use ptq_march::Provenance;
use std::fmt::Write as _;

const STYLE: &str = "\
body{font:14px/1.45 system-ui,sans-serif;color:#222;margin:0;background:#f4f6f7}main{max-width:1180px;margin:0 auto;padding:18px}\
h1{font-size:22px;margin:8px 0}h2{font-size:17px;margin:26px 0 8px}section{background:#fff;border:1px solid #dde3e5;border-radius:6px;\
padding:2px 16px 14px;margin:14px 0}table{border-collapse:collapse}td,th{padding:3px 9px;border-bottom:1px solid #e6eaec;text-align:left;\
vertical-align:top}th{font-weight:600;background:#f7f9fa}td.n,th.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}\
.cards{display:flex;flex-wrap:wrap;gap:10px;margin:12px 0}.card{background:#fff;border:1px solid #dde3e5;border-radius:6px;padding:8px 14px;\
min-width:150px}.card b{display:block;font-size:20px}.card span{color:#5b676c}.scroll{overflow:auto;max-height:760px}.wide{overflow-x:auto}\
.k{display:inline-block;width:11px;height:11px;border-radius:2px;margin:0 4px 0 14px}.note{color:#5b676c}svg text{font-family:system-ui,sans-serif}\
details{margin:6px 0}summary{cursor:pointer}";

/// Colours: what a row is, and what it costs.
pub(super) const BPU: &str = "#0f7f86";
pub(super) const CPU: &str = "#8b9499";
pub(super) const BORDER: &str = "#c9852d";
pub(super) const COMPUTE: &str = "#2f8f5b";
pub(super) const LOAD: &str = "#3b73b9";
pub(super) const STORE: &str = "#b0568f";

/// Text in HTML.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// The end of a name that does not fit, which tells more than its start.
pub(super) fn short(name: &str, most: usize) -> String {
    let count = name.chars().count();
    if count <= most {
        name.to_owned()
    } else {
        format!("…{}", name.chars().skip(count + 1 - most).collect::<String>())
    }
}

/// Fill of a row by its device.
pub(super) fn device_fill(row: &PerfRow) -> &'static str {
    match row.kind {
        PerfKind::Layer => BPU,
        PerfKind::Node => CPU,
        PerfKind::Quantize | PerfKind::Dequantize => BORDER,
    }
}

/// Colours with their words.
fn legend(items: &[(&str, &str)]) -> String {
    let item = |(fill, word): &(&str, &str)| format!("<span class=\"k\" style=\"background:{fill}\"></span>{word}");
    format!("<p class=\"note\">{}</p>", items.iter().map(item).collect::<String>())
}

impl Performance {
    /// The page as HTML.
    pub fn page(&self) -> String {
        let mut out = format!(
            "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{0}: predicted performance</title>\
             <style>{STYLE}</style></head><body><main>\n<h1>{0}</h1>\n<p class=\"note\">march {1} ({2}), compiled at {3}. Predicted by an \
             open model of the accelerator; nothing on this page was measured on it.</p>\n",
            escape(&self.model),
            escape(&self.march),
            escape(&self.stands_for),
            escape(&self.optimize_level)
        );
        let shown = self.shown_rows();
        out += &self.summary_section();
        out += &self.advice_section();
        out += &section("Costs by row", &format!("{}{}", legend(&COST_COLOURS), costs::chart(shown)));
        out += &section("Timeline", &format!("{}{}", legend(&COST_COLOURS), timeline::chart(self)));
        let devices = [(BPU, "BPU"), (CPU, "CPU"), (BORDER, "quantize and dequantize, on the CPU")];
        out += &section("Model", &format!("{}{}", legend(&devices), graph::chart(shown)));
        out += &section("All rows", &costs::table(shown));
        out += &section("What this rests on", &self.parameter_table());
        out + "</main></body></html>\n"
    }

    fn summary_section(&self) -> String {
        let cards = [
            (format!("{:.3} ms", self.latency_us() / 1e3), "latency on the BPU"),
            (format!("{:.1}", self.fps(1)), "FPS, one core"),
            (format!("{:.1}", self.fps(self.hardware.cores)), "FPS, all cores"),
            (super::text::bytes(self.loaded_bytes() / self.frames_per_run.max(1)), "loaded from DDR a frame"),
            (super::text::bytes(self.stored_bytes() / self.frames_per_run.max(1)), "stored to DDR a frame"),
            (format!("{:.1} %", self.mac_efficiency() * 100.0), "MAC efficiency"),
            (format!("{:.2} x", super::ratio(self.latency_us(), self.roofline_us())), "of the roofline bound"),
        ];
        let card =
            |(value, what): &(String, &str)| format!("<div class=\"card\"><b>{value}</b><span>{what}</span></div>");
        let rows =
            self.figures().into_iter().map(|(n, v)| format!("<tr><td>{}</td><td>{}</td></tr>", escape(n), escape(&v)));
        let inputs = self.inputs.iter().map(|i| {
            format!(
                "<tr><td>input {}</td><td>{} {:?} from {}, {} bytes</td></tr>",
                escape(&i.name),
                escape(&i.arrives),
                i.shape,
                i.source,
                i.bytes
            )
        });
        let note = nv12_note(self).map_or_else(String::new, |n| format!("<p class=\"note\">{}.</p>", escape(&n)));
        format!(
            "<div class=\"cards\">{}</div>\n<section><h2>Summary</h2><table>{}{}</table>{note}</section>\n",
            cards.iter().map(card).collect::<String>(),
            rows.collect::<String>(),
            inputs.collect::<String>()
        )
    }

    fn advice_section(&self) -> String {
        let mut all: Vec<(&PerfRow, &super::Advice)> =
            self.shown_rows().iter().flat_map(|r| r.advice.iter().map(move |a| (r, a))).collect();
        all.sort_by(|a, b| b.1.us.total_cmp(&a.1.us));
        if all.is_empty() {
            return String::new();
        }
        let item = |(r, a): &(&PerfRow, &super::Advice)| {
            format!(
                "<tr><td>{}</td><td>{}</td><td class=\"n\">{:.0} %</td><td class=\"n\">{:.1}</td></tr>",
                escape(&r.name),
                escape(&a.what),
                a.percent,
                a.us
            )
        };
        let rows: String = all.iter().take(20).map(item).collect();
        section(
            "Advice",
            &format!(
                "<table><tr><th>layer</th><th>what makes it slower</th><th class=\"n\">of its time</th><th class=\"n\">us</th></tr>{rows}</table>"
            ),
        )
    }

    fn parameter_table(&self) -> String {
        let mut rows = String::new();
        for p in self.parameters() {
            let unsure = matches!(p.provenance, Provenance::Assumed | Provenance::Fitted);
            let mark = if unsure { " style=\"background:#fff6e0\"" } else { "" };
            let word = format!("{:?}", p.provenance).to_lowercase();
            let _ = write!(
                rows,
                "<tr{mark}><td>{}</td><td class=\"n\">{}</td><td>{}</td><td>{word}</td></tr>",
                escape(p.name),
                p.value,
                escape(p.unit)
            );
        }
        format!(
            "<p class=\"note\">Figures of the march file and of the CPU. Yellow ones are assumed, or fitted to published results of \
             others; whoever knows better puts them into a march file. Functional results depend on none of them.</p>\
             <table><tr><th>figure</th><th class=\"n\">value</th><th>unit</th><th>provenance</th></tr>{rows}</table>"
        )
    }
}

const COST_COLOURS: [(&str, &str); 5] =
    [(COMPUTE, "compute"), (LOAD, "load"), (STORE, "store"), (CPU, "CPU"), ("#000", "roofline bound (line)")];

fn section(title: &str, body: &str) -> String {
    format!("<section><h2>{title}</h2>{body}</section>\n")
}

/// The page of a measured model.
pub(super) fn measured(model: &str, march: &str, figures: &[(&str, String)], rows: &[PerfRow]) -> String {
    let figure =
        |(name, value): &(&str, String)| format!("<tr><td>{}</td><td>{}</td></tr>", escape(name), escape(value));
    let devices = [(BPU, "integer executor"), (CPU, "float nodes"), (BORDER, "quantize and dequantize")];
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{0}: measured performance</title><style>{STYLE}</style>\
         </head><body><main>\n<h1>{0}</h1>\n<p class=\"note\">march {1}: measured on the machine that wrote this page.</p>\n{2}{3}{4}{5}\
         </main></body></html>\n",
        escape(model),
        escape(march),
        section("Summary", &format!("<table>{}</table>", figures.iter().map(figure).collect::<String>())),
        section("Time by row", &costs::chart(rows)),
        section("Model", &format!("{}{}", legend(&devices), graph::chart(rows))),
        section("All rows", &costs::table(rows)),
    )
}
