//! Rarer steps over feature maps: spelled-out operators, windows that round up, gathers, moves back and forth.

use super::{Generator, MAX_ELEMENTS, Value, ints};
use ptq_ir::{Attr, Attrs, Tensor};

impl Generator<'_> {
    pub(super) fn rare_step(&mut self, x: Value) -> Value {
        match self.choices.below(12) {
            0 => self.spelled_softmax(x),
            1 => self.spelled_normalization(x),
            2 => self.rounded_up_pool(x),
            3 => self.dilated_pool(x),
            4 => self.gather(x),
            5 => self.tile(x),
            6 => self.reversed(x),
            7 => self.shuffle(x),
            8 => self.bounded(x),
            9 => self.sloped(x),
            10 => self.cubic(x),
            _ => self.summed(x),
        }
    }

    fn row(&mut self, op: &str, x: &Value, axis: usize) -> Value {
        let mut shape = x.shape.clone();
        shape[axis] = 1;
        if op == "ReduceSum" {
            let axes = self.integers(&[axis]);
            return self.node(op, &[x.id, axes], Attrs::of([("keepdims", Attr::Int(1))]), &shape);
        }
        self.node(op, &[x.id], Attrs::of([("axes", ints(&[axis])), ("keepdims", Attr::Int(1))]), &shape)
    }

    fn spelled_softmax(&mut self, x: Value) -> Value {
        let (axis, shape) = (self.choices.within(1, 3), x.shape.clone());
        let largest = self.row("ReduceMax", &x, axis);
        let centred = self.node("Sub", &[x.id, largest.id], Attrs::default(), &shape);
        let exp = self.node("Exp", &[centred.id], Attrs::default(), &shape);
        let sum = self.row("ReduceSum", &exp, axis);
        if self.choices.flag() {
            return self.node("Div", &[exp.id, sum.id], Attrs::default(), &shape);
        }
        let inverse = self.node("Reciprocal", &[sum.id], Attrs::default(), &sum.shape.clone());
        self.node("Mul", &[exp.id, inverse.id], Attrs::default(), &shape)
    }

    fn spelled_normalization(&mut self, x: Value) -> Value {
        let (axis, shape) = (self.choices.within(1, 3), x.shape.clone());
        if shape[axis] < 3 {
            return x;
        }
        let mean = self.row("ReduceMean", &x, axis);
        let centred = self.node("Sub", &[x.id, mean.id], Attrs::default(), &shape);
        let square = self.node("Mul", &[centred.id, centred.id], Attrs::default(), &shape);
        let variance = self.row("ReduceMean", &square, axis);
        let epsilon = self.scalar(1e-2);
        let row = variance.shape.clone();
        let shifted = self.node("Add", &[variance.id, epsilon], Attrs::default(), &row);
        let root = self.node("Sqrt", &[shifted.id], Attrs::default(), &row);
        let y = self.node("Div", &[centred.id, root.id], Attrs::default(), &shape);
        let mut each = vec![1; 4];
        each[axis] = shape[axis];
        let (scale, bias) = (self.tensor(&each, 2.0), self.tensor(&each, 1.0));
        let y = self.node("Mul", &[y.id, scale], Attrs::default(), &shape);
        self.node("Add", &[y.id, bias], Attrs::default(), &shape)
    }

    /// A pool whose last window may reach over the end.
    fn rounded_up_pool(&mut self, x: Value) -> Value {
        let [_, c, h, w] = x.shape[..] else { return x };
        let (kernel, stride) = (self.choices.within(2, 3), self.choices.within(2, 3));
        let pad = self.choices.below(2);
        let size = |n: usize| {
            let rest = (n + 2 * pad).checked_sub(kernel)?;
            let out = rest.div_ceil(stride) + 1;
            // ONNX Runtime's shape inference counts a window that would start behind the image, its kernel does not.
            ((out - 1) * stride < n + pad).then_some(out)
        };
        let (Some(oh), Some(ow)) = (size(h), size(w)) else { return x };
        let op = self.choices.of(&["MaxPool", "AveragePool"]);
        let attrs = Attrs::of([
            ("kernel_shape", ints(&[kernel; 2])),
            ("strides", ints(&[stride; 2])),
            ("pads", ints(&[pad; 4])),
            ("ceil_mode", Attr::Int(1)),
        ]);
        self.node(op, &[x.id], attrs, &[1, c, oh, ow])
    }

    fn dilated_pool(&mut self, x: Value) -> Value {
        let [_, c, h, w] = x.shape[..] else { return x };
        let (Some(oh), Some(ow)) = (h.checked_sub(2), w.checked_sub(4)) else { return x };
        if oh == 0 || ow == 0 {
            return x;
        }
        let attrs = Attrs::of([("kernel_shape", ints(&[2, 3])), ("dilations", ints(&[2, 2]))]);
        self.node("MaxPool", &[x.id], attrs, &[1, c, oh, ow])
    }

    fn gather(&mut self, x: Value) -> Value {
        let (axis, mut shape) = (self.choices.within(1, 3), x.shape.clone());
        let list: Vec<usize> = (0..self.choices.within(1, 4)).map(|_| self.choices.below(shape[axis])).collect();
        let indices = self.integers(&list);
        shape[axis] = list.len();
        self.node("Gather", &[x.id, indices], Attrs::of([("axis", Attr::Int(axis as i64))]), &shape)
    }

    fn tile(&mut self, x: Value) -> Value {
        let mut repeats = [1; 4];
        repeats[self.choices.within(1, 3)] = 2;
        let shape: Vec<usize> = x.shape.iter().zip(repeats).map(|(n, r)| n * r).collect();
        if shape.iter().product::<usize>() > MAX_ELEMENTS {
            return x;
        }
        let repeats = self.integers(&repeats);
        self.node("Tile", &[x.id, repeats], Attrs::default(), &shape)
    }

    /// The elements of one axis from the last to the first.
    fn reversed(&mut self, x: Value) -> Value {
        let (axis, shape) = (self.choices.within(1, 3), x.shape.clone());
        let (from, to) = (self.signed(&[-1]), self.signed(&[i64::from(i32::MIN)]));
        let (axes, step) = (self.integers(&[axis]), self.signed(&[-1]));
        self.node("Slice", &[x.id, from, to, axes, step], Attrs::default(), &shape)
    }

    fn shuffle(&mut self, x: Value) -> Value {
        let [_, c, h, w] = x.shape[..] else { return x };
        let Some(groups) = (2..=c).find(|g| c.is_multiple_of(*g)) else { return x };
        let split = self.integers(&[1, groups, c / groups, h, w]);
        let y = self.node("Reshape", &[x.id, split], Attrs::default(), &[1, groups, c / groups, h, w]);
        let perm = Attrs::of([("perm", ints(&[0, 2, 1, 3, 4]))]);
        let y = self.node("Transpose", &[y.id], perm, &[1, c / groups, groups, h, w]);
        let back = self.integers(&[1, c, h, w]);
        self.node("Reshape", &[y.id, back], Attrs::default(), &x.shape)
    }

    fn bounded(&mut self, x: Value) -> Value {
        let (op, bound) = (self.choices.of(&["Min", "Max"]), self.choices.of(&[0.0, 0.5, -0.25]));
        let bound = self.scalar(bound);
        self.node(op, &[x.id, bound], Attrs::default(), &x.shape)
    }

    fn sloped(&mut self, x: Value) -> Value {
        let c = x.shape[1];
        let slope = self.tensor(&[c, 1, 1], 1.0);
        self.node("PRelu", &[x.id, slope], Attrs::default(), &x.shape)
    }

    fn cubic(&mut self, x: Value) -> Value {
        let [_, c, h, w] = x.shape[..] else { return x };
        let (oh, ow) = (self.choices.within(1, 2 * h), self.choices.within(1, 2 * w));
        if c * oh * ow > MAX_ELEMENTS {
            return x;
        }
        let attrs = Attrs::of([
            ("mode", Attr::Str("cubic".into())),
            ("coordinate_transformation_mode", Attr::Str("half_pixel".into())),
        ]);
        let sizes = self.integers(&[1, c, oh, ow]);
        self.node_of("Resize", vec![Some(x.id), None, None, Some(sizes)], attrs, &[vec![1, c, oh, ow]]).swap_remove(0)
    }

    fn summed(&mut self, x: Value) -> Value {
        let axis = self.choices.within(1, 3);
        let op = self.choices.of(&["ReduceSum", "ReduceMin", "ReduceL2"]);
        let y = self.row(op, &x, axis);
        if self.choices.flag() {
            return y;
        }
        // Broadcast against what it was made of.
        let half = self.constant(Ok(Tensor::scalar_f32(0.125)));
        let y = self.node("Mul", &[y.id, half], Attrs::default(), &y.shape.clone());
        self.node("Add", &[x.id, y.id], Attrs::default(), &x.shape)
    }
}
