//! What a build tells its user: measures, tables, files, and the comparison of all stages.
//!
//! What: the build rule that measures a variant on one sample ([`MeasureRule`]), its
//! tables and files as text ([`node_table`], [`output_table`], [`report_markdown`], [`node_info_csv`],
//! [`quant_info_json`]) and [`verify()`]. Everything is a pure function that returns values; only the command line
//! prints. Called by the engine and the command line.

mod analysis;
mod data_table;
mod dequantize;
mod evaluate_rule;
mod figure;
mod inputs_page;
mod markdown;
mod measure;
mod measure_rule;
mod node_info;
mod operators;
mod performance;
mod predict_rule;
mod profile;
mod quant_info;
mod samples;
mod search_table;
mod stage_matrix;
mod tables;
pub mod task;
mod text_table;
pub mod verify;

pub use analysis::{analysis_html, analysis_text};
pub use evaluate_rule::{DICTIONARY, EVALUATION, EvaluateRule, LABELS, TRUTH};
pub use figure::Figure;
pub use inputs_page::inputs_markdown;
pub use markdown::{ReportInput, report_markdown};
pub use measure::{Measure, NodeRow, OutputRow, SampleSource, measure};
pub use measure_rule::{MeasureParams, MeasureRule};
pub use node_info::node_info_csv;
pub use operators::{OperatorRow, operators, operators_markdown};
pub use performance::{Advice, Call, HOST_FIGURES, InputUse, Measured, PerfKind, PerfRow, Performance};
pub use predict_rule::{PREDICTION, PredictParams, PredictRule};
pub use profile::{Cut, Parts, ProfileReport, Simulated, simulated};
pub use quant_info::quant_info_json;
pub use search_table::search_table;
pub use stage_matrix::{Missed, StageMatrix, StageRow, fidelity};
pub use tables::{node_table, output_table};
pub use verify::{VerifyError, VerifyReport, VerifyStages, verify};
