//! The calibration data of a variant, file by file, for its report.

use crate::text_table::markdown;
use ptq_calibrate::FileFacts;

/// Digits of a hash that are shown.
const HASH_DIGITS: usize = 16;

/// The section of `report.md`; empty without files.
pub(crate) fn data_section(files: &[FileFacts]) -> String {
    if files.is_empty() {
        return String::new();
    }
    let row = |f: &FileFacts| {
        let figure = |v: f64| format!("{v:.4}");
        [
            f.input.clone(),
            f.file.clone(),
            f.hash.chars().take(HASH_DIGITS).collect(),
            format!("{:?}", f.shape),
            f.dtype.to_string(),
            figure(f.min),
            figure(f.max),
            figure(f.mean),
            f.nans.to_string(),
        ]
    };
    let columns = ["Input", "File", "BLAKE3", "Shape", "Type", "Min", "Max", "Mean", "NaN"];
    let rows: Vec<_> = files.iter().map(row).collect();
    format!(
        "\n## Calibration data\n\nEach file as it is stored, pictures as the pixels that the input takes.\n\n{}",
        markdown(columns, &rows)
    )
}
