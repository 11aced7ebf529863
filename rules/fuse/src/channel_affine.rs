//! A BatchNormalization read as one multiply and one add for each channel. Called by the two batch-normalization rules.

use ptq_ir::{Graph, Node};

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
}
