//! Turns one file of calibration or run-time data into a model input.
//!
//! The same code serves calibration, scoring, `ptq verify` and `ptq run`, so that they cannot see different pixels.
//! Formats: PNG and JPEG for image inputs, `.npy` for any input, `.bin`, `.raw` and the like with exactly the input's elements, `.nv12`
//! and `.yuv` with a frame as it arrives at run time; for an input of type `bytes` a file of any kind.
//! Called by the rules that read samples and by the command line.

mod file_ends;
mod frame;
mod held;
mod image_file;
mod names;
mod npy;
mod picture;
mod planes;
mod raw;

pub use held::held;
pub use names::{ONLY_INPUT, SAMPLE_PREFIX, sample_file, sample_name};
pub use npy::{read_npy, write_npy};

use ptq_ir::{DType, Diagnostic, InputSpec, InputType, Tensor, numel};

/// Endings of the files that are read, without those of an input of type `bytes`.
pub const ENDINGS: [&str; 16] = [
    "png", "jpg", "jpeg", "npy", "bin", "raw", "rgb", "bgr", "rgbp", "bgrp", "gray", "yuv444", "feature", "cen",
    "nv12", "yuv",
];

/// How files of an ending are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum InputKind {
    Picture,
    Npy,
    /// Exactly the input's elements; the endings other than `bin` and `raw` are those that scripts for Horizon's tools write.
    Raw,
    /// A frame as it arrives at run time.
    Frame,
    Other,
}

fn kind(file_name: &str) -> InputKind {
    match ending(file_name).as_str() {
        "png" | "jpg" | "jpeg" => InputKind::Picture,
        "npy" => InputKind::Npy,
        "nv12" | "yuv" => InputKind::Frame,
        known if ENDINGS.contains(&known) => InputKind::Raw,
        _ => InputKind::Other,
    }
}

fn ending(file_name: &str) -> String {
    file_name.rsplit_once('.').map_or("", |(_, e)| e).to_ascii_lowercase()
}

/// The tensor that a sample file gives for an input of this description, type and shape.
/// Images keep their pixel values 0..255; normalization is part of the graph. Where a type at run time is declared, pixels
/// pass through the frame that they would be then (nv12 loses three quarters of its chroma), and the tensor holds the
/// model's planes less 128; a `.npy` of int8 holds these planes already.
///
/// # Errors
/// A diagnostic that names the file, what it holds and what the input wants. Where a batch is laid over the model, a file
/// holds one item, which fills all of it.
pub fn decode(
    file_name: &str,
    bytes: &[u8],
    spec: &InputSpec,
    dtype: DType,
    shape: &[usize],
) -> Result<Tensor, Diagnostic> {
    sample(spec, shape, |spec, shape| decode_as(file_name, bytes, spec, dtype, shape, false))
        .map_err(|d| d.file(file_name))
}

/// As [`decode`], for a file at run time: `.bin` and `.raw` hold a frame too, where a type at run time is declared.
///
/// # Errors
/// As [`decode`].
pub fn decode_run_time(
    file_name: &str,
    bytes: &[u8],
    spec: &InputSpec,
    dtype: DType,
    shape: &[usize],
) -> Result<Tensor, Diagnostic> {
    let decode = |spec: &InputSpec, shape: &[usize]| decode_as(file_name, bytes, spec, dtype, shape, true);
    // A file with the whole batch, or one item for all of it.
    decode(spec, shape)
        .or_else(|whole| if spec.batch.is_some() { sample(spec, shape, decode).map_err(|_| whole) } else { Err(whole) })
        .map_err(|d| d.file(file_name))
}

/// Whether a file for an input of integers holds these integers, not the real numbers that they stand for: arrays by their type, headerless
/// files by their size; pictures hold real numbers.
pub fn holds_integers(file_name: &str, bytes: &[u8], dtype: DType, shape: &[usize]) -> bool {
    match kind(file_name) {
        InputKind::Npy => read_npy(bytes).is_ok_and(|t| !t.dtype().is_float()),
        InputKind::Raw => numel(shape).and_then(|n| n.checked_mul(dtype.bytes())) == Some(bytes.len()),
        InputKind::Picture | InputKind::Frame | InputKind::Other => false,
    }
}

