//! Convolutions and look-up tables in QDQ form.

use super::Writer;
use ptq_ir::{Activation, Attr, Attrs, DType, Diagnostic, QConv, QLut, QNode, QuantParams, Tensor};

impl Writer<'_> {
    /// Conv with dequantized input, int8 weights, and an int32 bias of scale `s_x · s_w[c]`, the only one for which
    /// ONNX Runtime's integer kernel fires.
    pub(super) fn conv(&mut self, node: &QNode, conv: &QConv) -> Result<(), Diagnostic> {
        let mut inputs = vec![self.read(node, 0)?, self.read(node, 1)?];
        if node.inputs.len() > 2 {
            inputs.push(self.bias(node)?);
        }
        let geom = &conv.geom;
        let ints = |v: &[usize]| Attr::Ints(v.iter().map(|&n| n as i64).collect());
        let attrs = Attrs::of([
            ("kernel_shape", ints(&geom.kernel)),
            ("strides", ints(&geom.strides)),
            ("pads", ints(&geom.pads)),
            ("dilations", ints(&geom.dilations)),
            ("group", Attr::Int(geom.group as i64)),
        ]);
        self.write(node, "Conv", &inputs, &attrs, conv.activation)
    }

    fn bias(&mut self, node: &QNode) -> Result<String, Diagnostic> {
        let (id, bias) = self.tensor(node, &node.inputs, 2)?;
        if bias.dtype != DType::I32 {
            return Err(self.bad(node, format!("bias {} is {}, int32 is expected", bias.name, bias.dtype)));
        }
        let (x, w) = (self.tensor(node, &node.inputs, 0)?.1, self.tensor(node, &node.inputs, 1)?.1);
        let (Some(x), Some(w)) = (&x.quant, &w.quant) else {
            return Err(self.bad(node, "input or weights have no scale"));
        };
        let params = QuantParams {
            dtype: DType::I32,
            scale: w.scale.iter().map(|&s| x.scale0() * s).collect(),
            zero_point: vec![0; w.scale.len()],
            axis: w.axis.map(|_| 0),
        };
        let name = self.name(id);
        let out = self.file.fresh_value(&format!("{}_input_2", node.name));
        let dequantize = self.file.fresh_node(&format!("{}_dequantize_2", node.name));
        self.file.dequantize(&dequantize, &name, &out, &params)?;
        Ok(out)
    }

    /// The operator that a table replaces. Bounds of a Clip are attributes in the program, inputs in the file.
    pub(super) fn lut(&mut self, node: &QNode, lut: &QLut) -> Result<(), Diagnostic> {
        let mut inputs = vec![self.read(node, 0)?];
        let mut attrs = lut.attrs.clone();
        if lut.op == "Clip" {
            for what in ["min", "max"] {
                inputs.push(match attrs.0.remove(what) {
                    Some(Attr::Float(v)) if v.is_finite() => {
                        self.file.fresh_constant(&format!("{}_{what}", node.name), &Tensor::scalar_f32(v))
                    }
                    _ => String::new(),
                });
            }
        }
        self.write(node, &lut.op, &inputs, &attrs, Activation::None)
    }
}
