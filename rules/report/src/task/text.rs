//! Character and line accuracy of a text recogniser, whose output holds class scores step by step.

use super::{Truth, float_answer, largest, problem, share};
use ptq_ir::{Diagnostic, Tensor};
use std::collections::BTreeMap;

/// Text of each class but the first, which is the blank.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dictionary(Vec<String>);

impl Dictionary {
    /// One entry a line. Where the output has one class more than blank and entries, that is a space.
    pub fn parse(text: &str) -> Dictionary {
        Dictionary(text.split('\n').map(|l| l.trim_end_matches('\r').to_owned()).collect())
    }

    /// Connectionist temporal classification, read greedily (Graves et al. 2006, best path decoding): the most likely class of
    /// each step, repeats once, blanks left out. The tensor is `[…, steps, classes]`.
    ///
    /// # Errors
    /// When the classes are not those of the dictionary.
    pub fn read(&self, output: &Tensor) -> Result<String, Diagnostic> {
        let classes = output.shape().last().copied().unwrap_or(0);
        // A final line end leaves an empty entry, which is none.
        let entries =
            if self.0.last().is_some_and(String::is_empty) { &self.0[..self.0.len() - 1] } else { &self.0[..] };
        if classes != entries.len() + 1 && classes != entries.len() + 2 {
            let why = format!("the output has {classes} classes, the dictionary {} entries", entries.len());
            return Err(problem(why).hint("a class for each entry, a blank in front, at most a space behind"));
        }
        let mut last = 0;
        let mut text = String::new();
        for step in output.to_f64s().chunks(classes) {
            let class = largest(step);
            if class != 0 && class != last {
                text.push_str(entries.get(class - 1).map_or(" ", String::as_str));
            }
            last = class;
        }
        Ok(text)
    }
}

/// Levenshtein distance in characters.
pub fn edits(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut before = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let changed = before + usize::from(x != y);
            before = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(before + 1);
        }
    }
    row[b.len()]
}

/// `characters`: 1 less all edits divided by all characters of the truth, at least 0; `lines`: share of equal lines.
pub(super) fn figures(
    answers: &BTreeMap<String, Tensor>,
    truth: &Truth,
    dictionary: Option<&str>,
) -> Result<Vec<(&'static str, f64)>, Diagnostic> {
    let dictionary = Dictionary::parse(dictionary.ok_or_else(|| {
        problem("there is no dictionary".to_owned())
            .hint("set eval.dictionary to a text file with one character a line; without it the model's metadata \"character\" is read")
    })?);
    let (mut wrong, mut length, mut lines) = (0, 0, 0);
    for (file, answer) in answers {
        let read = dictionary.read(answer)?;
        let wanted = match truth {
            Truth::Float(float) => dictionary.read(float_answer(float, file)?)?,
            Truth::Labels(labels) => labels.lines(file)?.first().cloned().unwrap_or_default(),
        };
        wrong += edits(&read, &wanted);
        length += wanted.chars().count();
        lines += usize::from(read == wanted);
    }
    let characters =
        if length == 0 { share(usize::from(wrong == 0), 1) } else { (1.0 - wrong as f64 / length as f64).max(0.0) };
    Ok(vec![("characters", characters), ("lines", share(lines, answers.len()))])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::task::{Labels, Task, TaskMetric, evaluate};

    fn steps(classes: usize, path: &[usize]) -> Tensor {
        let mut values = vec![0.0; classes * path.len()];
        path.iter().enumerate().for_each(|(i, c)| values[i * classes + c] = 1.0);
        Tensor::from_f32([1, path.len(), classes], values).unwrap()
    }

    #[test]
    fn distances_are_levenshteins() {
        let known = [("kitten", "sitting", 3), ("", "abc", 3), ("家庭16", "家庭.16", 1), ("x", "x", 0)];
        known.iter().for_each(|(a, b, d)| assert_eq!((edits(a, b), edits(b, a)), (*d, *d), "{a} {b}"));
    }

    #[test]
    fn repeats_are_one_blanks_none_and_a_class_too_many_is_a_space() {
        let d = Dictionary::parse("a\nb\n");
        assert_eq!(d.read(&steps(4, &[1, 1, 0, 1, 3, 2])).unwrap(), "aa b");
        assert_eq!(d.read(&steps(3, &[2, 2, 0])).unwrap(), "b");
        assert!(d.read(&steps(9, &[1])).is_err());
    }

    #[test]
    fn characters_count_edits_and_lines_count_equals() {
        let answers = BTreeMap::from([("1".to_owned(), steps(3, &[1, 2])), ("2".to_owned(), steps(3, &[1]))]);
        let task = Task { metric: TaskMetric::Characters, ..Task::default() };
        let truth = Truth::Labels(Labels::parse("1\tab\n2\tbb\n"));
        let e = evaluate(&task, &answers, &truth, Some("a\nb")).unwrap();
        assert_eq!((e.value.0, e.figures["lines"].0), (0.5, 0.5));
        assert!(evaluate(&task, &answers, &truth, None).unwrap_err().to_string().contains("dictionary"));
    }
}
