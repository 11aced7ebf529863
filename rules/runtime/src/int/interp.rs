//! Linear resize of march `cpu`, on bytes channels-last.

use super::{Call, nchw, sign, zero_point};
use ptq_ir::ops::{LinearResize, WEIGHT_BITS};

/// Resizes the last two axes: along columns into 32-bit rows first, then along rows.
pub(crate) fn linear_resize(call: &Call<'_>, resize: &LinearResize, out: &mut [u8]) {
    let [_, channels, h, w] = nchw(call.input(0));
    let (sign, zero) = (sign(call.input(0)), zero_point(call.input(0)));
    let one = 1i32 << WEIGHT_BITS;
    let width = resize.cols.len() * channels;
    let images = call.inputs[0].chunks_exact((h * w * channels).max(1));
    let results = out.chunks_exact_mut((resize.rows.len() * width).max(1));
    for (image, result) in images.zip(results) {
        // Each source row across its columns, made when first asked for.
        let mut rows: Vec<Option<Vec<i32>>> = vec![None; h];
        for (tap, out) in resize.rows.iter().zip(result.chunks_exact_mut(width.max(1))) {
            for source in [tap.lo as usize, tap.hi as usize] {
                rows[source].get_or_insert_with(|| {
                    let row = &image[source * w * channels..(source + 1) * w * channels];
                    let mut wide = Vec::with_capacity(width);
                    for col in &resize.cols {
                        let (a, b) = (col.lo as usize * channels, col.hi as usize * channels);
                        let across = col.weight as i32;
                        wide.extend(
                            row[a..a + channels].iter().zip(&row[b..b + channels]).map(|(&p, &q)| {
                                (sign.value(p) - zero) * (one - across) + (sign.value(q) - zero) * across
                            }),
                        );
                    }
                    wide
                });
            }
            let down = tap.weight as i32;
            if let (Some(upper), Some(lower)) = (&rows[tap.lo as usize], &rows[tap.hi as usize]) {
                for ((o, &a), &b) in out.iter_mut().zip(upper).zip(lower) {
                    *o = (LinearResize::round(a * (one - down) + b * down) + zero) as u8;
                }
            }
        }
    }
}
