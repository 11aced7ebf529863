//! Warnings about calibration data: what the files hold, against what the manifest says of them. Called by calibrate.

use crate::inspect::{FileFacts, SampledInput};
use ptq_ir::{Diagnostic, InputType};

/// Samples below which a threshold rests on too little: Horizon's documents ask for about 100, and 20 at the least.
const FEW: usize = 20;
/// Pixels of a data set span more levels than this, unless they are normalized already.
const NARROW: f64 = 16.0;
/// Levels by which the outer channels' means must differ to say which is red.
const APART: f64 = 4.0;
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
        } else if let Some(d) = swapped(input, &of) {
            out.push(about(d));
        }
        if let Some(names) = named(&of, |f| f.interleaved) {
            out.push(
                about(Diagnostic::warning("DATA06", format!("pixels seem to stand side by side (NHWC) in {names}"))).hint(
                    "the input is trained on planes (NCHW): transpose the files, or set layout_train where the model is NHWC",
                ),
            );
        }
    }
    out
}

/// Whether the channels' means fit the declared means better the other way round: rgb for bgr, or the reverse.
fn swapped(input: &SampledInput, files: &[&FileFacts]) -> Option<Diagnostic> {
    let declared: [f64; 3] = input.spec.mean.iter().map(|m| f64::from(*m)).collect::<Vec<_>>().try_into().ok()?;
    let of: Vec<&Vec<f64>> = files.iter().map(|f| &f.channels).filter(|c| c.len() == 3).collect();
    let found = [0, 1, 2].map(|k| of.iter().map(|c| c[k]).sum::<f64>() / of.len().max(1) as f64);
    let apart = |m: [f64; 3]| if (m[0] - m[2]).abs() < APART { 0.0 } else { (m[0] - m[2]).signum() };
    if of.is_empty() || apart(found) * apart(declared) >= 0.0 {
        return None;
    }
    let [a, b, c] = found.map(|m| format!("{m:.0}"));
    let (is, other) = match input.spec.type_train {
        InputType::Rgb => ("rgb", "bgr"),
        InputType::Bgr => ("bgr", "rgb"),
        _ => return None,
    };
    let what = format!("channels have means {a}, {b}, {c}, and mean = {declared:?} fits them better in reverse order");
    Some(Diagnostic::warning("DATA05", what).hint(format!(
        "type_train is {is}: if the files hold {other}, swap their channels; if mean is in another order than {is}, reverse it; pictures of \
         sea or sky can look like this, too"
    )))
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
    use ptq_ir::{DType, InputSpec};

    fn facts(file: &str, min: f64, max: f64, nans: u64) -> FileFacts {
        let (input, hash) = ("x".to_owned(), String::new());
        let (shape, dtype, channels) = (vec![1], DType::F32, Vec::new());
        FileFacts {
            input,
            file: file.into(),
            hash,
            shape,
            dtype,
            min,
            max,
            mean: 0.0,
            nans,
            channels,
            interleaved: false,
        }
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
    fn channels_in_the_other_order_than_the_means_are_doubted() {
        let of = |channels: [f64; 3], mean: [f32; 3]| {
            let spec = InputSpec { type_train: InputType::Rgb, mean: mean.to_vec(), ..InputSpec::default() };
            let input = SampledInput { name: "x".into(), dtype: DType::F32, shape: vec![1, 3, 4, 4], spec };
            let file = FileFacts { channels: channels.to_vec(), ..facts("a", 0.0, 255.0, 0) };
            findings(&[input], &[file], 20).into_iter().map(|d| d.code).collect::<Vec<_>>()
        };
        assert_eq!(of([100.0, 110.0, 125.0], [123.7, 116.3, 103.5]), ["DATA05"]);
        assert!(of([125.0, 110.0, 100.0], [123.7, 116.3, 103.5]).is_empty());
        assert!(of([110.0, 110.0, 112.0], [123.7, 116.3, 103.5]).is_empty(), "too close to tell");
        assert!(of([100.0, 110.0, 125.0], [127.5; 3]).is_empty());
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
