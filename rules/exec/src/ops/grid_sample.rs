//! GridSample of images (operator set 16): nearest, bilinear, bicubic; zeros, border, reflection.

use crate::ExecError;
use crate::call::Call;
use ptq_ir::Tensor;

/// What lies outside the image.
#[derive(Clone, Copy, PartialEq)]
enum Padding {
    Zeros,
    Border,
    Reflection,
}

/// Weight and index of each pixel that a coordinate reads; `None` is outside and reads zero.
type Taps = fn(&Axis, f32) -> Vec<(f32, Option<usize>)>;

/// Coordinates along one axis.
#[derive(Clone, Copy)]
struct Axis {
    extent: usize,
    corners: bool,
    padding: Padding,
}

pub(super) fn grid_sample(call: &Call<'_>) -> Result<Tensor, ExecError> {
    let (x, grid) = (call.input(0)?, call.input(1)?);
    let (&[n, c, h, w], &[gn, oh, ow, 2]) = (x.shape(), grid.shape()) else {
        return Err(call.bad(format!("shapes {:?} and {:?} are no images and grids", x.shape(), grid.shape())));
    };
    if gn != n || h == 0 || w == 0 {
        return Err(call.bad(format!("{gn} grids for {n} images of {h}x{w}")));
    }
    let padding = match call.attrs.str("padding_mode", "zeros") {
        "zeros" => Padding::Zeros,
        "border" => Padding::Border,
        "reflection" => Padding::Reflection,
        other => return Err(call.bad(format!("padding_mode {other:?} is not defined"))),
    };
    let corners = call.attrs.int("align_corners", 0) != 0;
    let [ay, ax] = [h, w].map(|extent| Axis { extent, corners, padding });
    let taps: Taps = match call.attrs.str("mode", "bilinear") {
        "bilinear" => Axis::linear,
        "nearest" => Axis::nearest,
        "bicubic" => Axis::cubic,
        other => return Err(call.bad(format!("mode {other:?} is not defined"))),
    };
    let mut out = vec![0.0; call.bounded(&[n, c, oh, ow])?];
    let points = grid.f32s()?.as_chunks::<2>().0;
    for (p, &[gx, gy]) in points.iter().enumerate() {
        let (image, at) = (p / (oh * ow), p % (oh * ow));
        let (ys, xs) = (taps(&ay, gy), taps(&ax, gx));
        for channel in image * c..(image + 1) * c {
            let plane = &x.f32s()?[channel * h * w..][..h * w];
            let mut total = 0.0f32;
            for &(wy, y) in &ys {
                let row = xs.iter().fold(0.0f32, |sum, &(wx, x)| match (y, x) {
                    (Some(y), Some(x)) => plane[y * w + x].mul_add(wx, sum),
                    _ => sum,
                });
                total = row.mul_add(wy, total);
            }
            out[channel * oh * ow + at] = total;
        }
    }
    Ok(Tensor::from_f32([n, c, oh, ow], out)?)
}

impl Axis {
    /// Pixel coordinate of a grid coordinate in -1 … 1.
    fn pixel(&self, g: f32) -> f32 {
        let n = self.extent as f32;
        if self.corners { (g + 1.0) / 2.0 * (n - 1.0) } else { ((g + 1.0) * n - 1.0) / 2.0 }
    }

    /// A coordinate brought into the image where the padding says so.
    fn inside(&self, v: f32) -> f32 {
        let last = self.extent as f32 - 1.0;
        match self.padding {
            Padding::Zeros => v,
            Padding::Border => v.clamp(0.0, last),
            Padding::Reflection => {
                let (low, high) = if self.corners { (0.0, last) } else { (-0.5, last + 0.5) };
                let range = high - low;
                if range <= 0.0 {
                    return 0.0;
                }
                let away = (v - low).abs();
                let turns = (away / range).floor();
                let rest = away - turns * range;
                let folded = if turns % 2.0 == 0.0 { low + rest } else { high - rest };
                folded.clamp(0.0, last)
            }
        }
    }

    /// A whole pixel that may lie outside.
    fn index(&self, v: f32) -> Option<usize> {
        let v = self.inside(v);
        (v >= 0.0 && v <= self.extent as f32 - 1.0).then_some(v as usize)
    }

    fn nearest(&self, g: f32) -> Vec<(f32, Option<usize>)> {
        let v = self.inside(self.pixel(g)).round_ties_even();
        vec![(1.0, self.index(v))]
    }

    fn linear(&self, g: f32) -> Vec<(f32, Option<usize>)> {
        let v = self.inside(self.pixel(g));
        let low = v.floor();
        let t = v - low;
        vec![(1.0 - t, self.index(low)), (t, self.index(low + 1.0))]
    }

    /// Keys' kernel with a = -0.75; the padding concerns each tap, not the point.
    fn cubic(&self, g: f32) -> Vec<(f32, Option<usize>)> {
        let v = self.pixel(g);
        let low = v.floor();
        let t = v - low;
        let a = -0.75f32;
        let near = |d: f32| ((a + 2.0) * d - (a + 3.0)) * d * d + 1.0;
        let far = |d: f32| ((a * d - 5.0 * a) * d + 8.0 * a) * d - 4.0 * a;
        let weights = [far(t + 1.0), near(t), near(1.0 - t), far(2.0 - t)];
        (0..4).map(|k| (weights[k], self.index(low - 1.0 + k as f32))).collect()
    }
}
