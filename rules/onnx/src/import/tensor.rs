//! TensorProto → tensor: typed fields, raw bytes, data in other files.

use super::element::ElementType;
use crate::meter::Meter;
use crate::proto::{DATA_LOCATION_EXTERNAL, TensorProto};
use bytes::Bytes;
use ptq_ir::{DType, Tensor, TensorError};

/// Where external data comes from: bytes of the file at a relative path.
pub(crate) type External<'a> = &'a dyn Fn(&str) -> Option<Bytes>;

/// The tensor of a message.
///
/// # Errors
/// Says what does not fit; the caller names the tensor.
pub(crate) fn tensor(t: &TensorProto, external: External<'_>, meter: &Meter) -> Result<Tensor, String> {
    let number = t.data_type.unwrap_or(0);
    let kind = ElementType::of(number)?;
    let dtype = kind.stored();
    if t.segment.is_some() {
        return Err("segmented tensors are not supported".to_owned());
    }
    let shape: Vec<usize> = t
        .dims
        .iter()
        .map(|&d| usize::try_from(d).map_err(|_| format!("dimension {d} is negative")))
        .collect::<Result<_, _>>()?;
    let bytes = meter.tensor(dtype, &shape)?;
    if t.data_location == Some(DATA_LOCATION_EXTERNAL) {
        let data = external_bytes(t, external, bytes)?;
        return kind.widened(Tensor::from_le_bytes(dtype, &shape, &data).map_err(|e| e.to_string())?);
    }
    let stored = match &t.raw_data {
        Some(raw) => Tensor::from_le_bytes(dtype, &shape, raw),
        None => typed(t, dtype, shape),
    };
    kind.widened(stored.map_err(|e| e.to_string())?)
}

fn typed(t: &TensorProto, dtype: DType, shape: Vec<usize>) -> Result<Tensor, TensorError> {
    let ints = || t.int32_data.iter();
    match dtype {
        DType::F32 => Tensor::from_f32(shape, t.float_data.clone()),
        DType::F64 => Tensor::from_f64(shape, t.double_data.clone()),
        DType::I64 => Tensor::from_i64(shape, t.int64_data.clone()),
        DType::I32 => Tensor::from_i32(shape, t.int32_data.clone()),
        DType::I16 => Tensor::from_i16(shape, ints().map(|&v| v as i16).collect()),
        DType::I8 => Tensor::from_i8(shape, ints().map(|&v| v as i8).collect()),
        DType::U8 => Tensor::from_u8(shape, ints().map(|&v| v as u8).collect()),
        DType::Bool => Tensor::from_bool(shape, ints().map(|&v| v != 0).collect()),
        DType::U16 => Tensor::from_u16(shape, ints().map(|&v| v as u16).collect()),
        DType::U32 => Tensor::from_u32(shape, t.uint64_data.iter().map(|&v| v as u32).collect()),
        DType::U64 => Tensor::from_u64(shape, t.uint64_data.clone()),
    }
}

fn external_bytes(t: &TensorProto, external: External<'_>, needed: usize) -> Result<Bytes, String> {
    let location = external_location(t)?;
    let number = |key: &str| match entry(t, key) {
        None => Ok(None),
        Some(text) => text.parse::<usize>().map(Some).map_err(|_| format!("external data {key} {text:?} is no number")),
    };
    let offset = number("offset")?.unwrap_or(0);
    let length = number("length")?.unwrap_or(needed);
    if length != needed {
        return Err(format!("external data has {length} bytes, the shape needs {needed}"));
    }
    let file = external(&location).ok_or_else(|| format!("external data file {location:?} is missing"))?;
    match offset.checked_add(length) {
        Some(end) if end <= file.len() => Ok(file.slice(offset..end)),
        _ => Err(format!("external data {offset}+{length} is outside {location:?} of {} bytes", file.len())),
    }
}

fn entry<'a>(t: &'a TensorProto, key: &str) -> Option<&'a str> {
    t.external_data.iter().find(|e| e.key.as_deref() == Some(key)).and_then(|e| e.value.as_deref())
}

/// The relative path of a tensor's external data, in normal form (`/` between parts).
///
/// # Errors
/// When it is missing, absolute, or leads out of the model's folder.
pub(crate) fn external_location(t: &TensorProto) -> Result<String, String> {
    let raw = entry(t, "location").ok_or("external data has no location")?;
    let mut parts = Vec::new();
    for part in raw.split(['/', '\\']) {
        match part {
            "." => {}
            "" | ".." => return Err(format!("external data location {raw:?} leads out of the model's folder")),
            p if p.contains([':', '\0']) => return Err(format!("external data location {raw:?} is not relative")),
            p => parts.push(p),
        }
    }
    if parts.is_empty() {
        return Err(format!("external data location {raw:?} names no file"));
    }
    Ok(parts.join("/"))
}
