//! Mean average precision of a detector, as COCO defines it.
//!
//! Lin et al., "Microsoft COCO: Common Objects in Context" (2014) and its evaluation page: precision interpolated at 101
//! recalls, mean over classes that have labels, mean over IoU 0.50, 0.55 … 0.95; at most 100 boxes a sample.

use super::classes::class;
use super::{Task, Truth, problem};
use ptq_ir::{Diagnostic, Tensor};
use std::collections::{BTreeMap, BTreeSet};

/// Boxes of a sample that count, the most confident ones.
const MOST: usize = 100;
/// Confidence below which a raw candidate is no box.
const CONFIDENT: f64 = 0.001;
/// IoU above which a raw candidate repeats a better one of its class.
const REPEATS: f64 = 0.7;

/// A box of a label: `x1, y1, x2, y2` in the pixels of the model's input.
#[derive(Clone, Debug, PartialEq)]
pub struct Labelled {
    /// Number of the sample.
    pub sample: usize,
    /// Class.
    pub class: usize,
    /// Corners.
    pub corners: [f64; 4],
}

/// A box that the model found.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// Where and what.
    pub at: Labelled,
    /// Confidence.
    pub score: f64,
}

fn iou(a: &[f64; 4], b: &[f64; 4]) -> f64 {
    let side = |low: f64, high: f64| (high - low).max(0.0);
    let area = |r: &[f64; 4]| side(r[0], r[2]) * side(r[1], r[3]);
    let both = side(a[0].max(b[0]), a[2].min(b[2])) * side(a[1].max(b[1]), a[3].min(b[3]));
    let any = area(a) + area(b) - both;
    if any > 0.0 { both / any } else { 0.0 }
}

/// Average precision of each of ten IoU limits, averaged over the classes that have labels; NaN without any.
pub fn mean_average_precision(found: &[Found], labels: &[Labelled]) -> [f64; 10] {
    let classes: BTreeSet<usize> = labels.iter().map(|l| l.class).collect();
    std::array::from_fn(|i| {
        let limit = 0.5 + 0.05 * i as f64;
        let sum: f64 = classes.iter().map(|c| average_precision(found, labels, *c, limit)).sum();
        sum / classes.len() as f64
    })
}

fn average_precision(found: &[Found], labels: &[Labelled], class: usize, limit: f64) -> f64 {
    let labels: Vec<&Labelled> = labels.iter().filter(|l| l.class == class).collect();
    let mut found: Vec<&Found> = found.iter().filter(|f| f.at.class == class).collect();
    found.sort_by(|a, b| b.score.total_cmp(&a.score));
    let mut taken = vec![false; labels.len()];
    let mut right = 0usize;
    // Precision and recall after each box.
    let mut curve: Vec<(f64, f64)> = Vec::with_capacity(found.len());
    for (i, f) in found.iter().enumerate() {
        let free = labels.iter().enumerate().filter(|(l, label)| !taken[*l] && label.sample == f.at.sample);
        let best = free.map(|(l, label)| (l, iou(&f.at.corners, &label.corners))).max_by(|a, b| a.1.total_cmp(&b.1));
        if let Some((l, _)) = best.filter(|(_, overlap)| *overlap >= limit) {
            taken[l] = true;
            right += 1;
        }
        curve.push((right as f64 / (i + 1) as f64, right as f64 / labels.len() as f64));
    }
    for i in (1..curve.len()).rev() {
        curve[i - 1].0 = curve[i - 1].0.max(curve[i].0);
    }
    let at = |recall: f64| curve.iter().find(|c| c.1 >= recall).map_or(0.0, |c| c.0);
    (0..=100).map(|r| at(f64::from(r) / 100.0)).sum::<f64>() / 101.0
}

/// The boxes of one output. `[…, n, 6]` holds finished boxes `x1 y1 x2 y2 score class`; `[…, 4 + classes, n]` with fewer rows than
/// columns holds candidates `cx cy w h` and class scores, of which the best of each place are kept class by class.
fn boxes(sample: usize, output: &Tensor) -> Result<Vec<Found>, Diagnostic> {
    let values = output.to_f64s();
    let (rows, columns) = match output.shape() {
        [.., rows, columns] if *columns > 0 => (*rows, *columns),
        shape => return Err(problem(format!("an output of shape {shape:?} holds no boxes"))),
    };
    let mut all: Vec<Found> = if columns == 6 {
        let of = |b: &[f64]| {
            let corners = [b[0], b[1], b[2], b[3]];
            Found { at: Labelled { sample, class: b[5].max(0.0) as usize, corners }, score: b[4] }
        };
        values.chunks(6).map(of).filter(|f| f.score > 0.0).collect()
    } else if rows > 4 && rows < columns {
        let value = |r: usize, c: usize| values[r * columns + c];
        let of = |c: usize| {
            let scores: Vec<f64> = (4..rows).map(|r| value(r, c)).collect();
            let class = super::largest(&scores);
            let (x, y, w, h) = (value(0, c), value(1, c), value(2, c) / 2.0, value(3, c) / 2.0);
            Found { at: Labelled { sample, class, corners: [x - w, y - h, x + w, y + h] }, score: scores[class] }
        };
        let mut candidates: Vec<Found> = (0..columns).map(of).filter(|f| f.score > CONFIDENT).collect();
        candidates.sort_by(|a, b| b.score.total_cmp(&a.score));
        let mut kept: Vec<Found> = Vec::new();
        for f in candidates {
            let repeats = |k: &Found| k.at.class == f.at.class && iou(&k.at.corners, &f.at.corners) > REPEATS;
            if kept.len() < MOST && !kept.iter().any(repeats) {
                kept.push(f);
            }
        }
        kept
    } else {
        let hint = "boxes are [n, 6] (x1 y1 x2 y2 score class) or [4 + classes, n]; eval.output names another output, eval.command \
                    measures anything else";
        return Err(problem(format!("an output of shape {:?} holds no boxes", output.shape())).hint(hint));
    };
    all.sort_by(|a, b| b.score.total_cmp(&a.score));
    all.truncate(MOST);
    Ok(all)
}

