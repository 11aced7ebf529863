//! Integer operators ⇄ protobuf messages.

use super::BinError;
use super::from_wire::{inconsistent, plain_tensor};
use super::schema::*;
use super::to_wire;
use ptq_ir::{
    Activation, Attr, Attrs, QAdd, QConcat, QConv, QDiv, QExtreme, QLut, QMatMul, QMul, QOp, QPool, QReduce,
    QRequantize, QSoftmax, Reduction, Requant, ops::BlockMove, ops::BlockOrder, ops::ConvGeom, ops::LinearResize,
    ops::LinearTap, ops::NearestResize, ops::PoolGeom,
};

pub(super) fn op(op: &QOp) -> OpMessage {
    match op {
        QOp::Float { op, domain, attrs, present } => OpMessage::Float(FloatMessage {
            op: op.clone(),
            domain: domain.clone(),
            attrs: attrs_message(attrs),
            present: present.clone(),
        }),
        QOp::Quantize => OpMessage::Quantize(Empty {}),
        QOp::Dequantize => OpMessage::Dequantize(Empty {}),
        QOp::Conv(c) => OpMessage::Conv(ConvMessage {
            window: Some(conv_window(&c.geom)),
            result: Some(ResultMessage {
                requant: c.requant.as_ref().map(requant_message),
                out_zero: c.out_zero,
                clamp_lo: c.clamp_lo,
                clamp_hi: c.clamp_hi,
                activation: Some(activation_message(c.activation)),
            }),
        }),
        QOp::Add(a) => OpMessage::Add(ResultMessage {
            requant: Some(requant_message(&a.requant)),
            out_zero: a.out_zero,
            clamp_lo: a.clamp_lo,
            clamp_hi: a.clamp_hi,
            activation: Some(activation_message(a.activation)),
        }),
        QOp::Mul(m) => OpMessage::Mul(ResultMessage {
            requant: Some(requant_message(&m.requant)),
            out_zero: m.out_zero,
            clamp_lo: m.clamp_lo,
            clamp_hi: m.clamp_hi,
            activation: None,
        }),
        QOp::Extreme(e) => OpMessage::Extreme(ExtremeMessage {
            smaller: e.smaller,
            result: Some(plain_result(Some(&e.requant), e.out_zero)),
        }),
        QOp::Div(d) => OpMessage::Div(plain_result(Some(&d.requant), d.out_zero)),
        QOp::MatMul(m) => OpMessage::MatMul(plain_result(Some(&m.requant), m.out_zero)),
        QOp::Reduce(r) => OpMessage::Reduce(ReduceMessage {
            kind: REDUCTIONS.iter().position(|k| *k == r.kind).unwrap_or(0) as u32,
            axis: r.axis as u32,
            result: Some(plain_result(r.requant.as_ref(), r.out_zero)),
        }),
        QOp::Softmax(s) => OpMessage::Softmax(SoftmaxMessage {
            axis: s.axis as u32,
            table: s.table.clone(),
            result: Some(plain_result(Some(&s.requant), s.out_zero)),
        }),
        QOp::Gather { axis, indices } => {
            OpMessage::Gather(IndicesMessage { axis: *axis as u32, indices: indices.clone() })
        }
        QOp::Pad { before, value } => {
            OpMessage::Pad(PadMessage { before: before.iter().map(|&s| s as u64).collect(), value: *value })
        }
        QOp::Concat(c) => OpMessage::Concat(ConcatMessage {
            axis: c.axis as u32,
            requant: c.requant.iter().map(|r| r.as_ref().map(requant_message).unwrap_or_default()).collect(),
            out_zero: c.out_zero,
        }),
        QOp::AveragePool(p) => OpMessage::AveragePool(PoolMessage {
            window: Some(pool_window(&p.geom)),
            result: Some(plain_result(Some(&p.requant), p.out_zero)),
        }),
        QOp::MaxPool(g) => OpMessage::MaxPool(pool_window(g)),
        QOp::Lut(l) => OpMessage::Lut(LutMessage {
            op: l.op.clone(),
            attrs: attrs_message(&l.attrs),
            table: l.table.iter().map(|&v| v.into()).collect(),
        }),
        QOp::Resize(r) => OpMessage::Resize(ResizeMessage { rows: r.rows.clone(), cols: r.cols.clone() }),
        QOp::LinearResize(r) => OpMessage::LinearResize(TapsMessage {
            rows: tap_numbers(&r.rows),
            cols: tap_numbers(&r.cols),
            transform: r.transform.clone(),
            scales: r.scales.map(|s| s.to_vec()).unwrap_or_default(),
        }),
        QOp::DepthToSpace(b) => {
            OpMessage::DepthToSpace(BlockMessage { block: b.block as u32, crd: b.order == BlockOrder::Crd })
        }
        QOp::SpaceToDepth { block } => OpMessage::SpaceToDepth(BlockMessage { block: *block as u32, crd: false }),
        QOp::Slice { starts } => OpMessage::Slice(StartsMessage { starts: starts.iter().map(|&s| s as u64).collect() }),
        QOp::Reshape => OpMessage::Reshape(Empty {}),
        QOp::Transpose { perm } => OpMessage::Transpose(PermMessage { perm: perm.iter().map(|&a| a as u32).collect() }),
        QOp::Requantize(r) => OpMessage::Requantize(plain_result(Some(&r.requant), r.out_zero)),
    }
}

