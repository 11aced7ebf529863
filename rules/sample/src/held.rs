//! What a file holds by itself: an array with its own shape and type, a picture's pixels. For those who describe data.

use crate::{InputKind, decode, image_file, kind, npy_of, raw};
use ptq_ir::{DType, Diagnostic, InputSpec, Tensor};

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
    let (item_spec, item_shape) = spec.sample(shape);
    let of = || match kind(file_name) {
        InputKind::Picture => {
            let pixels = InputSpec { type_rt: None, ..item_spec.clone() };
            image_file::decode(bytes, &pixels, &item_shape)
        }
        InputKind::Npy => npy_of(bytes, &item_spec),
        InputKind::Raw => raw::decode(bytes, item_spec.data_type, dtype, &item_shape),
        InputKind::Frame | InputKind::Other => decode(file_name, bytes, spec, dtype, shape),
    };
    decode(file_name, bytes, spec, dtype, shape)?;
    of().map_err(|d| d.file(file_name))
}
