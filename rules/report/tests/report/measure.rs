//! The measure rule.

use crate::support::{X, float, integer, placement, quant, seeded};
use ptq_ir::{InputSpec, InputType};
use ptq_report::{Measure, MeasureParams, MeasureRule, measure, node_table};
use ptq_rule::{Blobs, BuildRule, Context, Failure, Memo, Silent, Step, put_graph, put_qgraph};
use std::collections::BTreeMap;

#[test]
fn each_node_has_a_row_and_absorbed_nodes_share_their_absorber_s_result() {
    let m = measure(&float(), &integer(), &quant(), &placement(), &[seeded(&X, 1)], 1).expect("runs");
    let rows: Vec<_> = m
        .nodes
        .iter()
        .map(|n| (n.node.as_str(), n.subgraph.as_str(), n.threshold, n.in_type.as_str(), n.out_type.as_str()))
        .collect();
    assert_eq!(
        rows,
        [
            ("conv", "id(0)", Some(1.0), "int8", "int8"),
            ("relu", "id(0)", None, "int8", "int8"),
            ("sigmoid", "--", None, "float", "float"),
        ]
    );
    let cosines: Vec<f64> = m.nodes.iter().map(|n| n.cosine.expect("measured").0).collect();
    assert!(cosines.iter().all(|c| (0.999..1.0).contains(c)), "quantized, so near one but not one: {cosines:?}");
    assert_eq!(cosines[0], cosines[1]);
    assert_eq!(m.outputs.len(), 1);
    let out = &m.outputs[0];
    assert_eq!((out.output.as_str(), out.cosine.0), ("sigmoid_out", cosines[2]));
    assert!(0.0 < out.l2.0 && out.l2.0 < out.l1.0 && out.l1.0 < out.chebyshev.0 && out.chebyshev.0 < 0.02, "{out:?}");
}

#[test]
fn a_wrong_multiplier_shows_in_the_distances() {
    let inputs = [seeded(&X, 1)];
    let good = measure(&float(), &integer(), &quant(), &placement(), &inputs, 1).expect("runs");
    let mut broken = integer();
    if let ptq_ir::QOp::Conv(conv) = &mut broken.nodes[1].op {
        conv.requant = Some(ptq_ir::Requant::Float(vec![0.001; 4]));
    }
    let bad = measure(&float(), &broken, &quant(), &placement(), &inputs, 1).expect("runs");
    assert!(bad.outputs[0].l1.0 > 10.0 * good.outputs[0].l1.0);
    assert!(bad.nodes[0].cosine < good.nodes[0].cosine);
}

fn blobs() -> Blobs {
    let mut blobs = Blobs::new();
    put_graph(&mut blobs, &float()).expect("encodes");
    put_qgraph(&mut blobs, &integer()).expect("encodes");
    blobs.insert("quant".into(), ptq_ir::to_bytes(&quant()).expect("encodes"));
    blobs.insert("placement.json".into(), serde_json::to_vec(&placement()).expect("encodes").into());
    blobs
}

fn run(inputs: &Blobs, params: &MeasureParams) -> Result<Measure, Failure> {
    let params = serde_json::to_string(params).expect("encodes");
    let ctx = Context { inputs, params: &params, progress: &Silent, threads: 1, memo: &Memo::default() };
    match MeasureRule.step(&ctx, &[])? {
        Step::Done(out) => Ok(serde_json::from_slice(&out["measure.json"]).expect("decodes")),
        Step::Need(_) => panic!("measure needs nothing"),
    }
}

#[test]
fn the_first_sample_is_used_and_a_synthetic_one_is_named_as_such() {
    let mut inputs = blobs();
    let none = run(&inputs, &MeasureParams::default()).expect("runs");
    assert_eq!(none.samples[0].file, None);
    let npy = ptq_sample::write_npy(&seeded(&X, 1)).expect("npy");
    inputs.insert("sample/x/007.npy".into(), npy.into());
    inputs.insert("sample/x/008.npy".into(), vec![1u8].into());
    inputs.insert("sample/xy/001.npy".into(), vec![1u8].into());
    let some = run(&inputs, &MeasureParams::default()).expect("runs");
    assert_eq!(some.samples[0].file.as_deref(), Some("007.npy"));
    let direct = measure(&float(), &integer(), &quant(), &placement(), &[seeded(&X, 1)], 1).expect("runs");
    assert_eq!(node_table(&some), node_table(&direct), "as shown: JSON may move the last bit of a number");
    assert_ne!(some.outputs, none.outputs);
}

#[test]
fn a_broken_sample_names_file_and_input() {
    let mut inputs = blobs();
    inputs.insert("sample/x/007.npy".into(), vec![1u8].into());
    let failure = run(&inputs, &MeasureParams::default()).expect_err("no npy");
    let place = &failure.diagnostics[0].place;
    assert_eq!((place.file.as_deref(), place.value.as_deref()), (Some("007.npy"), Some("x")));
    let spec = InputSpec { type_train: InputType::Rgb, ..InputSpec::default() };
    let params = MeasureParams { inputs: BTreeMap::from([("x".to_owned(), spec)]) };
    inputs.remove("sample/x/007.npy");
    assert!(run(&inputs, &params).is_ok(), "an image input gets synthetic pixels");
}
