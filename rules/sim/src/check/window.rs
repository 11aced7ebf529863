//! Conv and pools.

use super::quant::{check_requant, check_result};
use super::{MAX_TENSOR_BYTES, activation, same_type, same_width, shape_is};
use ptq_ir::{DType, QConv, QPool, QTensor, ops};
use ptq_kernels::MAX_WEIGHTS;

/// Largest number of any geometry field; keeps all index arithmetic far from overflow.
const MAX_GEOMETRY: usize = 1 << 20;

/// Most taps of a pooling window: their sum stays inside 31 bits.
const MAX_TAPS: usize = 1 << 22;

fn rank4(t: &QTensor) -> Result<[usize; 4], String> {
    t.shape.as_slice().try_into().map_err(|_| format!("{} has rank {}, not 4", t.name, t.shape.len()))
}

fn check_window(
    kernel: [usize; 2],
    strides: [usize; 2],
    dilations: [usize; 2],
    pads: [usize; 4],
) -> Result<(), String> {
    let positive = [kernel, strides, dilations].concat();
    if positive.contains(&0) || positive.iter().chain(&pads).any(|&v| v > MAX_GEOMETRY) {
        return Err("kernel, strides, dilations or pads are out of range".into());
    }
    Ok(())
}

/// Executors may make the padded image.
fn check_padded(pads: [usize; 4], [c, h, w]: [usize; 3]) -> Result<(), String> {
    let padded = (h + pads[0] + pads[2]).checked_mul(w + pads[1] + pads[3]).and_then(|n| n.checked_mul(c));
    match padded {
        Some(bytes) if bytes <= MAX_TENSOR_BYTES => Ok(()),
        _ => Err(format!("the padded image is larger than {MAX_TENSOR_BYTES} bytes")),
    }
}

pub(super) fn check_conv(conv: &QConv, inputs: &[&QTensor], output: &QTensor) -> Result<(), String> {
    let (x, w, bias) = match inputs {
        [x, w] => (x, w, None),
        [x, w, b] => (x, w, Some(b)),
        _ => return Err(format!("has {} inputs", inputs.len())),
    };
    activation(x)?;
    let geom = &conv.geom;
    let ([n, c, h, wd], [oc, icg, kh, kw]) = (rank4(x)?, rank4(w)?);
    check_window(geom.kernel, geom.strides, geom.dilations, geom.pads)?;
    if w.dtype != DType::I8 || w.data.is_none() {
        return Err("weights are not int8 constants".into());
    }
    let groups_fit = geom.group >= 1 && icg.checked_mul(geom.group) == Some(c) && oc % geom.group == 0;
    if [kh, kw] != geom.kernel || !groups_fit {
        return Err(format!("weights {:?} do not fit {c} channels in {} groups", w.shape, geom.group));
    }
    if x.dtype == DType::I16 && icg * kh * kw > MAX_WEIGHTS {
        return Err(format!("a filter of 16-bit inputs has more than {MAX_WEIGHTS} weights"));
    }
    if let Some(b) = bias
        && (b.dtype != DType::I32 || b.data.is_none() || b.shape != [oc])
    {
        return Err(format!("bias {} is not {oc} int32 constants", b.name));
    }
    let [oh, ow] = geom.out_hw([h, wd]).ok_or("the window does not fit the image")?;
    shape_is(output, &[n, oc, oh, ow])?;
    check_padded(geom.pads, [c, h, wd])?;
    match &conv.requant {
        Some(requant) => {
            check_requant(requant, &[1, oc])?;
            check_result(output, conv.out_zero, conv.clamp_lo, conv.clamp_hi)
        }
        None if output.dtype == DType::I32 => Ok(()),
        None => Err(format!("output is {} without requantization", output.dtype)),
    }
}

fn check_pool(geom: &ops::PoolGeom, x: &QTensor, output: &QTensor) -> Result<(), String> {
    let [n, c, h, w] = rank4(x)?;
    check_window(geom.kernel, geom.strides, geom.dilations, geom.pads)?;
    if geom.kernel[0] * geom.kernel[1] > MAX_TAPS {
        return Err(format!("window {:?} has more than {MAX_TAPS} taps", geom.kernel));
    }
    let [oh, ow] = geom.out_hw([h, w]).ok_or("the window does not fit the image")?;
    shape_is(output, &[n, c, oh, ow])
}

pub(super) fn check_average(pool: &QPool, x: &QTensor, output: &QTensor) -> Result<(), String> {
    check_pool(&pool.geom, x, output)?;
    activation(x)?;
    same_width(x, output)?;
    let (lo, hi) = activation(output)?;
    check_requant(&pool.requant, &[1, pool.geom.kernel[0] * pool.geom.kernel[1]])?;
    check_result(output, pool.out_zero, lo, hi)
}

pub(super) fn check_max(geom: &ops::PoolGeom, x: &QTensor, output: &QTensor) -> Result<(), String> {
    check_pool(geom, x, output)?;
    if x.dtype != DType::I32 {
        activation(x)?;
    }
    same_type(x, output)
}
