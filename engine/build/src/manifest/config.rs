//! A variant's settings as the stages want them.

use super::compile::{CompileConfig, compile};
use super::evaluation::{EvalConfig, GateConfig};
use super::inputs::inputs;
use super::settings::{number, size};
use super::{CustomOpConfig, Variant};
use crate::artifacts::FILES;
use ptq_calibrate::{Calibration, Method, ScoreAt, WeightRounding, WeightScale};
use ptq_ir::{Device, Diagnostic, InputSpec, InputType, could_be_border};
use ptq_parse::{Cut, ParseParams, Quantized};
use ptq_place::{Removal, Requests};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Where calibration samples are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SampleSource {
    /// No data.
    #[default]
    None,
    /// One folder or glob, for a model with one input.
    Single(String),
    /// A folder or glob for each input.
    ByInput(BTreeMap<String, String>),
}

/// Everything that the stages of one variant read.
#[derive(Clone, Debug, PartialEq)]
pub struct VariantConfig {
    /// ONNX file, relative to the manifest.
    pub path: String,
    /// Bytes that parse may use; `None` for the default.
    pub memory_budget: Option<u64>,
    /// What to do with an already quantized model.
    pub quantized: Quantized,
    /// Nodes to make outputs, nodes to remove at the ends.
    pub cut: Cut,
    /// Graph rewrites by name.
    pub rewrites: BTreeMap<String, Arc<ptq_fuse::Rewrite>>,
    /// Codes of built-in fuse rules that are not run.
    pub without: BTreeSet<String>,
    /// Codes of the built-in fuse rules that run for this variant and otherwise only on request.
    pub with: BTreeSet<String>,
    /// Custom operators by the names of their declarations.
    pub customs: BTreeMap<String, Arc<CustomOpConfig>>,
    /// March name or path.
    pub march: String,
    /// Optimization level.
    pub optimize_level: String,
    /// What else compile reads.
    pub compile: CompileConfig,
    /// Inputs by name.
    pub inputs: BTreeMap<String, InputSpec>,
    /// Placement requests.
    pub requests: Requests,
    /// Calibration method.
    pub calibration: Calibration,
    /// Calibration data.
    pub data: SampleSource,
    /// File of ranges for calibration type `load`, relative to the manifest.
    pub thresholds: Option<String>,
    /// Names of the files to write, of [`crate::FILES`].
    pub artifacts: Vec<&'static str>,
    /// How the variant is evaluated.
    pub eval: EvalConfig,
    /// What a finished variant must keep.
    pub gate: GateConfig,
}

impl VariantConfig {
    /// Whether files of any kind are samples of this input; with `*`, of the only input.
    pub fn takes_any_file(&self, input: &str) -> bool {
        let bytes = |spec: &InputSpec| spec.type_train == InputType::Bytes;
        if input == ptq_sample::ONLY_INPUT {
            return !self.inputs.is_empty() && self.inputs.values().all(bytes);
        }
        self.inputs.get(input).is_some_and(bytes)
    }

    /// What the fuse stage reads of the variant.
    pub fn fuse_params(&self) -> ptq_fuse::FuseParams {
        let rewrites = self.rewrites.iter().map(|(name, r)| (name.clone(), r.as_ref().clone())).collect();
        ptq_fuse::FuseParams { rewrites, without: self.without.clone(), with: self.with.clone() }
    }

    /// What the parse stage reads of the variant, custom operators apart.
    pub fn parse_params(&self) -> ParseParams {
        ParseParams {
            inputs: self.inputs.clone(),
            memory_budget: self.memory_budget,
            quantized: self.quantized,
            cut: self.cut.clone(),
            custom: BTreeMap::new(),
        }
    }

