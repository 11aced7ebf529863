//! Pictures in memory: decoding PNG and JPEG to 8-bit RGB, and scaling with the triangle filter.
//!
//! The decoders are libraries; scaling is ours, because calibration depends on every bit of it. It is separable, rows first, in float32:
//! an output pixel is the mean of the source pixels under a triangle as wide as two source pixels, or two output pixels where the
//! picture shrinks (Turkowski, "Filters for Common Resampling Tasks", 1990: the Bartlett filter), rounded once at the end.

use ptq_ir::Diagnostic;
use std::io::Cursor;
use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;

/// Largest decoded picture in bytes; larger ones are refused before their pixels are allocated.
const MAX_BYTES: usize = 512 << 20;
/// First bytes of a PNG file.
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";
/// First bytes of a JPEG file.
const JPEG: &[u8] = &[0xff, 0xd8, 0xff];
const CHANNELS: usize = 3;

/// Rows of RGB pixels.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Picture {
    pub(crate) w: usize,
    pub(crate) h: usize,
    pub(crate) pixels: Vec<[u8; CHANNELS]>,
}

impl Picture {
    /// Decodes a PNG or JPEG file; transparent pixels are composited on white.
    ///
    /// # Errors
    /// `SAMPLE05` when it is neither, damaged or too large.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Picture, Diagnostic> {
        let failed = |why: String| Diagnostic::error("SAMPLE05", format!("the image does not decode: {why}"));
        if bytes.starts_with(PNG) {
            of_png(bytes).map_err(failed)
        } else if bytes.starts_with(JPEG) {
            of_jpeg(bytes).map_err(failed)
        } else {
            Err(failed("it is neither PNG nor JPEG".into()))
        }
    }

    /// One colour.
    pub(crate) fn filled(w: usize, h: usize, pixel: [u8; CHANNELS]) -> Picture {
        Picture { w, h, pixels: vec![pixel; w * h] }
    }

    /// The part of `w` by `h` pixels at a place inside.
    pub(crate) fn part(&self, (x, y): (usize, usize), w: usize, h: usize) -> Picture {
        let rows = (y..y + h).map(|row| &self.pixels[row * self.w + x..][..w]);
        Picture { w, h, pixels: rows.flatten().copied().collect() }
    }

    /// Lays another picture over the left top.
    pub(crate) fn lay(&mut self, other: &Picture) {
        for (row, from) in self.pixels.chunks_mut(self.w).zip(other.pixels.chunks(other.w)) {
            row[..other.w].copy_from_slice(from);
        }
    }

    /// Scaled to another size.
    pub(crate) fn scaled(&self, w: usize, h: usize) -> Picture {
        if (w, h) == (self.w, self.h) {
            return self.clone();
        }
        let mut rows = Vec::with_capacity(h * self.w);
        for taps in axis(self.h, h) {
            for x in 0..self.w {
                rows.push(taps.mean(|y| self.pixels[y * self.w + x].map(f32::from)));
            }
        }
        let columns = axis(self.w, w);
        let mut pixels = Vec::with_capacity(w * h);
        for row in rows.chunks(self.w) {
            let of = |taps: &Taps| taps.mean(|x| row[x]).map(|v| v.round().clamp(0.0, 255.0) as u8);
            pixels.extend(columns.iter().map(of));
        }
        Picture { w, h, pixels }
    }
}

/// The source pixels of one output pixel: the first, and the weights from there on; they add up to 1.
struct Taps {
    first: usize,
    weights: Vec<f32>,
}

impl Taps {
    fn mean(&self, of: impl Fn(usize) -> [f32; CHANNELS]) -> [f32; CHANNELS] {
        let mut sum = [0.0; CHANNELS];
        for (i, weight) in self.weights.iter().enumerate() {
            for (sum, v) in sum.iter_mut().zip(of(self.first + i)) {
                *sum += v * weight;
            }
        }
        sum
    }
}

