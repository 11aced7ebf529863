//! Lut: `table[q - lowest q of the input type]`.

use super::operand::{Operand, bad, range, tensor};
use crate::ExecError;
use ptq_ir::{QLut, QTensor, Tensor};

pub(super) fn run(lut: &QLut, x: &Operand<'_>, out: &QTensor) -> Result<Tensor, ExecError> {
    let (lo, hi) = range(x.info)?;
    if lut.table.len() as i64 != i64::from(hi) - i64::from(lo) + 1 {
        return Err(bad(x.info, format!("a table of {} entries does not fit {}", lut.table.len(), x.info.dtype)));
    }
    let values = x.ints()?.into_iter().map(|q| i32::from(lut.table[(q - lo) as usize]));
    tensor(out, x.data.shape(), values.collect())
}