    /// Which borders of its own the build leaves away.
    pub fn removal(&self) -> Removal {
        let has = |word: &str| self.cut.remove_node_type.iter().any(|t| ptq_parse::removable(t) == Some(word));
        let pictures = self.inputs.iter().filter(|(_, spec)| spec.middle().is_some());
        let mut removal = Removal {
            quantize: has("QuantizeLinear"),
            dequantize: has("DequantizeLinear"),
            names: self.cut.remove_node_name.iter().filter(|n| could_be_border(n)).cloned().collect(),
            ..Removal::default()
        };
        if !removal.is_nothing() {
            removal.images = pictures.map(|(name, _)| name.clone()).collect();
        }
        removal
    }

    /// The typed form of a variant's settings.
    ///
    /// # Errors
    /// What the settings contradict or lack, with lines.
    pub fn of(variant: &Variant) -> Result<VariantConfig, Vec<Diagnostic>> {
        let settings = &variant.settings;
        let text = |path: &str| settings.get(path).and_then(|s| s.value.as_str()).map(str::to_owned);
        let mut problems = Vec::new();
        let path = text("path").unwrap_or_else(|| {
            problems.push(Diagnostic::error("MANIFEST10", format!("[model.{}] has no path", variant.model)));
            String::new()
        });
        let method = match text("calibration.type").as_deref() {
            Some("kl") => Method::Kl,
            Some("mse") => Method::Mse,
            Some("default") => Method::Default,
            Some("mix") => Method::Mix,
            Some("auto") => Method::Auto,
            Some("load") => Method::Load,
            Some("skip") => Method::Skip,
            _ => Method::Max,
        };
        let max_percentile = settings.get("calibration.max_percentile").and_then(|s| number(&s.value)).unwrap_or(1.0);
        if !(max_percentile > 0.5 && max_percentile <= 1.0) {
            problems.push(Diagnostic::error(
                "MANIFEST11",
                format!("calibration.max_percentile {max_percentile} is outside 0.5..1"),
            ));
        }
        let data = data(variant, "calibration.data");
        let thresholds = text("calibration.thresholds");
        match (method, &thresholds) {
            (Method::Load, None) => problems.push(
                Diagnostic::error("MANIFEST12", format!("variant {} has no calibration.thresholds", variant.name))
                    .hint("name the file of ranges, such as another variant's quant_info.json"),
            ),
            (Method::Load, Some(_)) | (_, None) => {}
            (_, Some(_)) => problems.push(
                Diagnostic::error(
                    "MANIFEST11",
                    format!("variant {}: calibration.thresholds goes with calibration.type = \"load\"", variant.name),
                )
                .hint("set that type, or remove the file"),
            ),
        }
        if data == SampleSource::None && !matches!(method, Method::Skip | Method::Load) {
            problems.push(
                Diagnostic::error("MANIFEST12", format!("variant {} has no calibration.data", variant.name))
                    .hint("set calibration.data to a folder of samples, or calibration.type = \"skip\""),
            );
        }
        let inputs = inputs(variant, &mut problems);
        let eval = EvalConfig::of(variant, &mut problems);
        let config = VariantConfig {
            path,
            memory_budget: settings.get("memory_budget").and_then(|s| size(&s.value)),
            quantized: match text("quantized").as_deref() {
                Some("requantize") => Quantized::Requantize,
                Some("keep") => Quantized::Keep,
                _ => Quantized::Refuse,
            },
            cut: Cut {
                output_nodes: texts(variant, "output_nodes"),
                remove_node_type: texts(variant, "remove_node_type"),
                remove_node_name: texts(variant, "remove_node_name"),
            },
            rewrites: variant.rewrites.clone(),
            without: fuse_rules(variant, "fuse.without", &mut problems),
            with: fuse_rules(variant, "fuse.with", &mut problems),
            customs: variant.customs.clone(),
            march: text("march").unwrap_or_else(|| "cpu".into()),
            optimize_level: text("optimize_level").unwrap_or_else(|| "O0".into()),
            compile: compile(variant, &mut problems),
            inputs,
            requests: requests(variant),
            calibration: calibration(variant, method, max_percentile, &mut problems),
            data,
            thresholds,
            artifacts: artifacts(variant, &mut problems),
            gate: GateConfig::of(variant, &eval, &mut problems),
            eval,
        };
        if problems.is_empty() { Ok(config) } else { Err(problems) }
    }
}

