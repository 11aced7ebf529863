//! Attributes of Gemm.

use crate::Node;

/// `Y = alpha · A' · B' + beta · C`, where `'` transposes on request (ONNX Gemm).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GemmAttrs {
    /// Factor of the product.
    pub alpha: f32,
    /// Factor of the addend.
    pub beta: f32,
    /// Transpose A.
    pub trans_a: bool,
    /// Transpose B.
    pub trans_b: bool,
}

impl GemmAttrs {
    /// Reads the attributes of a Gemm.
    pub fn of(node: &Node) -> GemmAttrs {
        GemmAttrs {
            alpha: node.attrs.float("alpha", 1.0),
            beta: node.attrs.float("beta", 1.0),
            trans_a: node.attrs.int("transA", 0) != 0,
            trans_b: node.attrs.int("transB", 0) != 0,
        }
    }
}
