//! What must hold of model, calibration and compiler parameters. Inputs are in `inputs`.

use super::inputs::Input;
use super::keys::{CUSTOM, INPUT};
use super::model::Model;
use super::samples::{self, Folder};
use super::settings::{Settings, flag};
use super::yaml::Value;
use super::{CALIBRATION, COMPILER, MODEL};
use crate::manifest::{nearest, words};
use ptq_ir::DType;
use std::path::Path;

/// Marches of Horizon's documents that have no file here.
const OTHER_MARCHES: [&str; 4] = ["nash-m", "nash-p", "nash-b", "nash-h"];
const CALIBRATION_TYPES: [&str; 6] = ["default", "mix", "kl", "max", "load", "skip"];
const MODES: [&str; 3] = ["latency", "bandwidth", "balance"];
/// What to do about a request for 16 bits where there are none.
pub(super) const NO_INT16: &str = "int8 is used instead; keep nodes that lose too much on the CPU with run_on_cpu";

/// Whether a march has activations in 16 bits; true for one that is not known.
pub(super) fn has_int16(march: &str) -> bool {
    let file = ptq_march::source(march).and_then(|text| ptq_march::March::from_toml(&text).ok());
    file.is_none_or(|m| m.quantization.int16)
}

/// The way of calibration that the manifest gets: without data nothing can be computed from it.
pub(super) fn method(s: &Settings) -> &str {
    let kind = s.text(CALIBRATION, "calibration_type").map_or("default", |(k, _)| k);
    match (kind, s.get(CALIBRATION, "cal_data_dir").is_some()) {
        (_, false) => "skip",
        // The thresholds are in the ONNX file; the samples serve what it leaves out.
        ("load", true) => "max",
        (kind, true) => kind,
    }
}

/// The march, checked against those that exist.
pub(super) fn march(s: &mut Settings) -> String {
    let Some((march, line)) = s.text(MODEL, "march").map(|(t, l)| (t.to_owned(), l)) else {
        if s.lacks(MODEL, "march") {
            let line = s.line_for(MODEL, "march");
            s.error(
                "IMPORT11",
                line,
                "march is missing".into(),
                "J5: bayes; X5: bayes-e; X3: bernoulli2; S100: nash-e",
            );
        }
        return "bayes".to_owned();
    };
    let known: Vec<&str> = ptq_march::names().filter(|m| *m != "cpu").collect();
    if !known.contains(&march.as_str()) {
        let (what, hint) = if OTHER_MARCHES.contains(&march.as_str()) {
            let hint = "import with march: 'nash-e', of the same generation; then set march in the manifest to the path of a \
                        march file of your own with the chip's figures (rules/march/data/nash-e.toml is one to begin with)";
            (format!("march {march} has no march file here"), hint.to_owned())
        } else {
            let close = nearest(&march.to_lowercase(), known.iter().copied());
            let did = close.map(|c| format!("did you mean {c}? ")).unwrap_or_default();
            (format!("march {march} is unknown"), format!("{did}known: {}", known.join(", ")))
        };
        s.error("IMPORT11", line, what, &hint);
    }
    march
}

/// The model's file; what it says, when it is there.
pub(super) fn model(s: &mut Settings, folder: &Path) -> Option<Model> {
    let onnx = s.text(MODEL, "onnx_model").map(|(t, l)| (t.to_owned(), l));
    let caffe = s.get(MODEL, "caffe_model").map(|v| v.line);
    let (path, line) = match (onnx, caffe) {
        (Some(_), Some(line)) => {
            let what = "onnx_model and caffe_model exclude each other".to_owned();
            s.error("IMPORT10", line, what, "keep onnx_model");
            return None;
        }
        (None, None) => {
            if !s.lacks(MODEL, "onnx_model") {
                return None;
            }
            let line = s.line_for(MODEL, "onnx_model");
            s.error("IMPORT10", line, "onnx_model is missing".into(), "name the ONNX file");
            return None;
        }
        (None, Some(_)) => return None,
        (Some(found), None) => found,
    };
    if !path.ends_with(".onnx") {
        s.error("IMPORT10", line, format!("onnx_model {path} does not end in .onnx"), "name the ONNX file");
        return None;
    }
    let full = folder.join(&path);
    if !full.exists() {
        let what = format!("onnx_model {path} is not there: its inputs cannot be checked");
        s.warn("IMPORT10", line, what, "paths begin at the YAML file's folder");
        return None;
    }
    match Model::read(&full) {
        Ok(model) => Some(model),
        Err(why) => {
            s.warn("IMPORT10", line, format!("onnx_model {path} does not read: {why}"), "its inputs are not checked");
            None
        }
    }
}

