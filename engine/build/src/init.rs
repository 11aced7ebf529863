//! A commented manifest for a model: what the file says, what is guessed (and marked as a guess), what can be set.

use crate::manifest::keys;
use crate::paths::{beside, relative};
use ptq_ir::{DType, Diagnostic};
use ptq_onnx::{RawDim, RawInput};
use std::fmt::Write as _;
use std::path::Path;
use toml::Value;

/// Height and width of an image where the file leaves them open.
const USUAL_SIDE: usize = 224;

/// The manifest's text for the model's bytes, to stand in the folder `target`. It builds as it is, with synthetic samples,
/// unless a dimension is open and has to be filled in.
///
/// # Errors
/// When the model does not read.
pub fn init(bytes: Vec<u8>, model: &Path, target: &Path, march: &str) -> Result<String, Vec<Diagnostic>> {
    let limits = ptq_onnx::Limits { quantized: true, foreign: true, ..ptq_onnx::Limits::default() };
    let file = model.to_string_lossy().into_owned();
    let place = |p: Vec<Diagnostic>| p.into_iter().map(|d| d.file(file.clone())).collect::<Vec<_>>();
    // What import refuses is said by import.
    let foreign = ptq_onnx::foreign_ops(&bytes, &limits).unwrap_or_default();
    let raw = ptq_onnx::import(&bytes.into(), &beside(model), &limits).map_err(place)?;
    let stem = model.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_else(|| "model".into());
    let name: String =
        stem.chars().map(|c| if c.is_ascii_alphanumeric() || "_-".contains(c) { c } else { '_' }).collect();
    let text = |s: &str| Value::String(s.to_owned()).to_string();
    let mut out = format!(
        "# Manifest of {name}; docs/manifest.md explains every key.\n\n[project]\nout = \"out\"                # artifacts: out/<variant>/\n\n\
         [cache]\ndir = \".ptq\"               # what was computed once is not computed again\n\n\
         [model.{name}]\npath = {}\nmarch = {}              # target; `ptq ops --march {march}` lists what it accelerates\noptimize_level = \"O0\"       # O0..O3\n",
        text(&relative(model, target)),
        text(march),
    );
    for input in &raw.inputs {
        out += &described(&name, input);
    }
    let _ = write!(
        out,
        "\n[model.{name}.calibration]\n\
         type = \"skip\"              # no data yet: thresholds mean nothing. With data: max, kl, mse, default, mix\n\
         # data = \"data/calib\"      # a folder of about 100 samples: images, or .npy{}\n",
        if raw.inputs.len() > 1 { "; for several inputs a table by name" } else { "" }
    );
    let _ = write!(out, "\n# Other keys:\n");
    for key in
        keys::KEYS.iter().filter(|k| !k.path.contains('*') && !["path", "march", "optimize_level"].contains(&k.path))
    {
        if !["calibration.type", "calibration.data"].contains(&key.path) {
            let _ = writeln!(out, "# {} = {}: {}", key.path, key.default, key.meaning);
        }
    }
    out += &crate::declare::declarations(&foreign, &[]);
    let _ = write!(out, "\n[[variant]]\nname = \"{name}\"\nmodel = \"{name}\"\n");
    Ok(out)
}

/// The table of one input: its shape as the file says it, its type as a guess.
fn described(model: &str, input: &RawInput) -> String {
    let plain = !input.name.is_empty() && input.name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    let name = if plain { input.name.clone() } else { Value::String(input.name.clone()).to_string() };
    let dims = input.dims.as_deref().unwrap_or_default();
    let mut out = format!("\n[model.{model}.input.{name}]\n");
    let (kind, layout, why) = guess(input);
    // Height and width of an image: 1 is too small for most networks.
    let side = |i: usize| match layout {
        Some("NCHW") => i >= 2,
        Some(_) => i == 1 || i == 2,
        None => false,
    };
    let of = |(i, d): (usize, &RawDim)| match d {
        RawDim::Fixed(n) => n.to_string(),
        RawDim::Open(_) if side(i) => USUAL_SIDE.to_string(),
        RawDim::Open(_) => "1".to_owned(),
    };
    let shown: Vec<String> = dims.iter().enumerate().map(of).collect();
    let open: Vec<String> = dims.iter().filter(|d| matches!(d, RawDim::Open(_))).map(ToString::to_string).collect();
    if input.dims.is_none() {
        out += "# shape = [...]            # the file does not even state the rank: fill it in\n";
    } else if open.is_empty() {
        let _ = writeln!(out, "# shape = [{}]    # fixed by the file", shown.join(", "));
    } else {
        let _ = writeln!(
            out,
            "shape = [{}]    # open in the file ({}): guesses, fill them in",
            shown.join(", "),
            open.join(", ")
        );
    }
    let _ = writeln!(out, "type_train = \"{kind}\"    # a guess: {why}");
    if let Some(layout) = layout {
        let _ = writeln!(out, "layout_train = \"{layout}\"");
        let channels = if kind == "gray" { "0.0" } else { "[0.0, 0.0, 0.0]" };
        let _ = writeln!(
            out,
            "# mean = {channels}     # of pixels 0..255, as the model was trained; a guess would be wrong"
        );
        let _ = writeln!(out, "# scale = 0.00392157       # (x - mean) * scale");
    }
    out
}

/// Type, layout of an image, and why.
fn guess(input: &RawInput) -> (&'static str, Option<&'static str>, String) {
    let fixed = |i: usize| match input.dims.as_deref().and_then(|d| d.get(i)) {
        Some(RawDim::Fixed(n)) => Some(*n),
        _ => None,
    };
    let rank = input.dims.as_ref().map_or(0, Vec::len);
    let as_is = |why: String| ("featuremap", None, why);
    if input.dtype != DType::F32 || rank != 4 {
        return as_is(format!("{} of rank {rank} is no image", input.dtype));
    }
    match (fixed(1), fixed(3)) {
        (Some(3), _) => ("rgb", Some("NCHW"), "three channels in front of height and width; it may be bgr".into()),
        (_, Some(3)) => ("rgb", Some("NHWC"), "three channels behind height and width; it may be bgr".into()),
        (Some(1), h) if h != Some(1) => ("gray", Some("NCHW"), "one channel in front of height and width".into()),
        (_, Some(1)) => ("gray", Some("NHWC"), "one channel behind height and width".into()),
        _ => as_is("neither one nor three channels".into()),
    }
}