/// What a sample gives for an input of this shape: itself, or its one item in every place of a batch.
fn sample(
    spec: &InputSpec,
    shape: &[usize],
    of: impl Fn(&InputSpec, &[usize]) -> Result<Tensor, Diagnostic>,
) -> Result<Tensor, Diagnostic> {
    let (item_spec, item_shape) = spec.sample(shape);
    let item = of(&item_spec, &item_shape)?;
    if item_shape == shape { Ok(item) } else { joined(&vec![item; shape[0]], shape) }
}

/// Tensors one behind the other, as a tensor of this shape.
///
/// # Errors
/// `SAMPLE04` when they do not fill it.
pub fn joined(items: &[Tensor], shape: &[usize]) -> Result<Tensor, Diagnostic> {
    let bytes: Vec<u8> = items.iter().flat_map(Tensor::to_le_bytes).collect();
    let dtype = items.first().map_or(DType::F32, Tensor::dtype);
    Tensor::from_le_bytes(dtype, shape, &bytes).map_err(|e| Diagnostic::error("SAMPLE04", e.to_string()))
}

fn decode_as(
    file_name: &str,
    bytes: &[u8],
    spec: &InputSpec,
    dtype: DType,
    shape: &[usize],
    run_time: bool,
) -> Result<Tensor, Diagnostic> {
    if spec.type_train == InputType::Bytes {
        return file_ends::decode(bytes, dtype, shape);
    }
    let middle = spec.middle().is_some();
    let pixels = match kind(file_name) {
        InputKind::Picture => return fit(image_file::decode(bytes, spec, shape)?, dtype, shape),
        InputKind::Frame if middle => return frame::read(bytes, spec, shape),
        InputKind::Raw if middle && run_time => return frame::read(bytes, spec, shape),
        InputKind::Npy => npy_of(bytes, spec)?,
        InputKind::Raw => raw::decode(bytes, spec.data_type, dtype, shape)?,
        InputKind::Frame => {
            return Err(Diagnostic::error("SAMPLE02", "a frame needs an input with type_rt")
                .hint("set type_rt of the input, such as type_rt = \"nv12\""));
        }
        InputKind::Other => {
            let ending = ending(file_name);
            return Err(Diagnostic::error("SAMPLE02", format!("files ending in {ending:?} are not read"))
                .hint("use .png, .jpg, .npy, .nv12, or .bin/.raw with exactly the input's bytes"));
        }
    };
    let planes = pixels.dtype() == DType::I8;
    let pixels = fit(pixels, dtype, shape)?;
    if middle && !planes { frame::of_trained(&pixels, spec, shape) } else { Ok(pixels) }
}

/// An array of the declared element type.
fn npy_of(bytes: &[u8], spec: &InputSpec) -> Result<Tensor, Diagnostic> {
    let tensor = read_npy(bytes).map_err(|why| Diagnostic::error("SAMPLE01", why))?;
    match spec.data_type {
        Some(wanted) if wanted != tensor.dtype() => {
            Err(Diagnostic::error("SAMPLE04", format!("holds {}, calibration.data_type says {wanted}", tensor.dtype()))
                .hint("change calibration.data_type, or leave it out: .npy files state their type"))
        }
        _ => Ok(tensor),
    }
}

/// Brings a tensor to the input's type and shape: a missing batch axis of 1 is added, integers become float32.
fn fit(tensor: Tensor, dtype: DType, shape: &[usize]) -> Result<Tensor, Diagnostic> {
    let same_but_batch = shape.first() == Some(&1) && tensor.shape() == &shape[1..];
    if tensor.shape() != shape && !same_but_batch {
        return Err(Diagnostic::error(
            "SAMPLE03",
            format!("holds shape {:?}, the input wants {shape:?}", tensor.shape()),
        )
        .hint(shape_hint(tensor.shape(), shape)));
    }
    let convert = |e: ptq_ir::TensorError| Diagnostic::error("SAMPLE04", e.to_string());
    let tensor = tensor.reshaped(shape).map_err(convert)?;
    if tensor.dtype() == dtype {
        return Ok(tensor);
    }
    match dtype {
        DType::F32 => {
            let values: Vec<f32> = tensor.to_f64s().into_iter().map(|v| v as f32).collect();
            Tensor::from_f32(shape, values).map_err(convert)
        }
        DType::I32 => {
            let wide = tensor.to_i64s().map_err(convert)?;
            let narrow: Result<Vec<i32>, _> = wide.into_iter().map(i32::try_from).collect();
            let values = narrow.map_err(|e| Diagnostic::error("SAMPLE04", e.to_string()))?;
            Tensor::from_i32(shape, values).map_err(convert)
        }
        DType::I64 => Tensor::from_i64(shape, tensor.to_i64s().map_err(convert)?).map_err(convert),
        _ => Err(Diagnostic::error("SAMPLE04", format!("holds {}, the input wants {dtype}", tensor.dtype()))),
    }
}