/// Other model parameters.
pub(super) fn options(s: &mut Settings) {
    if let Some(line) = s.empty(MODEL, "output_model_file_prefix") {
        let what = "output_model_file_prefix is empty".to_owned();
        s.error("IMPORT12", line, what, "name the model, or remove the key: the name is then 'model'");
    }
    if let Some((prefix, line)) = s.text(MODEL, "output_model_file_prefix").map(|(t, l)| (t.to_owned(), l))
        && prefix.chars().all(|c| !c.is_ascii_alphanumeric())
    {
        let what = format!("output_model_file_prefix {prefix:?} names nothing");
        s.error("IMPORT12", line, what, "use letters, digits, '.', '_' and '-'");
    }
    if let Some((types, line)) = s.list(MODEL, "remove_node_type") {
        let legal: Vec<&str> = ptq_parse::REMOVABLE.iter().map(|(name, _)| *name).collect();
        for t in types.iter().filter(|t| !legal.contains(&t.as_str())) {
            let what = format!("remove_node_type {t} cannot be removed");
            s.error("IMPORT12", line, what, &format!("these can: {}", legal.join(", ")));
        }
    }
    for name in ["remove_node_name", "output_nodes"] {
        if let Some((names, line)) = s.list(MODEL, name)
            && names.iter().any(String::is_empty)
        {
            s.error("IMPORT12", line, format!("{name} has an empty name"), "separate names with one ';'");
        }
    }
}

/// Calibration parameters.
pub(super) fn calibration(s: &mut Settings, inputs: &[Input], folder: &Path) {
    let here = s.line_of(CALIBRATION);
    let kind = s.text(CALIBRATION, "calibration_type").map(|(t, l)| (t.to_owned(), l));
    if let Some((kind, line)) = &kind
        && !CALIBRATION_TYPES.contains(&kind.as_str())
    {
        let what = format!("calibration_type {kind} is unknown");
        s.error("IMPORT19", *line, what, &format!("one of {}", CALIBRATION_TYPES.join(", ")));
    }
    if let Some((_, line)) = kind.as_ref().filter(|(k, _)| k == "load") {
        let what = "calibration_type load: the thresholds of the ONNX file are kept (quantized = \"keep\")".to_owned();
        s.warn("IMPORT19", *line, what, "the file must be a quantized one (QDQ); what it leaves out is calibrated");
    }
    let kind = kind.map_or_else(|| "default".to_owned(), |(k, _)| k);
    folders(s, inputs, folder, &kind, here);
    if let Some((types, line)) = s.list(CALIBRATION, "cal_data_type") {
        let legal = words("calibration.data_type");
        for t in types.iter().filter(|t| !legal.contains(&t.as_str())) {
            s.error("IMPORT19", line, format!("cal_data_type {t} is unknown"), &format!("one of {}", legal.join(", ")));
        }
        if types.iter().any(|t| *t != types[0]) {
            let what = format!("cal_data_type differs by input ({}): it is left out", types.join(", "));
            s.warn("IMPORT19", line, what, "store samples as .npy, which state their type");
        }
        count(s, "cal_data_type", types.len(), inputs.len(), line);
    }
    if let Some((text, line)) = s.text(CALIBRATION, "max_percentile").map(|(t, l)| (t.to_owned(), l)) {
        if !text.parse::<f64>().is_ok_and(|p| p > 0.5 && p <= 1.0) {
            s.error("IMPORT19", line, format!("max_percentile {text} is outside 0.5..1"), "0.99995 is usual");
        } else if kind != "max" {
            let what = format!("max_percentile means nothing with calibration_type {kind}: it is left out");
            s.warn("IMPORT19", line, what, "use calibration_type: max");
        }
    }
    if let Some((text, line)) = s.text(CALIBRATION, "per_channel").map(|(t, l)| (t.to_owned(), l))
        && flag(&text) == Some(true)
        && matches!(kind.as_str(), "default" | "mix")
    {
        let what = format!("per_channel means nothing with calibration_type {kind}, which tries it: it is left out");
        s.warn("IMPORT19", line, what, "remove it, or name one method");
    }
    let both = |s: &Settings| {
        let bpu = s.list(CALIBRATION, "run_on_bpu")?;
        let cpu = s.list(CALIBRATION, "run_on_cpu")?;
        let name = bpu.0.iter().find(|n| cpu.0.contains(n))?.clone();
        Some((name, bpu.1))
    };
    if let Some((name, line)) = both(s) {
        s.error("IMPORT19", line, format!("node {name} is in run_on_bpu and in run_on_cpu"), "keep it in one of them");
    }
}