pub(super) fn read_op(message: OpMessage) -> Result<QOp, BinError> {
    Ok(match message {
        OpMessage::Float(f) => {
            QOp::Float { op: f.op, domain: f.domain, attrs: read_attrs(f.attrs)?, present: f.present }
        }
        OpMessage::Quantize(_) => QOp::Quantize,
        OpMessage::Dequantize(_) => QOp::Dequantize,
        OpMessage::Conv(c) => {
            let r = c.result.ok_or_else(|| inconsistent("a Conv has no result"))?;
            QOp::Conv(QConv {
                geom: read_conv_window(&required(c.window)?)?,
                requant: r.requant.map(read_requant).transpose()?,
                out_zero: r.out_zero,
                clamp_lo: r.clamp_lo,
                clamp_hi: r.clamp_hi,
                activation: read_activation(r.activation)?,
            })
        }
        OpMessage::Add(r) => QOp::Add(QAdd {
            requant: read_requant(required(r.requant)?)?,
            out_zero: r.out_zero,
            clamp_lo: r.clamp_lo,
            clamp_hi: r.clamp_hi,
            activation: read_activation(r.activation)?,
        }),
        OpMessage::Mul(r) => QOp::Mul(QMul {
            requant: read_requant(required(r.requant)?)?,
            out_zero: r.out_zero,
            clamp_lo: r.clamp_lo,
            clamp_hi: r.clamp_hi,
        }),
        OpMessage::Extreme(e) => {
            let (requant, out_zero) = read_result(required(e.result)?)?;
            QOp::Extreme(QExtreme { smaller: e.smaller, requant, out_zero })
        }
        OpMessage::Div(r) => {
            let (requant, out_zero) = read_result(r)?;
            QOp::Div(QDiv { requant, out_zero })
        }
        OpMessage::MatMul(r) => {
            let (requant, out_zero) = read_result(r)?;
            QOp::MatMul(QMatMul { requant, out_zero })
        }
        OpMessage::Reduce(r) => {
            let result = required(r.result)?;
            let kind = REDUCTIONS.get(r.kind as usize).ok_or_else(|| inconsistent("a reduction is unknown"))?;
            QOp::Reduce(QReduce {
                kind: *kind,
                axis: r.axis as usize,
                requant: result.requant.map(read_requant).transpose()?,
                out_zero: result.out_zero,
            })
        }
        OpMessage::Softmax(s) => {
            let (requant, out_zero) = read_result(required(s.result)?)?;
            QOp::Softmax(QSoftmax { axis: s.axis as usize, table: s.table, requant, out_zero })
        }
        OpMessage::Gather(g) => QOp::Gather { axis: g.axis as usize, indices: g.indices },
        OpMessage::Pad(p) => QOp::Pad { before: p.before.into_iter().map(|v| v as usize).collect(), value: p.value },
        OpMessage::Concat(c) => QOp::Concat(QConcat {
            axis: c.axis as usize,
            requant: c
                .requant
                .into_iter()
                .map(|r| if r == RequantMessage::default() { Ok(None) } else { read_requant(r).map(Some) })
                .collect::<Result<_, _>>()?,
            out_zero: c.out_zero,
        }),
        OpMessage::AveragePool(p) => {
            let (requant, out_zero) = read_result(required(p.result)?)?;
            QOp::AveragePool(QPool { geom: read_pool_window(&required(p.window)?)?, requant, out_zero })
        }
        OpMessage::MaxPool(w) => QOp::MaxPool(read_pool_window(&w)?),
        OpMessage::Lut(l) => {
            let narrow = |v: i32| i16::try_from(v).map_err(|_| inconsistent("a table entry is out of range"));
            QOp::Lut(QLut {
                op: l.op,
                attrs: read_attrs(l.attrs)?,
                table: l.table.into_iter().map(narrow).collect::<Result<_, _>>()?,
            })
        }
        OpMessage::Resize(r) => QOp::Resize(NearestResize { rows: r.rows, cols: r.cols }),
        OpMessage::LinearResize(t) => QOp::LinearResize(LinearResize {
            rows: read_taps(&t.rows)?,
            cols: read_taps(&t.cols)?,
            transform: t.transform,
            scales: <[f32; 2]>::try_from(t.scales).ok(),
        }),
        OpMessage::DepthToSpace(b) => {
            let order = if b.crd { BlockOrder::Crd } else { BlockOrder::Dcr };
            QOp::DepthToSpace(BlockMove { block: b.block as usize, order })
        }
        OpMessage::SpaceToDepth(b) => QOp::SpaceToDepth { block: b.block as usize },
        OpMessage::Slice(s) => QOp::Slice { starts: s.starts.into_iter().map(|v| v as usize).collect() },
        OpMessage::Reshape(_) => QOp::Reshape,
        OpMessage::Transpose(p) => QOp::Transpose { perm: p.perm.into_iter().map(|a| a as usize).collect() },
        OpMessage::Requantize(r) => {
            let (requant, out_zero) = read_result(r)?;
            QOp::Requantize(QRequantize { requant, out_zero })
        }
    })
}

