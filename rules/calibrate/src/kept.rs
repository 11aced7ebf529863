//! Scales that an already quantized file brought along, in place of calibrated ones where the march's scheme takes them.

use crate::table::Observations;
use crate::values::origin;
use ptq_ir::{ActScheme, ActivationQuant, DType, Diagnostic, Graph, Node, QuantParams, QuantTable, Severity, ValueId};
use ptq_place::Scale;

/// Name of the blob with the file's scales.
pub(crate) const GIVEN: &str = "given.json";
/// How far a weight over its scale may be from an integer: float32 rounding of the product at magnitude 127.
const INTEGER_TOLERANCE: f64 = 1e-4;

/// The file's parameters of an activation in the march's scheme. Symmetric: the threshold of scale and zero point, over
/// 127. Affine: as given; int8 moves by 128.
pub(crate) fn kept_activation(
    graph: &Graph,
    given: &QuantTable,
    v: ValueId,
    scheme: ActScheme,
) -> Option<ActivationQuant> {
    let file = stated(graph, given, v)?;
    let (scale, zero) = (file.params.scale0(), file.params.zero_point0());
    let params = match (scheme, file.params.dtype) {
        (ActScheme::SymmetricInt8, DType::I8) if zero == 0 => QuantParams::per_tensor(DType::I8, scale, 0),
        (ActScheme::SymmetricInt8, _) => {
            let scale = (f64::from(file.hi).max(-f64::from(file.lo)) / 127.0) as f32;
            QuantParams::per_tensor(DType::I8, scale, 0)
        }
        (ActScheme::SymmetricInt16, _) => {
            let scale = (f64::from(file.hi).max(-f64::from(file.lo)) / 32_767.0) as f32;
            QuantParams::per_tensor(DType::I16, scale, 0)
        }
        (ActScheme::AffineUint8, DType::U8) => QuantParams::per_tensor(DType::U8, scale, zero),
        (ActScheme::AffineUint8, DType::I8) => QuantParams::per_tensor(DType::U8, scale, zero + 128),
        (ActScheme::AffineInt8, DType::I8) => QuantParams::per_tensor(DType::I8, scale, zero),
        (ActScheme::AffineInt8, DType::U8) => QuantParams::per_tensor(DType::I8, scale, zero - 128),
        (ActScheme::AffineUint8 | ActScheme::AffineInt8, _) => return None,
    };
    (params.scale0().is_normal()).then(|| ActivationQuant { params, ..file.clone() })
}

/// What the file states of an activation, or of the value that it is moved from.
fn stated<'a>(graph: &Graph, given: &'a QuantTable, v: ValueId) -> Option<&'a ActivationQuant> {
    let of = |v: ValueId| given.activations.get(&graph.value(v).name);
    of(v).or_else(|| of(origin(graph, v)))
}

/// The activations of a finished table whose scale is not the file's, in one note for each reason.
pub(crate) fn changed(of: &Observations<'_>, table: &QuantTable) -> Vec<Diagnostic> {
    let (mut calibrated, mut converted) = (Vec::new(), Vec::new());
    for (&v, scale) in of.scales {
        let name = of.graph.value(v).name.as_str();
        let Some(ours) = table.activations.get(name).filter(|_| *scale == Scale::Own && !of.is_image(v)) else {
            continue;
        };
        match stated(of.graph, of.given, v).filter(|file| file.method == ours.method) {
            Some(file) if ours.params.scale == file.params.scale => {}
            Some(_) => converted.push(name),
            None => calibrated.push(name),
        }
    }
    let note = |(what, names): (&str, Vec<&str>)| Diagnostic {
        severity: Severity::Note,
        ..Diagnostic::warning("CALIB13", format!("{what}: {}", names.join(", ")))
    };
    let lists = [
        ("calibrated, because the file states nothing of them that the march can take", calibrated),
        ("the file's range in the march's scheme, so with another scale", converted),
    ];
    lists.into_iter().filter(|(_, names)| !names.is_empty()).map(note).collect()
}

/// The file's scales of a Conv's weights, one a filter, or why they cannot be used; `None` when the file has no weights of
/// its own. They are used when they are symmetric int8, of one scale or of one a filter, every weight is an integer of
/// -127..127 in them, and none is below what the bias needs (`least`, which calibration computed; it is above the file's scale
/// only where rounding or the bias raised it). Weights that were rearranged (a Gemm that became a Conv) have another name than in the
/// file: the first of its scales in which they are integers fits.
pub(crate) fn kept_weights(
    graph: &Graph,
    node: &Node,
    given: &QuantTable,
    least: &[f32],
) -> Option<Result<Vec<f32>, String>> {
    let weights = graph.constant(node.input(1)?)?.f32s().ok()?;
    let named = given.weights.get(&graph.value(node.input(1)?).name);
    let fits = |file: &QuantParams| fitting(file, weights, least);
    match named {
        Some(file) => Some(fits(file)),
        None if given.weights.is_empty() => None,
        None => Some(
            given.weights.values().find_map(|file| fits(file).ok()).ok_or_else(|| "they are not the file's".to_owned()),
        ),
    }
}

fn fitting(file: &QuantParams, weights: &[f32], least: &[f32]) -> Result<Vec<f32>, String> {
    let filters = least.len();
    if file.dtype != DType::I8 || file.zero_point.iter().any(|&z| z != 0) {
        return Err(format!("the file has {} with a zero point, int8 without one is needed", file.dtype));
    }
    let scale: Vec<f32> = match (file.scale.len(), file.axis) {
        (1, _) => vec![file.scale[0]; filters],
        (n, Some(0)) if n == filters => file.scale.clone(),
        (n, _) => return Err(format!("the file's {n} scales are not one a filter of {filters}")),
    };
    let taps = (weights.len() / filters.max(1)).max(1);
    let integer = |(i, w): (usize, &f32)| {
        let q = f64::from(*w) / f64::from(scale[i / taps]);
        (q - q.round()).abs() <= INTEGER_TOLERANCE && q.abs() <= 127.5
    };
    if !weights.iter().enumerate().all(integer) {
        return Err("they are no longer integers in the file's scale (something was folded into them)".to_owned());
    }
    if least.iter().zip(&scale).any(|(&least, &own)| f64::from(least) > f64::from(own) * (1.0 + 1e-6)) {
        return Err("the file's scale leaves no room for the bias in 32 bits".to_owned());
    }
    Ok(scale)
}
