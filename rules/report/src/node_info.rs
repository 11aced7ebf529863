//! `node_info.csv`: the node table for spreadsheets. Called by the engine when it materializes a variant.

use crate::Measure;
use crate::tables::{NODE_COLUMNS, node_cells};
use crate::text_table::csv_line;

/// The node table with two more columns, code and text of the reason, as RFC 4180 with `\n` line ends.
pub fn node_info_csv(measure: &Measure) -> String {
    let mut out = csv_line(NODE_COLUMNS.iter().copied().chain(["Reason Code", "Reason"]));
    for row in &measure.nodes {
        let cells = node_cells(row);
        let reason = row.reason.as_ref().map_or(["", ""], |r| [&r.code, &r.text]);
        out.push_str(&csv_line(cells.iter().map(String::as_str).chain(reason)));
    }
    out
}
