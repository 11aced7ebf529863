//! NumPy files: the format of `numpy.lib.format` (NEP 1), versions 1 to 3, of numbers and truth values.
//!
//! Read here and not by a library, because those parse the header with a grammar whose parser generator is a twentieth of a build.

use ndarray::{ArrayD, IxDyn, ShapeBuilder as _};
use ptq_ir::{DType, Tensor, numel};

const MAGIC: &[u8] = b"\x93NUMPY";
/// Longest header that is read, bytes.
const MAX_HEADER: usize = 1 << 16;
/// Most axes of an array.
const MAX_RANK: usize = 32;
/// Where data begins is a multiple of this.
const ALIGN: usize = 64;
/// Kind and bytes of an element as the header states it, and our type.
const TYPES: [(&str, DType); 12] = [
    ("f4", DType::F32),
    ("f8", DType::F64),
    ("i8", DType::I64),
    ("i4", DType::I32),
    ("i2", DType::I16),
    ("i1", DType::I8),
    ("u1", DType::U8),
    ("b1", DType::Bool),
    ("?", DType::Bool),
    ("u2", DType::U16),
    ("u4", DType::U32),
    ("u8", DType::U64),
];

/// What the header says.
#[derive(Debug, PartialEq)]
struct Header {
    dtype: DType,
    is_big_endian: bool,
    is_fortran: bool,
    shape: Vec<usize>,
}

/// Reads a `.npy` file of any supported element type.
///
/// # Errors
/// Says why the bytes are not such an array.
pub fn read_npy(bytes: &[u8]) -> Result<Tensor, String> {
    let (header, data) =
        parts(bytes).and_then(|(text, data)| Ok((header(text)?, data))).map_err(|why| refused(&why))?;
    let Header { dtype, is_big_endian, is_fortran, shape } = header;
    let size = dtype.bytes();
    let wanted = numel(&shape).and_then(|n| n.checked_mul(size));
    if wanted != Some(data.len()) {
        return Err(refused(&format!("{} bytes of data do not hold {shape:?} elements of {dtype}", data.len())));
    }
    let mut data = data.to_vec();
    if is_big_endian {
        data.chunks_exact_mut(size).for_each(<[u8]>::reverse);
    }
    if is_fortran && shape.len() > 1 {
        let places: Vec<usize> = (0..data.len() / size).collect();
        let places = ArrayD::from_shape_vec(IxDyn(&shape).f(), places).map_err(|e| refused(&e.to_string()))?;
        data = places.iter().flat_map(|&i| data[i * size..(i + 1) * size].iter().copied()).collect();
    }
    Tensor::from_le_bytes(dtype, &shape, &data).map_err(|e| refused(&e.to_string()))
}

fn refused(why: &str) -> String {
    format!("not a readable .npy array: {why}")
}

/// The header's text and the bytes behind it.
fn parts(bytes: &[u8]) -> Result<(&str, &[u8]), String> {
    let cut = || "the header is cut off".to_owned();
    let rest = bytes.strip_prefix(MAGIC).ok_or("the first bytes are not the format's mark")?;
    let (version, rest) = rest.split_at_checked(2).ok_or_else(cut)?;
    let (length, rest) = match version[0] {
        1 => rest.split_at_checked(2).ok_or_else(cut)?,
        2 | 3 => rest.split_at_checked(4).ok_or_else(cut)?,
        other => return Err(format!("format version {other} is unknown")),
    };
    let length = length.iter().rev().fold(0usize, |n, b| n << 8 | usize::from(*b));
    if length > MAX_HEADER {
        return Err(format!("a header of {length} bytes is longer than {MAX_HEADER}"));
    }
    let (header, data) = rest.split_at_checked(length).ok_or_else(cut)?;
    Ok((std::str::from_utf8(header).map_err(|e| e.to_string())?, data))
}

