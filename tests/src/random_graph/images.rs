//! Steps over feature maps `[1, C, H, W]`.

use super::{Generator, MAX_ELEMENTS, Value, ints};
use ptq_ir::{Attr, Attrs};

impl Generator<'_> {
    pub(super) fn image_step(&mut self, x: Value) -> Value {
        match self.choices.below(19) {
            0 | 1 => self.conv(x),
            2 => self.activation(x),
            3 => self.arithmetic(x),
            4 => self.pool(x),
            5 => self.join(x),
            6 => self.split(x),
            7 => self.slice(x),
            8 => self.resize(x),
            9 => self.normalize(x),
            10 => self.pad(x),
            11 => self.transposed_conv(x),
            12 => self.blocks(x),
            13 => self.reduce(x),
            14 => self.permute(x),
            15 => self.rows_of(x),
            _ => self.rare_step(x),
        }
    }

    pub(super) fn conv(&mut self, x: Value) -> Value {
        let [_, c, h, w] = x.shape[..] else { return x };
        let group = match self.choices.below(3) {
            1 => c,
            2 if c % 2 == 0 => 2,
            _ => 1,
        };
        let out = group * self.choices.within(1, (10 / group).max(1));
        let (kernel, strides, pads, dilations) = self.window([h, w], 4, true);
        let (Some(oh), Some(ow)) = (
            extent(h, kernel[0], strides[0], pads[0] + pads[2], dilations[0]),
            extent(w, kernel[1], strides[1], pads[1] + pads[3], dilations[1]),
        ) else {
            return x;
        };
        let fan = (c / group * kernel[0] * kernel[1]) as f32;
        let weights = self.tensor(&[out, c / group, kernel[0], kernel[1]], 2.0 / fan.sqrt());
        let mut inputs = vec![x.id, weights];
        if self.choices.flag() {
            inputs.push(self.tensor(&[out], 0.5));
        }
        let attrs = Attrs::of([
            ("kernel_shape", ints(&kernel)),
            ("strides", ints(&strides)),
            ("pads", ints(&pads)),
            ("dilations", ints(&dilations)),
            ("group", Attr::Int(group as i64)),
        ]);
        self.node("Conv", &inputs, attrs, &[1, out, oh, ow])
    }

    /// Kernel, strides (also above the kernel), uneven pads below the kernel, dilations.
    fn window(
        &mut self,
        size: [usize; 2],
        largest: usize,
        dilate: bool,
    ) -> ([usize; 2], [usize; 2], [usize; 4], [usize; 2]) {
        let kernel = [self.choices.within(1, largest), self.choices.within(1, largest)];
        let strides = [self.choices.within(1, 3), self.choices.within(1, 3)];
        let mut pads = [0; 4];
        for (i, pad) in pads.iter_mut().enumerate() {
            *pad = self.choices.below(kernel[i % 2]);
        }
        let dilations = if dilate { [self.choices.within(1, 2), self.choices.within(1, 2)] } else { [1, 1] };
        let _ = size;
        (kernel, strides, pads, dilations)
    }

    fn pool(&mut self, x: Value) -> Value {
        let [_, c, h, w] = x.shape[..] else { return x };
        let kind = self.choices.below(4);
        if kind >= 2 {
            let op = if kind == 2 { "GlobalAveragePool" } else { "GlobalMaxPool" };
            return self.node(op, &[x.id], Attrs::default(), &[1, c, 1, 1]);
        }
        let (kernel, strides, pads, _) = self.window([h, w], 3, false);
        let (Some(oh), Some(ow)) = (
            extent(h, kernel[0], strides[0], pads[0] + pads[2], 1),
            extent(w, kernel[1], strides[1], pads[1] + pads[3], 1),
        ) else {
            return x;
        };
        let mut attrs =
            Attrs::of([("kernel_shape", ints(&kernel)), ("strides", ints(&strides)), ("pads", ints(&pads))]);
        if kind == 0 {
            attrs.0.insert("count_include_pad".into(), Attr::Int(self.choices.below(2) as i64));
        }
        let op = if kind == 0 { "AveragePool" } else { "MaxPool" };
        self.node(op, &[x.id], attrs, &[1, c, oh, ow])
    }

    /// Concat with itself or an earlier value of its height and width.
    fn join(&mut self, x: Value) -> Value {
        let fits: Vec<Value> =
            self.branches.iter().filter(|b| b.shape.len() == 4 && b.shape[2..] == x.shape[2..]).cloned().collect();
        let other = if fits.is_empty() { x.clone() } else { fits[self.choices.below(fits.len())].clone() };
        let channels = x.shape[1] + other.shape[1];
        let shape = [1, channels, x.shape[2], x.shape[3]];
        if shape.iter().product::<usize>() > MAX_ELEMENTS {
            return x;
        }
        self.node("Concat", &[other.id, x.id], Attrs::of([("axis", Attr::Int(1))]), &shape)
    }

    /// Split by channels; both parts joined again the other way round, or one of them goes on.
    fn split(&mut self, x: Value) -> Value {
        let [_, c, h, w] = x.shape[..] else { return x };
        if c < 2 {
            return x;
        }
        let first = self.choices.within(1, c - 1);
        let sizes = self.integers(&[first, c - first]);
        let shapes = [vec![1, first, h, w], vec![1, c - first, h, w]];
        let axis = || Attrs::of([("axis", Attr::Int(1))]);
        let mut parts = self.node_of("Split", vec![Some(x.id), Some(sizes)], axis(), &shapes);
        if self.choices.flag() {
            return self.node("Concat", &[parts[1].id, parts[0].id], axis(), &x.shape);
        }
        let (rest, kept) = (parts.swap_remove(1), parts.swap_remove(0));
        self.branches.push(rest);
        kept
    }

    fn slice(&mut self, x: Value) -> Value {
        let axis = self.choices.within(1, 3);
        let size = x.shape[axis];
        if size < 3 {
            return x;
        }
        let (start, step) = (self.choices.below(2), self.choices.within(1, 2));
        let mut shape = x.shape.clone();
        let (starts, ends, steps) = if self.choices.below(4) == 3 {
            shape[axis] = size.div_ceil(step);
            (-1, -(size as i64) - 1, -(step as i64))
        } else {
            shape[axis] = (size - start).div_ceil(step);
            (start as i64, size as i64, step as i64)
        };
        let (starts, ends) = (self.signed(&[starts]), self.signed(&[ends]));
        let (axes, steps) = (self.signed(&[axis as i64]), self.signed(&[steps]));
        self.node("Slice", &[x.id, starts, ends, axes, steps], Attrs::default(), &shape)
    }

    fn resize(&mut self, x: Value) -> Value {
        let [_, c, h, w] = x.shape[..] else { return x };
        let (oh, ow) = match self.choices.below(3) {
            0 => (h * 2, w * 2),
            1 => (self.choices.within(1, 12), self.choices.within(1, 12)),
            _ => (h.div_ceil(2), w.div_ceil(2)),
        };
        if c * oh * ow > MAX_ELEMENTS {
            return x;
        }
        let mode = self.choices.of(&["nearest", "linear"]);
        let place = self.choices.of(&["asymmetric", "half_pixel", "align_corners"]);
        let attrs = Attrs::of([
            ("mode", Attr::Str(mode.into())),
            ("coordinate_transformation_mode", Attr::Str(place.into())),
            ("nearest_mode", Attr::Str("floor".into())),
        ]);
        let sizes = self.integers(&[1, c, oh, ow]);
        self.node_of("Resize", vec![Some(x.id), None, None, Some(sizes)], attrs, &[vec![1, c, oh, ow]]).swap_remove(0)
    }

    fn normalize(&mut self, x: Value) -> Value {
        let c = x.shape[1];
        let (scale, bias) = (self.positive(c), self.tensor(&[c], 0.5));
        let shape = x.shape.clone();
        if self.choices.flag() && shape[2] * shape[3] > 4 {
            let epsilon = Attrs::of([("epsilon", Attr::Float(1e-2))]);
            return self.node("InstanceNormalization", &[x.id, scale, bias], epsilon, &shape);
        }
        let (mean, variance) = (self.tensor(&[c], 0.5), self.positive(c));
        self.node("BatchNormalization", &[x.id, scale, bias, mean, variance], Attrs::default(), &shape)
    }

    fn pad(&mut self, x: Value) -> Value {
        let mut pads = [0usize; 8];
        let mode = self.choices.of(&["constant", "edge", "reflect"]);
        for axis in 2..4 {
            let most = if mode == "reflect" { (x.shape[axis] - 1).min(2) } else { 2 };
            pads[axis] = self.choices.within(0, most);
            pads[axis + 4] = self.choices.within(0, most);
        }
        let shape: Vec<usize> = (0..4).map(|a| x.shape[a] + pads[a] + pads[a + 4]).collect();
        let pads = self.integers(&pads);
        self.node("Pad", &[x.id, pads], Attrs::of([("mode", Attr::Str(mode.into()))]), &shape)
    }

    fn transposed_conv(&mut self, x: Value) -> Value {
        let [_, c, h, w] = x.shape[..] else { return x };
        let (k, s) = (self.choices.within(1, 3), self.choices.within(1, 2));
        let out = self.choices.within(1, 5);
        let extra = if s > 1 { self.choices.below(s) } else { 0 };
        let pad = self.choices.below(k.div_ceil(2));
        let size = |n: usize| ((n - 1) * s + k + extra).checked_sub(2 * pad).filter(|&n| n > 0);
        let (Some(oh), Some(ow)) = (size(h), size(w)) else { return x };
        if out * oh * ow > MAX_ELEMENTS {
            return x;
        }
        let weights = self.tensor(&[c, out, k, k], 2.0 / ((c * k * k) as f32).sqrt());
        let attrs = Attrs::of([
            ("strides", ints(&[s, s])),
            ("pads", ints(&[pad; 4])),
            ("output_padding", ints(&[extra, extra])),
        ]);
        self.node("ConvTranspose", &[x.id, weights], attrs, &[1, out, oh, ow])
    }

    fn blocks(&mut self, x: Value) -> Value {
        let [_, c, h, w] = x.shape[..] else { return x };
        let size = || Attrs::of([("blocksize", Attr::Int(2))]);
        if h % 2 == 0 && w % 2 == 0 {
            return self.node("SpaceToDepth", &[x.id], size(), &[1, c * 4, h / 2, w / 2]);
        }
        if c % 4 != 0 {
            return x;
        }
        let mut attrs = size();
        let mode = self.choices.of(&["DCR", "CRD"]);
        attrs.0.insert("mode".into(), Attr::Str(mode.into()));
        self.node("DepthToSpace", &[x.id], attrs, &[1, c / 4, h * 2, w * 2])
    }

    fn reduce(&mut self, x: Value) -> Value {
        let op = self.choices.of(&["ReduceMean", "ReduceMax"]);
        let axes = self.choices.of(&[[2, 3], [3, 3], [1, 1]]);
        let mut list = axes.to_vec();
        list.dedup();
        let mut shape = x.shape.clone();
        list.iter().for_each(|&a| shape[a] = 1);
        self.node(op, &[x.id], Attrs::of([("axes", ints(&list)), ("keepdims", Attr::Int(1))]), &shape)
    }

    fn permute(&mut self, x: Value) -> Value {
        let perm = self.choices.of(&[[0, 2, 3, 1], [0, 3, 1, 2], [0, 1, 3, 2]]);
        let shape: Vec<usize> = perm.iter().map(|&a| x.shape[a]).collect();
        self.node("Transpose", &[x.id], Attrs::of([("perm", ints(&perm))]), &shape)
    }

    fn rows_of(&mut self, x: Value) -> Value {
        let [_, c, h, w] = x.shape[..] else { return x };
        if self.choices.flag() {
            return self.node("Flatten", &[x.id], Attrs::default(), &[1, c * h * w]);
        }
        let shape = self.integers(&[1, c, h * w]);
        let flat = self.node("Reshape", &[x.id, shape], Attrs::default(), &[1, c, h * w]);
        self.node("Transpose", &[flat.id], Attrs::of([("perm", ints(&[0, 2, 1]))]), &[1, h * w, c])
    }
}

/// Output size of a window; `None` when it does not fit.
fn extent(size: usize, kernel: usize, stride: usize, pads: usize, dilation: usize) -> Option<usize> {
    let span = (kernel - 1) * dilation + 1;
    (size + pads).checked_sub(span).map(|rest| rest / stride + 1)
}
