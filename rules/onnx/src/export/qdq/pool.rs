//! Pools in QDQ form.

use super::Writer;
use ptq_ir::{Activation, Attr, Attrs, Diagnostic, QNode, QPool, ops::PoolGeom};

impl Writer<'_> {
    /// AveragePool, or GlobalAveragePool when the window is the whole image.
    pub(super) fn average_pool(&mut self, node: &QNode, pool: &QPool) -> Result<(), Diagnostic> {
        let shape = &self.tensor(node, &node.inputs, 0)?.1.shape;
        let (op, attrs) = if shape.len() == 4 && shape[2..] == pool.geom.kernel && pool.geom.pads == [0; 4] {
            ("GlobalAveragePool", Attrs::default())
        } else {
            let mut attrs = window(&pool.geom);
            attrs.set("count_include_pad", Attr::Int(i64::from(pool.geom.count_include_pad)));
            ("AveragePool", attrs)
        };
        self.plain(node, op, &attrs, Activation::None)
    }

    /// MaxPool.
    pub(super) fn max_pool(&mut self, node: &QNode, geom: &PoolGeom) -> Result<(), Diagnostic> {
        let mut attrs = window(geom);
        attrs.set("dilations", ints(&geom.dilations));
        self.plain(node, "MaxPool", &attrs, Activation::None)
    }
}

fn window(geom: &PoolGeom) -> Attrs {
    Attrs::of([
        ("kernel_shape", ints(&geom.kernel)),
        ("strides", ints(&geom.strides)),
        ("pads", ints(&geom.pads)),
        ("ceil_mode", Attr::Int(i64::from(geom.ceil_mode))),
    ])
}

fn ints(values: &[usize]) -> Attr {
    Attr::Ints(values.iter().map(|&n| n as i64).collect())
}