/// Words of `optimization` that are keys of `calibration` here.
const OF_CALIBRATION: [&str; 2] = ["asymmetric", "bias_correction"];

fn calibration(variant: &Variant, method: Method, max_percentile: f64, problems: &mut Vec<Diagnostic>) -> Calibration {
    let default = Calibration::default();
    let value = |key: &str| variant.settings.of("calibration", key).map(|s| &s.value);
    let words = texts(variant, "optimization");
    let flag = |key: &str| match value(key).and_then(toml::Value::as_bool) {
        Some(set) => set,
        None => OF_CALIBRATION.contains(&key) && words.iter().any(|w| w == key),
    };
    let score_samples =
        value("score_samples").and_then(toml::Value::as_integer).unwrap_or(default.score_samples as i64);
    let sensitive_below = value("sensitive_below").and_then(number).unwrap_or(default.sensitive_below);
    if score_samples < 1 {
        problems.push(Diagnostic::error("MANIFEST11", format!("calibration.score_samples {score_samples} is below 1")));
    }
    let asked: Vec<&str> = ["per_channel", "equalization", "asymmetric"].into_iter().filter(|k| flag(k)).collect();
    if method.is_search() && !asked.is_empty() {
        let why =
            format!("variant {}: calibration.{} does not go with a search, which tries it", variant.name, asked[0]);
        problems.push(Diagnostic::error("MANIFEST11", why).hint("remove it, or name one method as calibration.type"));
    }
    let max_int16_macs = value("max_int16_macs").and_then(number).unwrap_or(default.max_int16_macs);
    let misplaced = match max_int16_macs {
        share if !(0.0..=1.0).contains(&share) => Some(format!("calibration.max_int16_macs {share} is not in 0..1")),
        share if share > 0.0 && method != Method::Auto => {
            Some(format!("variant {}: calibration.max_int16_macs is a budget of the search auto", variant.name))
        }
        _ => None,
    };
    if let Some(why) = misplaced {
        let hint = "set calibration.type = \"auto\" and a share such as 0.1; single nodes take nodes.NAME.InputType";
        problems.push(Diagnostic::error("MANIFEST11", why).hint(hint));
    }
    let alone = flag("per_channel") || matches!(method, Method::Load | Method::Skip);
    if flag("equalization") && alone {
        let with =
            if flag("per_channel") { "per_channel, as both choose the scales of channels" } else { "load and skip" };
        let why = format!("variant {}: calibration.equalization does not go with {with}", variant.name);
        problems.push(Diagnostic::error("MANIFEST11", why).hint("remove one of the two"));
    }
    let rounding = match value("rounding").and_then(toml::Value::as_str) {
        Some("compensated") => WeightRounding::Compensated,
        _ => WeightRounding::Nearest,
    };
    let weights = match value("weights").and_then(toml::Value::as_str) {
        Some("mse") => WeightScale::Mse,
        _ => WeightScale::Max,
    };
    let asked = [
        ("weights", weights != default.weights && method == Method::Auto),
        ("bias_correction", flag("bias_correction")),
        ("rounding", rounding != default.rounding),
    ];
    if let Some((asked, _)) =
        asked.iter().find(|(_, on)| *on && matches!(method, Method::Auto | Method::Load | Method::Skip))
    {
        let (why, hint) = match method {
            Method::Auto => ("auto, which tries it", "remove it, or name another calibration.type"),
            _ => ("load and skip, since it is computed from samples", "remove it, or name another calibration.type"),
        };
        let why = format!("variant {}: calibration.{asked} does not go with {why}", variant.name);
        problems.push(Diagnostic::error("MANIFEST11", why).hint(hint));
    }
    Calibration {
        method,
        max_percentile,
        asymmetric: flag("asymmetric"),
        per_channel: flag("per_channel"),
        score_samples: usize::try_from(score_samples).unwrap_or(1),
        score_at: match value("score_at").and_then(toml::Value::as_str) {
            Some("last_quantized") => ScoreAt::LastQuantized,
            _ => ScoreAt::Output,
        },
        sensitive_below,
        weights,
        bias_correction: flag("bias_correction"),
        rounding,
        max_int16_macs,
        equalization: flag("equalization"),
    }
}

