//! Convolutions and look-up tables in QDQ form.

use super::Writer;
use ptq_ir::{Activation, Attr, Attrs, DType, Diagnostic, QConv, QLut, QNode, QuantParams, Tensor, channel_scales};

impl Writer<'_> {
    /// Conv with dequantized input, int8 weights, and an int32 bias of scale `s_x · s_w[c]`, the only one for which
    /// ONNX Runtime's integer kernel fires.
    pub(super) fn conv(&mut self, node: &QNode, conv: &QConv) -> Result<(), Diagnostic> {
        let weights = self.weight_params(node)?;
        let mut inputs = vec![self.read(node, 0)?, self.read_as(node, 1, &weights)?];
        if node.inputs.len() > 2 {
            inputs.push(self.bias(node, &weights)?);
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
        // Saturation at the channel's own threshold, which is below the bound, takes the place of a Clip.
        let (_, out) = self.tensor(node, &node.outputs, 0)?;
        let folded = conv.requant.is_some() && out.quant.as_ref().and_then(channel_scales).is_some();
        let activation = match conv.activation {
            Activation::Clip { .. } if folded => Activation::Relu,
            other => other,
        };
        self.write(node, "Conv", &inputs, &attrs, activation)
    }

    /// Parameters of the weights in the file: with one scale a channel of the result, those are folded in.
    fn weight_params(&self, node: &QNode) -> Result<QuantParams, Diagnostic> {
        let (_, weights) = self.tensor(node, &node.inputs, 1)?;
        let (_, out) = self.tensor(node, &node.outputs, 0)?;
        let mut params = self.params(node, weights)?;
        if let Some(scales) = out.quant.as_ref().filter(|_| out.dtype != DType::I32).and_then(channel_scales) {
            params.scale.iter_mut().zip(scales).for_each(|(w, s)| *w /= s);
        }
        Ok(params)
    }

    fn bias(&mut self, node: &QNode, w: &QuantParams) -> Result<String, Diagnostic> {
        let (id, bias) = self.tensor(node, &node.inputs, 2)?;
        if bias.dtype != DType::I32 {
            return Err(self.bad(node, format!("bias {} is {}, int32 is expected", bias.name, bias.dtype)));
        }
        let x = self.params(node, self.tensor(node, &node.inputs, 0)?.1)?;
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
        if ["Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"].contains(&lut.op.as_str()) {
            return self.compare(node, &lut.op, inputs);
        }
        self.write(node, &lut.op, &inputs, &attrs, Activation::None)
    }

    /// A comparison of a difference with zero; true becomes 1.
    fn compare(&mut self, node: &QNode, op: &str, mut inputs: Vec<String>) -> Result<(), Diagnostic> {
        inputs.push(self.file.fresh_constant(&format!("{}_zero", node.name), &Tensor::scalar_f32(0.0)));
        let truth = self.file.fresh_value(&format!("{}_truth", node.name));
        let name = self.file.fresh_node(&format!("{}_compare", node.name));
        self.file.node(op, &name, &inputs, std::slice::from_ref(&truth), &Attrs::default());
        let attrs = Attrs::of([("to", Attr::Int(DType::F32.onnx().into()))]);
        self.write(node, "Cast", &[truth], &attrs, Activation::None)
    }
}
