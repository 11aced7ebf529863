//! The model as a graph: a box a row, coloured by device, time downwards.

use super::super::PerfRow;
use super::{device_fill, escape, short};
use std::collections::BTreeMap;
use std::fmt::Write as _;

const BOX: (f64, f64) = (210.0, 36.0);
const STEP: (f64, f64) = (280.0, 58.0);
/// Room beside a column for edges that pass it.
const SIDE: f64 = 66.0;

/// A box a row below everything that it reads.
pub(super) fn chart(rows: &[PerfRow]) -> String {
    let rows: Vec<(usize, &PerfRow)> = rows.iter().enumerate().collect();
    let mut level: BTreeMap<usize, usize> = BTreeMap::new();
    let mut column: BTreeMap<usize, usize> = BTreeMap::new();
    let mut taken: BTreeMap<usize, Vec<bool>> = BTreeMap::new();
    for &(i, row) in &rows {
        let above = row.from.iter().filter_map(|f| level.get(f)).max();
        let own = above.map_or(0, |l| l + 1);
        // Below the first thing that it reads, or in the next free column.
        let wish = row.from.iter().filter_map(|f| column.get(f)).min().copied().unwrap_or(0);
        let used = taken.entry(own).or_default();
        let free = (wish..).find(|&c| !used.get(c).copied().unwrap_or(false)).unwrap_or(0);
        used.resize(used.len().max(free + 1), false);
        used[free] = true;
        level.insert(i, own);
        column.insert(i, free);
    }
    let place = |i: &usize| {
        let (l, c) = (*level.get(i)?, *column.get(i)?);
        Some((c as f64 * STEP.0 + 10.0, l as f64 * STEP.1 + 10.0))
    };
    let (mut lines, mut boxes) = (String::new(), String::new());
    for (i, row) in &rows {
        let Some((x, y)) = place(i) else { continue };
        for (fx, fy) in row.from.iter().filter_map(place) {
            // An edge over several steps passes beside the boxes between.
            let far = y - fy > STEP.1 * 1.5;
            let path = if far {
                let (x1, y1, x2, y2) = (fx + BOX.0, fy + BOX.1 / 2.0, x + BOX.0, y + BOX.1 / 2.0);
                let out = x1.max(x2) + 18.0 + ((y2 - y1) / 40.0).min(SIDE - 24.0);
                format!("M{x1:.0} {y1:.0}C{out:.0} {y1:.0} {out:.0} {y2:.0} {x2:.0} {y2:.0}")
            } else {
                let (x1, y1, x2) = (fx + BOX.0 / 2.0, fy + BOX.1, x + BOX.0 / 2.0);
                format!("M{x1:.0} {y1:.0}C{x1:.0} {:.0} {x2:.0} {:.0} {x2:.0} {y:.0}", y1 + 18.0, y - 18.0)
            };
            let _ = write!(lines, "<path d=\"{path}\"/>");
        }
        let title =
            format!("{} {} on {}: {:.1} us, limited by {}", row.name, row.op, row.kind.on(), row.own_us(), row.limit);
        let id = row.subgraph.map_or_else(String::new, |id| format!(" id({id})"));
        let _ = write!(
            boxes,
            "<g><title>{}</title><rect x=\"{x}\" y=\"{y}\" width=\"{}\" height=\"{}\" rx=\"5\" fill=\"{}\"/><text x=\"{:.0}\" y=\"{:.0}\">{}</text>\
             <text x=\"{:.0}\" y=\"{:.0}\" opacity=\".8\">{} {}{id}, {:.1} us</text></g>",
            escape(&title),
            BOX.0,
            BOX.1,
            device_fill(row),
            x + 8.0,
            y + 15.0,
            escape(&short(&row.name, 32)),
            x + 8.0,
            y + 29.0,
            escape(&row.op),
            row.kind.on(),
            row.own_us()
        );
    }
    let width = column.values().max().map_or(0.0, |c| (*c as f64 + 1.0) * STEP.0 + SIDE);
    let height = level.values().max().map_or(0.0, |l| (*l as f64 + 1.0) * STEP.1 + 20.0);
    format!(
        "<div class=\"scroll\"><svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" font-size=\"11\">\
         <g fill=\"none\" stroke=\"#a9b3b8\">{lines}</g><g fill=\"#fff\">{boxes}</g></svg></div>"
    )
}