/// `map` over ten limits of IoU, and `map50` at the lowest.
pub(super) fn figures(
    task: &Task,
    answers: &BTreeMap<String, Tensor>,
    truth: &Truth,
) -> Result<Vec<(&'static str, f64)>, Diagnostic> {
    let Truth::Labels(labels) = truth else {
        let hint = "lines of eval.labels: file, class, x1, y1, x2, y2 in pixels of the model's input";
        return Err(problem("map needs labelled boxes".to_owned()).hint(hint));
    };
    let (mut found, mut wanted) = (Vec::new(), Vec::new());
    for (sample, (file, answer)) in answers.iter().enumerate() {
        found.extend(boxes(sample, answer)?);
        for line in labels.lines(file)?.iter().filter(|l| !l.trim().is_empty()) {
            let fields = labels.fields(line);
            let numbers: Option<Vec<f64>> = fields.iter().skip(1).map(|f| f.parse().ok()).collect();
            let Some([a, b, c, d]) = numbers.as_deref() else {
                return Err(problem(format!("{file}: {line:?} is not class, x1, y1, x2, y2")));
            };
            wanted.push(Labelled { sample, class: class(task, fields[0], file)?, corners: [*a, *b, *c, *d] });
        }
    }
    let by_limit = mean_average_precision(&found, &wanted);
    Ok(vec![("map", by_limit.iter().sum::<f64>() / by_limit.len() as f64), ("map50", by_limit[0])])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::task::{Labels, TaskMetric, evaluate};

    fn label(sample: usize, x: f64) -> Labelled {
        Labelled { sample, class: 1, corners: [x, 0.0, x + 10.0, 10.0] }
    }

    #[test]
    fn precision_is_interpolated_at_101_recalls() {
        let labels = [label(0, 0.0), label(0, 100.0)];
        let of = |at: Labelled, score| Found { at, score };
        let all = mean_average_precision(&[of(labels[0].clone(), 0.9), of(labels[1].clone(), 0.8)], &labels);
        assert_eq!(all, [1.0; 10]);
        // A false box in front: precision 1/2 up to recall 1/2 (51 of 101 recalls), then 2/3, made monotone to 2/3 everywhere.
        let late = [of(label(0, 50.0), 0.95), of(labels[0].clone(), 0.9), of(labels[1].clone(), 0.8)];
        assert!((mean_average_precision(&late, &labels)[0] - 2.0 / 3.0).abs() < 1e-12);
        // One of two found: precision 1 at recalls 0..=0.5.
        assert!((mean_average_precision(&[of(labels[0].clone(), 0.9)], &labels)[0] - 51.0 / 101.0).abs() < 1e-12);
        // Twice the same box: the second one is wrong. IoU 2/3 counts up to limit 0.65.
        let twice = [of(label(0, 2.0), 0.9), of(label(0, 2.0), 0.8)];
        let found = mean_average_precision(&twice, &[label(0, 0.0)]);
        assert_eq!(found.iter().filter(|v| **v == 1.0).count(), 4, "{found:?}");
    }

    #[test]
    fn finished_boxes_and_raw_candidates_are_read() {
        let task = Task { metric: TaskMetric::Map, ..Task::default() };
        let truth = Truth::Labels(Labels::parse("a,1,10,10,20,20\n"));
        let done = Tensor::from_f32([1, 1, 6], vec![10.0, 10.0, 20.0, 20.0, 0.8, 1.0]).unwrap();
        let e = evaluate(&task, &BTreeMap::from([("a".to_owned(), done)]), &truth, None).unwrap();
        assert_eq!((e.value.0, e.figures["map50"].0), (1.0, 1.0));
        let mut raw = vec![0.0f32; 6 * 7];
        for c in [0, 1] {
            for (r, v) in [15.0, 15.0, 10.0, 10.0, 0.1, 0.9].into_iter().enumerate() {
                raw[r * 7 + c] = v;
            }
        }
        let raw = Tensor::from_f32([1, 6, 7], raw).unwrap();
        assert_eq!(boxes(0, &raw).unwrap().len(), 1, "the second candidate repeats the first");
        let e = evaluate(&task, &BTreeMap::from([("a".to_owned(), raw)]), &truth, None).unwrap();
        assert_eq!(e.value.0, 1.0);
    }
}