/// Reductions by their number in the file.
const REDUCTIONS: [Reduction; 3] = [Reduction::Sum, Reduction::Mean, Reduction::Max];

/// Requantization and zero point; the clamp is the type's range.
fn plain_result(requant: Option<&Requant>, out_zero: i32) -> ResultMessage {
    ResultMessage { requant: requant.map(requant_message), out_zero, ..ResultMessage::default() }
}

fn read_result(r: ResultMessage) -> Result<(Requant, i32), BinError> {
    Ok((read_requant(required(r.requant)?)?, r.out_zero))
}

fn required<T>(value: Option<T>) -> Result<T, BinError> {
    value.ok_or_else(|| inconsistent("a part of an operator is missing"))
}

fn requant_message(requant: &Requant) -> RequantMessage {
    match requant {
        Requant::Float(m) => RequantMessage { float: m.clone(), ..RequantMessage::default() },
        Requant::Fixed(m) => RequantMessage {
            mult: m.iter().map(|e| e.0).collect(),
            shift: m.iter().map(|e| e.1).collect(),
            ..RequantMessage::default()
        },
    }
}

fn read_requant(r: RequantMessage) -> Result<Requant, BinError> {
    match (r.float.is_empty(), r.mult.len() == r.shift.len(), r.mult.is_empty()) {
        (false, true, true) => Ok(Requant::Float(r.float)),
        (true, true, _) => Ok(Requant::Fixed(r.mult.into_iter().zip(r.shift).collect())),
        _ => Err(inconsistent("multipliers and shifts do not fit")),
    }
}

fn activation_message(activation: Activation) -> ActivationMessage {
    match activation {
        Activation::None => ActivationMessage::default(),
        Activation::Relu => ActivationMessage { kind: 1, ..ActivationMessage::default() },
        Activation::Clip { min, max } => ActivationMessage { kind: 2, min, max },
    }
}

