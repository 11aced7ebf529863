//! The inputs that a file describes: names, lists with one value an input, and everything that must fit together.

use super::keys::{COMPILER, INPUT};
use super::settings::{Settings, split};
use super::yaml::Value;
use crate::import::ModelInput;
use crate::manifest::words;
use ptq_ir::{InputType, legal_sources, legal_types_rt};

/// Manifest keys whose words a key of the file takes. `bytes` is a type of our own, Horizon has none.
const WORDS: [(&str, &str); 6] = [
    ("input_type_train", "input.*.type_train"),
    ("input_type_rt", "input.*.type_rt"),
    ("input_layout_train", "input.*.layout_train"),
    ("input_layout_rt", "input.*.layout_rt"),
    ("input_space_and_range", "input.*.space_and_range"),
    ("norm_type", "input.*.norm_type"),
];

/// One input as the file describes it.
#[derive(Clone, Debug, Default)]
pub(super) struct Input {
    pub(super) name: String,
    pub(super) type_train: Option<String>,
    pub(super) layout_train: Option<String>,
    pub(super) type_rt: Option<String>,
    pub(super) layout_rt: Option<String>,
    pub(super) space_and_range: Option<String>,
    pub(super) shape: Option<Vec<i64>>,
    pub(super) norm_type: Option<String>,
    pub(super) mean: Vec<f64>,
    pub(super) scale: Vec<f64>,
    pub(super) std: Vec<f64>,
    pub(super) source: Option<String>,
}

impl Input {
    fn is_image(&self) -> bool {
        self.type_train.as_deref().is_some_and(|t| t != "featuremap")
    }

    /// Channels by the shape, or by the type.
    fn channels(&self) -> Option<usize> {
        if let Some(shape) = self.shape.as_ref().filter(|s| self.is_image() && s.len() == 4) {
            let axis = if self.layout_train.as_deref() == Some("NHWC") { 3 } else { 1 };
            return shape.get(axis).and_then(|&c| usize::try_from(c).ok());
        }
        match self.type_train.as_deref() {
            Some("gray") => Some(1),
            Some("featuremap") | None => None,
            Some(_) => Some(3),
        }
    }
}

/// Reads and checks the inputs; `model` is what the ONNX file says, when it is there.
pub(super) fn inputs(s: &mut Settings, march: &str, model: Option<&[ModelInput]>) -> Vec<Input> {
    let mut all = names(s, model);
    fill(s, &mut all, "input_type_train", |i, v| i.type_train = Some(v.to_owned()));
    fill(s, &mut all, "input_type_rt", |i, v| i.type_rt = Some(v.to_owned()));
    fill(s, &mut all, "input_layout_train", |i, v| i.layout_train = Some(v.to_owned()));
    fill(s, &mut all, "input_layout_rt", |i, v| i.layout_rt = Some(v.to_owned()));
    fill(s, &mut all, "input_space_and_range", |i, v| i.space_and_range = Some(v.to_owned()));
    fill(s, &mut all, "norm_type", |i, v| i.norm_type = Some(v.to_owned()));
    shapes(s, &mut all, model);
    numbers(s, &mut all, "mean_value", |i, v| i.mean = v);
    numbers(s, &mut all, "scale_value", |i, v| i.scale = v);
    numbers(s, &mut all, "std_value", |i, v| i.std = v);
    sources(s, &mut all);
    for input in &all {
        types(s, input, march);
        norm(s, input);
    }
    batch(s, &all);
    all
}

fn names(s: &mut Settings, model: Option<&[ModelInput]>) -> Vec<Input> {
    let given = s.list(INPUT, "input_name");
    let named = |name: &str| Input { name: name.to_owned(), ..Input::default() };
    let Some((list, line)) = given else {
        return match model {
            Some([only]) => vec![named(&only.name)],
            Some(several) => {
                let all: Vec<&str> = several.iter().map(|i| i.name.as_str()).collect();
                let what = format!("the model has {} inputs, input_name must name them", several.len());
                s.error("IMPORT13", s.line_of(INPUT), what, &format!("input_name: '{}'", all.join(";")));
                several.iter().map(|i| named(&i.name)).collect()
            }
            None => vec![named("input")],
        };
    };
    for (i, name) in list.iter().enumerate() {
        if list[..i].contains(name) {
            s.error("IMPORT13", line, format!("input_name names {name} twice"), "name each input once");
        }
        if let Some(known) = model
            && !known.iter().any(|k| k.name == *name)
        {
            let all: Vec<&str> = known.iter().map(|k| k.name.as_str()).collect();
            s.error(
                "IMPORT13",
                line,
                format!("the model has no input {name}"),
                &format!("its inputs: {}", all.join(", ")),
            );
        }
    }
    if let Some(known) = model.filter(|k| k.len() != list.len()) {
        let what = format!("input_name has {} names, the model has {} inputs", list.len(), known.len());
        s.error("IMPORT13", line, what, "name every input of the model, in its order");
    }
    list.iter().map(|n| named(n)).collect()
}

