//! What each setting of a sweep does: for every value of it, all variants that have it, with their median.

use super::chart::Scale;
use super::{Compared, Comparison, escape, loss};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// Values of a setting that are drawn; one with more is left out.
const VALUES: usize = 12;
/// Variants from which on it is worth drawing.
const LEAST: usize = 4;
const HEIGHT: f64 = 220.0;
/// Width of one value.
const STEP: f64 = 90.0;
const LEFT: f64 = 62.0;
const TOP: f64 = 28.0;
const BOTTOM: f64 = 34.0;

type Figure = fn(&Compared) -> Option<f64>;

/// Charts for each setting that varies, of accuracy and, where there is one, latency.
pub(super) fn strips(c: &Comparison) -> String {
    if c.variants.len() < LEAST {
        return String::new();
    }
    let names: BTreeSet<&String> = c.variants.iter().flat_map(|v| v.settings.keys()).collect();
    let mut out = String::new();
    for name in names {
        let mut groups: BTreeMap<&str, Vec<&Compared>> = BTreeMap::new();
        for v in &c.variants {
            let value = v.settings.get(name).map_or("(unset)", |s| s.trim_matches('"'));
            groups.entry(value).or_default().push(v);
        }
        if groups.len() < 2 || groups.len() > VALUES || groups.values().all(|g| g.len() < 2) {
            continue;
        }
        out += &strip(name, "1 - cosine", &groups, loss, true);
        out += &strip(name, "latency, ms", &groups, |v| v.latency_us.map(|us| us / 1e3), false);
    }
    if out.is_empty() { out } else { format!("<h2>What settings do</h2>\n<div class=\"charts\">{out}</div>\n") }
}

fn strip(name: &str, what: &str, groups: &BTreeMap<&str, Vec<&Compared>>, figure: Figure, log: bool) -> String {
    let all: Vec<f64> = groups.values().flatten().filter_map(|v| figure(v)).collect();
    if all.is_empty() {
        return String::new();
    }
    let scale = Scale::over(all.into_iter(), log);
    let (width, h) = (LEFT + STEP * groups.len() as f64 + 16.0, HEIGHT - TOP - BOTTOM);
    let y = |v: f64| TOP + (1.0 - scale.at(v)) * h;
    let mut body = String::new();
    for (value, text) in scale.marks() {
        let at = y(value);
        let _ = write!(
            body,
            "<line x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{at:.1}\" y2=\"{at:.1}\" stroke=\"#eee\"/><text x=\"{:.1}\" y=\"{:.1}\" \
             text-anchor=\"end\">{text}</text>",
            width - 16.0,
            LEFT - 5.0,
            at + 4.0
        );
    }
    for (i, (value, group)) in groups.iter().enumerate() {
        let middle = LEFT + STEP * (i as f64 + 0.5);
        let mut figures: Vec<f64> = group.iter().filter_map(|v| figure(v)).collect();
        for (k, v) in group.iter().enumerate() {
            let Some(at) = figure(v) else { continue };
            // Beside each other, so that equal ones are seen.
            let x = middle + ((k * 7 % 13) as f64 - 6.0) * 4.0;
            let _ = write!(
                body,
                "<circle cx=\"{x:.1}\" cy=\"{:.1}\" r=\"3\" fill=\"#3b6fb6\" fill-opacity=\"0.55\"><title>{}</title></circle>",
                y(at),
                escape(&v.name)
            );
        }
        figures.sort_by(f64::total_cmp);
        if let Some(median) = figures.get(figures.len() / 2) {
            let at = y(*median);
            let (from, to) = (middle - 30.0, middle + 30.0);
            let _ = write!(
                body,
                "<line x1=\"{from:.1}\" x2=\"{to:.1}\" y1=\"{at:.1}\" y2=\"{at:.1}\" stroke=\"#c4622d\" stroke-width=\"2\"/>"
            );
        }
        let _ = write!(
            body,
            "<text x=\"{middle:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            HEIGHT - 16.0,
            escape(value)
        );
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{HEIGHT}\" font-size=\"11\"><text x=\"{LEFT}\" y=\"16\" \
         font-weight=\"bold\">{} → {what}</text><rect x=\"{LEFT}\" y=\"{TOP}\" width=\"{:.1}\" height=\"{h}\" fill=\"none\" \
         stroke=\"#bbb\"/>{body}</svg>\n",
        escape(name),
        width - LEFT - 16.0
    )
}