fn read_activation(message: Option<ActivationMessage>) -> Result<Activation, BinError> {
    let m = message.unwrap_or_default();
    match m.kind {
        0 => Ok(Activation::None),
        1 => Ok(Activation::Relu),
        2 => Ok(Activation::Clip { min: m.min, max: m.max }),
        _ => Err(inconsistent("an activation is unknown")),
    }
}

fn numbers<const N: usize>(values: [usize; N]) -> Vec<u32> {
    values.iter().map(|&v| v as u32).collect()
}

fn conv_window(g: &ConvGeom) -> WindowMessage {
    WindowMessage {
        kernel: numbers(g.kernel),
        strides: numbers(g.strides),
        pads: numbers(g.pads),
        dilations: numbers(g.dilations),
        group: g.group as u32,
        ..WindowMessage::default()
    }
}

fn pool_window(g: &PoolGeom) -> WindowMessage {
    WindowMessage {
        kernel: numbers(g.kernel),
        strides: numbers(g.strides),
        pads: numbers(g.pads),
        dilations: numbers(g.dilations),
        group: 0,
        ceil_mode: g.ceil_mode,
        count_include_pad: g.count_include_pad,
    }
}

fn exactly<const N: usize>(values: &[u32]) -> Result<[usize; N], BinError> {
    let values: [u32; N] = values.try_into().map_err(|_| inconsistent("a window has the wrong number of axes"))?;
    Ok(values.map(|v| v as usize))
}

fn read_conv_window(w: &WindowMessage) -> Result<ConvGeom, BinError> {
    Ok(ConvGeom {
        kernel: exactly(&w.kernel)?,
        strides: exactly(&w.strides)?,
        pads: exactly(&w.pads)?,
        dilations: exactly(&w.dilations)?,
        group: w.group as usize,
    })
}

fn read_pool_window(w: &WindowMessage) -> Result<PoolGeom, BinError> {
    Ok(PoolGeom {
        kernel: exactly(&w.kernel)?,
        strides: exactly(&w.strides)?,
        pads: exactly(&w.pads)?,
        dilations: exactly(&w.dilations)?,
        ceil_mode: w.ceil_mode,
        count_include_pad: w.count_include_pad,
    })
}

fn attrs_message(attrs: &Attrs) -> Vec<AttrMessage> {
    let value = |attr: &Attr| match attr {
        Attr::Float(v) => AttrValue::Float(*v),
        Attr::Int(v) => AttrValue::Int(*v),
        Attr::Str(v) => AttrValue::Str(v.clone()),
        Attr::Tensor(v) => AttrValue::Tensor(to_wire::plain_tensor(v)),
        Attr::Floats(v) => AttrValue::Floats(FloatsMessage { values: v.clone() }),
        Attr::Ints(v) => AttrValue::Ints(IntsMessage { values: v.clone() }),
        Attr::Strs(v) => AttrValue::Strs(StrsMessage { values: v.clone() }),
    };
    attrs.0.iter().map(|(name, attr)| AttrMessage { name: name.clone(), value: Some(value(attr)) }).collect()
}

fn read_attrs(messages: Vec<AttrMessage>) -> Result<Attrs, BinError> {
    let mut attrs = Attrs::default();
    for m in messages {
        let value = match required(m.value)? {
            AttrValue::Float(v) => Attr::Float(v),
            AttrValue::Int(v) => Attr::Int(v),
            AttrValue::Str(v) => Attr::Str(v),
            AttrValue::Tensor(v) => Attr::Tensor(plain_tensor(v)?),
            AttrValue::Floats(v) => Attr::Floats(v.values),
            AttrValue::Ints(v) => Attr::Ints(v.values),
            AttrValue::Strs(v) => Attr::Strs(v.values),
        };
        attrs.set(&m.name, value);
    }
    Ok(attrs)
}

fn tap_numbers(taps: &[LinearTap]) -> Vec<u32> {
    taps.iter().flat_map(|t| [t.lo, t.hi, t.weight]).collect()
}

fn read_taps(numbers: &[u32]) -> Result<Vec<LinearTap>, BinError> {
    let (taps, rest) = numbers.as_chunks::<3>();
    if !rest.is_empty() {
        return Err(inconsistent("a table of taps is cut off"));
    }
    Ok(taps.iter().map(|&[lo, hi, weight]| LinearTap { lo, hi, weight }).collect())
}
