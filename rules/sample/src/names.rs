//! Names of sample blobs among an action's inputs: `sample/<input>/<file>`, or `sample/*/<file>` for the only input.

/// Prefix of sample blobs.
pub const SAMPLE_PREFIX: &str = "sample/";
/// Stands for the input of a model that has only one.
pub const ONLY_INPUT: &str = "*";

/// Blob name of one file for one input (or [`ONLY_INPUT`]).
pub fn sample_name(input: &str, file: &str) -> String {
    format!("{SAMPLE_PREFIX}{input}/{file}")
}

/// The file name in a sample blob's name, if it is a sample of this input; `only` says that the model has no other.
pub fn sample_file<'a>(blob: &'a str, input: &str, only: bool) -> Option<&'a str> {
    let rest = blob.strip_prefix(SAMPLE_PREFIX)?;
    let of = |name: &str| rest.strip_prefix(name)?.strip_prefix('/');
    of(input).or_else(|| if only { of(ONLY_INPUT) } else { None })
}
