//! Steps over rows of features: `[1, T, K]` and `[1, K]`.

use super::{Generator, Value, ints};
use ptq_ir::{Attr, Attrs};

impl Generator<'_> {
    pub(super) fn row_step(&mut self, x: Value) -> Value {
        match (self.choices.below(8), x.shape.len()) {
            (0, _) => self.linear(x),
            (1, _) => self.activation(x),
            (2, _) => self.arithmetic(x),
            (3, _) => self.layer_normalization(x),
            (4, _) => self.softmax(x),
            (5, 3) => self.recurrent(x),
            (6, 3) => self.attention(x),
            (7, 3) => self.image_of(x),
            _ => self.linear(x),
        }
    }

    /// Gemm of a row, MatMul (and Add) of rows.
    fn linear(&mut self, x: Value) -> Value {
        let k = x.shape[x.shape.len() - 1];
        let n = self.choices.within(1, 8);
        let scale = 2.0 / (k as f32).sqrt();
        let mut shape = x.shape.clone();
        shape[x.shape.len() - 1] = n;
        if shape.len() == 2 {
            let across = self.choices.flag();
            let weights = self.tensor(&if across { [n, k] } else { [k, n] }, scale);
            let bias = self.tensor(&[n], 0.5);
            let attrs = Attrs::of([("transB", Attr::Int(i64::from(across)))]);
            return self.node("Gemm", &[x.id, weights, bias], attrs, &shape);
        }
        let weights = self.tensor(&[k, n], scale);
        let y = self.node("MatMul", &[x.id, weights], Attrs::default(), &shape);
        if self.choices.flag() {
            return y;
        }
        let bias = self.tensor(&[n], 0.5);
        self.node("Add", &[y.id, bias], Attrs::default(), &shape)
    }

    fn layer_normalization(&mut self, x: Value) -> Value {
        let k = x.shape[x.shape.len() - 1];
        if k < 3 {
            return x;
        }
        let (scale, bias) = (self.positive(k), self.tensor(&[k], 0.5));
        let attrs = Attrs::of([("axis", Attr::Int(-1)), ("epsilon", Attr::Float(1e-2))]);
        let shape = x.shape.clone();
        self.node("LayerNormalization", &[x.id, scale, bias], attrs, &shape)
    }

    fn softmax(&mut self, x: Value) -> Value {
        let shape = x.shape.clone();
        self.node("Softmax", &[x.id], Attrs::of([("axis", Attr::Int(-1))]), &shape)
    }

    fn recurrent(&mut self, x: Value) -> Value {
        let [_, t, k] = x.shape[..] else { return x };
        let (op, gates) = self.choices.of(&[("LSTM", 4), ("GRU", 3), ("RNN", 1)]);
        let hidden = self.choices.within(1, 5);
        let w = self.tensor(&[1, gates * hidden, k], 1.0);
        let r = self.tensor(&[1, gates * hidden, hidden], 1.0);
        let first = self.node("Transpose", &[x.id], Attrs::of([("perm", ints(&[1, 0, 2]))]), &[t, 1, k]);
        let attrs = Attrs::of([("hidden_size", Attr::Int(hidden as i64))]);
        let y = self.node(op, &[first.id, w, r], attrs, &[t, 1, 1, hidden]);
        let axis = self.integers(&[1]);
        let y = self.node("Squeeze", &[y.id, axis], Attrs::default(), &[t, 1, hidden]);
        self.node("Transpose", &[y.id], Attrs::of([("perm", ints(&[1, 0, 2]))]), &[1, t, hidden])
    }

    fn attention(&mut self, x: Value) -> Value {
        let [_, t, k] = x.shape[..] else { return x };
        if t > 40 {
            return x;
        }
        let shape = [1, t, k];
        let mut heads = Vec::new();
        for _ in 0..3 {
            let w = self.tensor(&[k, k], 2.0 / (k as f32).sqrt());
            heads.push(self.node("MatMul", &[x.id, w], Attrs::default(), &shape));
        }
        let turned = self.node("Transpose", &[heads[1].id], Attrs::of([("perm", ints(&[0, 2, 1]))]), &[1, k, t]);
        let scores = self.node("MatMul", &[heads[0].id, turned.id], Attrs::default(), &[1, t, t]);
        let scale = self.scalar(1.0 / (k as f32).sqrt());
        let scores = self.node("Mul", &[scores.id, scale], Attrs::default(), &[1, t, t]);
        let shares = self.softmax(scores);
        let y = self.node("MatMul", &[shares.id, heads[2].id], Attrs::default(), &shape);
        self.node("Add", &[x.id, y.id], Attrs::default(), &shape)
    }

    fn image_of(&mut self, x: Value) -> Value {
        let [_, t, k] = x.shape[..] else { return x };
        let turned = self.node("Transpose", &[x.id], Attrs::of([("perm", ints(&[0, 2, 1]))]), &[1, k, t]);
        let h = (1..=t).rev().find(|h| t.is_multiple_of(*h) && h * h <= t).unwrap_or(1);
        let shape = self.integers(&[1, k, h, t / h]);
        self.node("Reshape", &[turned.id, shape], Attrs::default(), &[1, k, h, t / h])
    }
}
