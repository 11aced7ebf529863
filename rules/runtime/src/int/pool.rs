//! Average and maximum over windows.

use super::Call;
use super::element::{Element, Pairwise, for_types, with_element};
use ptq_ir::{QPool, Tensor, TensorError, ops::PoolGeom};
use ptq_kernels::requant::{apply, store};

/// Requantized average; the zero point where no tap is inside the image.
pub(crate) fn average_pool(call: &Call<'_>, pool: &QPool) -> Result<Tensor, TensorError> {
    struct Average<'a>(&'a Call<'a>, &'a QPool);
    impl Pairwise for Average<'_> {
        fn run<X: Element, Y: Element>(self) -> Result<Tensor, TensorError> {
            let Average(call, pool) = self;
            let x_zero = call.zero(0);
            let (lo, hi) = call.output().dtype.quant_range().unwrap_or((i32::MIN, i32::MAX));
            let mut out = Vec::new();
            windows(call, &pool.geom, X::slice(call.inputs[0])?, |taps| {
                let (count, sum) = taps.fold((0, 0i32), |(n, s), q| (n + 1, s.wrapping_add(q.wide() - x_zero)));
                let rounded = if count == 0 { 0 } else { apply(&pool.requant, count - 1, sum) };
                out.push(Y::narrow(store(rounded, pool.out_zero, lo, hi)));
            });
            Y::tensor(&call.output().shape, out)
        }
    }
    for_types(Average(call, pool), call.inputs[0].dtype(), call.output().dtype)
}

/// Maximum; the type's lowest value where no tap is inside the image.
pub(crate) fn max_pool(call: &Call<'_>, geom: &PoolGeom) -> Result<Tensor, TensorError> {
    with_element!(call.output().dtype, E => {
        let mut out = Vec::new();
        windows(call, geom, E::slice(call.inputs[0])?, |taps| {
            out.push(E::narrow(taps.map(|q| q.wide()).max().unwrap_or(E::LOWEST.wide())));
        });
        E::tensor(&call.output().shape, out)
    })
}

/// Calls `f` with the taps inside the image of every window, in output order.
fn windows<E: Element>(call: &Call<'_>, g: &PoolGeom, x: &[E], mut f: impl FnMut(&mut dyn Iterator<Item = E>)) {
    let (xs, ys) = (call.inputs[0].shape(), &call.output().shape);
    let (h, w) = (xs[2], xs[3]);
    let taps = |d: usize, extent: usize, out: usize| -> Vec<Vec<usize>> {
        let place = |o: usize, k: usize| (o * g.strides[d] + k * g.dilations[d]).checked_sub(g.pads[d]);
        let inside = |o: usize| (0..g.kernel[d]).filter_map(|k| place(o, k)).filter(|&p| p < extent).collect();
        (0..out).map(inside).collect()
    };
    let (rows, cols) = (taps(0, h, ys[2]), taps(1, w, ys[3]));
    for plane in x.chunks_exact((h * w).max(1)).take(xs[0] * xs[1]) {
        for row in &rows {
            for col in &cols {
                f(&mut row.iter().flat_map(|&y| col.iter().map(move |&x| plane[y * w + x])));
            }
        }
    }
}
