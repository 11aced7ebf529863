//! Normalizations: BatchNormalization before 9, and those that operator set 17 spells with other operators.

use super::parts::{Parts, signed};
use super::{Conversion, Converted};
use ptq_ir::Attr;

/// Removes `spatial = 1`; per-pixel statistics (`spatial = 0`) are refused.
pub(super) fn batch(mut c: Conversion<'_>) -> Converted {
    if c.opset < 9 {
        if c.node.attrs.int("spatial", 1) == 0 {
            return Err(c.error("statistics for each pixel (spatial = 0) are not supported"));
        }
        c.node.attrs.0.remove("spatial");
    }
    c.done()
}

/// GroupNormalization (18, 21): each group of channels is one channel of an InstanceNormalization; scale and bias, one
/// entry a channel (18: a group), follow.
pub(super) fn group(c: Conversion<'_>) -> Converted {
    let shape = c.shape()?;
    let groups = usize::try_from(c.node.attrs.int("num_groups", 0)).unwrap_or(0);
    if shape.len() < 2 || groups == 0 || shape[1] % groups != 0 {
        return Err(c.error(format!("{groups} groups do not divide the channels of {shape:?}")));
    }
    let (channels, epsilon) = (shape[1], c.node.attrs.float("epsilon", 1e-5));
    let inner = shape[1..].iter().product::<usize>() / groups;
    let mut parts = Parts::of(c);
    let x = parts.input(0)?;
    let grouped = parts.reshape(&x, &[shape[0], groups, inner]);
    let ones = parts.floats("ones", &[groups], vec![1.0; groups])?;
    let zeros = parts.floats("zeros", &[groups], vec![0.0; groups])?;
    let epsilon = [("epsilon", Attr::Float(epsilon))];
    let normal = parts.op("InstanceNormalization", &[&grouped, &ones, &zeros], &epsilon);
    let normal = parts.reshape(&normal, &shape);
    let mut wide = vec![1; shape.len() - 1];
    wide[0] = channels;
    let mut parameters = Vec::new();
    for i in [1, 2] {
        let name = parts.input(i)?;
        let count = parts.c.env.typed(&name).map_or(0, |(_, s)| s.iter().product());
        let per_channel = match count {
            n if n == channels => name,
            n if n == groups => {
                let column = parts.reshape(&name, &[groups, 1]);
                let target = parts.ints("expanded", signed(&[groups, channels / groups]));
                parts.op("Expand", &[&column, &target], &[])
            }
            n => return Err(parts.c.error(format!("{name} has {n} entries for {channels} channels"))),
        };
        parameters.push(parts.reshape(&per_channel, &wide));
    }
    let scaled = parts.op("Mul", &[&normal, &parameters[0]], &[]);
    parts.finish("Add", &[&scaled, &parameters[1]], &[])
}

/// RMSNormalization (23): `x / sqrt(mean(x²) + epsilon) · scale` over the axes from `axis` on.
pub(super) fn root_mean_square(c: Conversion<'_>) -> Converted {
    let rank = c.shape()?.len();
    let first = c.axes(&[c.node.attrs.int("axis", -1)], rank)?[0];
    let epsilon = c.node.attrs.float("epsilon", 1e-5);
    let mut parts = Parts::of(c);
    let (x, scale) = (parts.input(0)?, parts.input(1)?);
    let squares = parts.op("Mul", &[&x, &x], &[]);
    let mean = parts.mean(&squares, &signed(&(first..rank).collect::<Vec<_>>()));
    let epsilon = parts.number("epsilon", epsilon);
    let safe = parts.op("Add", &[&mean, &epsilon], &[]);
    let root = parts.op("Sqrt", &[&safe], &[]);
    let normal = parts.op("Div", &[&x, &root], &[]);
    parts.finish("Mul", &[&normal, &scale], &[])
}

/// MeanVarianceNormalization: `(x − mean) / (sqrt(mean((x − mean)²)) + 1e-9)` over the axes.
pub(super) fn mean_variance(mut c: Conversion<'_>) -> Converted {
    let axes = c.take_ints("axes").unwrap_or_else(|| vec![0, 2, 3]);
    let mut parts = Parts::of(c);
    let x = parts.input(0)?;
    let mean = parts.mean(&x, &axes);
    let centred = parts.op("Sub", &[&x, &mean], &[]);
    let squares = parts.op("Mul", &[&centred, &centred], &[]);
    let variance = parts.mean(&squares, &axes);
    let deviation = parts.op("Sqrt", &[&variance], &[]);
    let epsilon = parts.number("epsilon", 1e-9);
    let safe = parts.op("Add", &[&deviation, &epsilon], &[]);
    parts.finish("Div", &[&centred, &safe], &[])
}
