//! Average and maximum over windows.

use super::{Call, nchw, sign, zero_point};
use ptq_ir::{DType, QPool, ops::PoolGeom};
use ptq_kernels::{IntAveragePool, IntImage, KernelError, int_max_pool};

/// Requantized average.
pub(crate) fn average_pool(call: &Call<'_>, pool: &QPool, out: &mut [u8]) -> Result<(), KernelError> {
    let kernel = IntAveragePool {
        geom: &pool.geom,
        sign: [sign(call.input(0)), sign(call.output())],
        input_zero: zero_point(call.input(0)),
        requant: &pool.requant,
        out_zero: pool.out_zero,
    };
    each_image(call, out, |image, out| kernel.run(image, out))
}

/// Maximum.
pub(crate) fn max_pool(call: &Call<'_>, geom: &PoolGeom, out: &mut [u8]) -> Result<(), KernelError> {
    if call.output().dtype == DType::I32 {
        return each_image(call, out, |image, out| {
            max_of_words(geom, image.x, image.hw, image.channels, nchw(call.output()), out);
            Ok(())
        });
    }
    let sign = sign(call.input(0));
    each_image(call, out, |image, out| int_max_pool(geom, sign, image, out))
}

fn each_image(
    call: &Call<'_>,
    out: &mut [u8],
    mut run: impl FnMut(&IntImage<'_>, &mut [u8]) -> Result<(), KernelError>,
) -> Result<(), KernelError> {
    let [n, c, h, w] = nchw(call.input(0));
    let (image, result) = (call.inputs[0].len() / n, out.len() / n);
    for (x, y) in call.inputs[0].chunks_exact(image).zip(out.chunks_exact_mut(result)) {
        run(&IntImage { isa: call.isa, threads: call.threads, x, hw: [h, w], channels: c }, y)?;
    }
    Ok(())
}

/// Maximum of 32-bit accumulators; rare, so plain.
fn max_of_words(g: &PoolGeom, x: &[u8], [h, w]: [usize; 2], c: usize, [_, _, oh, ow]: [usize; 4], out: &mut [u8]) {
    let place = |d: usize, o: usize, k: usize| (o * g.strides[d] + k * g.dilations[d]).checked_sub(g.pads[d]);
    let taps = |d: usize, o: usize, extent: usize| {
        (0..g.kernel[d]).filter_map(move |k| place(d, o, k)).filter(move |&p| p < extent)
    };
    let words = x.as_chunks::<4>().0;
    for (i, slot) in out.as_chunks_mut::<4>().0.iter_mut().enumerate() {
        let (oy, ox, channel) = (i / (ow * c) % oh, i / c % ow, i % c);
        let pixels = taps(0, oy, h).flat_map(|y| taps(1, ox, w).map(move |x| y * w + x));
        let max = pixels.map(|p| i32::from_le_bytes(words[p * c + channel])).max().unwrap_or(i32::MIN);
        *slot = max.to_le_bytes();
    }
}
