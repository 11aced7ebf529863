//! Samples among an action's inputs.

use ptq_ir::{Diagnostic, Graph};
use ptq_sample::sample_file;
use std::collections::BTreeMap;

/// One sample: for each model input, in order, the blob name and the file name.
pub type Sample = Vec<(String, String)>;

/// Groups sample blobs by model input: the i-th file (in name order) of every input makes sample i.
///
/// # Errors
/// When inputs have different numbers of files, by name.
pub fn samples(graph: &Graph, names: &[String]) -> Result<Vec<Sample>, Diagnostic> {
    let inputs: Vec<&str> = graph.inputs.iter().map(|&v| graph.value(v).name.as_str()).collect();
    samples_of(&inputs, names)
}

/// As [`samples`], for inputs by name.
pub(crate) fn samples_of(inputs: &[&str], names: &[String]) -> Result<Vec<Sample>, Diagnostic> {
    let mut by_input: BTreeMap<&str, Vec<(String, String)>> = BTreeMap::new();
    for name in names {
        let only = inputs.len() == 1;
        let owner = inputs.iter().find_map(|&input| Some((input, sample_file(name, input, only)?.to_owned())));
        if let Some((input, file)) = owner {
            by_input.entry(input).or_default().push((name.clone(), file));
        }
    }
    let counts: Vec<(String, usize)> =
        inputs.iter().map(|&input| (input.to_owned(), by_input.get(input).map_or(0, Vec::len))).collect();
    let n = counts.first().map_or(0, |c| c.1);
    if counts.iter().any(|c| c.1 != n) {
        let list: Vec<String> = counts.iter().map(|(name, c)| format!("{name}: {c}")).collect();
        return Err(Diagnostic::error(
            "CALIB01",
            format!("inputs have different numbers of samples ({})", list.join(", ")),
        )
        .hint("give every input the same number of files; they are paired in name order"));
    }
    Ok((0..n).map(|i| inputs.iter().filter_map(|&input| by_input.get(input)?.get(i).cloned()).collect()).collect())
}
