//! `ptq.toml`: text → settings of every variant, with the line of each.
//!
//! [`Manifest::parse`] collects every problem of a file at once. Used by the queries; knows no rule.

mod compile;
mod config;
mod custom;
mod define;
mod evaluation;
mod execution;
mod expand;
mod inputs;
mod key;
pub mod keys;
mod matrix;
mod overlay;
mod reference;
mod remote;
mod rewrite;
mod schema;
mod select;
mod settings;
mod stage;

pub use compile::CompileConfig;
pub use config::{SampleSource, VariantConfig};
pub use custom::CustomOpConfig;
pub(crate) use custom::PREFIX as CUSTOM_PREFIX;
pub use evaluation::{EvalConfig, GateConfig};
pub use execution::ExecutionConfig;
pub use expand::Variant;
pub(crate) use keys::words;
pub use overlay::Overlay;
pub(crate) use ptq_place::nearest;
pub use reference::reference;
pub use remote::RemoteConfig;
pub use rewrite::RewriteConfig;
pub(crate) use rewrite::files as rewrite_files;
pub use schema::schema;
pub(crate) use settings::accepts;
pub use settings::{Setting, Settings};
pub(crate) use stage::{PREFIX as STAGE_PREFIX, names as stage_names, staged};
pub use stage::{Sandbox, StageConfig};

/// A number of bytes as texts give it: digits, then nothing, B, KiB, MiB or GiB.
pub fn bytes(text: &str) -> Option<u64> {
    settings::size(&toml::Value::String(text.to_owned()))
}

use ptq_ir::Diagnostic;
use settings::Reader;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Store folder where the manifest names none.
pub(crate) const CACHE_DIR: &str = ".ptq";

/// A manifest after expansion.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Manifest {
    /// Output folder, relative to the manifest.
    pub out: String,
    /// Store folder, relative to the manifest.
    pub cache_dir: String,
    /// The team's cache.
    pub remote: Option<RemoteConfig>,
    /// Variants by name.
    pub variants: BTreeMap<String, Variant>,
    /// External stages by name.
    pub stages: BTreeMap<String, StageConfig>,
    /// Whether, and how, actions run on other machines.
    pub execution: ExecutionConfig,
    /// Graph rewrites by name.
    pub rewrites: BTreeMap<String, RewriteConfig>,
    /// Custom operators by the names of their declarations.
    pub customs: BTreeMap<String, Arc<CustomOpConfig>>,
}

impl Manifest {
    /// Reads a manifest, with what lies over it.
    ///
    /// # Errors
    /// Every problem found, with line and, where a word is close to a known one, a suggestion.
    pub fn parse(text: &str, file: &str, overlay: &Overlay) -> Result<Manifest, Vec<Diagnostic>> {
        let mut reader = Reader::new(text, file);
        let Some(mut root) = reader.root() else { return Err(reader.problems) };
        let over = define::documents(overlay);
        define::lay(&over, &mut root);
        let manifest = expand::expand(&mut reader, root, overlay);
        reader.add_excerpts();
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
        let m = Manifest::parse(GOOD, "ptq.toml", &Overlay::default()).expect("valid");
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
        let m = Manifest::parse(GOOD, "ptq.toml", &Overlay::of(&over)).expect("valid");
        assert_eq!(VariantConfig::of(&m.variants["one"]).expect("config").optimize_level, "O2");
        let wrong = [("optimize_levl".to_owned(), "O2".to_owned())];
        let problems = Manifest::parse(GOOD, "ptq.toml", &Overlay::of(&wrong)).expect_err("unknown");
        assert!(problems[0].hint.as_deref().unwrap_or("").contains("optimize_level"), "{problems:?}");
    }

    #[test]
    fn all_problems_come_at_once_with_lines() {
        let text = "[model.net]\npath = 3\nmarsh = \"cpu\"\n[[variant]]\nname = \"a b\"\nmodel = \"nett\"\n[projekt]\n";
        let problems = Manifest::parse(text, "ptq.toml", &Overlay::default()).expect_err("broken");
        let lines: Vec<Option<u32>> = problems.iter().map(|p| p.place.line).collect();
        for line in [2, 3, 5, 6, 7] {
            assert!(lines.contains(&Some(line)), "line {line} in {problems:#?}");
        }
    }

