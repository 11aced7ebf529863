//! The inputs that a file describes: names, lists with one value an input, and everything that must fit together.

use super::keys::{COMPILER, INPUT};
use super::settings::{Settings, flag, split};
use super::yaml::Value;
use crate::import::ModelInput;
use crate::manifest::{nearest, words};
use ptq_ir::{DType, InputType, legal_sources, legal_types_rt};

/// Manifest keys whose words a key of the file takes. `bytes` is a type of our own, Horizon has none.
const WORDS: [(&str, &str); 6] = [
    ("input_type_train", "input.*.type_train"),
    ("input_type_rt", "input.*.type_rt"),
    ("input_layout_train", "input.*.layout_train"),
    ("input_layout_rt", "input.*.layout_rt"),
    ("input_space_and_range", "input.*.space_and_range"),
    ("norm_type", "input.*.norm_type"),
];

/// Name of the only input of a model that is not there.
const UNNAMED: &str = "input";
/// Most pixels that the resizer of march bernoulli2 gives.
const RESIZER_PIXELS: i64 = 18_432;

/// One input as the file describes it.
#[derive(Clone, Debug)]
pub(super) struct Input {
    pub(super) name: String,
    /// Element type of the model's input; float32 where it is not known.
    pub(super) dtype: DType,
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
    fn of(name: &str, dtype: DType) -> Input {
        Input {
            name: name.to_owned(),
            dtype,
            type_train: None,
            layout_train: None,
            type_rt: None,
            layout_rt: None,
            space_and_range: None,
            shape: None,
            norm_type: None,
            mean: Vec::new(),
            scale: Vec::new(),
            std: Vec::new(),
            source: None,
        }
    }

    /// Height and width of an image by its shape.
    fn size(&self) -> Option<[i64; 2]> {
        match (self.shape.as_deref()?, self.layout_train.as_deref()) {
            (&[_, h, w, _], Some("NHWC")) | (&[_, _, h, w], _) => Some([h, w]),
            _ => None,
        }
    }

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
    sources(s, &mut all, march);
    for input in &mut all {
        types(s, input);
        run_time_layout(s, input, march);
        even(s, input, march);
        norm(s, input);
    }
    batch(s, &all, march);
    separate(s, &all);
    all
}

fn names(s: &mut Settings, model: Option<&[ModelInput]>) -> Vec<Input> {
    let given = s.list(INPUT, "input_name");
    let named = |name: &str| {
        let known = model.and_then(|m| m.iter().find(|k| k.name == name));
        Input::of(name, known.map_or(DType::F32, |k| k.dtype))
    };
    let Some((list, line)) = given else {
        return match model {
            Some([only]) => vec![named(&only.name)],
            Some(several) => {
                let all: Vec<&str> = several.iter().map(|i| i.name.as_str()).collect();
                let what = format!("the model has {} inputs, input_name must name them", several.len());
                s.error("IMPORT13", s.line_for(INPUT, "input_name"), what, &format!("input_name: '{}'", all.join(";")));
                several.iter().map(|i| named(&i.name)).collect()
            }
            None => {
                let what = format!("the only input has no name in this file: it is called {UNNAMED} in the manifest");
                let hint =
                    "put the ONNX file there and import again, or set input_name, or rename its table in the manifest";
                s.warn("IMPORT13", s.line_for(INPUT, "input_name"), what, hint);
                vec![named(UNNAMED)]
            }
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
            let did = nearest(name, all.iter().copied()).map(|c| format!("did you mean {c}? ")).unwrap_or_default();
            let hint = format!("{did}its inputs: {}", all.join(", "));
            s.error("IMPORT13", line, format!("the model has no input {name}"), &hint);
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
            // What an input must have is missed for that input alone.
            if matches!(name, "input_type_train" | "input_type_rt") {
                let what = format!("{name} says nothing of input {}", input.name);
                s.error("IMPORT17", line, what, &format!("one of {}", legal.join(", ")));
            }
            continue;
        }
        if legal.contains(&value.as_str()) {
            set(input, value);
        } else {
            let what = format!("{name} {value} is none of {}", legal.join(", "));
            s.error("IMPORT17", line, what, "choose one of them");
            s.wrong(INPUT, name);
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
                let line = s.line_for(INPUT, "input_shape");
                s.error("IMPORT14", line, what, "for example input_shape: '1x3x224x224'");
            }
            (None, dims) => input.shape = dims.iter().copied().collect(),
            (Some(shape), dims) => misfit(s, &input.name, shape, dims),
        }
    }
    let line = s.line_for(INPUT, "input_shape");
    for input in all.iter() {
        let Some(shape) = &input.shape else { continue };
        if input.is_image() && shape.len() != 4 {
            let what = format!("input {} is an image and has {} dimensions", input.name, shape.len());
            s.error("IMPORT14", line, what, "an image input has four; use featuremap for others");
        }
    }
}

