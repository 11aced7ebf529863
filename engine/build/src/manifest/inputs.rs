//! The inputs of a variant: `input.*` keys become descriptions, with every contradiction of types, layouts and sources
//! reported together. Called by [`super::VariantConfig::of`].

use super::Variant;
use super::settings::{Setting, number};
use ptq_ir::{
    DType, Diagnostic, Fit, InputSpec, InputType, Layout, Source, SpaceAndRange, legal_sources, legal_types_rt,
};
use std::collections::BTreeMap;

/// Most items of a batch.
const MAX_BATCH: usize = 4096;

/// One input's keys as they are read.
#[derive(Default)]
struct Draft {
    spec: InputSpec,
    std: Vec<f32>,
    norm_type: Option<String>,
    /// Line of the first key of each name.
    lines: BTreeMap<String, Option<u32>>,
}

/// Descriptions by input name.
pub(super) fn inputs(variant: &Variant, problems: &mut Vec<Diagnostic>) -> BTreeMap<String, InputSpec> {
    let mut drafts: BTreeMap<String, Draft> = BTreeMap::new();
    for (path, setting) in &variant.settings.0 {
        if let [group, name, key] = path.as_slice()
            && group == "input"
        {
            let draft = drafts.entry(name.clone()).or_default();
            draft.lines.insert(key.clone(), setting.line);
            draft.read(name, key, setting, problems);
        }
    }
    let data_type = variant.settings.get("calibration.data_type").and_then(|s| s.value.as_str()).and_then(dtype);
    let mut out = BTreeMap::new();
    for (name, mut draft) in drafts {
        draft.spec.data_type = data_type;
        draft.check(&name, problems);
        draft.check_batch(&name, problems);
        let march = variant.settings.get("march").and_then(|s| s.value.as_str()).unwrap_or("cpu");
        draft.check_run_time(&name, march, problems);
        out.insert(name, draft.spec);
    }
    out
}

impl Draft {
    fn read(&mut self, name: &str, key: &str, setting: &Setting, problems: &mut Vec<Diagnostic>) {
        let value = &setting.value;
        let word = value.as_str().unwrap_or_default();
        let spec = &mut self.spec;
        match key {
            "shape" => spec.shape = value.as_array().map(|a| a.iter().filter_map(toml::Value::as_integer).collect()),
            "type_train" => spec.type_train = InputType::of_word(word).unwrap_or_default(),
            "type_rt" => spec.type_rt = InputType::of_word(word),
            "layout_train" => spec.layout_train = Layout::of_word(word).unwrap_or_default(),
            "layout_rt" => spec.layout_rt = Layout::of_word(word),
            "source" => spec.source = Source::of_word(word),
            "space_and_range" if word == "bt601_video" => spec.space_and_range = SpaceAndRange::Bt601Video,
            "norm_type" => self.norm_type = Some(word.to_owned()),
            "fit" => {
                spec.fit = match word {
                    "pad" => Fit::Pad,
                    "stretch" => Fit::Stretch,
                    _ => Fit::Cover,
                };
            }
            "pad" => match number(value).filter(|v| v.fract() == 0.0 && (0.0..=255.0).contains(v)) {
                Some(level) => spec.pad = level as u8,
                None => {
                    let why = format!("input.{name}: pad must be a whole number of 0..255");
                    problems.push(at(Diagnostic::error("MANIFEST15", why), setting.line));
                }
            },
            "batch" => spec.batch = value.as_integer().and_then(|n| usize::try_from(n).ok()).filter(|&n| n > 1),
            "separate_batch" => spec.separate_batch = value.as_bool() == Some(true),
            "mean" => spec.mean = numbers(value),
            "scale" => spec.scale = numbers(value),
            "std" => self.std = numbers(value),
            _ => {}
        }
    }

    /// Normalization: `std` becomes `scale`, and `norm_type` must name what is given.
    fn check(&mut self, name: &str, problems: &mut Vec<Diagnostic>) {
        let (mean, scale, std) = (!self.spec.mean.is_empty(), !self.spec.scale.is_empty(), !self.std.is_empty());
        if std {
            if scale || self.std.contains(&0.0) {
                let why = format!("input.{name}: std must not be 0 and excludes scale");
                problems.push(self.at("std", Diagnostic::error("MANIFEST13", why)));
            }
            self.spec.scale = self.std.iter().map(|s| 1.0 / s).collect();
        }
        let Some(norm) = &self.norm_type else { return };
        let wanted = match norm.as_str() {
            "data_mean" => (true, false, false),
            "data_scale" => (false, true, false),
            "data_mean_and_scale" => (true, true, false),
            "data_std" => (false, false, true),
            "data_mean_and_std" => (true, false, true),
            _ => (false, false, false),
        };
        if wanted != (mean, scale, std) {
            let list = |(mean, scale, std): (bool, bool, bool)| {
                let names = [("mean", mean), ("scale", scale), ("std", std)];
                let given: Vec<&str> = names.into_iter().filter(|n| n.1).map(|n| n.0).collect();
                if given.is_empty() { "none of mean, scale and std".to_owned() } else { given.join(" and ") }
            };
            let why = format!(
                "input.{name}: norm_type = {norm:?} takes {}, given is {}",
                list(wanted),
                list((mean, scale, std))
            );
            let hint = "give what it takes, or leave norm_type out: it follows from mean, scale and std";
            problems.push(self.at("norm_type", Diagnostic::error("MANIFEST16", why).hint(hint)));
        }
    }

