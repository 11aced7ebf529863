//! Warnings about calibration data: what the files hold, against what the manifest says of them. Called by calibrate.

use crate::inspect::{FileFacts, SampledInput};
use ptq_ir::Diagnostic;

/// Samples below which a threshold rests on too little: Horizon's documents ask for about 100, and 20 at the least.
const FEW: usize = 20;
/// Pixels of a data set span more levels than this, unless they are normalized already.
const NARROW: f64 = 16.0;
/// File names that a message lists.
const LISTED: usize = 5;

/// One warning for each kind of doubt and input; none of them stops a build.
pub(crate) fn findings(inputs: &[SampledInput], files: &[FileFacts], samples: usize) -> Vec<Diagnostic> {
    let mut out = Vec::new();
    if samples < FEW {
        out.push(
            Diagnostic::warning(
                "DATA01",
                format!("{samples} calibration samples are few, thresholds depend on each of them"),
            )
            .hint(format!("give {FEW} samples at the least, about 100 of what the model will see")),
        );
    }
    for input in inputs {
        let of: Vec<&FileFacts> = files.iter().filter(|f| f.input == input.name).collect();
        let about = |d: Diagnostic| d.value(&input.name);
        let nans = named(&of, |f| f.nans > 0);
        if let Some(names) = nans {
            out.push(about(Diagnostic::warning("DATA02", format!("elements that are not numbers in {names}"))));
        }
        if !input.spec.type_train.is_image() {
            continue;
        }
        let solid = |f: &&FileFacts| f.min == f.max;
        if let Some(names) = named(&of, |f| solid(&f)) {
            out.push(
                about(Diagnostic::warning("DATA03", format!("one colour fills {names}")))
                    .hint("a picture without content tells nothing about ranges; remove it"),
            );
        }
        let span = of.iter().filter(|f| !solid(f)).map(|f| (f.min, f.max));
        let span = span.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
        if let Some((min, max)) = span.filter(|(min, max)| max - min <= NARROW) {
            let twice = if input.spec.normalizes() { ", and mean and scale normalize it once more" } else { "" };
            out.push(
                about(Diagnostic::warning(
                    "DATA04",
                    format!("all pixels lie in {min}..{max}: normalized already{twice}?"),
                ))
                .hint("samples of an image input are raw pixels 0..255; normalization belongs to the model"),
            );
        }
    }
    out
}

/// The names of the files that something holds for, the first few of them; `None` where it holds for none.
fn named(files: &[&FileFacts], holds: impl Fn(&FileFacts) -> bool) -> Option<String> {
    let names: Vec<&str> = files.iter().filter(|f| holds(f)).map(|f| f.file.as_str()).collect();
    let more = names.len().saturating_sub(LISTED);
    let shown = names.iter().take(LISTED).copied().collect::<Vec<_>>().join(", ");
    match (names.is_empty(), more) {
        (true, _) => None,
        (_, 0) => Some(shown),
        _ => Some(format!("{shown} and {more} more")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ptq_ir::{DType, InputSpec, InputType};

    fn facts(file: &str, min: f64, max: f64, nans: u64) -> FileFacts {
        let (input, hash) = ("x".to_owned(), String::new());
        FileFacts { input, file: file.into(), hash, shape: vec![1], dtype: DType::F32, min, max, mean: 0.0, nans }
    }

    fn codes(scale: &[f32], files: &[FileFacts], samples: usize) -> Vec<String> {
        let spec = InputSpec { type_train: InputType::Rgb, scale: scale.to_vec(), ..InputSpec::default() };
        let input = SampledInput { name: "x".into(), dtype: DType::F32, shape: vec![1, 3, 4, 4], spec };
        findings(&[input], files, samples).into_iter().map(|d| format!("{} {}", d.code, d.message)).collect()
    }

    #[test]
    fn pictures_that_differ_and_span_the_range_are_not_doubted() {
        assert!(codes(&[0.5], &[facts("a", 0.0, 255.0, 0), facts("b", 3.0, 9.0, 0)], 20).is_empty());
    }

    #[test]
    fn each_doubt_names_its_files() {
        assert!(codes(&[], &[facts("a", 0.0, 255.0, 0)], 19)[0].starts_with("DATA01 19 "));
        let normalized = [facts("a", -2.1, 2.6, 0), facts("b", -1.0, 2.0, 0)];
        assert!(codes(&[0.5], &normalized, 20)[0].contains("-2.1..2.6: normalized already, and mean and scale"));
        assert!(codes(&[], &normalized, 20)[0].ends_with("normalized already?"));
        let solid: Vec<FileFacts> = (0..7).map(|i| facts(&format!("s{i}"), 7.0, 7.0, 0)).collect();
        assert_eq!(codes(&[], &solid, 20), ["DATA03 one colour fills s0, s1, s2, s3, s4 and 2 more"]);
        assert_eq!(codes(&[], &[facts("n", 0.0, 200.0, 3)], 20), ["DATA02 elements that are not numbers in n"]);
    }
}
