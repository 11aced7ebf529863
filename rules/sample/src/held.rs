//! What a file holds by itself: an array with its own shape and type, a picture's pixels. For those who describe data.

use crate::{InputKind, decode, image_file, kind, npy_of, raw};
use ptq_ir::{DType, Diagnostic, InputSpec, InputType, Tensor};

/// What a file of samples holds, once it is known to fit an input of this description, type and shape: arrays as they are stored,
/// pictures as pixels 0..255 of the size that the input wants, frames as the planes that the input takes.
///
/// # Errors
/// As [`decode`].
pub fn held(
    file_name: &str,
    bytes: &[u8],
    spec: &InputSpec,
    dtype: DType,
    shape: &[usize],
) -> Result<Tensor, Diagnostic> {
    let fits = decode(file_name, bytes, spec, dtype, shape)?;
    if spec.type_train == InputType::Bytes {
        // A file of any kind, whatever its ending says.
        return Ok(fits);
    }
    let (spec, shape) = spec.sample(shape);
    let own = match kind(file_name) {
        InputKind::Picture if spec.type_rt.is_some() => {
            image_file::decode(bytes, &InputSpec { type_rt: None, ..spec }, &shape)
        }
        InputKind::Npy => npy_of(bytes, &spec),
        InputKind::Raw => raw::decode(bytes, spec.data_type, dtype, &shape),
        InputKind::Picture | InputKind::Frame | InputKind::Other => Ok(fits),
    };
    own.map_err(|d| d.file(file_name))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::held;
    use ptq_ir::{DType, InputSpec, InputType, Tensor};

    #[test]
    fn arrays_keep_their_type_and_shape_and_bytes_of_a_picture_are_bytes() {
        let array = crate::write_npy(&Tensor::from_u8([2, 2], vec![1, 2, 3, 4]).unwrap()).unwrap();
        let found = held("a.npy", &array, &InputSpec::default(), DType::F32, &[1, 2, 2]).unwrap();
        assert_eq!((found.dtype(), found.shape()), (DType::U8, &[2, 2][..]));
        assert!(
            held("a.npy", &array, &InputSpec::default(), DType::F32, &[1, 5]).is_err(),
            "what does not fit is refused"
        );
        let bytes = InputSpec { type_train: InputType::Bytes, ..InputSpec::default() };
        assert_eq!(held("a.png", b"no picture", &bytes, DType::I32, &[1, 6]).unwrap().shape(), [1, 6]);
    }
}