/// One value an input; a list of another length is a problem.
fn values(s: &mut Settings, name: &'static str, inputs: usize) -> Option<(Vec<String>, u32)> {
    let (list, line) = s.list(INPUT, name)?;
    if list.len() != inputs {
        let what = format!("{name} has {} values for {inputs} inputs", list.len());
        s.error(
            "IMPORT15",
            line,
            what,
            "give one value for each input, in the order of input_name, with ';' between them",
        );
        s.wrong(INPUT, name);
        return None;
    }
    Some((list, line))
}

fn fill(s: &mut Settings, all: &mut [Input], name: &'static str, set: impl Fn(&mut Input, &str)) {
    let Some((list, line)) = values(s, name, all.len()) else { return };
    let key = WORDS.iter().find(|(from, _)| *from == name).map_or("", |(_, key)| key);
    let legal: Vec<&str> = words(key).iter().copied().filter(|w| *w != InputType::Bytes.word()).collect();
    for (input, value) in all.iter_mut().zip(&list) {
        if value.is_empty() || value == "None" {
            continue;
        }
        if legal.contains(&value.as_str()) {
            set(input, value);
        } else {
            let what = format!("{name} {value} is none of {}", legal.join(", "));
            s.error("IMPORT17", line, what, "choose one of them");
        }
    }
}

fn shapes(s: &mut Settings, all: &mut [Input], model: Option<&[ModelInput]>) {
    if let Some((list, line)) = values(s, "input_shape", all.len()) {
        for (input, text) in all.iter_mut().zip(&list).filter(|(_, t)| !t.is_empty() && *t != "None") {
            let dims: Option<Vec<i64>> =
                split(text, 'x').iter().map(|d| d.parse::<i64>().ok().filter(|&d| d > 0)).collect();
            match dims {
                Some(dims) => input.shape = Some(dims),
                None => {
                    s.error("IMPORT14", line, format!("input_shape {text:?} is no shape"), "write it as 1x3x224x224");
                }
            }
        }
    }
    for input in all.iter_mut() {
        let Some(known) = model.and_then(|m| m.iter().find(|k| k.name == input.name)) else { continue };
        match (&input.shape, &known.dims) {
            (None, dims) if dims.iter().any(Option::is_none) => {
                let what = format!("input {} of the model has open dimensions, input_shape must fix them", input.name);
                s.error("IMPORT14", s.line_of(INPUT), what, "for example input_shape: '1x3x224x224'");
            }
            (None, dims) => input.shape = dims.iter().copied().collect(),
            (Some(shape), dims) if shape.len() != dims.len() => {
                let what =
                    format!("input_shape of {} has {} dimensions, the model {}", input.name, shape.len(), dims.len());
                s.error("IMPORT14", s.line_of(INPUT), what, "give as many dimensions as the model has");
            }
            _ => {}
        }
    }
    let line = s.list(INPUT, "input_shape").map_or_else(|| s.line_of(INPUT), |(_, line)| line);
    for input in all.iter() {
        let Some(shape) = &input.shape else { continue };
        if input.is_image() && shape.len() != 4 {
            let what = format!("input {} is an image and has {} dimensions", input.name, shape.len());
            s.error("IMPORT14", line, what, "an image input has four; use featuremap for others");
        }
        let hw = if input.layout_train.as_deref() == Some("NHWC") { [1, 2] } else { [2, 3] };
        let odd = hw.iter().any(|&a| shape.get(a).is_some_and(|d| d % 2 != 0));
        if input.type_rt.as_deref() == Some("nv12") && shape.len() == 4 && odd {
            let what = format!("input {} is nv12 and has an odd height or width in {shape:?}", input.name);
            s.error("IMPORT14", line, what, "nv12 has one colour sample for two rows and two columns: make both even");
        }
    }
}

