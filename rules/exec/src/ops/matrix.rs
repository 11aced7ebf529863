//! Parts and properties of matrices in the last two axes: Trilu, Det.

use crate::ExecError;
use crate::call::Call;
use crate::elements::{Element, each_type};
use ptq_ir::{DType, Tensor};

/// The upper or lower triangle from diagonal `k` on; zeros elsewhere.
pub(super) fn triangle(call: &Call<'_>) -> Result<Tensor, ExecError> {
    let x = call.input(0)?;
    let k = match call.ints(1)?.as_deref() {
        None => 0,
        Some(&[k]) => k,
        Some(_) => return Err(call.bad("k must be one number")),
    };
    let upper = call.attrs.int("upper", 1) != 0;
    let [.., rows, columns] = *x.shape() else {
        return Err(call.bad(format!("rank {} has no matrices", x.shape().len())));
    };
    let kept = |i: usize| {
        let (row, column) = ((i / columns % rows) as i64, (i % columns) as i64);
        let diagonal = column - row;
        if upper { diagonal >= k } else { diagonal <= k }
    };
    each_type!(x, v => {
        let data = v.iter().enumerate().map(|(i, &e)| if kept(i) { e } else { Default::default() }).collect();
        Ok(Element::tensor(x.shape(), data)?)
    })
}

/// Determinants, by elimination with partial pivoting in double precision.
pub(super) fn determinant(call: &Call<'_>) -> Result<Tensor, ExecError> {
    let x = call.input(0)?;
    let (lead, n) = match x.shape() {
        [lead @ .., n, m] if n == m && x.dtype().is_float() => (lead, *n),
        _ => return Err(call.bad(format!("{}{:?} holds no square matrices of floats", x.dtype(), x.shape()))),
    };
    let all = x.to_f64s();
    let count: usize = lead.iter().product();
    let results = (0..count).map(|i| eliminated(all[i * n * n..(i + 1) * n * n].to_vec(), n)).collect();
    let out = Tensor::from_f64(lead, results)?;
    if x.dtype() == DType::F64 { Ok(out) } else { super::cast::convert(&out, x.dtype()) }
}

fn eliminated(mut a: Vec<f64>, n: usize) -> f64 {
    let mut det = 1.0;
    for c in 0..n {
        let pivot = (c..n).fold(c, |best, r| if a[r * n + c].abs() > a[best * n + c].abs() { r } else { best });
        if a[pivot * n + c] == 0.0 {
            return 0.0;
        }
        if pivot != c {
            (0..n).for_each(|k| a.swap(pivot * n + k, c * n + k));
            det = -det;
        }
        det *= a[c * n + c];
        for r in c + 1..n {
            let factor = a[r * n + c] / a[c * n + c];
            for k in c..n {
                a[r * n + k] -= factor * a[c * n + k];
            }
        }
    }
    det
}