fn folders(s: &mut Settings, inputs: &[Input], folder: &Path, kind: &str, here: u32) {
    let needs_data = !matches!(kind, "skip" | "load");
    let Some((dirs, line)) = s.list(CALIBRATION, "cal_data_dir") else {
        if needs_data && s.lacks(CALIBRATION, "cal_data_dir") {
            let what =
                format!("calibration_type {kind} without cal_data_dir: imported as skip, accuracy means nothing");
            s.warn("IMPORT19", here, what, "name a folder of samples for each input");
        }
        return;
    };
    count(s, "cal_data_dir", dirs.len(), inputs.len(), line);
    let types = s.list(CALIBRATION, "cal_data_type").map(|(t, _)| t).unwrap_or_default();
    for (i, dir) in dirs.iter().enumerate() {
        let full = folder.join(dir);
        if dir.is_empty() {
            let what = format!("cal_data_dir names no folder in place {}", i + 1);
            s.error("IMPORT19", line, what, "name a folder of samples for each input");
            continue;
        }
        if !full.exists() {
            s.warn(
                "IMPORT19",
                line,
                format!("cal_data_dir {dir} is not there"),
                "paths begin at the YAML file's folder",
            );
        } else if !full.is_dir() {
            s.error("IMPORT19", line, format!("cal_data_dir {dir} is no folder"), "name the folder of the samples");
        } else if let Err(why) = std::fs::read_dir(&full) {
            let what = format!("cal_data_dir {dir} cannot be read: {why}");
            s.error("IMPORT19", line, what, "make the folder readable");
        } else {
            let stated = types.first().filter(|first| types.iter().all(|t| t == *first)).and_then(|t| dtype(t));
            let input = inputs.get(i).filter(|_| dirs.len() == inputs.len());
            samples::check(s, &Folder { dir, path: full, line, input, stated });
        }
        let stated = types.get(i).or(types.first()).map(String::as_str);
        if dir.trim_end_matches('/').ends_with("_f32") && stated.is_some_and(|t| t != "float32") {
            let what = format!("cal_data_dir {dir} ends in _f32 and cal_data_type is {}", stated.unwrap_or_default());
            s.error("IMPORT19", line, what, "the ending means float32: change one of them");
        }
    }
}

/// The type that a word of `cal_data_type` names.
fn dtype(word: &str) -> Option<DType> {
    let known = words("calibration.data_type").contains(&word);
    DType::ALL.into_iter().find(|t| known && t.name() == word)
}

fn count(s: &mut Settings, name: &str, found: usize, inputs: usize, line: u32) {
    if found != inputs && !(name == "cal_data_type" && found == 1) {
        let what = format!("{name} has {found} values for {inputs} inputs");
        s.error(
            "IMPORT15",
            line,
            what,
            "give one value for each input, in the order of input_name, with ';' between them",
        );
    }
}

/// Keys and words that Horizon's documents deprecate for the second generation, and defaults that differ.
pub(super) fn generation(s: &mut Settings, march: &str) {
    if march.starts_with("nash") {
        for (group, name) in [(INPUT, "input_layout_rt"), (INPUT, "norm_type"), (CALIBRATION, "cal_data_type")] {
            if let Some(line) = s.get(group, name).map(|v| v.line) {
                let what = format!("{name} is deprecated for march {march}; it is imported all the same");
                s.warn("IMPORT04", line, what, "remove it where the samples, means and scales say the same");
            }
        }
        if let Some((kind, line)) = s.text(CALIBRATION, "calibration_type").map(|(t, l)| (t.to_owned(), l))
            && matches!(kind.as_str(), "default" | "mix")
        {
            let what = format!("calibration_type {kind} is deprecated for march {march}; it is imported all the same");
            s.warn("IMPORT04", line, what, "use max or kl");
        }
        return;
    }
    if matches!(march, "bayes" | "bernoulli2") && s.lacks(COMPILER, "optimize_level") {
        let what = "optimize_level is missing: imported as O0, without a search".to_owned();
        s.warn("IMPORT20", s.line_for(COMPILER, "optimize_level"), what, "say O0, O1, O2 or O3");
    }
    if s.get(INPUT, "norm_type").is_none() && s.lacks(INPUT, "norm_type") {
        let given =
            ["mean_value", "scale_value", "std_value"].into_iter().find_map(|n| Some((n, s.get(INPUT, n)?.line)));
        if let Some((name, line)) = given {
            let what = format!("norm_type is missing: {name} is used all the same");
            s.warn("IMPORT18", line, what, "say norm_type: the vendor's tools take no_preprocess where it is missing");
        }
    }
}