fn numbers(s: &mut Settings, all: &mut [Input], name: &'static str, set: impl Fn(&mut Input, Vec<f64>)) {
    let Some((list, line)) = values(s, name, all.len()) else { return };
    for (input, text) in all.iter_mut().zip(&list).filter(|(_, t)| !t.is_empty() && *t != "None") {
        let parsed: Option<Vec<f64>> =
            text.split([' ', ',']).filter(|p| !p.is_empty()).map(|p| p.parse().ok()).collect();
        let Some(values) = parsed.filter(|v| !v.is_empty() && v.iter().all(|x: &f64| x.is_finite())) else {
            s.error(
                "IMPORT18",
                line,
                format!("{name} {text:?} is no list of numbers"),
                "write it as 123.7 116.3 103.5",
            );
            s.wrong(INPUT, name);
            continue;
        };
        if let Some(channels) = input.channels().filter(|&c| values.len() != 1 && values.len() != c) {
            let what = format!("{name} has {} numbers for {channels} channels of input {}", values.len(), input.name);
            s.error("IMPORT18", line, what, "give one number, or one a channel");
        }
        set(input, values);
    }
}

fn sources(s: &mut Settings, all: &mut [Input]) {
    let Some(setting) = s.get(COMPILER, "input_source").cloned() else { return };
    let pairs: Vec<(String, String)> = match &setting.node.value {
        Value::Map(map) => map.iter().map(|(k, _, v)| (k.clone(), v.text().unwrap_or_default().to_owned())).collect(),
        // A Python mapping in quotes.
        _ => {
            let text = setting.node.text().unwrap_or_default();
            let inner = text.trim_matches(['{', '}', ' ']);
            let clean = |p: &str| p.trim().trim_matches(['"', '\'']).to_owned();
            split(inner, ',').iter().filter_map(|p| p.split_once(':').map(|(k, v)| (clean(k), clean(v)))).collect()
        }
    };
    for (name, source) in pairs {
        if name == "_default_value" {
            continue;
        }
        match all.iter_mut().find(|i| i.name == name) {
            Some(input) => {
                let rt = input.type_rt.clone().unwrap_or_default();
                let legal: Vec<&str> =
                    InputType::of_word(&rt).map(legal_sources).unwrap_or_default().iter().map(|s| s.word()).collect();
                if legal.contains(&source.as_str()) || rt.is_empty() {
                    input.source = Some(source);
                } else {
                    let what = format!("input_source {source} does not go with input_type_rt {rt} of {name}");
                    s.error("IMPORT17", setting.line, what, &format!("for {rt}: {}", legal.join(", ")));
                }
            }
            None => {
                let known: Vec<&str> = all.iter().map(|i| i.name.as_str()).collect();
                let hint = format!("inputs: {}", known.join(", "));
                s.error("IMPORT13", setting.line, format!("input_source names {name}, which is no input"), &hint);
            }
        }
    }
}

