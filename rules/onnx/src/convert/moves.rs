//! Moving operators newer than operator set 17 or outside it: CenterCropPad (18), EyeLike, Scatter, SpaceToDepth in
//! mode CRD (28), Pad in mode wrap (19), CastLike.

use super::parts::{Parts, signed};
use super::{Conversion, Converted};
use ptq_ir::{Attr, DType, Tensor};

/// Largest identity matrix in elements.
const MAX_EYE: usize = 1 << 24;

/// CenterCropPad to a constant shape: a Slice where an axis shrinks, a Pad where it grows.
pub(super) fn center_crop_pad(c: Conversion<'_>) -> Converted {
    let shape = c.shape()?;
    let wanted = c.ints(1)?.unwrap_or_default();
    let axes = match c.node.attrs.ints("axes") {
        Some(raw) => c.axes(raw, shape.len())?,
        None => (0..shape.len()).collect(),
    };
    if wanted.len() != axes.len() {
        return Err(c.error(format!("{} extents for {} axes", wanted.len(), axes.len())));
    }
    let (mut cut, mut pads) = ((vec![], vec![], vec![]), vec![0i64; 2 * shape.len()]);
    for (&axis, &want) in axes.iter().zip(&wanted) {
        let have = shape[axis] as i64;
        if want < have {
            let start = (have - want) / 2;
            cut.0.push(start);
            cut.1.push(start + want.max(0));
            cut.2.push(axis as i64);
        } else {
            pads[axis] = (want - have) / 2;
            pads[axis + shape.len()] = want - have - pads[axis];
        }
    }
    let mut parts = Parts::of(c);
    let mut x = parts.input(0)?;
    if !cut.0.is_empty() {
        let [starts, ends, axes] =
            [("starts", cut.0), ("ends", cut.1), ("axes", cut.2)].map(|(what, v)| parts.ints(what, v));
        x = parts.op("Slice", &[&x, &starts, &ends, &axes], &[]);
    }
    if pads.iter().all(|&p| p == 0) {
        return parts.finish("Identity", &[&x], &[]);
    }
    let pads = parts.ints("pads", pads);
    parts.finish("Pad", &[&x, &pads], &[])
}

/// EyeLike depends on the input's shape alone: a constant.
pub(super) fn eye_like(c: Conversion<'_>) -> Converted {
    let (own, shape) = c.node.input(0).and_then(|n| c.env.typed(n)).ok_or_else(|| c.error("input 0 is missing"))?;
    let dtype = match c.node.attrs.get("dtype") {
        Some(Attr::Int(n)) => i32::try_from(*n).ok().and_then(DType::from_onnx),
        _ => Some(own),
    };
    let dtype = dtype.ok_or_else(|| c.error("the element type is not supported"))?;
    let &[rows, columns] = shape.as_slice() else {
        return Err(c.error(format!("input {shape:?} is no matrix")));
    };
    if rows.checked_mul(columns).is_none_or(|n| n > MAX_EYE) {
        return Err(c.error(format!("{rows}x{columns} is too large")));
    }
    let k = c.node.attrs.int("k", 0);
    let one = |i: usize| (i % columns) as i64 == (i / columns) as i64 + k;
    let eye = Tensor::from_bool(shape.clone(), (0..rows * columns).map(one).collect());
    let eye = eye.map_err(|e| c.error(e.to_string()))?;
    let mut parts = Parts::of(c);
    let eye = parts.constant("eye", eye);
    parts.finish("Cast", &[&eye], &[("to", Attr::Int(dtype.onnx().into()))])
}

/// Scatter (9 and 10) is ScatterElements under its first name.
pub(super) fn scatter(mut c: Conversion<'_>) -> Converted {
    c.node.op = "ScatterElements".to_owned();
    c.done()
}

/// CastLike is a Cast to the type of input 1.
pub(super) fn cast_like(mut c: Conversion<'_>) -> Converted {
    let to = c.node.input(1).and_then(|n| c.env.typed(n)).ok_or_else(|| c.error("input 1 is missing"))?.0;
    c.node.op = "Cast".to_owned();
    c.node.keep_inputs(1);
    c.node.attrs.0.clear();
    c.node.attrs.set("to", Attr::Int(to.onnx().into()));
    c.done()
}

/// SpaceToDepth: `mode` since 28; CRD puts a channel's block together.
pub(super) fn space_to_depth(mut c: Conversion<'_>) -> Converted {
    let mode = c.node.attrs.0.remove("mode");
    match mode {
        None => return c.done(),
        Some(Attr::Str(mode)) if mode == "DCR" => return c.done(),
        Some(Attr::Str(mode)) if mode == "CRD" => {}
        Some(_) => return Err(c.error("mode must be DCR or CRD")),
    }
    let (shape, block) = (c.shape()?, usize::try_from(c.node.attrs.int("blocksize", 0)).unwrap_or(0));
    let [n, channels, h, w] = match *shape {
        [n, k, h, w] if block > 0 && h % block == 0 && w % block == 0 => [n, k, h / block, w / block],
        _ => return Err(c.error(format!("input {shape:?} does not divide into blocks of {block}"))),
    };
    let mut parts = Parts::of(c);
    let x = parts.input(0)?;
    let split = parts.reshape(&x, &[n, channels, h, block, w, block]);
    let turned = parts.transpose(&split, &[0, 1, 3, 5, 2, 4]);
    let target = parts.ints("shape", signed(&[n, channels * block * block, h, w]));
    parts.finish("Reshape", &[&turned, &target], &[])
}

/// Pad in mode wrap: copies of the far ends beside each axis.
pub(super) fn wrap(c: Conversion<'_>) -> Converted {
    let shape = c.shape()?;
    let pads = c.ints(1)?.unwrap_or_default();
    if pads.len() != 2 * shape.len() {
        return Err(c.error(format!("{} pads for rank {}", pads.len(), shape.len())));
    }
    let misfit = c.error(format!("pads {pads:?} do not wrap around {shape:?}"));
    let mut parts = Parts::of(c);
    let mut x = parts.input(0)?;
    for (axis, &n) in shape.iter().enumerate() {
        let [before, after] = [pads[axis], pads[axis + shape.len()]].map(|p| usize::try_from(p).ok());
        let (Some(before), Some(after)) = (before, after) else { return Err(misfit) };
        if before == 0 && after == 0 {
            continue;
        }
        if before > n || after > n {
            return Err(misfit);
        }
        let front = (before > 0).then(|| parts.slice(&x, axis, [n - before, n, 1]));
        let back = (after > 0).then(|| parts.slice(&x, axis, [0, after, 1]));
        let pieces: Vec<&str> = [front.as_deref(), Some(x.as_str()), back.as_deref()].into_iter().flatten().collect();
        x = parts.op("Concat", &pieces, &[("axis", Attr::Int(axis as i64))]);
    }
    parts.finish("Identity", &[&x], &[])
}
