//! `ptq.toml`: text → settings of every variant, with the line of each.
//!
//! [`Manifest::parse`] collects every problem of a file at once. Used by the queries; knows no rule.

mod config;
mod expand;
mod inputs;
pub mod keys;
mod settings;

pub use config::{SampleSource, VariantConfig};
pub use expand::Variant;
pub(crate) use ptq_place::nearest;
pub(crate) use settings::accepts;
pub use settings::{Setting, Settings};

use ptq_ir::Diagnostic;
use settings::Reader;
use std::collections::BTreeMap;

/// A manifest after expansion.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Manifest {
    /// Output folder, relative to the manifest.
    pub out: String,
    /// Store folder, relative to the manifest.
    pub cache_dir: String,
    /// Variants by name.
    pub variants: BTreeMap<String, Variant>,
}

impl Manifest {
    /// Reads a manifest. `overrides` are `-D key=value` pairs, laid over every variant.
    ///
    /// # Errors
    /// Every problem found, with line and, where a word is close to a known one, a suggestion.
    pub fn parse(text: &str, file: &str, overrides: &[(String, String)]) -> Result<Manifest, Vec<Diagnostic>> {
        let mut reader = Reader::new(text, file);
        let Some(root) = reader.root() else { return Err(reader.problems) };
        let manifest = expand::expand(&mut reader, root, overrides);
        if reader.problems.is_empty() { Ok(manifest) } else { Err(reader.problems) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
[defaults]
march = "bayes"
calibration.data = "d"
[model.net]
path = "a.onnx"
calibration.type = "kl"
[model.net.input.x]
std = 2.0
[[variant]]
name = "one"
model = "net"
[matrix.sweep]
name = "{model}-{march}-{optimize_level}"
model = ["net"]
march = ["bayes", "cpu"]
optimize_level = ["O0", "O3"]
exclude = [{ march = "cpu", optimize_level = "O3" }]
"#;

    #[test]
    fn variants_inherit_in_order_and_a_matrix_is_a_cross_product() {
        let m = Manifest::parse(GOOD, "ptq.toml", &[]).expect("valid");
        let names: Vec<&str> = m.variants.keys().map(String::as_str).collect();
        assert_eq!(names, ["net-bayes-O0", "net-bayes-O3", "net-cpu-O0", "one"]);
        let one = VariantConfig::of(&m.variants["one"]).expect("config");
        assert_eq!((one.march.as_str(), one.optimize_level.as_str()), ("bayes", "O0"));
        assert_eq!(one.inputs["x"].scale, [0.5]);
        let setting = m.variants["one"].settings.get("march").expect("set");
        assert_eq!(setting.line, Some(3));
    }

    #[test]
    fn overrides_win_and_are_checked() {
        let over = [("optimize_level".to_owned(), "O2".to_owned())];
        let m = Manifest::parse(GOOD, "ptq.toml", &over).expect("valid");
        assert_eq!(VariantConfig::of(&m.variants["one"]).expect("config").optimize_level, "O2");
        let wrong = [("optimize_levl".to_owned(), "O2".to_owned())];
        let problems = Manifest::parse(GOOD, "ptq.toml", &wrong).expect_err("unknown");
        assert!(problems[0].hint.as_deref().unwrap_or("").contains("optimize_level"), "{problems:?}");
    }

    #[test]
    fn all_problems_come_at_once_with_lines() {
        let text = "[model.net]\npath = 3\nmarsh = \"cpu\"\n[[variant]]\nname = \"a b\"\nmodel = \"nett\"\n[projekt]\n";
        let problems = Manifest::parse(text, "ptq.toml", &[]).expect_err("broken");
        let lines: Vec<Option<u32>> = problems.iter().map(|p| p.place.line).collect();
        for line in [2, 3, 5, 6, 7] {
            assert!(lines.contains(&Some(line)), "line {line} in {problems:#?}");
        }
    }

    #[test]
    fn keys_of_later_versions_are_refused_by_name() {
        let text = "[model.n]\npath = \"a\"\ncompile.mode = \"latency\"\n[[variant]]\nname = \"v\"\nmodel = \"n\"\n";
        let problems = Manifest::parse(text, "ptq.toml", &[]).expect_err("later");
        assert!(problems[0].message.contains("not supported yet"), "{problems:?}");
    }
}
