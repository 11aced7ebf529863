//! Interpolation along one axis after the formulas of ONNX Resize.

/// One axis of a Resize.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Resample<'a> {
    /// Input extent, at least 1.
    pub input: usize,
    /// Output extent.
    pub output: usize,
    /// Output by input extent.
    pub scale: f64,
    /// The output extent before it was rounded.
    pub width: f64,
    /// `coordinate_transformation_mode`.
    pub transform: &'a str,
    /// Start and end of the region of interest as parts of the input (tf_crop_and_resize).
    pub roi: [f64; 2],
}

/// How values between pixels are made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Filter {
    /// The coefficient of a cubic filter; `None` for a linear one.
    pub cubic: Option<f64>,
    /// Widen the filter where the image shrinks.
    pub antialias: bool,
    /// Leave out taps outside the image instead of repeating its border.
    pub exclude_outside: bool,
}

impl Resample<'_> {
    /// Where output `i` is in the input; `None` when the transform is not known.
    pub fn coordinate(&self, i: usize) -> Option<f64> {
        let (x, last) = (i as f64, self.input as f64 - 1.0);
        let half_pixel = (x + 0.5) / self.scale - 0.5;
        Some(match self.transform {
            "asymmetric" => x / self.scale,
            "half_pixel" => half_pixel,
            "pytorch_half_pixel" if self.width > 1.0 => half_pixel,
            "pytorch_half_pixel" => 0.0,
            "half_pixel_symmetric" => {
                let adjustment = self.output as f64 / self.width;
                self.input as f64 / 2.0 * (1.0 - adjustment) + half_pixel
            }
            "align_corners" if self.width > 1.0 => x * last / (self.width - 1.0),
            "align_corners" => 0.0,
            "tf_crop_and_resize" => {
                let [start, end] = self.roi;
                match self.output {
                    0 | 1 => 0.5 * (start + end) * last,
                    n => start * last + x * (end - start) * last / (n as f64 - 1.0),
                }
            }
            _ => return None,
        })
    }

    /// Whether a coordinate takes the extrapolation value.
    fn leaves(&self, x: f64) -> bool {
        self.transform == "tf_crop_and_resize" && !(0.0..=self.input as f64 - 1.0).contains(&x)
    }

    /// The pixel that each output copies, `None` for the extrapolation value; `None` when a mode is not known.
    pub fn nearest(&self, mode: &str) -> Option<Vec<Option<usize>>> {
        let last = self.input as f64 - 1.0;
        let pick = |i: usize| {
            let x = self.coordinate(i)?;
            let picked = match mode {
                "floor" => x.floor(),
                "ceil" => x.ceil(),
                "round_prefer_floor" => (x - 0.5).ceil(),
                "round_prefer_ceil" => (x + 0.5).floor(),
                _ => return None,
            };
            Some((!self.leaves(x)).then_some(picked.clamp(0.0, last) as usize))
        };
        (0..self.output).map(pick).collect()
    }

    /// Pixels and weights that each output is the sum of; none for the extrapolation value. `None` when the transform is
    /// not known.
    pub fn taps(&self, filter: Filter) -> Option<Vec<Vec<(usize, f32)>>> {
        (0..self.output)
            .map(|i| {
                let x = self.coordinate(i)?;
                Some(if self.leaves(x) { Vec::new() } else { self.weights(x, filter) })
            })
            .collect()
    }

    fn weights(&self, x: f64, filter: Filter) -> Vec<(usize, f32)> {
        let shrink = if filter.antialias { self.scale.min(1.0) } else { 1.0 };
        let reach = if filter.cubic.is_some() { 2.0 } else { 1.0 } / shrink;
        let last = self.input as i64 - 1;
        let (first, end) = ((x - reach).floor() as i64 + 1, (x + reach).ceil() as i64);
        let weight = |k: i64| {
            let d = ((k as f64 - x) * shrink).abs();
            match filter.cubic {
                None => (1.0 - d).max(0.0),
                Some(a) if d <= 1.0 => ((a + 2.0) * d - (a + 3.0)) * d * d + 1.0,
                Some(a) if d < 2.0 => ((a * d - 5.0 * a) * d + 8.0 * a) * d - 4.0 * a,
                Some(_) => 0.0,
            }
        };
        let kept = (first..end).filter(|k| !filter.exclude_outside || (0..=last).contains(k));
        let taps: Vec<(usize, f64)> = kept.map(|k| (k.clamp(0, last) as usize, weight(k))).collect();
        let total: f64 = if filter.antialias || filter.exclude_outside { taps.iter().map(|t| t.1).sum() } else { 1.0 };
        taps.into_iter().map(|(i, w)| (i, (w / total) as f32)).collect()
    }
}
