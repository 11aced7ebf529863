//! Widths that requests give: by name, by operator, for the whole model; what a march cannot give is said.

use ptq_ir::{Attrs, Graph, GraphBuilder, Tensor, ValueId};
use ptq_march::March;
use ptq_place::{Requests, place};
use std::collections::BTreeMap;

const IMAGE: [usize; 4] = [1, 4, 2, 2];

fn march(name: &str) -> March {
    March::from_toml(&ptq_march::source(name).expect("built in")).expect("valid")
}

fn conv(b: &mut GraphBuilder, name: &str, x: ValueId, shape: &[usize]) -> ValueId {
    let w = b.constant(&format!("{name}_w"), Tensor::from_f32([4, 4, 1, 1], vec![0.1; 16]).expect("count"));
    b.node("Conv", name, &[x, w], Attrs::default(), shape)
}

/// `x -> stem -> relu (fused) -> body -> add(body, relu) -> sigmoid -> softmax-free tail` with a mean beside.
fn network() -> Graph {
    let mut b = GraphBuilder::new("g");
    let x = b.input("x", &IMAGE);
    let stem = conv(&mut b, "stem", x, &IMAGE);
    let relu = b.node("Relu", "relu", &[stem], Attrs::default(), &IMAGE);
    let body = conv(&mut b, "body", relu, &IMAGE);
    let add = b.node("Add", "add", &[body, relu], Attrs::default(), &IMAGE);
    let mean = b.node("GlobalAveragePool", "mean", &[add], Attrs::default(), &[1, 4, 1, 1]);
    let gate = conv(&mut b, "gate", mean, &[1, 4, 1, 1]);
    let mul = b.node("Mul", "mul", &[add, gate], Attrs::default(), &IMAGE);
    let tail = conv(&mut b, "tail", mul, &IMAGE);
    b.output(tail);
    let mut g = b.finish();
    let id = g.find_node("relu").expect("node");
    g.nodes[id.0 as usize].fusible_into = Some("stem".into());
    g
}

/// `name in>out` of every node with 16 bits, then the warnings.
fn widths(march_name: &str, requests: &Requests) -> (String, Vec<String>) {
    let result = place(&network(), &march(march_name), requests);
    assert!(result.problems.is_empty(), "{:?}", result.problems);
    let shown = result.placement.nodes.iter().filter(|n| n.int16_output || !n.int16_inputs.is_empty()).map(|n| {
        let inputs: String = n.int16_inputs.iter().map(ToString::to_string).collect();
        format!("{} {inputs}>{}", n.name, if n.int16_output { "16" } else { "8" })
    });
    (shown.collect::<Vec<_>>().join(", "), result.warnings.into_iter().map(|d| d.message).collect())
}

fn of(node: &str, key: &str, dtype: &str) -> Requests {
    let types = BTreeMap::from([(key.to_owned(), dtype.to_owned())]);
    Requests { types: [(node.to_owned(), types)].into(), ..Requests::default() }
}

fn word(words: &[&str]) -> Requests {
    Requests { optimization: words.iter().map(|w| (*w).to_owned()).collect(), ..Requests::default() }
}

#[test]
fn results_that_are_asked_for_are_read_by_all_that_can() {
    let nothing: (String, Vec<String>) = (String::new(), Vec::new());
    assert_eq!(widths("bayes", &Requests::default()), nothing);
    // A request for the activation is one for the Conv that absorbs it.
    for node in ["stem", "relu"] {
        let (found, warnings) = widths("bayes", &of(node, "OutputType", "int16"));
        assert_eq!((found.as_str(), warnings.len()), ("stem >16, body 0>8, add 1>8", 0));
    }
    let (found, warnings) = widths("bayes", &of("add", "OutputType", "int16"));
    assert_eq!((found.as_str(), warnings.len()), ("add >16, mul 0>8", 0), "the mean reads a copy");
    assert_eq!(widths("cpu", &of("add", "OutputType", "int16")).0, "add >16, mean 0>16, gate 0>8, mul 0>8");
}

#[test]
fn inputs_that_are_asked_for_ask_their_producers() {
    assert_eq!(widths("bayes", &of("add", "InputType0", "int16")).0, "body >16, add 0>8");
    assert_eq!(widths("bayes", &of("add", "InputType", "int16")).0, "stem >16, body 0>16, add 01>8");
    assert_eq!(widths("bayes", &of("stem", "InputType", "int16")).0, "stem 0>8", "the border quantizes to 16 bits");
    let (found, warnings) = widths("bayes", &of("gate", "InputType", "int16"));
    assert_eq!(found, "");
    assert!(
        warnings[0].starts_with("InputType int16 was asked for, int8 is used: what makes the value"),
        "{warnings:?}"
    );
}

#[test]
fn kinds_and_the_whole_model() {
    assert_eq!(widths("bayes", &word(&["set_Add_output_int16"])).0, "add >16, mul 0>8");
    let (found, warnings) = widths("bayes", &word(&["set_all_nodes_int16"]));
    assert_eq!(found, "stem 0>16, body 0>16, add 01>16, gate >16, mul 01>16, tail 0>8");
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("mean (int8 is used: march bayes has no output of GlobalAveragePool"), "{warnings:?}");
    let all = widths("cpu", &word(&["set_all_nodes_int16"]));
    assert!(all.0.contains("mean 0>16, gate 0>16") && all.1.is_empty(), "{all:?}");
    // A name wins over the model.
    let mut requests = word(&["set_all_nodes_int16"]);
    requests.types = of("body", "OutputType", "int8").types;
    assert!(widths("bayes", &requests).0.contains("body 0>8, add 1>16"));
    let (found, warnings) = widths("bernoulli2", &word(&["set_all_nodes_int16"]));
    assert!(
        found.is_empty() && warnings[0].contains("march bernoulli2 has no output of Conv in 16 bits"),
        "{warnings:?}"
    );
}

#[test]
fn the_int32_of_a_tail_is_given_up_only_on_request() {
    let (found, warnings) = widths("bayes", &word(&["set_model_output_int16"]));
    assert_eq!(found, "tail >16");
    assert!(warnings[0].contains("gives int16 instead of int32, so output tail"), "{warnings:?}");
}
