//! Activations newer than operator set 17 as what they are made of: Gelu (20), Mish (18), Swish (24),
//! SwiGLU (28).

use super::parts::Parts;
use super::{Conversion, Converted};
use ptq_ir::{DType, Diagnostic, Tensor};

/// A constant number of the type of input 0.
fn number(parts: &mut Parts<'_>, what: &str, value: f64) -> Result<String, Diagnostic> {
    let wide = parts.c.node.input(0).and_then(|n| parts.c.env.typed(n)).is_some_and(|t| t.0 == DType::F64);
    if !wide {
        return Ok(parts.number(what, value as f32));
    }
    let tensor = Tensor::from_f64(Vec::new(), vec![value]).map_err(|e| parts.c.error(e.to_string()))?;
    Ok(parts.constant(what, tensor))
}

/// `x/2 · (1 + erf(x / √2))`, or with `approximate = tanh` `x/2 · (1 + tanh(√(2/π) · (x + 0.044715·x³)))`.
pub(super) fn gelu(c: Conversion<'_>) -> Converted {
    let tanh = match c.node.attrs.str("approximate", "none") {
        "none" => false,
        "tanh" => true,
        other => return Err(c.error(format!("approximate {other:?} is not an ONNX mode"))),
    };
    let mut parts = Parts::of(c);
    let p = &mut parts;
    let x = p.input(0)?;
    let (half, one) = (number(p, "half", 0.5)?, number(p, "one", 1.0)?);
    let bent = if tanh {
        let (cubic, scale) = (number(p, "cubic", 0.044715)?, number(p, "scale", (2.0 / std::f64::consts::PI).sqrt())?);
        let square = p.op("Mul", &[&x, &x], &[]);
        let cube = p.op("Mul", &[&square, &x], &[]);
        let small = p.op("Mul", &[&cube, &cubic], &[]);
        let sum = p.op("Add", &[&x, &small], &[]);
        let scaled = p.op("Mul", &[&sum, &scale], &[]);
        p.op("Tanh", &[&scaled], &[])
    } else {
        let root = number(p, "root", std::f64::consts::SQRT_2)?;
        let scaled = p.op("Div", &[&x, &root], &[]);
        p.op("Erf", &[&scaled], &[])
    };
    let gate = p.op("Add", &[&bent, &one], &[]);
    let gated = p.op("Mul", &[&x, &gate], &[]);
    parts.finish("Mul", &[&gated, &half], &[])
}

/// `x · tanh(ln(1 + e^x))`.
pub(super) fn mish(c: Conversion<'_>) -> Converted {
    let mut parts = Parts::of(c);
    let x = parts.input(0)?;
    let soft = parts.op("Softplus", &[&x], &[]);
    let gate = parts.op("Tanh", &[&soft], &[]);
    parts.finish("Mul", &[&x, &gate], &[])
}

/// Swish: `x · sigmoid(alpha · x)`; SwiGLU multiplies it with input 1.
pub(super) fn swish(c: Conversion<'_>) -> Converted {
    let (alpha, gated) = (c.node.attrs.float("alpha", 1.0), c.node.op == "SwiGLU");
    let mut parts = Parts::of(c);
    let x = parts.input(0)?;
    let mut scaled = x.clone();
    if alpha != 1.0 {
        let alpha = number(&mut parts, "alpha", alpha.into())?;
        scaled = parts.op("Mul", &[&x, &alpha], &[]);
    }
    let gate = parts.op("Sigmoid", &[&scaled], &[]);
    if !gated {
        return parts.finish("Mul", &[&x, &gate], &[]);
    }
    let (swish, linear) = (parts.op("Mul", &[&x, &gate], &[]), parts.input(1)?);
    parts.finish("Mul", &[&swish, &linear], &[])
}

/// PRelu: exporters of the first operator sets give one slope a channel without the axes behind it.
pub(super) fn prelu(c: Conversion<'_>) -> Converted {
    let x = c.shape()?;
    let slope = c.node.input(1).and_then(|n| c.env.typed(n)).map(|t| t.1).unwrap_or_default();
    let by_channel = x.len() > 2 && slope.len() == 1 && slope[0] > 1 && x[1] == slope[0] && x.last() != slope.last();
    if !by_channel {
        return c.done();
    }
    let mut parts = Parts::of(c);
    let (data, slope_name) = (parts.input(0)?, parts.input(1)?);
    let mut shape = vec![1; x.len() - 1];
    shape[0] = slope[0];
    let slope = parts.reshape(&slope_name, &shape);
    parts.finish("PRelu", &[&data, &slope], &[])
}
