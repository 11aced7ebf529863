//! Top-1 and top-5 accuracy of one vector of class scores a sample.

use super::{Task, Truth, float_answer, problem, share};
use ptq_ir::{Diagnostic, Tensor};
use std::collections::BTreeMap;

/// Index of the largest value; the first of equals.
pub fn largest(values: &[f64]) -> usize {
    (0..values.len()).fold(0, |best, i| if values[i] > values[best] { i } else { best })
}

/// How many classes come before this one: those with a higher score, and earlier ones with the same. A score that is not a
/// number comes last.
pub fn rank(scores: &[f64], class: usize) -> usize {
    let own = scores[class];
    let before = |(i, s): (usize, &f64)| *s > own || (own.is_nan() && !s.is_nan()) || (*s == own && i < class);
    scores.iter().enumerate().filter(|(i, s)| before((*i, s))).count()
}

/// `top1` and `top5`: shares of samples of which an accepted class has rank 0, or a rank below 5.
pub(super) fn figures(
    task: &Task,
    answers: &BTreeMap<String, Tensor>,
    truth: &Truth,
) -> Result<Vec<(&'static str, f64)>, Diagnostic> {
    let (mut first, mut five) = (0, 0);
    for (file, answer) in answers {
        let scores = answer.to_f64s();
        let accepted = match truth {
            Truth::Float(float) => vec![largest(&float_answer(float, file)?.to_f64s())],
            Truth::Labels(labels) => {
                let line = labels.lines(file)?.first().map_or("", String::as_str);
                let word = labels.fields(line).first().copied().unwrap_or_default().to_owned();
                // Numbers need no bar between them; words may hold blanks.
                let between: &[char] = if task.classes.is_empty() { &['|', ' '] } else { &['|'] };
                word.split(between).map(|w| class(task, w, file)).collect::<Result<_, _>>()?
            }
        };
        if let Some(wrong) = accepted.iter().find(|c| **c >= scores.len()) {
            return Err(problem(format!("{file}: class {wrong} is outside the output's {} classes", scores.len())));
        }
        let best = accepted.iter().map(|c| rank(&scores, *c)).min().unwrap_or(usize::MAX);
        first += usize::from(best == 0);
        five += usize::from(best < 5);
    }
    Ok(vec![("top1", share(first, answers.len())), ("top5", share(five, answers.len()))])
}

/// The class that a label names: a word of `classes`, or a number.
pub(super) fn class(task: &Task, word: &str, file: &str) -> Result<usize, Diagnostic> {
    let known = task.classes.iter().position(|c| c == word);
    let number = || if task.classes.is_empty() { word.parse().ok() } else { None };
    known.or_else(number).ok_or_else(|| {
        let hint = match task.classes.is_empty() {
            true => "labels are class numbers from 0; eval.classes gives them words",
            false => "eval.classes lists the words in the order of the classes",
        };
        problem(format!("{file}: the label {word:?} is no class")).hint(hint)
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::task::{Labels, evaluate};

    #[test]
    fn ranks_decide_ties_by_order_and_put_nan_last() {
        let scores = [0.5, 0.9, 0.5, f64::NAN];
        assert_eq!((0..4).map(|c| rank(&scores, c)).collect::<Vec<_>>(), [1, 0, 2, 3]);
        assert_eq!(largest(&[1.0, 3.0, 3.0]), 1);
    }

    #[test]
    fn shares_count_accepted_classes_of_labels_or_the_float_model() {
        let t = |v: Vec<f32>| Tensor::from_f32([1, v.len()], v).unwrap();
        let answers = BTreeMap::from([
            ("a".to_owned(), t(vec![0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0])),
            ("b".to_owned(), t(vec![0.9, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0])),
            ("c".to_owned(), t(vec![9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0])),
        ]);
        let truth = Truth::Labels(Labels::parse("a,1\nb,0|5\nc,6\n"));
        let task = Task::default();
        let e = evaluate(&task, &answers, &truth, None).unwrap();
        assert_eq!((e.figures["top1"].0, e.figures["top5"].0), (1.0 / 3.0, 2.0 / 3.0));
        let same = evaluate(&task, &answers, &Truth::Float(answers.clone()), None).unwrap();
        assert_eq!((same.value.0, same.against.as_str()), (1.0, "float model"));
        let worded = Task { classes: vec!["cat".into(), "hot dog".into()], ..Task::default() };
        let b = BTreeMap::from([("b".to_owned(), answers["b"].clone())]);
        let right = evaluate(&worded, &b, &Truth::Labels(Labels::parse("b,cat|hot dog")), None).unwrap();
        assert_eq!(right.value.0, 1.0);
        let wrong = evaluate(&worded, &answers, &Truth::Labels(Labels::parse("a,dgo")), None).unwrap_err();
        assert!(wrong.to_string().contains("\"dgo\" is no class"), "{wrong}");
        let outside = evaluate(&task, &answers, &Truth::Labels(Labels::parse("a,7")), None).unwrap_err();
        assert!(outside.to_string().contains("outside the output's 7 classes"), "{outside}");
    }
}