/// A stated shape against the model's: as many dimensions, and the fixed ones as they are.
fn misfit(s: &mut Settings, name: &str, shape: &[i64], dims: &[Option<i64>]) {
    let line = s.line_for(INPUT, "input_shape");
    let shown = |dims: &[Option<i64>]| {
        let all: Vec<String> = dims.iter().map(|d| d.map_or_else(|| "?".to_owned(), |d| d.to_string())).collect();
        all.join("x")
    };
    if dims.is_empty() {
        // The file states none, or not even how many.
    } else if shape.len() != dims.len() {
        let what = format!("input_shape of {name} has {} dimensions, the model {}", shape.len(), dims.len());
        s.error("IMPORT14", line, what, &format!("give as many dimensions as the model has: {}", shown(dims)));
    } else if shape.iter().zip(dims).any(|(s, d)| d.is_some_and(|d| d != *s)) {
        let stated: Vec<Option<i64>> = shape.iter().map(|&d| Some(d)).collect();
        let what =
            format!("input_shape {} of {name} contradicts the model, which fixes {}", shown(&stated), shown(dims));
        s.error("IMPORT14", line, what, "give the model's shape, leave input_shape out, or export the model anew");
    }
}

/// Chroma of nv12 is one sample for two rows and columns.
fn even(s: &mut Settings, input: &Input, march: &str) {
    let Some(size) = input.size().filter(|hw| hw.iter().any(|d| d % 2 != 0)) else { return };
    let line = s.line_for(INPUT, "input_shape");
    let what =
        |rt: &str| format!("input {} is {rt} and has an odd height or width: {}x{}", input.name, size[0], size[1]);
    match input.type_rt.as_deref() {
        Some("nv12") => {
            let hint = "nv12 has one colour sample for two rows and two columns: make both even";
            s.error("IMPORT14", line, what("nv12"), hint);
        }
        Some("yuv444") if !march.starts_with("nash") => {
            s.warn("IMPORT14", line, what("yuv444"), "the vendor's first generation takes even ones alone");
        }
        _ => {}
    }
}

fn numbers(s: &mut Settings, all: &mut [Input], name: &'static str, set: impl Fn(&mut Input, Vec<f64>)) {
    let Some((list, line)) = values(s, name, all.len()) else { return };
    for (input, text) in all.iter_mut().zip(&list).filter(|(_, t)| !t.is_empty() && *t != "None") {
        let parsed: Option<Vec<f64>> =
            text.split([' ', ',']).filter(|p| !p.is_empty()).map(|p| p.parse().ok()).collect();
        let finite = |x: &f64| (*x as f32).is_finite();
        let Some(values) = parsed.filter(|v| !v.is_empty() && v.iter().all(finite)) else {
            s.error(
                "IMPORT18",
                line,
                format!("{name} {text:?} is no list of numbers"),
                "write it as 123.7 116.3 103.5",
            );
            s.wrong(INPUT, name);
            continue;
        };
        if name != "mean_value" && values.iter().any(|v| *v as f32 == 0.0) {
            let what = format!("{name} {text:?} of input {} holds a 0", input.name);
            let hint = if name == "scale_value" {
                "a channel times 0 says nothing: scale is 1 / (255 * std of training), or remove it"
            } else {
                "nothing can be divided by 0: give the standard deviation, or remove it"
            };
            s.error("IMPORT18", line, what, hint);
            s.wrong(INPUT, name);
            continue;
        }
        if let Some(channels) = input.channels().filter(|&c| values.len() != 1 && values.len() != c) {
            let what = format!("{name} has {} numbers for {channels} channels of input {}", values.len(), input.name);
            s.error("IMPORT18", line, what, "give one number, or one a channel");
        }
        set(input, values);
    }
}

