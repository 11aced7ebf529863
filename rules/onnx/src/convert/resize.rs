//! Upsample and the versions of Resize.

use super::parts::Parts;
use super::{Conversion, Converted};
use ptq_ir::ops::{Filter, Resample};
use ptq_ir::{Attr, Diagnostic, Tensor};

/// Upsample (removed in 10) is Resize with asymmetric coordinates.
pub(super) fn upsample(mut c: Conversion<'_>) -> Converted {
    if c.opset < 9
        && let Some(Attr::Floats(scales)) = c.node.attrs.0.remove("scales")
    {
        let tensor = Tensor::from_f32([scales.len()], scales).map_err(|e| c.error(e.to_string()))?;
        c.constant_input(1, "scales", tensor);
    }
    let mut nodes = asymmetric(c)?;
    nodes.iter_mut().for_each(|n| n.op = "Resize".to_owned());
    Ok(nodes)
}

/// Resize 10 is Upsample; later versions differ in options only.
pub(super) fn resize(mut c: Conversion<'_>) -> Converted {
    if c.opset < 11 {
        return asymmetric(c);
    }
    // The region of interest matters only for tf_crop_and_resize.
    if c.node.attrs.str("coordinate_transformation_mode", "") != "tf_crop_and_resize" {
        c.node.attrs.0.remove("extrapolation_value");
        c.node.set_input(1, None);
    }
    for i in [2, 3] {
        let empty = c.node.input(i).and_then(|n| c.env.typed(n)).is_some_and(|(_, shape)| shape == [0]);
        if empty {
            c.node.set_input(i, None);
        }
    }
    if c.opset >= 18 { newer_options(c) } else { c.done() }
}

/// `(X, scales)` → `(X, , scales)` as ONNX Runtime computes it: floor upwards, ceil downwards.
fn asymmetric(mut c: Conversion<'_>) -> Converted {
    let scales = c.node.input(1).map(str::to_owned).ok_or_else(|| c.error("scales are missing"))?;
    let values = c.env.constant(&scales).and_then(|t| t.f32s().ok().map(<[f32]>::to_vec));
    let values = values.ok_or_else(|| c.error("scales must be constant float32"))?;
    c.node.set_input(1, None);
    c.node.set_input(2, Some(scales));
    let mode = match c.node.attrs.str("mode", "nearest") {
        "bilinear" => "linear".to_owned(),
        mode => mode.to_owned(),
    };
    let (up, down) = (values.iter().any(|&s| s > 1.0), values.iter().any(|&s| s < 1.0));
    if up && down && mode == "nearest" {
        return Err(c.error("scales both up and down"));
    }
    c.node.attrs.set("mode", Attr::Str(mode));
    c.node.attrs.set("coordinate_transformation_mode", Attr::Str("asymmetric".to_owned()));
    c.node.attrs.set("nearest_mode", Attr::Str(if down { "ceil" } else { "floor" }.to_owned()));
    c.done()
}

/// Options of 18 and 19: `axes` and the aspect ratio are spelled out. Where operator set 17 has no such Resize, the axes
/// are resampled one by one: by Gather for nearest pixels, by a product with a constant matrix otherwise.
fn newer_options(mut c: Conversion<'_>) -> Converted {
    let shape = c.shape()?;
    let axes = match c.take_ints("axes") {
        Some(axes) => c.axes(&axes, shape.len())?,
        None => (0..shape.len()).collect(),
    };
    let attr = |c: &Conversion<'_>, name: &str, default: &str| c.node.attrs.str(name, default).to_owned();
    let policy = attr(&c, "keep_aspect_ratio_policy", "stretch");
    c.node.attrs.0.remove("keep_aspect_ratio_policy");
    let antialias = matches!(c.node.attrs.0.remove("antialias"), Some(Attr::Int(v)) if v != 0);
    let transform = attr(&c, "coordinate_transformation_mode", "half_pixel");
    let extents = Extents::of(&mut c, &shape, &axes, &policy)?;
    // Coordinates of corners count the output's extent before rounding.
    let rounds = transform == "align_corners" && (0..shape.len()).any(|d| extents.width(d) != extents.out[d] as f64);
    let sized = policy != "stretch" && transform != "tf_crop_and_resize";
    if antialias || rounds || sized || transform == "half_pixel_symmetric" {
        return resampled(c, &extents, &transform, antialias);
    }
    if policy != "stretch" {
        return Err(c.error(format!("keep_aspect_ratio_policy {policy} with {transform} is not supported")));
    }
    c.done()
}

/// Extents of a Resize, for all axes.
struct Extents {
    input: Vec<usize>,
    out: Vec<usize>,
    scales: Vec<f64>,
}

