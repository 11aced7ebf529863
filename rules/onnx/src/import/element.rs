//! Element types of a file: those that a graph holds, 16-bit floats (widened to float32), and the refused ones.

use ptq_ir::{DType, Tensor};

/// An element type that import reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ElementType {
    /// Held as it is.
    Plain(DType),
    /// IEEE 754 binary16: 5 bits of exponent, 10 of fraction.
    Float16,
    /// The upper half of a float32.
    BFloat16,
}

impl ElementType {
    /// The type with this number in `TensorProto.DataType`.
    ///
    /// # Errors
    /// Names a type that is not carried.
    pub(crate) fn of(number: i32) -> Result<ElementType, String> {
        match number {
            10 => Ok(ElementType::Float16),
            16 => Ok(ElementType::BFloat16),
            _ => DType::from_onnx(number).map(ElementType::Plain).ok_or_else(|| refused(number)),
        }
    }

    /// The type that a graph holds instead.
    pub(crate) fn dtype(self) -> DType {
        match self {
            ElementType::Plain(dtype) => dtype,
            _ => DType::F32,
        }
    }

    /// The type of the file's bits.
    pub(crate) fn stored(self) -> DType {
        match self {
            ElementType::Plain(dtype) => dtype,
            _ => DType::U16,
        }
    }

    /// Name, where values change their type.
    pub(crate) fn widened_name(self) -> Option<&'static str> {
        match self {
            ElementType::Plain(_) => None,
            ElementType::Float16 => Some("float16"),
            ElementType::BFloat16 => Some("bfloat16"),
        }
    }

    /// A tensor of the file's bits as the graph holds it. Both 16-bit floats are exact in float32.
    ///
    /// # Errors
    /// When the tensor is not of the stored type.
    pub(crate) fn widened(self, stored: Tensor) -> Result<Tensor, String> {
        let wide: fn(u16) -> f32 = match self {
            ElementType::Plain(_) => return Ok(stored),
            ElementType::Float16 => from_half,
            ElementType::BFloat16 => |bits| f32::from_bits(u32::from(bits) << 16),
        };
        let bits = stored.u16s().map_err(|e| e.to_string())?;
        Tensor::from_f32(stored.shape(), bits.iter().map(|&b| wide(b)).collect()).map_err(|e| e.to_string())
    }
}

/// The number that these 16 bits mean.
fn from_half(bits: u16) -> f32 {
    let sign = u32::from(bits >> 15) << 31;
    let (exponent, fraction) = (u32::from(bits >> 10) & 31, u32::from(bits) & 0x3ff);
    match exponent {
        // Denormals are multiples of 2^-24.
        0 => f32::from_bits(sign | (fraction as f32 / 16_777_216.0).to_bits()),
        31 => f32::from_bits(sign | 0x7f80_0000 | (fraction << 13)),
        _ => f32::from_bits(sign | ((exponent + 112) << 23) | (fraction << 13)),
    }
}

fn refused(number: i32) -> String {
    let name = match number {
        0 => return "the element type is not stated".to_owned(),
        8 => "string",
        14 => "complex64",
        15 => "complex128",
        17..=20 => "float8",
        21 => "uint4",
        22 => "int4",
        23 => "float4",
        n => return format!("element type number {n} is not supported"),
    };
    format!("element type {name} is not supported")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_floats_are_exact() {
        // Bits and values of NumPy's float16.
        let cases = [
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x7bff, 65504.0),
            (0x0001, 5.960_464_5e-8),
            (0x03ff, 6.097_555e-5),
            (0x0400, 6.103_515_6e-5),
            (0x3555, 0.333_251_95),
            (0xfc00, f32::NEG_INFINITY),
            (0x8000, -0.0),
        ];
        for (bits, value) in cases {
            assert_eq!(from_half(bits).to_bits(), f32::to_bits(value), "{bits:#06x}");
        }
        assert!(from_half(0x7e00).is_nan());
    }
}