fn sources(s: &mut Settings, all: &mut [Input], march: &str) {
    let Some(setting) = s.get(COMPILER, "input_source").cloned() else { return };
    let pairs: Vec<(String, String)> = match &setting.node.value {
        Value::Map(map) => map.iter().map(|(k, _, v)| (k.clone(), v.text().unwrap_or_default().to_owned())).collect(),
        // A Python mapping in quotes.
        _ => {
            let text = setting.node.text().unwrap_or_default();
            let inner = text.trim_matches(['{', '}', ' ']);
            let clean = |p: &str| p.trim().trim_matches(['"', '\'']).to_owned();
            let parts: Vec<String> = split(inner, ',').into_iter().filter(|p| !p.is_empty()).collect();
            if let Some(part) = parts.iter().find(|p| !p.contains(':')) {
                let what = format!("input_source {part:?} names no input");
                s.error("IMPORT17", setting.line, what, "write {'NAME': 'ddr'}, with the input's name");
            }
            // Names may hold colons; sources do not.
            parts.iter().filter_map(|p| p.rsplit_once(':').map(|(k, v)| (clean(k), clean(v)))).collect()
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
                    let pixels = input.size().map_or(0, |[h, w]| h.saturating_mul(w));
                    if source == "resizer" && march == "bernoulli2" && pixels >= RESIZER_PIXELS {
                        let what = format!(
                            "input {name} has {pixels} pixels, the resizer of {march} gives less than {RESIZER_PIXELS}"
                        );
                        s.warn("IMPORT17", setting.line, what, "take a smaller input, or pyramid");
                    }
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

fn types(s: &mut Settings, input: &Input) {
    for (name, value, hint) in [
        ("input_type_train", &input.type_train, "say rgb, bgr, yuv444, gray or featuremap"),
        ("input_type_rt", &input.type_rt, "say nv12, rgb, bgr, yuv444, gray or featuremap"),
    ] {
        if value.is_none() && s.lacks(INPUT, name) {
            let what = format!("{name} of input {} is missing", input.name);
            s.error("IMPORT17", s.line_for(INPUT, name), what, hint);
        }
    }
    if input.is_image() && input.layout_train.is_none() && !s.is_wrong(INPUT, "input_layout_train") {
        let what = format!("input {} is an image, input_layout_train must say how it lies", input.name);
        s.error("IMPORT17", s.line_for(INPUT, "input_layout_train"), what, "NCHW or NHWC");
    }
    let (Some(train), Some(rt)) = (input.type_train.as_deref(), input.type_rt.as_deref()) else { return };
    let legal: Vec<&str> =
        InputType::of_word(train).map(legal_types_rt).unwrap_or_default().iter().map(|t| t.word()).collect();
    let line = s.line_for(INPUT, "input_type_rt");
    if !legal.contains(&rt) {
        let what = format!("input {} cannot be trained on {train} and run on {rt}", input.name);
        s.error("IMPORT17", line, what, &format!("for {train}: {}", legal.join(", ")));
    }
    if input.space_and_range.as_deref() == Some("bt601_video") && (rt != "nv12" || !matches!(train, "rgb" | "bgr")) {
        let what = format!("bt601_video goes with rgb or bgr run on nv12, input {} is {train} run on {rt}", input.name);
        s.error("IMPORT17", s.line_for(INPUT, "input_space_and_range"), what, "use regular");
    }
}

/// The layout at run time: nv12 has none, and march bernoulli2 takes yuv444 in NHWC alone, which is written where nothing is said.
fn run_time_layout(s: &mut Settings, input: &mut Input, march: &str) {
    let line = s.line_for(INPUT, "input_layout_rt");
    match (input.type_rt.as_deref(), input.layout_rt.as_deref()) {
        (Some("yuv444"), Some("NCHW")) if march == "bernoulli2" => {
            let what = format!("march bernoulli2 takes no yuv444 in NCHW (input {})", input.name);
            s.error("IMPORT17", line, what, "input_layout_rt: NHWC");
        }
        (Some("yuv444"), None) if march == "bernoulli2" => {
            let what =
                format!("march bernoulli2 takes yuv444 in NHWC alone: written as layout_rt of input {}", input.name);
            s.warn("IMPORT17", line, what, "say input_layout_rt: NHWC");
            input.layout_rt = Some("NHWC".to_owned());
        }
        (Some("nv12"), Some(_)) => {
            let what = format!("input_layout_rt means nothing for nv12 (input {})", input.name);
            s.warn("IMPORT17", line, what, "remove it");
        }
        _ => {}
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

/// Inputs whose batch is taken apart must have one.
fn separate(s: &mut Settings, all: &[Input]) {
    let whole = s.text(INPUT, "separate_batch").map(|(v, line)| (flag(v) == Some(true), line));
    let named = s.list(INPUT, "separate_name");
    if let (Some((_, line)), Some(_)) = (whole, &named) {
        s.error("IMPORT16", line, "separate_batch and separate_name exclude each other".into(), "keep one of them");
        return;
    }
    let (names, key, line) = match (whole, named) {
        (Some((true, line)), _) => (all.iter().map(|i| i.name.clone()).collect(), "separate_batch", line),
        (_, Some((names, line))) => (names, "separate_name", line),
        _ => return,
    };
    let batch = s.text(INPUT, "input_batch").and_then(|(b, _)| b.parse::<i64>().ok()).is_some_and(|b| b > 1);
    for name in names {
        let Some(input) = all.iter().find(|i| i.name == name) else {
            let known: Vec<&str> = all.iter().map(|i| i.name.as_str()).collect();
            let hint = format!("inputs: {}", known.join(", "));
            s.error("IMPORT13", line, format!("{key} names {name}, which is no input"), &hint);
            continue;
        };
        let first = input.shape.as_ref().and_then(|s| s.first()).copied();
        if !batch && first.is_none_or(|d| d < 2) {
            let what = format!("{key} needs a batch of more than one, input {name} has none");
            s.error(
                "IMPORT16",
                line,
                what,
                "give input_batch, or an input_shape that begins with more than 1, or remove it",
            );
        }
    }
}

fn batch(s: &mut Settings, all: &[Input], march: &str) {
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
    if (129..=4096).contains(&batch) && matches!(march, "bernoulli2" | "bayes") {
        let what = format!("input_batch {batch} is above 128, the most of the vendor's tools for march {march}");
        s.warn("IMPORT16", line, what, "choose a smaller one where the model runs on a board");
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
