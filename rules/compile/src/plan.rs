//! A plan: how a segment's layers are grouped and cut. Made by `search`, followed by `emit`, stored in the file.

use serde::{Deserialize, Serialize};

/// How consecutive layers are computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// One layer by itself, in its first tiling that fits; input and result in DDR.
    Layer,
    /// Stripes of rows pass through all layers; what only the group's own layers read stays in SRAM.
    Fused {
        /// Stripes of the last layer's rows.
        stripes: u16,
        /// Rows that the next stripe needs again stay in SRAM; otherwise they are computed again.
        cache: bool,
        /// Weights are loaded again for every stripe; otherwise they stay.
        stream: bool,
    },
}

/// Consecutive layers and how they are computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Group {
    /// Number of layers.
    pub layers: u32,
    /// How they are computed.
    pub form: Form,
}

/// What a program does, apart from addresses, which follow from it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Plan {
    /// All layers of the segment, in order.
    pub groups: Vec<Group>,
    /// Layers whose result stays in SRAM for later groups.
    pub kept: Vec<u32>,
    /// How many computing commands a load may go ahead of its first use; none: nothing overlaps, each layer ends with a
    /// barrier.
    pub ahead: Option<u32>,
}

impl Plan {
    /// Every layer by itself, one command after the other.
    pub(crate) fn serial(layers: usize) -> Plan {
        Plan { groups: vec![Group { layers: 1, form: Form::Layer }; layers], kept: Vec::new(), ahead: None }
    }

    /// The first layer of each group.
    pub(crate) fn starts(&self) -> impl Iterator<Item = (usize, Group)> + '_ {
        let mut at = 0;
        self.groups.iter().map(move |&group| {
            let start = at;
            at += group.layers as usize;
            (start, group)
        })
    }
}