/// Reads a dictionary such as `{'descr': '<f4', 'fortran_order': False, 'shape': (1, 3), }`.
fn header(text: &str) -> Result<Header, String> {
    let inside = text.trim().strip_prefix('{').and_then(|t| t.strip_suffix('}'));
    let mut rest = inside.ok_or("the header is no dictionary")?.trim();
    let (mut descr, mut order, mut shape) = (None, None, None);
    while !rest.is_empty() {
        let (key, after) = quoted(rest).ok_or_else(|| format!("a key was expected at {rest:?}"))?;
        let after = after.trim_start().strip_prefix(':').ok_or("a key without a value")?.trim_start();
        let (slot, value, after) = match key {
            "descr" => {
                let (value, after) = quoted(after).ok_or("records are not read, only arrays of numbers")?;
                (&mut descr, value, after)
            }
            "fortran_order" => {
                let end = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
                (&mut order, &after[..end], &after[end..])
            }
            "shape" => {
                let end = after.find(')').filter(|_| after.starts_with('(')).ok_or("shape is no tuple")?;
                (&mut shape, &after[1..end], &after[end + 1..])
            }
            other => return Err(format!("the key {other:?} is unknown")),
        };
        if slot.replace(value).is_some() {
            return Err(format!("the key {key:?} stands twice"));
        }
        let after = after.trim_start();
        rest = match after.strip_prefix(',') {
            Some(more) => more.trim_start(),
            None if after.is_empty() => after,
            None => return Err(format!("a comma was expected at {after:?}")),
        };
    }
    let lacks = |key: &str| format!("the header lacks {key}");
    let (dtype, is_big_endian) = element(descr.ok_or_else(|| lacks("descr"))?)?;
    let is_fortran = match order.ok_or_else(|| lacks("fortran_order"))? {
        "True" => true,
        "False" => false,
        other => return Err(format!("fortran_order is {other:?}")),
    };
    let shape = extents(shape.ok_or_else(|| lacks("shape"))?)?;
    Ok(Header { dtype, is_big_endian, is_fortran, shape })
}

/// Text in quotes and what stands behind it.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let quote = text.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    text[1..].split_once(quote)
}

/// Element type, and whether its bytes stand the other way round.
fn element(descr: &str) -> Result<(DType, bool), String> {
    let (order, kind) = match descr.chars().next() {
        Some(c @ ('<' | '>' | '|' | '=')) => (c, &descr[1..]),
        _ => ('=', descr),
    };
    let found = TYPES.iter().find(|(word, _)| *word == kind);
    let (_, dtype) = found.ok_or_else(|| format!("elements of type {descr:?} are not read"))?;
    Ok((*dtype, order == '>'))
}

fn extents(text: &str) -> Result<Vec<usize>, String> {
    let parts: Vec<&str> = text.split(',').map(str::trim).collect();
    let parts = match parts.split_last() {
        Some((&"", rest)) => rest,
        _ => &parts[..],
    };
    if parts.len() > MAX_RANK {
        return Err(format!("an array of {} axes", parts.len()));
    }
    let extent = |p: &&str| p.trim_end_matches('L').parse().map_err(|_| format!("shape ({text}) is none"));
    parts.iter().map(extent).collect()
}