    /// A batch goes over a first dimension of 1, and is more than one item.
    fn check_batch(&self, name: &str, problems: &mut Vec<Diagnostic>) {
        let spec = &self.spec;
        let first = spec.shape.as_ref().and_then(|s| s.first()).copied();
        let mut problem = |key: &str, why: String, hint: &str| {
            problems.push(self.at(key, Diagnostic::error("MANIFEST17", format!("input.{name}: {why}")).hint(hint)));
        };
        if let Some(batch) = spec.batch {
            if batch > MAX_BATCH {
                problem("batch", format!("batch = {batch} is above {MAX_BATCH}"), "choose a smaller one");
            }
            if let Some(first) = first.filter(|&d| d != 1) {
                let why = format!("batch = {batch} needs a shape that begins with 1, this one begins with {first}");
                let hint = "leave batch out: the model has a batch of its own, and each sample holds all of it";
                problem("batch", why, hint);
            }
        } else if spec.separate_batch && first.is_none_or(|d| d == 1) {
            let hint = "set batch, or a shape that begins with more than 1";
            problem("separate_batch", "separate_batch needs a batch of more than one".to_owned(), hint);
        }
    }

    /// Legal pairs, sources, ranges and layouts at run time.
    fn check_run_time(&self, name: &str, march: &str, problems: &mut Vec<Diagnostic>) {
        let spec = &self.spec;
        let train = spec.type_train;
        let mut problem = |key: &str, why: String, hint: String| {
            problems.push(self.at(key, Diagnostic::error("MANIFEST14", format!("input.{name}: {why}")).hint(hint)));
        };
        let Some(rt) = spec.type_rt else {
            for key in ["layout_rt", "source", "space_and_range"] {
                if self.lines.contains_key(key) {
                    let hint = "set type_rt, which says what arrives at run time".to_owned();
                    problem(key, format!("{key} needs type_rt"), hint);
                }
            }
            return;
        };
        let legal = legal_types_rt(train);
        if !legal.contains(&rt) {
            let words: Vec<&str> = legal.iter().map(|t| t.word()).collect();
            let why = format!("type_rt = {:?} does not go with type_train = {:?}", rt.word(), train.word());
            let hint = match words.as_slice() {
                [] => "models are trained on rgb, bgr, yuv444, gray or featuremap".to_owned(),
                _ => format!("with type_train = {:?} these are legal: {}", train.word(), words.join(", ")),
            };
            return problem("type_rt", why, hint);
        }
        if let Some(source) = spec.source
            && !legal_sources(rt).contains(&source)
        {
            let words: Vec<&str> = legal_sources(rt).iter().map(|s| s.word()).collect();
            let why = format!("type_rt = {:?} does not support source = {:?}", rt.word(), source.word());
            problem("source", why, format!("it supports {}", words.join(", ")));
        }
        if spec.space_and_range == SpaceAndRange::Bt601Video
            && (rt != InputType::Nv12 || !matches!(train, InputType::Rgb | InputType::Bgr))
        {
            let why = format!("space_and_range = \"bt601_video\" does not go with {} from {}", rt.word(), train.word());
            problem("space_and_range", why, "it needs type_rt = \"nv12\" and type_train rgb or bgr".to_owned());
        }
        if rt == InputType::Nv12 && spec.layout_rt == Some(Layout::Nchw) {
            let why = "an nv12 frame has no channel axis, so layout_rt = \"NCHW\" means nothing".to_owned();
            problem("layout_rt", why, "leave layout_rt out".to_owned());
        }
        if march == "bernoulli2" && rt == InputType::Yuv444 && spec.layout_run() == Layout::Nchw {
            let why = "march bernoulli2 does not take yuv444 in NCHW".to_owned();
            problem("type_rt", why, "set layout_rt = \"NHWC\"".to_owned());
        }
    }

    fn at(&self, key: &str, problem: Diagnostic) -> Diagnostic {
        at(problem, self.lines.get(key).copied().flatten())
    }
}

fn at(mut problem: Diagnostic, line: Option<u32>) -> Diagnostic {
    problem.place.line = line;
    problem.place.file = line.map(|_| "ptq.toml".to_owned());
    problem
}

fn dtype(word: &str) -> Option<DType> {
    Some(match word {
        "float32" => DType::F32,
        "uint8" => DType::U8,
        "int8" => DType::I8,
        "int16" => DType::I16,
        "int32" => DType::I32,
        _ => return None,
    })
}

fn numbers(value: &toml::Value) -> Vec<f32> {
    match value.as_array() {
        Some(list) => list.iter().filter_map(number).map(|v| v as f32).collect(),
        None => number(value).map(|v| v as f32).into_iter().collect(),
    }
}