/// Taps of every output pixel along an axis of `from` pixels.
fn axis(from: usize, to: usize) -> Vec<Taps> {
    let ratio = from as f32 / to as f32;
    let reach = ratio.max(1.0);
    let of = |out: usize| {
        let centre = (out as f32 + 0.5) * ratio;
        let first = ((centre - reach).floor().max(0.0) as usize).min(from - 1);
        let end = ((centre + reach).ceil() as usize).clamp(first + 1, from);
        // The middle of source pixel `i` is at `i + 0.5`.
        let weight = |i: usize| (1.0 - ((i as f32 - (centre - 0.5)) / reach).abs()).max(0.0);
        let weights: Vec<f32> = (first..end).map(weight).collect();
        let sum: f32 = weights.iter().sum();
        Taps { first, weights: weights.into_iter().map(|w| w / sum).collect() }
    };
    (0..to).map(of).collect()
}

/// Bytes of a picture of so many channels, if they are within bounds.
fn bounded(w: usize, h: usize, pixel: usize) -> Result<usize, String> {
    let bytes = w.checked_mul(h).and_then(|n| n.checked_mul(pixel)).filter(|&n| n <= MAX_BYTES);
    bytes.ok_or_else(|| format!("{w} by {h} pixels need more than {MAX_BYTES} bytes"))
}

fn of_png(bytes: &[u8]) -> Result<Picture, String> {
    let mut decoder = png::Decoder::new_with_limits(Cursor::new(bytes), png::Limits { bytes: MAX_BYTES });
    decoder.set_transformations(png::Transformations::EXPAND);
    let mut reader = decoder.read_info().map_err(|e| e.to_string())?;
    let (w, h) = (reader.info().width as usize, reader.info().height as usize);
    let (color, depth) = reader.output_color_type();
    let wide = depth == png::BitDepth::Sixteen;
    let size = bounded(w, h, color.samples() * if wide { 2 } else { 1 })?;
    let mut data = vec![0; size];
    reader.next_frame(&mut data).map_err(|e| e.to_string())?;
    if wide {
        // To the nearest of the 256 levels.
        let level = |v: &[u8; 2]| ((u32::from(u16::from_be_bytes(*v)) + 128) / 257) as u8;
        data = data.as_chunks::<2>().0.iter().map(level).collect();
    }
    let pixels = match color.samples() {
        1 => data.iter().map(|&v| [v; CHANNELS]).collect(),
        2 => data.as_chunks::<2>().0.iter().map(|&[v, a]| on_white([v; CHANNELS], a)).collect(),
        3 => data.as_chunks::<3>().0.to_vec(),
        _ => data.as_chunks::<4>().0.iter().map(|&[r, g, b, a]| on_white([r, g, b], a)).collect(),
    };
    Ok(Picture { w, h, pixels })
}

fn of_jpeg(bytes: &[u8]) -> Result<Picture, String> {
    let most = u16::MAX.into();
    let options = DecoderOptions::default().set_strict_mode(false).set_max_width(most).set_max_height(most);
    let mut decoder = zune_jpeg::JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().map_err(|e| e.to_string())?;
    let info = decoder.info().ok_or("it has no header")?;
    let (w, h) = (usize::from(info.width), usize::from(info.height));
    let is_gray = decoder.input_colorspace() == Some(ColorSpace::Luma);
    let color = if is_gray { ColorSpace::Luma } else { ColorSpace::RGB };
    decoder.set_options(options.jpeg_set_out_colorspace(color));
    let size = bounded(w, h, if is_gray { 1 } else { CHANNELS })?;
    let data = decoder.decode().map_err(|e| e.to_string())?;
    if data.len() != size {
        return Err(format!("{} bytes of pixels where {size} were expected", data.len()));
    }
    let pixels = match is_gray {
        true => data.into_iter().map(|v| [v; CHANNELS]).collect(),
        false => data.as_chunks::<CHANNELS>().0.to_vec(),
    };
    Ok(Picture { w, h, pixels })
}

