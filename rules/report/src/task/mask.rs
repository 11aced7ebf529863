//! Intersection over union of pixels above a limit: text, objects, foreground.

use super::{Task, Truth, float_answer, problem};
use ptq_ir::{Diagnostic, Tensor};
use std::collections::BTreeMap;

/// Pixels of two masks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Overlap {
    /// In both.
    pub both: usize,
    /// In one at least.
    pub any: usize,
}

impl Overlap {
    /// Counts the elements that exceed `above`.
    pub fn add(&mut self, a: &[f64], b: &[f64], above: f64) {
        for (x, y) in a.iter().zip(b) {
            self.both += usize::from(*x > above && *y > above);
            self.any += usize::from(*x > above || *y > above);
        }
    }

    /// Both over any (Jaccard's index); 1 for two empty masks.
    pub fn ratio(self) -> f64 {
        super::share(self.both, self.any)
    }
}

/// `mask_iou`, over the pixels of all samples together.
pub(super) fn figures(
    task: &Task,
    answers: &BTreeMap<String, Tensor>,
    truth: &Truth,
) -> Result<Vec<(&'static str, f64)>, Diagnostic> {
    let Truth::Float(float) = truth else {
        return Err(problem("mask_iou compares with the float model's masks".to_owned()).hint("remove eval.labels"));
    };
    let mut overlap = Overlap::default();
    for (file, answer) in answers {
        let wanted = float_answer(float, file)?;
        if wanted.shape() != answer.shape() {
            return Err(problem(format!("{file}: masks are {:?} and {:?}", answer.shape(), wanted.shape())));
        }
        overlap.add(&answer.to_f64s(), &wanted.to_f64s(), task.above);
    }
    Ok(vec![("mask_iou", overlap.ratio())])
}

#[cfg(test)]
mod tests {
    use super::Overlap;

    #[test]
    fn pixels_at_the_limit_are_outside_and_nothing_is_all() {
        let mut o = Overlap::default();
        assert_eq!(o.ratio(), 1.0);
        o.add(&[0.3, 0.4, 0.9, 0.0], &[0.4, 0.4, 0.1, 0.0], 0.3);
        assert_eq!((o, o.ratio()), (Overlap { both: 1, any: 3 }, 1.0 / 3.0));
    }
}
