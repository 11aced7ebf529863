//! NonMaxSuppression of constants. How many boxes stay depends on the data, so nothing else has a static shape.

use super::parts::Parts;
use super::{Conversion, Converted};
use ptq_ir::{Diagnostic, Tensor};

/// Makes the indices of the boxes that stay, when everything is constant.
///
/// Refuses everything else: its output shape depends on the data.
pub(super) fn non_max_suppression(c: Conversion<'_>) -> Converted {
    let kept = select(&c)?;
    let count = kept.len() / 3;
    let tensor = Tensor::from_i64([count, 3], kept).map_err(|e| c.error(e.to_string()))?;
    let mut parts = Parts::of(c);
    let kept = parts.constant("kept", tensor);
    parts.finish("Identity", &[&kept], &[])
}

fn select(c: &Conversion<'_>) -> Result<Vec<i64>, Diagnostic> {
    let constant = |i: usize| -> Result<Option<Tensor>, Diagnostic> {
        let Some(name) = c.node.input(i) else { return Ok(None) };
        let found = c.env.constant(name);
        found.map(Some).ok_or_else(|| {
            let why = format!("data-dependent shape: how many boxes stay depends on {name}, which is not constant");
            c.error(why).hint("end the model before NonMaxSuppression and select boxes behind it")
        })
    };
    let number = |i: usize, default: f64| -> Result<f64, Diagnostic> {
        Ok(constant(i)?.and_then(|t| t.to_f64s().first().copied()).unwrap_or(default))
    };
    let (boxes, scores) = (constant(0)?, constant(1)?);
    let (Some(boxes), Some(scores)) = (boxes, scores) else { return Err(c.error("boxes or scores are missing")) };
    let limit = number(2, 0.0)?.max(0.0) as usize;
    let (overlap, least) = (number(3, 0.0)?, number(4, f64::NEG_INFINITY)?);
    let (&[n, count, 4], &[_, classes, _]) = (boxes.shape(), scores.shape()) else {
        return Err(c.error(format!("boxes {:?} and scores {:?} do not fit", boxes.shape(), scores.shape())));
    };
    if scores.shape() != [n, classes, count] {
        return Err(c.error(format!("boxes {:?} and scores {:?} do not fit", boxes.shape(), scores.shape())));
    }
    let centred = c.node.attrs.int("center_point_box", 0) != 0;
    let corners: Vec<[f64; 4]> = boxes.to_f64s().as_chunks::<4>().0.iter().map(|b| corners(*b, centred)).collect();
    let scores = scores.to_f64s();
    let mut out = Vec::new();
    for (row, scores) in scores.chunks_exact(count.max(1)).enumerate() {
        let (image, class) = (row / classes, row % classes);
        let mut order: Vec<usize> = (0..count).filter(|&i| scores[i] > least).collect();
        order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]).then(a.cmp(&b)));
        let mut kept: Vec<usize> = Vec::new();
        for i in order {
            if kept.len() >= limit {
                break;
            }
            let own = &corners[image * count + i];
            if kept.iter().all(|&k| intersection_over_union(own, &corners[image * count + k]) <= overlap) {
                kept.push(i);
            }
        }
        out.extend(kept.into_iter().flat_map(|i| [image as i64, class as i64, i as i64]));
    }
    Ok(out)
}

/// `[y0, x0, y1, x1]` with ordered corners, from corners in any order or from `[x, y, width, height]` of the centre.
fn corners(b: [f64; 4], centred: bool) -> [f64; 4] {
    if centred {
        let [x, y, w, h] = b;
        return [y - h / 2.0, x - w / 2.0, y + h / 2.0, x + w / 2.0];
    }
    [b[0].min(b[2]), b[1].min(b[3]), b[0].max(b[2]), b[1].max(b[3])]
}

fn intersection_over_union(a: &[f64; 4], b: &[f64; 4]) -> f64 {
    let side = |low: usize| (a[low + 2].min(b[low + 2]) - a[low].max(b[low])).max(0.0);
    let area = |b: &[f64; 4]| (b[2] - b[0]) * (b[3] - b[1]);
    let shared = side(0) * side(1);
    if shared <= 0.0 { 0.0 } else { shared / (area(a) + area(b) - shared) }
}