fn on_white(pixel: [u8; CHANNELS], alpha: u8) -> [u8; CHANNELS] {
    let a = u32::from(alpha);
    pixel.map(|v| ((u32::from(v) * a + 255 * (255 - a) + 127) / 255) as u8)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn file(color: png::ColorType, depth: png::BitDepth, data: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut encoder = png::Encoder::new(&mut out, 2, 1);
        encoder.set_color(color);
        encoder.set_depth(depth);
        encoder.write_header().unwrap().write_image_data(data).unwrap();
        out
    }

    #[test]
    fn every_kind_of_png_becomes_rgb_on_white() {
        use png::{BitDepth::*, ColorType::*};
        let of = |color, depth, data: &[u8]| Picture::decode(&file(color, depth, data)).unwrap().pixels;
        assert_eq!(of(Grayscale, Eight, &[7, 255]), [[7; 3], [255; 3]]);
        assert_eq!(of(Grayscale, One, &[0b0100_0000]), [[0; 3], [255; 3]]);
        assert_eq!(of(GrayscaleAlpha, Eight, &[7, 255, 9, 0]), [[7; 3], [255; 3]]);
        assert_eq!(of(Rgb, Eight, &[1, 2, 3, 4, 5, 6]), [[1, 2, 3], [4, 5, 6]]);
        assert_eq!(of(Rgba, Eight, &[10, 20, 30, 255, 0, 0, 0, 128])[1], [127; 3]);
        // 257 steps a level; half a step more is the next one.
        assert_eq!(of(Grayscale, Sixteen, &[1, 1, 1, 129]), [[1; 3], [1; 3]]);
        assert_eq!(of(Grayscale, Sixteen, &[1, 130, 255, 255]), [[2; 3], [255; 3]]);
    }

    #[test]
    fn what_is_no_picture_is_refused() {
        let good = file(png::ColorType::Rgb, png::BitDepth::Eight, &[0; 6]);
        for bytes in [&good[..40], b"GIF89a", b"", &[0xff, 0xd8, 0xff, 0xe0]] {
            assert_eq!(Picture::decode(bytes).unwrap_err().code, "SAMPLE05");
        }
        let mut huge = good;
        huge[16..24].copy_from_slice(&[0x7f; 8]);
        assert!(Picture::decode(&huge).is_err());
    }

    /// The definition, in float64, a pixel at a time.
    fn slow(p: &Picture, w: usize, h: usize) -> Vec<[f64; 3]> {
        let weights = |from: usize, to: usize, out: usize| -> Vec<f64> {
            let ratio = from as f64 / to as f64;
            let centre = (out as f64 + 0.5) * ratio;
            let of = |i: usize| (1.0 - (i as f64 + 0.5 - centre).abs() / ratio.max(1.0)).max(0.0);
            let all: Vec<f64> = (0..from).map(of).collect();
            let sum: f64 = all.iter().sum();
            all.into_iter().map(|v| v / sum).collect()
        };
        let mut out = Vec::new();
        for y in 0..h {
            for x in 0..w {
                let (rows, columns) = (weights(p.h, h, y), weights(p.w, w, x));
                let mut sum = [0.0; 3];
                for (i, r) in rows.iter().enumerate() {
                    for (j, c) in columns.iter().enumerate() {
                        let pixel = p.pixels[i * p.w + j];
                        (0..3).for_each(|k| sum[k] += r * c * f64::from(pixel[k]));
                    }
                }
                out.push(sum);
            }
        }
        out
    }

    #[test]
    fn scaling_is_the_mean_under_a_triangle() {
        let mut state = 1u32;
        let mut byte = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        let p = Picture { w: 13, h: 7, pixels: (0..91).map(|_| [byte(), byte(), byte()]).collect() };
        for (w, h) in [(5, 3), (26, 14), (13, 4), (1, 1), (40, 7), (13, 7)] {
            let found = p.scaled(w, h);
            assert_eq!((found.w, found.h, found.pixels.len()), (w, h, w * h));
            for (a, b) in found.pixels.iter().flatten().zip(slow(&p, w, h).into_iter().flatten()) {
                assert!((f64::from(*a) - b).abs() <= 0.501, "{w} x {h}: {a} for {b}");
            }
        }
        assert_eq!(Picture::filled(9, 9, [3, 200, 77]).scaled(4, 31), Picture::filled(4, 31, [3, 200, 77]));
    }
}
