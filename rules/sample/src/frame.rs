//! Frames: the bytes that arrive at run time, made of pixels and read into what the model takes.
//!
//! A frame of `nv12` is the luma plane, then one U and V pair for each 2 x 2 pixels; `gray` is the luma plane; `yuv444`,
//! `rgb` and `bgr` are three bytes a pixel, or three planes, by the input's layout at run time. A batch is frame after frame.

use crate::planes::{chroma_of_four, luma, mean_chroma, yuv};
use ptq_ir::{Diagnostic, InputSpec, InputType, Layout, Tensor, nv12_stride};

/// Height, width and channels of one image, and the images of a batch.
#[derive(Clone, Copy)]
pub(crate) struct Size {
    pub(crate) n: usize,
    pub(crate) c: usize,
    pub(crate) h: usize,
    pub(crate) w: usize,
}

impl Size {
    /// Of an image input of this shape.
    pub(crate) fn of(spec: &InputSpec, shape: &[usize]) -> Result<Size, Diagnostic> {
        let wanted = spec.type_train.channels();
        match spec.layout_train.nchw(shape) {
            Some([n, c, h, w]) if c == wanted.unwrap_or(c) && (c == 1 || c == 3) => Ok(Size { n, c, h, w }),
            _ => Err(Diagnostic::error(
                "SAMPLE07",
                format!("an image of type {} does not fit an input of shape {shape:?}", spec.type_train.word()),
            )
            .hint("set type_train and layout_train of the input, or give .npy files")),
        }
    }

    fn pixels(self) -> usize {
        self.h * self.w
    }
}

/// The frame of one image whose pixels are `c` bytes each, of the trained type.
pub(crate) fn of_pixels(pixels: &[u8], spec: &InputSpec, size: Size) -> Vec<u8> {
    let range = spec.space_and_range;
    let at = |y: usize, x: usize| -> [u8; 3] {
        let p = &pixels[(y * size.w + x) * size.c..][..size.c];
        match (p, spec.type_train) {
            (&[b, g, r], InputType::Bgr) => [r, g, b],
            (&[a, b, c], _) => [a, b, c],
            _ => [p[0]; 3],
        }
    };
    // From here on rgb, or yuv where the model was trained on it.
    let trained_yuv = spec.type_train == InputType::Yuv444;
    let places = (0..size.h).flat_map(|y| (0..size.w).map(move |x| (y, x)));
    let whole = |of: &dyn Fn([u8; 3]) -> [u8; 3]| {
        let pixels: Vec<[u8; 3]> = places.clone().map(|(y, x)| of(at(y, x))).collect();
        match spec.layout_run() {
            Layout::Nhwc => pixels.concat(),
            Layout::Nchw => (0..3).flat_map(|k| pixels.iter().map(move |p| p[k])).collect(),
        }
    };
    match spec.type_rt {
        Some(InputType::Nv12) => {
            let y_of = |p: [u8; 3]| if trained_yuv { p[0] } else { luma(p, range) };
            let mut out: Vec<u8> = places.clone().map(|(y, x)| y_of(at(y, x))).collect();
            for y in (0..size.h).step_by(2) {
                for x in (0..size.w).step_by(2) {
                    let four = [at(y, x), at(y, x + 1), at(y + 1, x), at(y + 1, x + 1)];
                    out.extend(if trained_yuv { mean_chroma(four) } else { chroma_of_four(four, range) });
                }
            }
            out
        }
        Some(InputType::Yuv444) if trained_yuv => whole(&|p| p),
        Some(InputType::Yuv444) => whole(&|p| yuv(p, range)),
        Some(InputType::Bgr) => whole(&|[r, g, b]| [b, g, r]),
        Some(InputType::Gray) => places.map(|(y, x)| at(y, x)[0]).collect(),
        _ => whole(&|p| p),
    }
}

/// What the model takes of frames: float32 of the planes that the accelerator makes, less 128, in the float model's layout.
/// A chroma pair of nv12 serves its four pixels alike. An nv12 frame may have rows padded to the aligned stride.
///
/// # Errors
/// `SAMPLE08` when the bytes are not exactly the input's.
pub(crate) fn read(bytes: &[u8], spec: &InputSpec, shape: &[usize]) -> Result<Tensor, Diagnostic> {
    let size = Size::of(spec, shape)?;
    let nv12 = spec.type_rt == Some(InputType::Nv12);
    let per_image = |stride: usize| if nv12 { stride * size.h * 3 / 2 } else { size.pixels() * size.c };
    let padded = nv12_stride(size.w);
    let stride = if bytes.len() == size.n * per_image(size.w) {
        size.w
    } else if nv12 && bytes.len() == size.n * per_image(padded) {
        padded
    } else {
        let word = spec.type_rt.unwrap_or(spec.type_train).word();
        let (n, h, w, tight) = (size.n, size.h, size.w, size.n * per_image(size.w));
        let aligned = if nv12 && padded != w {
            format!(", or {} with rows of {padded}", size.n * per_image(padded))
        } else {
            String::new()
        };
        let why =
            format!("holds {} bytes, {n} {word} frame(s) {h} high and {w} wide are {tight}{aligned}", bytes.len());
        return Err(Diagnostic::error("SAMPLE08", why).hint("give the bytes of the frame alone, without a header"));
    };
    let mut out = vec![0f32; size.n * size.c * size.pixels()];
    for (image, frame) in out.chunks_exact_mut(size.c * size.pixels()).zip(bytes.chunks_exact(per_image(stride))) {
        for y in 0..size.h {
            for x in 0..size.w {
                for k in 0..size.c {
                    let from = match (spec.type_rt, k, spec.layout_run()) {
                        (Some(InputType::Nv12), 0, _) => y * stride + x,
                        (Some(InputType::Nv12), ..) => stride * size.h + (y / 2) * stride + x / 2 * 2 + (k - 1),
                        (.., Layout::Nchw) => (k * size.h + y) * size.w + x,
                        (.., Layout::Nhwc) => (y * size.w + x) * size.c + k,
                    };
                    let to = match spec.layout_train {
                        Layout::Nchw => (k * size.h + y) * size.w + x,
                        Layout::Nhwc => (y * size.w + x) * size.c + k,
                    };
                    image[to] = f32::from(frame[from]) - 128.0;
                }
            }
        }
    }
    Tensor::from_f32(shape, out).map_err(|e| Diagnostic::error("SAMPLE04", e.to_string()))
}

/// What the model takes of trained pixels (0..255, in the float model's layout): rounded to bytes, made a frame, read.
pub(crate) fn of_trained(tensor: &Tensor, spec: &InputSpec, shape: &[usize]) -> Result<Tensor, Diagnostic> {
    let size = Size::of(spec, shape)?;
    let values = tensor.to_f64s();
    let mut frames = Vec::new();
    let one = size.c * size.pixels();
    for image in values.chunks_exact(one.max(1)) {
        let mut pixels = vec![0u8; one];
        for (i, pixel) in pixels.iter_mut().enumerate() {
            let (p, k) = (i / size.c, i % size.c);
            let from = match spec.layout_train {
                Layout::Nchw => k * size.pixels() + p,
                Layout::Nhwc => i,
            };
            *pixel = image[from].round().clamp(0.0, 255.0) as u8;
        }
        frames.extend(of_pixels(&pixels, spec, size));
    }
    read(&frames, spec, shape)
}