/// Compiler parameters.
pub(super) fn compiler(s: &mut Settings, march: &str) {
    let nash = march.starts_with("nash");
    let text = |s: &Settings, name| s.text(COMPILER, name).map(|(t, l)| (t.to_owned(), l));
    if let Some((level, line)) = text(s, "optimize_level") {
        let legal: &[&str] = if nash { &["O0", "O1", "O2"] } else { &["O0", "O1", "O2", "O3"] };
        if !legal.contains(&level.as_str()) {
            let what = format!("optimize_level {level} is not one of {} for march {march}", legal.join(", "));
            s.error("IMPORT20", line, what, "choose one of them");
        }
    }
    let mode = text(s, "compile_mode");
    if let Some((mode, line)) = &mode
        && !MODES.contains(&mode.as_str())
    {
        s.error("IMPORT20", *line, format!("compile_mode {mode} is unknown"), &format!("one of {}", MODES.join(", ")));
    }
    let balance = mode.as_ref().is_some_and(|(m, _)| m == "balance");
    match text(s, "balance_factor") {
        Some((factor, line)) => {
            if !factor.parse::<i64>().is_ok_and(|f| (0..=100).contains(&f)) {
                s.error(
                    "IMPORT20",
                    line,
                    format!("balance_factor {factor} is outside 0..100"),
                    "0 is all for bandwidth, 100 all for latency",
                );
            } else if !balance {
                let what = "balance_factor means nothing without compile_mode balance: it is left out".to_owned();
                s.warn("IMPORT20", line, what, "compile_mode: balance");
            }
        }
        None if balance => {
            let line = mode.as_ref().map_or(1, |(_, l)| *l);
            s.error("IMPORT20", line, "compile_mode balance needs balance_factor".into(), "balance_factor: 50");
        }
        None => {}
    }
    let cores: i64 = match march {
        "bernoulli2" | "bayes" => 2,
        _ => 1,
    };
    range(s, "core_num", 1, cores, &format!("march {march} has {cores}"));
    let longest = if nash { 10_000_000 } else { 4_294_967_295 };
    if let Some((time, line)) = text(s, "max_time_per_fc")
        && !time.parse::<i64>().is_ok_and(|t| t == 0 || (1000..=longest).contains(&t))
    {
        let what = format!("max_time_per_fc {time} is neither 0 nor in 1000..{longest}");
        s.error("IMPORT20", line, what, "0 turns it off; other values are microseconds");
    }
    range(s, "jobs", 1, 1024, "a number of processes");
    if let Some((size, line)) = text(s, "max_l2m_size")
        && (!nash || march == "nash-e" || !size.parse::<i64>().is_ok_and(|v| (0..=25_165_824).contains(&v)))
    {
        let what = format!("max_l2m_size {size} does not go with march {march}, or is outside 0..25165824");
        s.error("IMPORT20", line, what, "remove it");
    }
    if let Some((advice, line)) = text(s, "advice")
        && !advice.parse::<f64>().is_ok_and(|a| a >= 0.0)
    {
        s.error("IMPORT20", line, format!("advice {advice} is negative"), "give microseconds");
    }
    if let Some((mode, line)) = text(s, "cache_mode") {
        if !["disable", "enable", "force_overwrite"].contains(&mode.as_str()) {
            s.error("IMPORT20", line, format!("cache_mode {mode} is unknown"), "disable, enable or force_overwrite");
        } else if mode != "disable" && s.get(COMPILER, "cache_path").is_none() {
            s.error("IMPORT20", line, format!("cache_mode {mode} needs cache_path"), "name a folder, or disable it");
        }
    }
    let resizer = s.get(COMPILER, "input_source").is_some_and(|v| match &v.node.value {
        Value::Map(map) => map.iter().any(|(_, _, source)| source.text() == Some("resizer")),
        _ => v.node.text().is_some_and(|t| t.contains("resizer")),
    });
    if let Some((dump, line)) = s.text(MODEL, "layer_out_dump").map(|(t, l)| (t.to_owned(), l))
        && resizer
        && flag(&dump) == Some(true)
    {
        s.error("IMPORT20", line, "layer_out_dump does not go with a resizer input".into(), "turn one of them off");
    }
}

fn range(s: &mut Settings, name: &'static str, least: i64, most: i64, why: &str) {
    let Some((text, line)) = s.text(COMPILER, name).map(|(t, l)| (t.to_owned(), l)) else { return };
    if !text.parse::<i64>().is_ok_and(|v| (least..=most).contains(&v)) {
        s.error("IMPORT20", line, format!("{name} {text} is outside {least}..{most}"), why);
    }
}

/// Custom operators: the only way to have them is by files.
pub(super) fn custom(s: &mut Settings) {
    if let Some((method, line)) = s.text(CUSTOM, "custom_op_method").map(|(m, l)| (m.to_owned(), l))
        && method != "register"
    {
        s.error("IMPORT21", line, format!("custom_op_method is {method:?}"), "the only method is 'register'");
    }
    let line = s.line_of(CUSTOM);
    let any = ["custom_op_method", "op_register_files", "custom_op_dir"].iter().any(|k| s.get(CUSTOM, k).is_some());
    if any && s.lacks(CUSTOM, "op_register_files") {
        let hint = "name the files that register the operators, with ';' between them";
        s.error("IMPORT21", line, "custom_op lacks op_register_files".into(), hint);
    }
}
