//! Reshape, Resize, Slice, Gather and Pad in QDQ form.

use super::Writer;
use ptq_ir::{Activation, Attr, Attrs, Diagnostic, QNode, Tensor, ops::LinearResize, ops::NearestResize};

impl Writer<'_> {
    /// Reshape to the output's shape.
    pub(super) fn reshape(&mut self, node: &QNode) -> Result<(), Diagnostic> {
        let shape = &self.tensor(node, &node.outputs, 0)?.1.shape;
        let target = Tensor::vec_i64(shape.iter().map(|&n| n as i64).collect());
        let input = self.read(node, 0)?;
        let target = self.file.fresh_constant(&format!("{}_shape", node.name), &target);
        self.write(node, "Reshape", &[input, target], &Attrs::default(), Activation::None)
    }

    /// Slice of a box, step 1 along every axis.
    pub(super) fn slice(&mut self, node: &QNode, starts: &[usize]) -> Result<(), Diagnostic> {
        let shape = &self.tensor(node, &node.outputs, 0)?.1.shape;
        let ends = starts.iter().zip(shape).map(|(s, n)| (s + n) as i64).collect();
        let mut inputs = vec![self.read(node, 0)?];
        for (what, values) in [("starts", starts.iter().map(|&s| s as i64).collect()), ("ends", ends)] {
            inputs.push(self.file.fresh_constant(&format!("{}_{what}", node.name), &Tensor::vec_i64(values)));
        }
        self.write(node, "Slice", &inputs, &Attrs::default(), Activation::None)
    }

    /// Gather by a row of constant indices.
    pub(super) fn gather(&mut self, node: &QNode, axis: usize, indices: &[u32]) -> Result<(), Diagnostic> {
        let table = Tensor::vec_i64(indices.iter().map(|&i| i64::from(i)).collect());
        let input = self.read(node, 0)?;
        let table = self.file.fresh_constant(&format!("{}_indices", node.name), &table);
        self.write(node, "Gather", &[input, table], &Attrs::of([("axis", Attr::Int(axis as i64))]), Activation::None)
    }

    /// Pad with the number that the filling stands for.
    pub(super) fn pad(&mut self, node: &QNode, before: &[usize], value: i32) -> Result<(), Diagnostic> {
        let (_, x) = self.tensor(node, &node.inputs, 0)?;
        let (_, y) = self.tensor(node, &node.outputs, 0)?;
        let after = x.shape.iter().zip(before).zip(&y.shape).map(|((x, b), y)| *y as i64 - (x + b) as i64);
        let pads = before.iter().map(|&b| b as i64).chain(after).collect();
        let params = self.params(node, x)?;
        let filling = (value - params.zero_point0()) as f32 * params.scale0();
        let input = self.read(node, 0)?;
        let pads = self.file.fresh_constant(&format!("{}_pads", node.name), &Tensor::vec_i64(pads));
        let filling = self.file.fresh_constant(&format!("{}_value", node.name), &Tensor::scalar_f32(filling));
        self.write(node, "Pad", &[input, pads, filling], &Attrs::default(), Activation::None)
    }

    /// Resize by whole factors; any other index table becomes two Gather nodes.
    pub(super) fn resize(&mut self, node: &QNode, resize: &NearestResize) -> Result<(), Diagnostic> {
        let shape = self.tensor(node, &node.inputs, 0)?.1.shape.clone();
        let &[.., h, w] = shape.as_slice() else {
            return Err(self.bad(node, format!("input {shape:?} must have rank 2 or more")));
        };
        match (whole_factor(&resize.rows, h), whole_factor(&resize.cols, w)) {
            (Some(fy), Some(fx)) => self.scaled(node, shape.len(), fy, fx),
            _ => self.gathered(node, shape.len(), resize),
        }
    }

    /// Linear resize, which ONNX Runtime computes between a DequantizeLinear and a QuantizeLinear.
    pub(super) fn linear_resize(&mut self, node: &QNode, resize: &LinearResize) -> Result<(), Diagnostic> {
        let shape = self.tensor(node, &node.outputs, 0)?.1.shape.clone();
        let input = self.read(node, 0)?;
        let (constant, what) = match resize.scales {
            Some([y, x]) => {
                let mut scales = vec![1.0; shape.len().saturating_sub(2)];
                scales.extend([y, x]);
                (Tensor::from_f32([scales.len()], scales).map_err(|e| self.bad(node, e.to_string()))?, "scales")
            }
            None => (Tensor::vec_i64(shape.iter().map(|&n| n as i64).collect()), "sizes"),
        };
        let constant = self.file.fresh_constant(&format!("{}_{what}", node.name), &constant);
        let mut inputs = vec![input, String::new(), constant];
        if what == "sizes" {
            inputs.insert(2, String::new());
        }
        let attrs = Attrs::of([
            ("coordinate_transformation_mode", Attr::Str(resize.transform.clone())),
            ("mode", Attr::Str("linear".to_owned())),
        ]);
        self.write(node, "Resize", &inputs, &attrs, Activation::None)
    }

    fn scaled(&mut self, node: &QNode, rank: usize, fy: usize, fx: usize) -> Result<(), Diagnostic> {
        let input = self.read(node, 0)?;
        let mut scales = vec![1.0; rank - 2];
        scales.extend([fy as f32, fx as f32]);
        let scales = Tensor::from_f32([rank], scales);
        let scales = scales.map_err(|e| self.bad(node, e.to_string()))?;
        let scales = self.file.fresh_constant(&format!("{}_scales", node.name), &scales);
        let word = |w: &str| Attr::Str(w.to_owned());
        let attrs = Attrs::of([
            ("coordinate_transformation_mode", word("asymmetric")),
            ("mode", word("nearest")),
            ("nearest_mode", word("floor")),
        ]);
        self.write(node, "Resize", &[input, String::new(), scales], &attrs, Activation::None)
    }

    fn gathered(&mut self, node: &QNode, rank: usize, resize: &NearestResize) -> Result<(), Diagnostic> {
        let (_, out) = self.tensor(node, &node.outputs, 0)?;
        let input = self.read(node, 0)?;
        let name = |what: &str| format!("{}_{what}", node.name);
        let table = |t: &[u32]| Tensor::vec_i64(t.iter().map(|&i| i64::from(i)).collect());
        let axis = |a: usize| Attrs::of([("axis", Attr::Int(a as i64))]);
        let rows = self.file.fresh_constant(&name("rows"), &table(&resize.rows));
        let cols = self.file.fresh_constant(&name("cols"), &table(&resize.cols));
        let tall = self.file.fresh_value(&name("tall"));
        let gather = self.file.fresh_node(&name("gather_rows"));
        self.file.node("Gather", &gather, &[input, rows], std::slice::from_ref(&tall), &axis(rank - 2));
        // A pair between the two, so that each is a Gather of integers with equal parameters on both sides.
        let between = match &out.quant {
            Some(params) => {
                let integer = self.file.fresh_value(&name("tall_quantized"));
                let quantize = self.file.fresh_node(&name("tall_quantize"));
                self.file.quantize(&quantize, &tall, &integer, params)?;
                let back = self.file.fresh_value(&name("tall_dequantized"));
                let dequantize = self.file.fresh_node(&name("tall_dequantize"));
                self.file.dequantize(&dequantize, &integer, &back, params)?;
                back
            }
            None => tall,
        };
        self.write(node, "Gather", &[between, cols], &axis(rank - 1), Activation::None)
    }
}

/// The factor `k` for which the table is `i / k`, if there is one.
fn whole_factor(table: &[u32], input: usize) -> Option<usize> {
    let factor = table.len().checked_div(input).filter(|&f| f > 0 && f * input == table.len())?;
    table.iter().enumerate().all(|(i, &from)| from as usize == i / factor).then_some(factor)
}