impl Extents {
    /// Reads scales or sizes of `axes` and makes them those of all axes.
    fn of(c: &mut Conversion<'_>, shape: &[usize], axes: &[usize], policy: &str) -> Result<Extents, Diagnostic> {
        let misfit = |c: &Conversion<'_>| c.error(format!("scales, sizes or region do not fit axes {axes:?}"));
        let all = axes.len() == shape.len() && axes.iter().enumerate().all(|(i, &a)| i == a);
        let floats = |c: &Conversion<'_>, i: usize| {
            let constant = c.node.input(i).and_then(|n| c.env.constant(n));
            constant.and_then(|t| t.f32s().ok().map(<[f32]>::to_vec))
        };
        if !all && c.node.input(1).is_some() {
            let roi = floats(c, 1).filter(|r| r.len() == 2 * axes.len()).ok_or_else(|| misfit(c))?;
            let mut region: Vec<f32> = (0..2 * shape.len()).map(|i| if i < shape.len() { 0.0 } else { 1.0 }).collect();
            for (i, &a) in axes.iter().enumerate() {
                (region[a], region[a + shape.len()]) = (roi[i], roi[i + axes.len()]);
            }
            let tensor = Tensor::from_f32([region.len()], region).map_err(|e| c.error(e.to_string()))?;
            c.constant_input(1, "region", tensor);
        }
        let mut scales = vec![1.0; shape.len()];
        let mut out = shape.to_vec();
        if let Some(sizes) = c.ints(3)? {
            let positive = sizes.iter().filter_map(|&s| usize::try_from(s).ok()).filter(|&s| s > 0);
            let sizes: Vec<usize> = positive.collect();
            if sizes.len() != axes.len() || axes.iter().any(|&a| shape[a] == 0) {
                return Err(misfit(c));
            }
            let ratios = || axes.iter().zip(&sizes).map(|(&a, &s)| s as f64 / shape[a] as f64);
            let common = match policy {
                "not_larger" => Some(ratios().fold(f64::INFINITY, f64::min)),
                "not_smaller" => Some(ratios().fold(0.0, f64::max)),
                _ => None,
            };
            for (i, &a) in axes.iter().enumerate() {
                scales[a] = common.unwrap_or(sizes[i] as f64 / shape[a] as f64);
                out[a] = common.map_or(sizes[i], |s| (s * shape[a] as f64 + 0.5).floor() as usize);
            }
            if !all {
                c.constant_input(3, "sizes", Tensor::vec_i64(out.iter().map(|&n| n as i64).collect()));
            }
        } else {
            let given = floats(c, 2).filter(|s| s.len() == axes.len()).ok_or_else(|| misfit(c))?;
            let mut spelled = vec![1.0; shape.len()];
            for (&a, &s) in axes.iter().zip(&given) {
                spelled[a] = s;
                scales[a] = f64::from(s);
                out[a] = (shape[a] as f32 * s).floor().max(0.0) as usize;
            }
            if !all {
                let tensor = Tensor::from_f32([spelled.len()], spelled).map_err(|e| c.error(e.to_string()))?;
                c.constant_input(2, "scales", tensor);
            }
        }
        Ok(Extents { input: shape.to_vec(), out, scales })
    }

    /// The output extent before rounding.
    fn width(&self, d: usize) -> f64 {
        let exact = self.input[d] as f64 * self.scales[d];
        // Scales are float32: a product within their precision of the extent is that extent.
        if (exact - exact.round()).abs() < 1e-6 * exact.abs() { exact.round() } else { exact }
    }
}

/// Resamples each axis that changes.
fn resampled(c: Conversion<'_>, extents: &Extents, transform: &str, antialias: bool) -> Converted {
    let attrs = c.node.attrs.clone();
    let (mode, rounding) = (attrs.str("mode", "nearest"), attrs.str("nearest_mode", "round_prefer_floor"));
    if !matches!(mode, "nearest" | "linear" | "cubic") || (antialias && mode == "nearest") {
        return Err(c.error(format!("mode {mode} is not supported here")));
    }
    let filter = Filter {
        cubic: (mode == "cubic").then(|| f64::from(attrs.float("cubic_coeff_a", -0.75))),
        antialias,
        exclude_outside: attrs.int("exclude_outside", 0) != 0,
    };
    let rank = extents.input.len();
    let mut parts = Parts::of(c);
    let mut x = parts.input(0)?;
    for d in (0..rank).filter(|&d| extents.out[d] != extents.input[d] || extents.scales[d] != 1.0) {
        let (input, output) = (extents.input[d], extents.out[d]);
        let (scale, width) = (extents.scales[d], extents.width(d));
        let axis = Resample { input, output, scale, width, transform, roi: [0.0, 1.0] };
        let unknown = || parts.c.error(format!("{transform} with {rounding} is not defined"));
        if input == 0 || output == 0 {
            return Err(parts.c.error("an axis is empty"));
        }
        if mode == "nearest" {
            let table = axis.nearest(rounding).ok_or_else(unknown)?;
            let indices = parts.ints("pixels", table.into_iter().map(|i| i.unwrap_or(0) as i64).collect());
            x = parts.op("Gather", &[&x, &indices], &[("axis", Attr::Int(d as i64))]);
            continue;
        }
        let mut matrix = vec![0.0; input * output];
        for (o, taps) in axis.taps(filter).ok_or_else(unknown)?.into_iter().enumerate() {
            taps.into_iter().for_each(|(i, w)| matrix[i * output + o] += w);
        }
        let matrix = parts.floats("weights", &[input, output], matrix)?;
        let mut swap: Vec<usize> = (0..rank).collect();
        swap.swap(d, rank - 1);
        let turned = if d == rank - 1 { x } else { parts.transpose(&x, &swap) };
        let product = parts.op("MatMul", &[&turned, &matrix], &[]);
        x = if d == rank - 1 { product } else { parts.transpose(&product, &swap) };
    }
    parts.finish("Identity", &[&x], &[])
}
