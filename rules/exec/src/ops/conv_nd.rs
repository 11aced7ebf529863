//! Convolution of any spatial rank, as a matrix product over gathered windows.

use super::taps::{CHUNK, OUTSIDE, chunks, taps};
use crate::ExecError;
use crate::call::Call;
use ptq_ir::Tensor;
use ptq_ir::ops::Window;
use ptq_kernels::{Isa, Start, matmul};

/// A convolution of images `[batch][channels][spatial…]` by weights `[filters][channels / group][kernel…]`.
pub(super) struct ConvNd<'a> {
    pub(super) batch: usize,
    pub(super) channels: usize,
    pub(super) spatial: &'a [usize],
    pub(super) weights: &'a [f32],
    pub(super) filters: usize,
    pub(super) group: usize,
    pub(super) bias: Option<&'a [f32]>,
    pub(super) window: &'a Window,
    pub(super) out: &'a [usize],
}

/// Conv with three and more spatial dimensions.
pub(super) fn conv(call: &Call<'_>) -> Result<Tensor, ExecError> {
    let (x, w) = (call.input(0)?, call.input(1)?);
    let bias = call.optional(2).map(Tensor::f32s).transpose()?;
    let (xs, ws) = (x.shape(), w.shape());
    let group = usize::try_from(call.attrs.int("group", 1)).unwrap_or(0);
    let fits = group > 0 && xs.len() == ws.len() && ws[1].checked_mul(group) == Some(xs[1]) && ws[0] % group == 0;
    if !fits || bias.is_some_and(|b| b.len() != ws[0]) {
        return Err(call.bad(format!("weights {ws:?} in {group} groups do not fit input {xs:?}")));
    }
    let node = call.node();
    let window = Window::of(&node, &xs[2..], &ws[2..])?;
    let out = window.out(&node, &xs[2..])?;
    let mut shape = vec![xs[0], ws[0]];
    shape.extend(&out);
    call.bounded(&shape)?;
    let (spatial, weights) = (&xs[2..], w.f32s()?);
    let plan = ConvNd {
        batch: xs[0],
        channels: xs[1],
        spatial,
        weights,
        filters: ws[0],
        group,
        bias,
        window: &window,
        out: &out,
    };
    Ok(Tensor::from_f32(shape, plan.run(x.f32s()?)?)?)
}

impl ConvNd<'_> {
    /// The images `[batch][filters][out…]`: each element is one chain in order of channel and tap, from the bias on.
    pub(super) fn run(&self, x: &[f32]) -> Result<Vec<f32>, ExecError> {
        let (image, pixels) = (self.spatial.iter().product::<usize>(), self.out.iter().product::<usize>());
        let (channels, filters) = (self.channels / self.group, self.filters / self.group);
        let k = channels * self.window.kernel.iter().product::<usize>();
        let zeros = vec![0.0; self.filters];
        let bias = self.bias.unwrap_or(&zeros);
        let mut out = vec![0.0; self.batch * self.filters * pixels];
        let mut columns = Vec::with_capacity(k * CHUNK.min(pixels));
        let mut product = Vec::new();
        for range in chunks(pixels) {
            let table = taps(self.window, self.spatial, self.out, range.clone());
            let n = range.len();
            for block in 0..self.batch * self.group {
                let (g, x) = (block % self.group, &x[block * channels * image..][..channels * image]);
                columns.clear();
                for plane in x.chunks_exact(image) {
                    columns.extend(table.iter().map(|&i| if i == OUTSIDE { 0.0 } else { plane[i] }));
                }
                product.resize(filters * n, 0.0);
                let weights = &self.weights[g * filters * k..][..filters * k];
                let start = Start::Rows(&bias[g * filters..][..filters]);
                matmul(Isa::best(), 1, [filters, k, n], weights, &columns, start, &mut product)?;
                for (f, row) in product.chunks_exact(n).enumerate() {
                    let at = (block * filters + f) * pixels + range.start;
                    out[at..at + n].copy_from_slice(row);
                }
            }
        }
        Ok(out)
    }
}
