//! Upsample and the versions of Resize.

use super::{Conversion, Converted};
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
    // The region of interest matters only for tf_crop_and_resize, which inference refuses.
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
    if c.opset >= 18 {
        newer_options(&mut c)?;
    }
    c.done()
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

/// Options of 18 and 19: `axes` is spelled out for all axes, the others must be at their default.
fn newer_options(c: &mut Conversion<'_>) -> Result<(), Diagnostic> {
    if c.node.attrs.int("antialias", 0) != 0 {
        return Err(c.error("antialias is not supported"));
    }
    let policy = c.node.attrs.str("keep_aspect_ratio_policy", "stretch");
    if policy != "stretch" {
        return Err(c.error(format!("keep_aspect_ratio_policy {policy} is not supported")));
    }
    if c.node.attrs.str("coordinate_transformation_mode", "") == "half_pixel_symmetric" {
        return Err(c.error("half_pixel_symmetric is not supported"));
    }
    c.node.attrs.0.remove("antialias");
    c.node.attrs.0.remove("keep_aspect_ratio_policy");
    let Some(axes) = c.take_ints("axes") else { return Ok(()) };
    let shape = c.shape()?;
    let axes = c.axes(&axes, shape.len())?;
    let misfit = |c: &Conversion<'_>| c.error(format!("scales or sizes do not fit axes {axes:?}"));
    if let Some(sizes) = c.ints(3)? {
        let mut all: Vec<i64> = shape.iter().map(|&n| n as i64).collect();
        if sizes.len() != axes.len() {
            return Err(misfit(c));
        }
        axes.iter().zip(sizes).for_each(|(&a, s)| all[a] = s);
        c.constant_input(3, "sizes", Tensor::vec_i64(all));
    } else {
        let given = c.node.input(2).and_then(|n| c.env.constant(n));
        let given = given.and_then(|t| t.f32s().ok().map(<[f32]>::to_vec)).filter(|s| s.len() == axes.len());
        let given = given.ok_or_else(|| misfit(c))?;
        let mut all = vec![1.0; shape.len()];
        axes.iter().zip(given).for_each(|(&a, s)| all[a] = s);
        let tensor = Tensor::from_f32([all.len()], all).map_err(|e| c.error(e.to_string()))?;
        c.constant_input(2, "scales", tensor);
    }
    Ok(())
}
