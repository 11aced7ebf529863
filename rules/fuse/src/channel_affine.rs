//! A node read as one multiply and one add for each channel. Called by the rules that fold or convert such nodes.

use ptq_ir::{DType, Graph, Node, ValueId};

/// `y[c] = scale[c] * x[c] + shift[c]`.
pub(crate) struct ChannelAffine {
    /// Factor of each channel.
    pub(crate) scale: Vec<f64>,
    /// Addend of each channel.
    pub(crate) shift: Vec<f64>,
}

impl ChannelAffine {
    /// Reads a BatchNormalization in inference mode, in f64: `scale = gamma / sqrt(var + epsilon)`,
    /// `shift = beta - mean * scale` (ONNX BatchNormalization-15).
    ///
    /// # Errors
    /// The reason why the node is not a fixed affine map.
    pub(crate) fn of(graph: &Graph, node: &Node) -> Result<ChannelAffine, String> {
        if node.attrs.int("training_mode", 0) != 0 {
            return Err(format!("{} has training_mode set: its statistics depend on the data", node.name));
        }
        if node.outputs.len() > 1 {
            return Err(format!("{} also returns running statistics", node.name));
        }
        let channels = node.input(0).and_then(|x| graph.value(x).shape.get(1)).copied().unwrap_or(0);
        let mut params = Vec::with_capacity(4);
        for (i, what) in ["scale", "bias", "mean", "variance"].into_iter().enumerate() {
            let tensor =
                graph.const_input(node, i + 1).ok_or_else(|| format!("the {what} of {} is not constant", node.name))?;
            if tensor.len() != channels {
                return Err(format!(
                    "the {what} of {} has {} entries for {channels} channels",
                    node.name,
                    tensor.len()
                ));
            }
            params.push(tensor.to_f64s());
        }
        let epsilon = f64::from(node.attrs.float("epsilon", 1e-5));
        let scale: Vec<f64> = (0..channels).map(|c| params[0][c] / (params[3][c] + epsilon).sqrt()).collect();
        let shift: Vec<f64> = (0..channels).map(|c| params[1][c] - params[2][c] * scale[c]).collect();
        if scale.iter().chain(&shift).any(|v| !v.is_finite()) {
            return Err(format!("the parameters of {} are not finite (variance below zero?)", node.name));
        }
        Ok(ChannelAffine { scale, shift })
    }

    /// Reads a BatchNormalization, or an Add, Sub, Mul or Div with one constant, as an affine map of the channels on
    /// `axis` of its other input.
    ///
    /// # Errors
    /// The reason why the node is not such a map.
    pub(crate) fn of_node(graph: &Graph, node: &Node, axis: usize) -> Result<(ChannelAffine, ValueId), String> {
        if node.is("BatchNormalization") {
            let x = node.input(0).ok_or("its input is missing")?;
            return match axis {
                1 => Ok((ChannelAffine::of(graph, node)?, x)),
                _ => Err(format!("{} normalizes axis 1", node.name)),
            };
        }
        let (x, c, constant_first) =
            operands(graph, node).ok_or_else(|| format!("{} has not one constant and one other operand", node.name))?;
        let (x_shape, y) = (&graph.value(x).shape, node.outputs.first().ok_or("it has no output")?);
        if graph.value(*y).shape != *x_shape {
            return Err(format!("{} broadcasts its input {x_shape:?}", node.name));
        }
        let channels = x_shape.get(axis).copied().ok_or("its input has no channels")?;
        let constant = graph.constant(c).ok_or("no constant")?;
        if constant.dtype() != DType::F32 {
            return Err(format!("the operand of {} is {}", node.name, constant.dtype()));
        }
        let values = spread(constant.shape(), &constant.to_f64s(), x_shape.len(), axis, channels)
            .ok_or_else(|| format!("the operand {:?} of {} varies within a channel", constant.shape(), node.name))?;
        let each = |f: fn(f64) -> f64| values.iter().map(|&v| f(v)).collect::<Vec<f64>>();
        let (scale, shift) = match (node.op.as_str(), constant_first) {
            ("Add", _) => (each(|_| 1.0), values.clone()),
            ("Sub", false) => (each(|_| 1.0), each(|v| -v)),
            ("Sub", true) => (each(|_| -1.0), values.clone()),
            ("Mul", _) => (values.clone(), each(|_| 0.0)),
            ("Div", false) => (each(|v| 1.0 / v), each(|_| 0.0)),
            _ => return Err(format!("{} is not a product or sum with a constant", node.name)),
        };
        if scale.iter().chain(&shift).any(|v| !v.is_finite()) {
            return Err(format!("the operand of {} is not finite, or divides by 0", node.name));
        }
        if scale.contains(&0.0) {
            return Err(format!("a factor of {} is 0", node.name));
        }
        Ok((ChannelAffine { scale, shift }, x))
    }

    /// Whether nothing is added.
    pub(crate) fn only_scales(&self) -> bool {
        self.shift.iter().all(|&v| v == 0.0)
    }
}

/// Whether a node is an Add, Sub, Mul or Div of a constant and another value.
pub(crate) fn is_constant_arithmetic(graph: &Graph, node: &Node) -> bool {
    ["Add", "Sub", "Mul", "Div"].iter().any(|op| node.is(op)) && operands(graph, node).is_some()
}

/// The operand that is not constant, the constant, and whether the constant comes first.
pub(crate) fn operands(graph: &Graph, node: &Node) -> Option<(ValueId, ValueId, bool)> {
    let (a, b) = (node.input(0)?, node.input(1)?);
    match (graph.constant(a).is_some(), graph.constant(b).is_some()) {
        (false, true) => Some((a, b, false)),
        (true, false) => Some((b, a, true)),
        _ => None,
    }
}

/// One number a channel from a constant that is broadcast to rank `rank` and varies along `axis` alone.
fn spread(shape: &[usize], values: &[f64], rank: usize, axis: usize, channels: usize) -> Option<Vec<f64>> {
    if let [v] = values {
        return (shape.len() <= rank).then(|| vec![*v; channels]);
    }
    let own = (axis + shape.len()).checked_sub(rank)?;
    let along = shape.len() <= rank && shape.iter().enumerate().all(|(d, &n)| n == 1 || d == own);
    (along && values.len() == channels).then(|| values.to_vec())
}