    const SWEEP: &str = r#"
[project]
env = ["DATA", "UNSET"]
[defaults]
calibration.data = "${DATA}/photos"
[model.net]
path = "a.onnx"
[profile.quick]
optimize_level = "O1"
calibration.max_percentile = 0.99
[matrix.sweep]
name = "{model}-{calibration.type}-{calibration.per_channel}"
model = "net"
march = "bayes"
calibration.type = ["max", "kl"]
calibration.per_channel = [true, false]
exclude = [{ calibration.type = "kl", calibration.per_channel = true }]
include = [{ calibration.type = "mse", calibration.per_channel = false, optimize_level = "O3" }]
"#;

    #[test]
    fn a_matrix_takes_dotted_keys_single_values_exclusions_and_additions() {
        let overlay = Overlay::default().with_environment(SWEEP, |name| (name == "DATA").then(|| "/d".to_owned()));
        let m = Manifest::parse(SWEEP, "ptq.toml", &overlay).expect("valid");
        let names: Vec<&str> = m.variants.keys().map(String::as_str).collect();
        assert_eq!(names, ["net-kl-false", "net-max-false", "net-max-true", "net-mse-false"]);
        let of = |name: &str| VariantConfig::of(&m.variants[name]).expect("config");
        assert_eq!(of("net-max-true").data, SampleSource::Single("/d/photos".into()));
        let mse = of("net-mse-false");
        assert_eq!((mse.march.as_str(), mse.optimize_level.as_str()), ("bayes", "O3"));

        let quick = Overlay { profile: Some("quick".into()), ..overlay.clone() };
        let m = Manifest::parse(SWEEP, "ptq.toml", &quick).expect("valid");
        let config = VariantConfig::of(&m.variants["net-mse-false"]).expect("config");
        assert_eq!(config.optimize_level, "O1", "a profile wins over the variant");
        let over = Overlay { define: vec![("optimize_level".into(), "O2".into())], ..quick };
        let m = Manifest::parse(SWEEP, "ptq.toml", &over).expect("valid");
        let config = VariantConfig::of(&m.variants["net-mse-false"]).expect("config");
        assert_eq!(config.optimize_level, "O2", "-D wins over the profile");
    }

    #[test]
    fn what_a_matrix_or_the_environment_lacks_is_said_with_a_mark() {
        let of = |text: &str| {
            let text =
                text.replace("HEAD", "[model.n]\npath=\"a\"\ncalibration.type=\"skip\"\n[matrix.m]\nmodel=\"n\"");
            let problems = Manifest::parse(&text, "ptq.toml", &Overlay::default()).expect_err("wrong");
            problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
        };
        let name = of("HEAD\nname = \"{model}-{marsh}\"\n");
        assert!(name.contains("ptq.toml:6") && name.contains("{marsh}") && name.contains("keys: {model}"), "{name}");
        let exclude = of("HEAD\nname = \"x\"\nexclude = [{ march = \"cpu\" }]\n");
        assert!(exclude.contains("exclude names march"), "{exclude}");
        let undeclared = of("HEAD\nname = \"${HOME}\"\n");
        assert!(undeclared.contains("declare it: [project] env"), "{undeclared}");
        let caret = of("[defaults]\n  marsh = \"cpu\"\n");
        assert!(caret.contains("2 |   marsh = \"cpu\"\n  |   ^^^^^\n  help: did you mean march?"), "{caret}");
    }

    #[test]
    fn names_are_united_and_values_narrow() {
        let m = Manifest::parse(GOOD, "ptq.toml", &Overlay::default()).expect("valid");
        let select = |list: &[&str]| m.select(&list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>());
        assert_eq!(select(&[]).expect("all").len(), 4);
        assert_eq!(select(&["one", "*-cpu-*"]).expect("two"), ["net-cpu-O0", "one"]);
        assert_eq!(select(&["net-*", "march=bayes", "optimize_level=O3"]).expect("one"), ["net-bayes-O3"]);
        assert_eq!(select(&["one", "optimize_level=O0"]).expect("a default counts"), ["one"]);
        let wrong = select(&["oen", "march=arm"]).expect_err("nothing");
        assert!(wrong[0].hint.as_deref().is_some_and(|h| h.contains("one")), "{wrong:?}");
        assert!(wrong.len() == 1, "{wrong:?}");
    }
}
