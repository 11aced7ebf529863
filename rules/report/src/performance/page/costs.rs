//! Bars and table of what each row costs.

use super::super::{PerfKind, PerfRow, ratio};
use super::{COMPUTE, LOAD, STORE, device_fill, escape, short};
use std::fmt::Write as _;

const NAME_WIDTH: f64 = 260.0;
const BAR_WIDTH: f64 = 760.0;
const ROW: f64 = 19.0;

/// A bar a row: computing above, loads and stores below, the bound as a line.
pub(super) fn chart(rows: &[PerfRow]) -> String {
    let rows: Vec<&PerfRow> = rows.iter().filter(|r| r.time_us > 0.0 || r.own_us() > 0.0).collect();
    let most = rows.iter().map(|r| r.own_us()).fold(0.0, f64::max).max(1e-9);
    let mut marks = String::new();
    for (i, r) in rows.iter().enumerate() {
        let y = i as f64 * ROW + 4.0;
        let x = |us: f64| us / most * BAR_WIDTH;
        let title = format!(
            "{} {}: compute {:.1} us, load {:.1} us, store {:.1} us, bound {:.1} us, limited by {}",
            r.name, r.op, r.compute_us, r.load_us, r.store_us, r.bound_us, r.limit
        );
        let (name, title) = (escape(&short(&r.name, 38)), escape(&title));
        let _ = write!(
            marks,
            "<g><title>{title}</title><text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"end\">{name}</text>",
            NAME_WIDTH - 8.0,
            y + 11.0
        );
        let mut bar = |from: f64, us: f64, top: f64, fill: &str| {
            let _ = write!(
                marks,
                "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"6\" fill=\"{fill}\"/>",
                NAME_WIDTH + x(from),
                y + top,
                x(us).max(if us > 0.0 { 0.6 } else { 0.0 })
            );
        };
        if r.kind == PerfKind::Layer {
            bar(0.0, r.compute_us, 1.0, COMPUTE);
            bar(0.0, r.load_us, 8.0, LOAD);
            bar(r.load_us, r.store_us, 8.0, STORE);
            let at = NAME_WIDTH + x(r.bound_us);
            let _ = write!(marks, "<path d=\"M{at:.1} {:.1}v15\" stroke=\"#000\"/>", y);
        } else {
            bar(0.0, r.time_us, 4.0, device_fill(r));
        }
        let shown = format!("{:.1} us, {}", r.own_us(), r.limit);
        let _ = write!(
            marks,
            "<text x=\"{:.1}\" y=\"{:.1}\">{shown}</text></g>",
            NAME_WIDTH + x(r.own_us()) + 6.0,
            y + 11.0
        );
    }
    let (width, height) = (NAME_WIDTH + BAR_WIDTH + 120.0, rows.len() as f64 * ROW + 10.0);
    format!(
        "<div class=\"scroll\"><svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" font-size=\"11\">{marks}</svg></div>"
    )
}

/// Every row with all of its figures.
pub(super) fn table(rows_of: &[PerfRow]) -> String {
    let whole: f64 = rows_of.iter().map(|r| r.time_us).sum();
    let mut rows = String::new();
    for r in rows_of {
        let efficiency =
            if r.kind == PerfKind::Layer { format!("{:.0} %", r.efficiency() * 100.0) } else { "-".to_owned() };
        let advice: Vec<String> = r.advice.iter().map(|a| escape(&a.to_string())).collect();
        let _ = write!(
            rows,
            "<tr><td>{}</td><td>{}</td><td>{}</td><td class=\"n\">{:.1}</td><td class=\"n\">{:.1} %</td><td class=\"n\">{:.1}</td>\
             <td class=\"n\">{:.1}</td><td class=\"n\">{:.1}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{:.1}</td>\
             <td class=\"n\">{efficiency}</td><td>{}</td><td>{}</td></tr>",
            escape(&r.name),
            escape(&r.op),
            r.subgraph.map_or_else(|| r.kind.on().to_owned(), |id| format!("{} id({id})", r.kind.on())),
            r.time_us,
            ratio(r.time_us, whole) * 100.0,
            r.compute_us,
            r.load_us,
            r.store_us,
            r.loaded_bytes + r.stored_bytes,
            r.macs,
            r.bound_us,
            r.limit,
            advice.join("<br>")
        );
    }
    format!(
        "<details><summary>Times in microseconds; parts of all rows sum up to the run, costs overlap</summary><div class=\"wide\"><table>\
         <tr><th>row</th><th>type</th><th>on</th><th class=\"n\">part</th><th class=\"n\">share</th><th class=\"n\">compute</th>\
         <th class=\"n\">load</th><th class=\"n\">store</th><th class=\"n\">DDR bytes</th><th class=\"n\">MACs</th>\
         <th class=\"n\">bound</th><th class=\"n\">efficiency</th><th>limited by</th><th>advice</th></tr>{rows}</table></div></details>"
    )
}
