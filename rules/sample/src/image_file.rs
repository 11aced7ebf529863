//! PNG and JPEG files as image inputs: pixels as trained, or the frame that they would be at run time.

use crate::frame::{self, Size};
use crate::picture::Picture;
use crate::planes::{luma, yuv};
use ptq_ir::{Diagnostic, Fit, InputSpec, InputType, Layout, SpaceAndRange, Tensor};

/// Decodes an image for an input of this shape. Transparent pixels are composited on white. An image of another size is
/// scaled (triangle filter) as the input's `fit` says.
pub(crate) fn decode(bytes: &[u8], spec: &InputSpec, shape: &[usize]) -> Result<Tensor, Diagnostic> {
    let size @ Size { n, c, h, w } = Size::of(spec, shape)?;
    let rgb = fitted(Picture::decode(bytes)?, (w, h), spec);
    if n != 1 {
        return Err(Diagnostic::error("SAMPLE06", format!("one image cannot fill a batch of {n}"))
            .hint("give .npy files with the whole batch"));
    }
    let pixels: Vec<u8> =
        rgb.pixels.iter().flat_map(|p| channels_of(*p, spec.type_train).into_iter().take(c)).collect();
    if spec.middle().is_some() {
        return frame::read(&frame::of_pixels(&pixels, spec, size), spec, shape);
    }
    let value = |k: usize, p: usize| f32::from(pixels[p * c + k]);
    let out = match spec.layout_train {
        Layout::Nchw => (0..c).flat_map(|k| (0..h * w).map(move |p| (k, p))).map(|(k, p)| value(k, p)).collect(),
        Layout::Nhwc => pixels.iter().map(|&v| f32::from(v)).collect(),
    };
    Tensor::from_f32(shape, out).map_err(|e| Diagnostic::error("SAMPLE04", e.to_string()))
}

fn fitted(picture: Picture, (w, h): (usize, usize), spec: &InputSpec) -> Picture {
    if (picture.w, picture.h) == (w, h) || [picture.w, picture.h, w, h].contains(&0) {
        return picture;
    }
    match spec.fit {
        Fit::Cover => cover(&picture, w, h),
        Fit::Stretch => picture.scaled(w, h),
        Fit::Pad => pad(&picture, w, h, spec.pad),
    }
}

fn pad(picture: &Picture, w: usize, h: usize, level: u8) -> Picture {
    let scale = f64::min(w as f64 / picture.w as f64, h as f64 / picture.h as f64);
    let size = |v: usize, most: usize| ((v as f64 * scale).round() as usize).clamp(1, most);
    let mut out = Picture::filled(w, h, [level; 3]);
    out.lay(&picture.scaled(size(picture.w, w), size(picture.h, h)));
    out
}

fn cover(picture: &Picture, w: usize, h: usize) -> Picture {
    let scale = f64::max(w as f64 / picture.w as f64, h as f64 / picture.h as f64);
    let size = |v: usize, least: usize| ((v as f64 * scale).round() as usize).max(least);
    let (sw, sh) = (size(picture.w, w), size(picture.h, h));
    picture.scaled(sw, sh).part(((sw - w) / 2, (sh - h) / 2), w, h)
}

/// A pixel's channels in the order of the type.
fn channels_of([r, g, b]: [u8; 3], kind: InputType) -> [u8; 3] {
    match kind {
        InputType::Gray => [luma([r, g, b], SpaceAndRange::Regular); 3],
        InputType::Bgr => [b, g, r],
        InputType::Yuv444 | InputType::Nv12 => yuv([r, g, b], SpaceAndRange::Regular),
        InputType::Rgb | InputType::Featuremap | InputType::Bytes => [r, g, b],
    }
}
