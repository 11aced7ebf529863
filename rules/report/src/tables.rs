//! The two tables that a build prints. Called by the command line and by `markdown`.

use crate::text_table::aligned;
use crate::{Measure, NodeRow, OutputRow};

/// Columns of the node table.
pub(crate) const NODE_COLUMNS: [&str; 7] =
    ["Node", "ON", "Subgraph", "Type", "Cosine Similarity", "Threshold", "In/Out DataType"];

/// Columns of the output table.
pub(crate) const OUTPUT_COLUMNS: [&str; 5] =
    ["Output", "Cosine Similarity", "L1 Distance", "L2 Distance", "Chebyshev Distance"];

/// One row a node: device, subgraph, type, cosine similarity of its result to the float graph's, clip value of its
/// input, element types.
pub fn node_table(measure: &Measure) -> String {
    aligned(NODE_COLUMNS, &measure.nodes.iter().map(node_cells).collect::<Vec<_>>())
}

/// One row a model output.
pub fn output_table(measure: &Measure) -> String {
    aligned(OUTPUT_COLUMNS, &measure.outputs.iter().map(output_cells).collect::<Vec<_>>())
}

pub(crate) fn node_cells(row: &NodeRow) -> [String; 7] {
    [
        row.node.clone(),
        row.on.to_string(),
        row.subgraph.clone(),
        row.shown.clone(),
        row.cosine.map_or("--".to_owned(), |c| c.to_string()),
        row.threshold.map_or("--".to_owned(), |t| format!("{t:.6}")),
        format!("{}/{}", row.in_type, row.out_type),
    ]
}

pub(crate) fn output_cells(row: &OutputRow) -> [String; 5] {
    [row.output.clone(), row.cosine.to_string(), row.l1.to_string(), row.l2.to_string(), row.chebyshev.to_string()]
}