/// What to do about a sample of another shape than the input's.
fn shape_hint(found: &[usize], wanted: &[usize]) -> &'static str {
    let bare = wanted.get(1..).unwrap_or_default();
    let moved = |to: &dyn Fn(&[usize]) -> Vec<usize>| {
        bare.len() == 3 && (found == to(bare) || found.split_first() == Some((&wanted[0], to(bare).as_slice())))
    };
    if moved(&|s| vec![s[1], s[2], s[0]]) {
        "the file is NHWC and the input NCHW: transpose the file, or set layout_train where the model is NHWC"
    } else if moved(&|s| vec![s[2], s[0], s[1]]) {
        "the file is NCHW and the input NHWC: transpose the file"
    } else {
        "give each sample the input's shape; axes are not reordered silently"
    }
}

/// A reproducible stand-in where no data is given (calibration type `skip`): pixels 0..255 for images,
/// bytes for the ends of files, values of about unit variance otherwise. Sequence: splitmix64 (Steele et al., 2014) from `seed`.
///
/// # Errors
/// When the input's type and shape do not go with its description.
pub fn synthetic(spec: &InputSpec, dtype: DType, shape: &[usize], seed: u64) -> Result<Tensor, Diagnostic> {
    sample(spec, shape, |spec, shape| synthetic_item(spec, dtype, shape, seed))
}