fn types(s: &mut Settings, input: &Input, march: &str) {
    let line_of = |s: &Settings, name| s.get(INPUT, name).map_or_else(|| s.line_of(INPUT), |v| v.line);
    for (name, value) in [("input_type_train", &input.type_train), ("input_type_rt", &input.type_rt)] {
        if value.is_none() && s.lacks(INPUT, name) {
            let what = format!("{name} of input {} is missing", input.name);
            s.error("IMPORT17", s.line_of(INPUT), what, "say rgb, bgr, yuv444, gray or featuremap");
        }
    }
    if input.is_image() && input.layout_train.is_none() && s.lacks(INPUT, "input_layout_train") {
        let what = format!("input {} is an image, input_layout_train must say how it lies", input.name);
        s.error("IMPORT17", s.line_of(INPUT), what, "NCHW or NHWC");
    }
    let (Some(train), Some(rt)) = (input.type_train.as_deref(), input.type_rt.as_deref()) else { return };
    let legal: Vec<&str> =
        InputType::of_word(train).map(legal_types_rt).unwrap_or_default().iter().map(|t| t.word()).collect();
    let line = line_of(s, "input_type_rt");
    if !legal.contains(&rt) {
        let what = format!("input {} cannot be trained on {train} and run on {rt}", input.name);
        s.error("IMPORT17", line, what, &format!("for {train}: {}", legal.join(", ")));
    }
    if input.space_and_range.as_deref() == Some("bt601_video") && (rt != "nv12" || !matches!(train, "rgb" | "bgr")) {
        let what = format!("bt601_video goes with rgb or bgr run on nv12, input {} is {train} run on {rt}", input.name);
        s.error("IMPORT17", line_of(s, "input_space_and_range"), what, "use regular");
    }
    if march == "bernoulli2" && rt == "yuv444" && input.layout_rt.as_deref() == Some("NCHW") {
        let what = format!("march bernoulli2 takes no yuv444 in NCHW (input {})", input.name);
        s.error("IMPORT17", line_of(s, "input_layout_rt"), what, "input_layout_rt: NHWC");
    }
    if rt == "nv12" && input.layout_rt.is_some() {
        let what = format!("input_layout_rt means nothing for nv12 (input {})", input.name);
        s.warn("IMPORT17", line_of(s, "input_layout_rt"), what, "remove it");
    }
}

fn norm(s: &mut Settings, input: &Input) {
    let line = |s: &Settings, name| s.get(INPUT, name).map_or_else(|| s.line_of(INPUT), |v| v.line);
    let given = [
        ("mean_value", !input.mean.is_empty()),
        ("scale_value", !input.scale.is_empty()),
        ("std_value", !input.std.is_empty()),
    ];
    let featuremap = input.type_train.as_deref() == Some("featuremap");
    for (name, _) in given.iter().filter(|(_, there)| *there && featuremap) {
        let what = format!("{name} is for images, input {} is a featuremap", input.name);
        s.error("IMPORT18", line(s, name), what, "normalize before the data is stored, or give the image's type");
    }
    if given[1].1 && given[2].1 {
        let what = format!("input {} has both scale_value and std_value", input.name);
        s.error("IMPORT18", line(s, "std_value"), what, "keep one: scale = 1 / std");
    }
    let Some(kind) = input.norm_type.as_deref() else { return };
    let wants = |word: &str| kind.contains(word);
    for (name, word, there) in
        [("mean_value", "mean", given[0].1), ("scale_value", "scale", given[1].1), ("std_value", "std", given[2].1)]
    {
        if wants(word) && !there && !s.is_wrong(INPUT, name) {
            let what = format!("norm_type {kind} of input {} needs {name}", input.name);
            s.error("IMPORT18", line(s, "norm_type"), what, "add it, or choose another norm_type");
        } else if there && !wants(word) && !featuremap {
            let what = format!("norm_type {kind} of input {} does not use {name}: it is left out", input.name);
            s.warn("IMPORT18", line(s, name), what, "choose the norm_type that names it");
        }
    }
}

fn batch(s: &mut Settings, all: &[Input]) {
    let separate = s.get(INPUT, "separate_batch").map(|v| v.line);
    if let (Some(line), true) = (separate, s.get(INPUT, "separate_name").is_some()) {
        s.error("IMPORT16", line, "separate_batch and separate_name exclude each other".into(), "keep one of them");
    }
    let Some((text, line)) = s.text(INPUT, "input_batch").map(|(t, l)| (t.to_owned(), l)) else { return };
    let Ok(batch) = text.parse::<i64>() else { return };
    if !(1..=4096).contains(&batch) {
        s.error(
            "IMPORT16",
            line,
            format!("input_batch {batch} is outside 1..4096"),
            "128 at most on the first generation",
        );
    }
    if all.len() > 1 {
        let what = format!("input_batch goes with one input, the model has {}", all.len());
        s.error("IMPORT16", line, what, "fix the batch in input_shape instead");
    }
    let first = all.first().and_then(|i| i.shape.as_ref()).and_then(|s| s.first()).copied();
    if let Some(first) = first.filter(|&d| d != 1) {
        let what = format!("input_batch {batch} needs a first dimension of 1, it is {first}");
        s.error("IMPORT16", line, what, "remove input_batch, or make the first dimension 1");
    }
}
