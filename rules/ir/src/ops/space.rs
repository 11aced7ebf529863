//! DepthToSpace: how channels become pixels.

use crate::{Diagnostic, Node};

/// Which way the channels of a block are counted (ONNX DepthToSpace `mode`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum BlockOrder {
    /// Depth, column, row: channel `(by·block + bx)·C + c`.
    Dcr,
    /// Column, row, depth: channel `c·block² + by·block + bx`.
    Crd,
}

/// A DepthToSpace: `[N, C·block², H, W]` → `[N, C, H·block, W·block]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct BlockMove {
    /// Side of a block in pixels, at least 1.
    pub block: usize,
    /// How a block's pixels lie in the channels.
    pub order: BlockOrder,
}

impl BlockMove {
    /// Reads the attributes of a DepthToSpace (or, where `mode` is absent, of a SpaceToDepth).
    ///
    /// # Errors
    /// `OPS04` when the block is not positive or the mode is unknown.
    pub fn of(node: &Node) -> Result<BlockMove, Diagnostic> {
        let bad = |why: String| Diagnostic::error("OPS04", why).node(&node.name);
        let raw = node.attrs.int("blocksize", 0);
        let block = usize::try_from(raw).ok().filter(|&b| (1..=1 << 16).contains(&b));
        let block = block.ok_or_else(|| bad(format!("blocksize {raw} is not a positive number of pixels")))?;
        let order = match node.attrs.str("mode", "DCR") {
            "DCR" => BlockOrder::Dcr,
            "CRD" => BlockOrder::Crd,
            other => return Err(bad(format!("mode {other:?} is not DCR or CRD"))),
        };
        Ok(BlockMove { block, order })
    }

    /// Shape of the result of DepthToSpace; `None` when the channels are not whole blocks.
    pub fn to_space(self, [n, c, h, w]: [usize; 4]) -> Option<[usize; 4]> {
        let area = self.block.checked_mul(self.block).filter(|&a| a > 0 && c % a == 0)?;
        Some([n, c / area, h.checked_mul(self.block)?, w.checked_mul(self.block)?])
    }

    /// Channel of a `[.., channels·block², ..]` tensor that holds pixel `(by, bx)` of channel `c`.
    pub fn channel(self, channels: usize, c: usize, by: usize, bx: usize) -> usize {
        match self.order {
            BlockOrder::Dcr => (by * self.block + bx) * channels + c,
            BlockOrder::Crd => (c * self.block + by) * self.block + bx,
        }
    }
}