fn synthetic_item(spec: &InputSpec, dtype: DType, shape: &[usize], seed: u64) -> Result<Tensor, Diagnostic> {
    let mut state = seed;
    let mut unit = move || {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 40) as f32 / 16_777_216.0
    };
    let n = numel(shape).unwrap_or(0);
    let values: Vec<f32> = (0..n)
        .map(|_| {
            if spec.type_train.is_image() || spec.type_train == InputType::Bytes {
                (unit() * 256.0).floor()
            } else {
                // Sum of four uniforms: bounded, near normal, no logarithm needed.
                (unit() + unit() + unit() + unit() - 2.0) * 1.732
            }
        })
        .collect();
    let tensor = Tensor::from_f32(shape, values).map_err(|e| Diagnostic::error("SAMPLE04", e.to_string()))?;
    if spec.middle().is_some() {
        return frame::of_trained(&tensor, spec, shape);
    }
    if dtype == DType::F32 {
        return Ok(tensor);
    }
    let whole: Vec<i64> = tensor.to_f64s().into_iter().map(|v| v.abs() as i64).collect();
    let tensor = Tensor::from_i64(shape, whole).map_err(|e| Diagnostic::error("SAMPLE04", e.to_string()))?;
    fit(tensor, dtype, shape)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use ptq_ir::{Fit, Layout};

    fn png(w: u32, h: u32, pixel: impl Fn(u32, u32) -> [u8; 3]) -> Vec<u8> {
        let data: Vec<u8> = (0..h).flat_map(|y| (0..w).map(move |x| (x, y))).flat_map(|(x, y)| pixel(x, y)).collect();
        let mut out = Vec::new();
        let mut encoder = png::Encoder::new(&mut out, w, h);
        encoder.set_color(png::ColorType::Rgb);
        encoder.write_header().unwrap().write_image_data(&data).unwrap();
        out
    }

    #[test]
    fn an_image_becomes_planes_in_the_trained_channel_order() {
        let bytes = png(2, 1, |x, _| [10 + x as u8, 20 + x as u8, 30 + x as u8]);
        let spec = |type_train, layout_train| InputSpec { type_train, layout_train, ..InputSpec::default() };
        let rgb = decode("a.png", &bytes, &spec(InputType::Rgb, Layout::Nchw), DType::F32, &[1, 3, 1, 2]).unwrap();
        assert_eq!(rgb.f32s().unwrap(), [10.0, 11.0, 20.0, 21.0, 30.0, 31.0]);
        let bgr = decode("a.png", &bytes, &spec(InputType::Bgr, Layout::Nhwc), DType::F32, &[1, 1, 2, 3]).unwrap();
        assert_eq!(bgr.f32s().unwrap(), [30.0, 20.0, 10.0, 31.0, 21.0, 11.0]);
    }

    #[test]
    fn a_picture_of_another_size_fits_as_declared() {
        // White above black, 4 x 2; the input is 4 high and 6 wide.
        let bytes = png(4, 2, |_, y| [255 * (1 - y as u8); 3]);
        let spec = |fit| InputSpec { type_train: InputType::Gray, fit, pad: 9, ..InputSpec::default() };
        let row = |fit, y: usize| {
            let t = decode("a.png", &bytes, &spec(fit), DType::F32, &[1, 1, 4, 6]).unwrap();
            t.f32s().unwrap()[6 * y..6 * y + 6].to_vec()
        };
        assert_eq!(row(Fit::Pad, 0), [255.0; 6]);
        assert_eq!(row(Fit::Pad, 3), [9.0; 6], "4 x 2 becomes 6 x 3, the last row is filled");
        assert_eq!((row(Fit::Stretch, 0), row(Fit::Stretch, 3)), (vec![255.0; 6], vec![0.0; 6]));
        assert_eq!((row(Fit::Cover, 0), row(Fit::Cover, 3)), (vec![255.0; 6], vec![0.0; 6]));
    }

    #[test]
    fn the_ends_of_a_file_are_trimmed_and_padded() {
        let spec = InputSpec { type_train: InputType::Bytes, ..InputSpec::default() };
        let ends = |bytes: &[u8]| {
            let t = decode("any.name", bytes, &spec, DType::I32, &[1, 6]).unwrap();
            t.to_i64s().unwrap()
        };
        assert_eq!(ends(b" \n\x0babcde \r"), [97, 98, 99, 99, 100, 101]);
        assert_eq!(ends(b" x "), [120, 32, 256, 256, 32, 120], "each end is trimmed on its own side alone");
        assert_eq!(ends(b""), [256; 6]);
        let mut long = vec![b' '; 4096];
        long.extend(b"far");
        assert_eq!(ends(&long), [256, 256, 256, 102, 97, 114], "white space is passed over in the first 4,096 bytes");
        let d = decode("a", b"", &spec, DType::F32, &[1, 6]).unwrap_err();
        assert_eq!((d.code.as_ref(), d.place.file.as_deref()), ("SAMPLE09", Some("a")));
    }

    #[test]
    fn a_wrong_shape_names_the_file_and_both_shapes() {
        let npy = write_npy(&Tensor::from_f32([2, 2], vec![0.0; 4]).unwrap()).unwrap();
        let d = decode("x/y.npy", &npy, &InputSpec::default(), DType::F32, &[1, 4]).unwrap_err();
        assert_eq!(d.place.file.as_deref(), Some("x/y.npy"));
        assert!(d.message.contains("[2, 2]") && d.message.contains("[1, 4]"), "{}", d.message);
    }

    #[test]
    fn axes_in_the_other_order_are_told() {
        let hint = |found: &[usize], wanted: &[usize]| {
            let npy = write_npy(&Tensor::zeros(DType::F32, found)).unwrap();
            decode("x.npy", &npy, &InputSpec::default(), DType::F32, wanted).unwrap_err().hint.unwrap()
        };
        assert!(hint(&[1, 8, 6, 3], &[1, 3, 8, 6]).starts_with("the file is NHWC"));
        assert!(hint(&[8, 6, 3], &[1, 3, 8, 6]).starts_with("the file is NHWC"));
        assert!(hint(&[1, 3, 8, 6], &[1, 8, 6, 3]).starts_with("the file is NCHW"));
        assert!(hint(&[1, 3, 6, 8], &[1, 3, 8, 6]).starts_with("give each"));
    }

    #[test]
    fn npy_round_trips_every_type() {
        for dtype in DType::ALL {
            let t = Tensor::zeros(dtype, [2, 3]);
            assert_eq!(read_npy(&write_npy(&t).unwrap()).unwrap(), t, "{dtype}");
        }
    }

    #[test]
    fn synthetic_input_is_reproducible_and_in_range() {
        let spec = InputSpec { type_train: InputType::Gray, ..InputSpec::default() };
        let a = synthetic(&spec, DType::F32, &[1, 1, 8, 8], 7).unwrap();
        assert_eq!(a, synthetic(&spec, DType::F32, &[1, 1, 8, 8], 7).unwrap());
        assert!(a.f32s().unwrap().iter().all(|v| (0.0..=255.0).contains(v) && v.fract() == 0.0));
    }
}
