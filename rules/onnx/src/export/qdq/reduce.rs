//! Reductions in QDQ form.

use super::Writer;
use ptq_ir::{Activation, Attr, Attrs, Diagnostic, QNode, QReduce, Reduction, Tensor};

impl Writer<'_> {
    /// ReduceSum has its axes as an input in this operator set, the others as an attribute.
    pub(super) fn reduce(&mut self, node: &QNode, reduce: &QReduce) -> Result<(), Diagnostic> {
        let mut inputs = vec![self.read(node, 0)?];
        let mut attrs = Attrs::of([("keepdims", Attr::Int(1))]);
        if reduce.kind == Reduction::Sum {
            let axes = Tensor::vec_i64(vec![reduce.axis as i64]);
            inputs.push(self.file.fresh_constant(&format!("{}_axes", node.name), &axes));
        } else {
            attrs.set("axes", Attr::Ints(vec![reduce.axis as i64]));
        }
        self.write(node, node.op.name(), &inputs, &attrs, Activation::None)
    }
}
