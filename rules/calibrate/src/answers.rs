//! The results that a step machine has so far, read in the order in which it asks. Called by the calibrate rule.

use ptq_rule::{ActionRequest, Blobs, Failure};

/// Why a step ends early.
#[derive(Debug)]
pub(crate) enum Stop {
    /// These actions are needed first.
    Need(Vec<ActionRequest>),
    /// It cannot go on.
    Failed(Failure),
}

impl<T: Into<Failure>> From<T> for Stop {
    fn from(problem: T) -> Stop {
        Stop::Failed(problem.into())
    }
}

/// Results in the order of the requests. Replaying a step asks the same questions and finds the answers.
pub(crate) struct Answers<'a> {
    results: &'a [Blobs],
    used: usize,
}

impl<'a> Answers<'a> {
    /// The results of all earlier steps.
    pub(crate) fn new(results: &'a [Blobs]) -> Answers<'a> {
        Answers { results, used: 0 }
    }

    /// The results of these requests.
    ///
    /// # Errors
    /// [`Stop::Need`] with the requests when the results are not there yet.
    pub(crate) fn ask(&mut self, requests: Vec<ActionRequest>) -> Result<&'a [Blobs], Stop> {
        let end = self.used + requests.len();
        match self.results.get(self.used..end) {
            Some(found) => {
                self.used = end;
                Ok(found)
            }
            None => Err(Stop::Need(requests)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(n: usize) -> Vec<ActionRequest> {
        (0..n).map(|i| ActionRequest { rule: "observe", params: i.to_string(), inputs: Vec::new() }).collect()
    }

    #[test]
    fn replaying_finds_the_answers_in_order_and_stops_at_the_first_question_without_one() {
        let results: Vec<Blobs> = (0..3).map(|i| Blobs::from([(i.to_string(), Vec::new().into())])).collect();
        let mut answers = Answers::new(&results);
        assert_eq!(answers.ask(request(2)).expect("there").len(), 2);
        assert!(answers.ask(request(1)).expect("there")[0].contains_key("2"));
        assert!(matches!(answers.ask(request(4)), Err(Stop::Need(r)) if r.len() == 4));
    }
}