/// The files to write, in the order in which they are made.
fn artifacts(variant: &Variant, problems: &mut Vec<Diagnostic>) -> Vec<&'static str> {
    let Some(setting) = variant.settings.get("artifacts") else { return FILES.to_vec() };
    let asked = texts(variant, "artifacts");
    for name in asked.iter().filter(|n| !FILES.contains(&n.as_str())) {
        let close = ptq_place::nearest(name, FILES.into_iter());
        let hint = close.map_or_else(|| format!("files: {}", FILES.join(", ")), |c| format!("did you mean {c}?"));
        let mut d = Diagnostic::error("MANIFEST16", format!("artifacts: there is no {name:?}")).hint(hint);
        d.place.line = setting.line;
        problems.push(d);
    }
    FILES.into_iter().filter(|f| asked.iter().any(|a| a == f)).collect()
}

/// Codes of the fuse rules that are named by code or name.
fn fuse_rules(variant: &Variant, key: &str, problems: &mut Vec<Diagnostic>) -> BTreeSet<String> {
    let Some(setting) = variant.settings.get(key) else { return BTreeSet::new() };
    let legal = |code: &str| key == "fuse.without" || ptq_fuse::is_on_request(code);
    let rules: Vec<_> = ptq_fuse::rules().iter().filter(|r| legal(r.code)).collect();
    let mut out = BTreeSet::new();
    for asked in texts(variant, key) {
        if let Some(rule) = rules.iter().find(|r| r.code == asked || r.name == asked) {
            out.insert(rule.code.to_owned());
            continue;
        }
        let what = if key == "fuse.with" { "fuse rule on request" } else { "fuse rule" };
        let close = ptq_place::nearest(&asked, rules.iter().flat_map(|r| [r.code, r.name]));
        let hint = close.map_or_else(|| "`ptq rule` lists them".to_owned(), |c| format!("did you mean {c}?"));
        let mut d = Diagnostic::error("MANIFEST22", format!("{key}: there is no {what} {asked:?}")).hint(hint);
        d.place.line = setting.line;
        problems.push(d);
    }
    out
}

/// The samples that a key names.
pub(super) fn data(variant: &Variant, key: &str) -> SampleSource {
    match variant.settings.get(key).map(|s| &s.value) {
        Some(toml::Value::String(s)) => SampleSource::Single(s.clone()),
        Some(toml::Value::Table(t)) => {
            SampleSource::ByInput(t.iter().filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned()))).collect())
        }
        _ => SampleSource::None,
    }
}

/// The texts of a list; none where it is not set.
pub(super) fn texts(variant: &Variant, path: &str) -> Vec<String> {
    variant.settings.get(path).map(|s| texts_of(&s.value)).unwrap_or_default()
}

/// The texts of a list.
pub(super) fn texts_of(value: &toml::Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(|v| v.as_str().map(str::to_owned)).collect()
}

fn requests(variant: &Variant) -> Requests {
    let list = |path: &str| texts(variant, path);
    let mut requests =
        Requests { run_on_bpu: list("run_on_bpu"), run_on_cpu: list("run_on_cpu"), ..Requests::default() };
    requests.optimization =
        list("optimization").into_iter().filter(|w| !OF_CALIBRATION.contains(&w.as_str())).collect();
    for (path, setting) in &variant.settings.0 {
        let ([group, node, key], Some(word)) = (path.as_slice(), setting.value.as_str()) else { continue };
        match (group.as_str(), key.as_str()) {
            ("nodes", "on") => {
                requests.on.insert(node.clone(), if word == "BPU" { Device::Bpu } else { Device::Cpu });
            }
            ("nodes", _) => {
                requests.types.entry(node.clone()).or_default().insert(key.clone(), word.to_owned());
            }
            _ => {}
        }
    }
    requests
}
