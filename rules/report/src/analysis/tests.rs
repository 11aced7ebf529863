//! Tests of the tables and the page of an analysis.
#![allow(clippy::unwrap_used)]
use super::*;
use ptq_calibrate::{GraphNode, NodeAnalysis, Parts, ValueAnalysis, WeightAnalysis};

fn errors(cosine: Option<f64>) -> Parts {
    let e = Errors { cosine, mse: Some(0.25), mre: Some(1e-5), sqnr_db: Some(31.5), chebyshev: Some(2.0) };
    Parts { both: e, weights: Errors { cosine: Some(1.0), mse: Some(0.0), sqnr_db: None, ..e }, activations: e }
}

fn analysis() -> Analysis {
    let node = |name: &str, cosine| NodeAnalysis {
        node: name.into(),
        op: "Conv".into(),
        inputs: vec!["x".into()],
        output: "y".into(),
        alone: errors(cosine),
        accumulated: errors(Some(0.9)),
        weights: Some(WeightAnalysis {
            name: "w".into(),
            channels: vec![(-1.0, 2.0)],
            scale: vec![0.1],
            sqnr_db: None,
        }),
    };
    let drawn = |name: &str, reads| GraphNode {
        node: name.into(),
        op: "Conv".into(),
        on: "BPU".into(),
        absorbed_by: None,
        reads,
    };
    Analysis {
        samples: 3,
        compared: vec!["y".into()],
        score: Some(0.99),
        whole: errors(Some(0.98)),
        nodes: vec![node("b<1>", None), node("a", Some(0.997))],
        graph: vec![drawn("a", vec![]), drawn("b<1>", vec![0])],
        values: vec![ValueAnalysis {
            name: "x".into(),
            method: "max".into(),
            lo: -1.0,
            hi: 1.5,
            scale: 0.01,
            zero_point: 3,
            min: Some(-2.0),
            max: Some(1.5),
            count: 10,
            clipped: 0.1,
            histogram: vec![1, 0, 9],
            zeros: 0,
            channels: vec![(-2.0, 1.0), (0.0, 1.5)],
        }],
        proposals: vec![Proposal {
            node: Some("b<1>".into()),
            what: "keep b<1> in float".into(),
            settings: vec![("nodes.\"b<1>\".on".into(), "\"CPU\"".into())],
            score: 0.995,
            gain: 0.005,
        }],
    }
}

#[test]
fn the_text_ranks_nodes_and_gives_lines_to_write() {
    let text = analysis_text(&analysis(), "net", "net-cpu", 1);
    assert!(text.contains("b<1>  Conv  not a number  1.000000"), "{text}");
    assert!(text.contains("… and 1 more nodes") && text.contains("weights only          1.000000  0 "), "{text}");
    assert!(text.contains("[model.net]\nnodes.\"b<1>\".on = \"CPU\""), "{text}");
    assert!(text.contains("0.995000 (+0.005000)") && text.contains("-D 'nodes.\"b<1>\".on=CPU'"), "{text}");
}

#[test]
fn the_page_is_whole_escaped_and_asks_for_nothing_outside() {
    let page = analysis_html(&analysis(), "net", "net-cpu", 5);
    for part in ["<h2>Graph</h2>", "<polyline", "b&lt;1&gt;", "10.0000 % of 10 elements outside", "2 channels"] {
        assert!(page.contains(part), "{part} is missing");
    }
    assert!(!page.contains("b<1>"), "names are escaped");
    for outside in ["http:", "https:", "src=", "@import", "<link"] {
        assert!(!page.contains(outside), "{outside}");
    }
    assert_eq!(page.matches("<svg").count(), page.matches("</svg>").count());
}
