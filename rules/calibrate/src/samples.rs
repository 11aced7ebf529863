//! Samples among an action's inputs.

use ptq_ir::{Diagnostic, Graph};
use ptq_sample::{ONLY_INPUT, sample_file};
use std::collections::BTreeMap;

/// One sample: for each model input, in order, the blob name and the file name.
pub type Sample = Vec<(String, String)>;

/// Groups sample blobs by model input: the i-th file (in name order) of every input makes sample i.
///
/// # Errors
/// When inputs have different numbers of files, by name; when there is one folder for several inputs.
pub fn samples(graph: &Graph, names: &[String]) -> Result<Vec<Sample>, Diagnostic> {
    let inputs: Vec<&str> = graph.inputs.iter().map(|&v| graph.value(v).name.as_str()).collect();
    samples_of(&inputs, names)
}

/// As [`samples`], for inputs by name.
pub(crate) fn samples_of(inputs: &[&str], names: &[String]) -> Result<Vec<Sample>, Diagnostic> {
    if inputs.len() > 1 && names.iter().any(|name| sample_file(name, ONLY_INPUT, false).is_some()) {
        let each: Vec<String> = inputs.iter().map(|input| format!("{input:?} = \"FOLDER\"")).collect();
        let what = format!("the samples are one folder, and the model has {} inputs", inputs.len());
        let hint = format!("give each input its own, as in calibration.data = {{ {} }}", each.join(", "));
        return Err(Diagnostic::error("CALIB01", what).hint(hint));
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use ptq_sample::sample_name;

    #[test]
    fn one_folder_serves_one_input_and_several_are_paired_in_name_order() {
        let names = |all: &[(&str, &str)]| -> Vec<String> { all.iter().map(|(i, f)| sample_name(i, f)).collect() };
        let one = samples_of(&["a"], &names(&[(ONLY_INPUT, "1.npy"), (ONLY_INPUT, "2.npy")])).expect("fits");
        assert_eq!(one.iter().map(Vec::len).collect::<Vec<_>>(), [1, 1]);
        let two = samples_of(&["a", "b"], &names(&[("a", "1.npy"), ("a", "2.npy"), ("b", "x.npy"), ("b", "y.npy")]));
        let files: Vec<Vec<String>> =
            two.expect("fits").into_iter().map(|s| s.into_iter().map(|(_, file)| file).collect()).collect();
        assert_eq!(files, [["1.npy", "x.npy"], ["2.npy", "y.npy"]]);
        let e = samples_of(&["a", "b"], &names(&[("a", "1.npy")])).expect_err("b has none");
        assert!(e.to_string().contains("a: 1, b: 0"), "{e}");
        let e = samples_of(&["a", "b"], &names(&[(ONLY_INPUT, "1.npy")])).expect_err("whose is it?");
        assert_eq!(e.code, "CALIB01");
        let hint = e.hint.unwrap_or_default();
        assert!(hint.contains("calibration.data = { \"a\" = \"FOLDER\", \"b\" = \"FOLDER\" }"), "{hint}");
    }
}