/// Writes a tensor as `.npy` bytes, version 1.
///
/// # Errors
/// When the shape does not fit a header.
pub fn write_npy(tensor: &Tensor) -> Result<Vec<u8>, String> {
    let of = |dtype: DType| TYPES.iter().find(|(_, d)| *d == dtype).map(|(word, _)| *word);
    let word = of(tensor.dtype()).ok_or_else(|| format!("{} is no type of NumPy", tensor.dtype()))?;
    let order = if tensor.dtype().bytes() == 1 { '|' } else { '<' };
    let shape: String = tensor.shape().iter().map(|d| format!("{d}, ")).collect();
    let shape = if tensor.shape().len() == 1 { shape.trim_end() } else { shape.trim_end_matches(", ") };
    let mut header = format!("{{'descr': '{order}{word}', 'fortran_order': False, 'shape': ({shape}), }}");
    let before = MAGIC.len() + 4;
    let padded = (before + header.len() + 1).next_multiple_of(ALIGN) - before;
    header += &" ".repeat(padded - header.len() - 1);
    header.push('\n');
    let length = u16::try_from(header.len()).map_err(|_| "the shape is too long for a header".to_owned())?;
    let data = tensor.to_le_bytes();
    let mut out = Vec::with_capacity(before + header.len() + data.len());
    out.extend(MAGIC);
    out.extend([1, 0]);
    out.extend(length.to_le_bytes());
    out.extend(header.as_bytes());
    out.extend(data);
    Ok(out)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn file(header: &str, data: &[u8]) -> Vec<u8> {
        let length = u16::try_from(header.len()).unwrap().to_le_bytes();
        [MAGIC, &[1, 0], &length, header.as_bytes(), data].concat()
    }

    #[test]
    fn every_type_and_shape_survives() {
        for (_, dtype) in TYPES {
            for shape in [&[2usize, 3][..], &[6], &[1, 1, 6], &[6, 0], &[]] {
                let bytes = vec![1u8; shape.iter().product::<usize>() * dtype.bytes()];
                let tensor = Tensor::from_le_bytes(dtype, shape, &bytes).unwrap();
                let written = write_npy(&tensor).unwrap();
                let (header, _) = parts(&written).unwrap();
                assert_eq!((header.len() + MAGIC.len() + 4) % ALIGN, 0, "data is aligned");
                assert_eq!(read_npy(&written).unwrap(), tensor, "{dtype} {shape:?}");
            }
        }
    }

    #[test]
    fn other_orders_and_spellings_are_read() {
        let big = file("{'descr': '>i2', 'fortran_order': False, 'shape': (2,), }\n", &[0, 1, 1, 0]);
        assert_eq!(read_npy(&big).unwrap(), Tensor::from_i16([2], vec![1, 256]).unwrap());
        let fortran = file("{\"shape\": (2, 3), \"descr\": \"|u1\", \"fortran_order\": True}", &[0, 3, 1, 4, 2, 5]);
        assert_eq!(read_npy(&fortran).unwrap(), Tensor::from_u8([2, 3], vec![0, 1, 2, 3, 4, 5]).unwrap());
        let scalar = file("{'descr': '<f4', 'fortran_order': False, 'shape': ()}", &1f32.to_le_bytes());
        assert_eq!(read_npy(&scalar).unwrap(), Tensor::from_f32([], vec![1.0]).unwrap());
    }

    #[test]
    fn what_is_no_array_is_refused_with_the_reason() {
        let whole = "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }";
        for (bytes, word) in [
            (b"no".to_vec(), "mark"),
            (MAGIC.to_vec(), "cut off"),
            (file(whole, &[0; 3]), "do not hold"),
            (file(whole, &[0; 5]), "do not hold"),
            (file(&whole.replace("<f4", "<c8"), &[0; 8]), "<c8"),
            (file(&whole.replace("'<f4'", "[('a', '<f4')]"), &[0; 4]), "records"),
            (file(&whole.replace("False", "Maybe"), &[0; 4]), "Maybe"),
            (file(&whole.replace("1,", "x"), &[0; 4]), "(x)"),
            (file(&whole.replace("(1,)", "(4294967296, 4294967296)"), &[0; 4]), "do not hold"),
            (file("{'shape': (1,)}", &[0; 4]), "lacks descr"),
            (file("{'shape': (1,), 'shape': (1,)}", &[0; 4]), "twice"),
            (file("[]", &[]), "dictionary"),
        ] {
            let why = read_npy(&bytes).unwrap_err();
            assert!(why.contains(word), "{word}: {why}");
        }
    }
}
