//! Words of `optimization`: which of them the manifest knows, and why the others are left out.

use super::checks::{NO_INT16, has_int16, method};
use super::keys::CALIBRATION;
use super::settings::Settings;
use ptq_place::Optimization;

/// Words that are keys of the calibration in a manifest.
const OF_CALIBRATION: [&str; 2] = ["asymmetric", "bias_correction"];
const KNOWN: &str = "set_model_output_int8, set_<Op>_input_int8, set_<Op>_output_int8, the same with int16, \
                     set_all_nodes_int16, run_fast, asymmetric, bias_correction";

/// The words of a file.
#[derive(Default)]
pub(super) struct Words {
    /// Those with a meaning.
    pub(super) known: Vec<String>,
    /// Those without, and why.
    pub(super) left: Vec<(String, String)>,
}

/// Sorts the words; one that is left out is a warning, and one that the march has no 16 bits for.
pub(super) fn words(s: &mut Settings, march: &str) -> Words {
    let Some((list, line)) = s.list(CALIBRATION, "optimization") else { return Words::default() };
    let mut words = Words::default();
    for word in list.iter().flat_map(|l| l.split(',')).map(str::trim).filter(|w| !w.is_empty()) {
        match reason(word, method(s)) {
            None => {
                if word.ends_with("_int16") && !has_int16(march) {
                    s.warn("IMPORT19", line, format!("optimization {word}: march {march} has no int16"), NO_INT16);
                }
                words.known.push(word.to_owned());
            }
            Some((why, hint)) => {
                s.warn("IMPORT19", line, format!("optimization {word} is left out: {why}"), &hint);
                words.left.push((word.to_owned(), why));
            }
        }
    }
    words
}

/// Why a word has no counterpart with this method, and what to do.
fn reason(word: &str, method: &str) -> Option<(String, String)> {
    let with = |why: &str| (format!("{why} (calibration type {method})"), "remove it, or name one method".to_owned());
    match word {
        "asymmetric" if matches!(method, "default" | "mix") => Some(with("the search tries it")),
        "bias_correction" if method == "skip" => Some(with("it is computed from samples, and none are given")),
        _ if OF_CALIBRATION.contains(&word) || Optimization::of(word).is_some() => None,
        _ => Some(("the manifest knows no such word".to_owned(), format!("words: {KNOWN}"))),
    }
}
