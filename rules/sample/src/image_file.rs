//! PNG and JPEG files as image inputs: pixels as trained, or the frame that they would be at run time.

use crate::frame::{self, Size};
use crate::planes::{luma, yuv};
use image::imageops::{self, FilterType};
use ptq_ir::{Diagnostic, Fit, InputSpec, InputType, Layout, SpaceAndRange, Tensor};
use std::io::Cursor;

/// Largest decoded image; larger ones are refused before their pixels are allocated.
const MAX_IMAGE_BYTES: u64 = 512 << 20;

/// Decodes an image for an input of this shape. Transparent pixels are composited on white. An image of another size is
/// scaled (triangle filter) as the input's `fit` says.
pub(crate) fn decode(bytes: &[u8], spec: &InputSpec, shape: &[usize]) -> Result<Tensor, Diagnostic> {
    let size @ Size { n, c, h, w } = Size::of(spec, shape)?;
    let mut reader = image::ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()
        .map_err(|e| Diagnostic::error("SAMPLE05", e.to_string()))?;
    let mut limits = image::Limits::default();
    limits.max_alloc = Some(MAX_IMAGE_BYTES);
    reader.limits(limits);
    let decoded =
        reader.decode().map_err(|e| Diagnostic::error("SAMPLE05", format!("the image does not decode: {e}")))?;
    let rgb = fitted(&on_white(&decoded), (w as u32, h as u32), spec);
    if n != 1 {
        return Err(Diagnostic::error("SAMPLE06", format!("one image cannot fill a batch of {n}"))
            .hint("give .npy files with the whole batch"));
    }
    let pixels: Vec<u8> = rgb.pixels().flat_map(|p| channels_of(p.0, spec.type_train).into_iter().take(c)).collect();
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

fn on_white(decoded: &image::DynamicImage) -> image::RgbImage {
    if !decoded.color().has_alpha() {
        return decoded.to_rgb8();
    }
    let rgba = decoded.to_rgba8();
    image::RgbImage::from_fn(rgba.width(), rgba.height(), |x, y| {
        let [r, g, b, a] = rgba.get_pixel(x, y).0.map(u32::from);
        image::Rgb([r, g, b].map(|v| ((v * a + 255 * (255 - a) + 127) / 255) as u8))
    })
}

fn fitted(image: &image::RgbImage, (w, h): (u32, u32), spec: &InputSpec) -> image::RgbImage {
    let (iw, ih) = image.dimensions();
    if (iw, ih) == (w, h) || iw == 0 || ih == 0 {
        return image.clone();
    }
    match spec.fit {
        Fit::Cover => cover(image, w, h),
        Fit::Stretch => imageops::resize(image, w, h, FilterType::Triangle),
        Fit::Pad => pad(image, w, h, spec.pad),
    }
}

fn pad(image: &image::RgbImage, w: u32, h: u32, level: u8) -> image::RgbImage {
    let (iw, ih) = image.dimensions();
    let scale = f64::min(f64::from(w) / f64::from(iw), f64::from(h) / f64::from(ih));
    let size = |v: u32, most: u32| ((f64::from(v) * scale).round() as u32).clamp(1, most);
    let scaled = imageops::resize(image, size(iw, w), size(ih, h), FilterType::Triangle);
    let mut out = image::RgbImage::from_pixel(w, h, image::Rgb([level; 3]));
    imageops::replace(&mut out, &scaled, 0, 0);
    out
}

fn cover(image: &image::RgbImage, w: u32, h: u32) -> image::RgbImage {
    let (iw, ih) = image.dimensions();
    let scale = f64::max(f64::from(w) / f64::from(iw), f64::from(h) / f64::from(ih));
    let size = |v: u32, least: u32| ((f64::from(v) * scale).round() as u32).max(least);
    let (sw, sh) = (size(iw, w), size(ih, h));
    let scaled = imageops::resize(image, sw, sh, FilterType::Triangle);
    imageops::crop_imm(&scaled, (sw - w) / 2, (sh - h) / 2, w, h).to_image()
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
