//! Text, CSV, JSON and Markdown from one measure.

use crate::support::{fired, quant};
use ptq_ir::Device;
use ptq_place::Reason;
use ptq_report::{
    Figure, Measure, NodeRow, OutputRow, ReportInput, SampleSource, node_info_csv, node_table, output_table,
    quant_info_json, report_markdown,
};
use ptq_rule::{GraphRuleMeta, Skip};

fn row(node: &str, on: Device, cosine: Option<f64>, threshold: Option<f32>) -> NodeRow {
    let cpu = on == Device::Cpu;
    NodeRow {
        node: node.into(),
        on,
        subgraph: if cpu { "--".into() } else { "id(0)".into() },
        shown: if cpu { "Softmax".into() } else { "HzSQuantizedConv".into() },
        cosine: cosine.map(Figure),
        threshold,
        in_type: if cpu { "float".into() } else { "int8".into() },
        out_type: if cpu { "float".into() } else { "int32".into() },
        absorbed_by: None,
        reason: cpu.then(|| Reason {
            code: "PLACE05".into(),
            text: "manual, \"ask\" | for it".into(),
            remedy: "ask".into(),
        }),
    }
}

fn sample() -> Measure {
    Measure {
        samples: vec![SampleSource { input: "data".into(), file: None }],
        nodes: vec![
            row("conv1", Device::Bpu, Some(0.999_909), Some(253.879)),
            row("prob", Device::Cpu, Some(f64::NAN), None),
        ],
        outputs: vec![OutputRow {
            output: "prob_out".into(),
            cosine: Figure(0.999_989),
            l1: Figure(7.732_184),
            l2: Figure(2.969_808),
            chebyshev: Figure(16.220_459),
        }],
    }
}

#[test]
fn tables_are_aligned() {
    assert_eq!(
        node_table(&sample()),
        "\
Node   ON   Subgraph  Type              Cosine Similarity  Threshold   In/Out DataType
======================================================================================
conv1  BPU  id(0)     HzSQuantizedConv  0.999909           253.878998  int8/int32
prob   CPU  --        Softmax           NaN                --          float/float
"
    );
    assert_eq!(
        output_table(&sample()),
        "\
Output    Cosine Similarity  L1 Distance  L2 Distance  Chebyshev Distance
=========================================================================
prob_out  0.999989           7.732184     2.969808     16.220459
"
    );
}

#[test]
fn csv_quotes_what_needs_quotes() {
    assert_eq!(
        node_info_csv(&sample()),
        "Node,ON,Subgraph,Type,Cosine Similarity,Threshold,In/Out DataType,Reason Code,Reason\n\
         conv1,BPU,id(0),HzSQuantizedConv,0.999909,253.878998,int8/int32,,\n\
         prob,CPU,--,Softmax,NaN,--,float/float,PLACE05,\"manual, \"\"ask\"\" | for it\"\n"
    );
}

#[test]
fn quant_info_holds_scales_and_placements() {
    let json: serde_json::Value = serde_json::from_str(&quant_info_json(&quant(), &sample())).expect("JSON");
    let x = &json["tensors"]["relu_out"];
    assert_eq!((x["dtype"].as_str(), x["method"].as_str()), (Some("int8"), Some("kl")));
    assert_eq!(x["threshold"].as_f64(), Some(2.5));
    assert_eq!(x["zero_point"][0].as_i64(), Some(0));
    let node = &json["nodes"][1];
    assert_eq!((node["on"].as_str(), node["cosine"].as_str()), (Some("CPU"), Some("NaN")));
    assert_eq!(node["reason"]["code"].as_str(), Some("PLACE05"));
}

#[test]
fn the_page_has_settings_tables_reasons_and_rules() {
    const RULE: GraphRuleMeta =
        GraphRuleMeta { code: "FUSE08", name: "mark-activation", summary: "", why: "", example: "", since: "0.1.0" };
    let measure = sample();
    let page = report_markdown(&ReportInput {
        variant: "v1",
        model: "lenet",
        march: "bayes",
        settings: &[("optimize_level".into(), "O2".into())],
        measure: &measure,
        data: &[],
        search: Some(&ptq_calibrate::SearchReport {
            search: "default".into(),
            samples: 2,
            compared: vec!["y".into()],
            tried: vec![ptq_calibrate::Tried { name: "kl".into(), score: None }],
            ..Default::default()
        }),
        rules: &[RULE],
        fired: &fired(),
        skipped: &[Skip { code: "FUSE08".into(), node: "relu9".into(), reason: "it is shared".into() }],
    });
    for line in [
        "# v1",
        "| march | bayes |",
        "| optimize_level | O2 |",
        "Integer program against float graph on one sample: data from seeded synthetic values, no data was given.",
        "| prob_out | 0.999989 | 7.732184 | 2.969808 | 16.220459 |",
        "| conv1 | BPU | id(0) | HzSQuantizedConv | 0.999909 | 253.878998 | int8/int32 |",
        "| prob | Softmax | PLACE05 | manual, \"ask\" \\| for it |",
        "| kl | not a number |  |",
        "| FUSE08 | mark-activation | 1 |",
        "| FUSE08 | mark-activation | relu9 | it is shared |",
    ] {
        assert!(page.lines().any(|l| l == line), "{line}\nis not in\n{page}");
    }
}
