//! What a step machine asks for, and the results that it has so far, read in the order in which it asks. Called by the
//! calibrate rule.

use bytes::Bytes;
use ptq_ir::Diagnostic;
use ptq_rule::{ActionRequest, Blobs, Failure, GRAPH, InputRef, TENSOR_PREFIX};
use serde::Serialize;

/// A request of a rule that reads the graph, these samples (blob names), and what the requester made.
pub(crate) fn request<'s>(
    rule: &'static str,
    params: &impl Serialize,
    samples: impl IntoIterator<Item = &'s String>,
    made: Vec<(&str, Bytes)>,
) -> Result<ActionRequest, Failure> {
    let params =
        serde_json::to_string(params).map_err(|e| Failure::from(Diagnostic::error("CALIB03", e.to_string())))?;
    let mut inputs = vec![
        (GRAPH.to_owned(), InputRef::Own(GRAPH.to_owned())),
        (TENSOR_PREFIX.to_owned(), InputRef::OwnPrefix(TENSOR_PREFIX.to_owned())),
    ];
    inputs.extend(samples.into_iter().map(|blob| (blob.clone(), InputRef::Own(blob.clone()))));
    inputs.extend(made.into_iter().map(|(name, bytes)| (name.to_owned(), InputRef::Inline(bytes))));
    Ok(ActionRequest { rule, params, inputs })
}

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

    fn requests(n: usize) -> Vec<ActionRequest> {
        (0..n).map(|i| ActionRequest { rule: "observe", params: i.to_string(), inputs: Vec::new() }).collect()
    }

    #[test]
    fn replaying_finds_the_answers_in_order_and_stops_at_the_first_question_without_one() {
        let results: Vec<Blobs> = (0..3).map(|i| Blobs::from([(i.to_string(), Vec::new().into())])).collect();
        let mut answers = Answers::new(&results);
        assert_eq!(answers.ask(requests(2)).expect("there").len(), 2);
        assert!(answers.ask(requests(1)).expect("there")[0].contains_key("2"));
        assert!(matches!(answers.ask(requests(4)), Err(Stop::Need(r)) if r.len() == 4));
    }
}
