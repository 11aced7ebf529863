//! One order, one set of names, types and layouts in every file of a variant: `ptq verify` names the file that disagrees,
//! and `ptq info` lists the same of each.

use prost::Message as _;
use ptq_ir::{Attrs, GraphBuilder, Layout, Source};
use ptq_onnx::proto::ModelProto;
use ptq_sim::artifact;
use ptq_tests::project::TestProject;
use ptq_tests::ptq::ptq;
use serde_json::Value;

const ONNX: [&str; 4] = ["original_float.onnx", "optimized_float.onnx", "calibrated.onnx", "quantized.onnx"];

/// A camera frame and two rows of numbers, in an order that is not the alphabet's; one variant a march.
fn built() -> TestProject {
    let mut b = GraphBuilder::new("net");
    let rows = b.input("rows", &[1, 6]);
    let frame = b.input("frame", &[1, 3, 8, 8]);
    let more = b.input("more", &[1, 6]);
    let sum = b.node("Add", "sum", &[rows, more], Attrs::default(), &[1, 6]);
    let relu = b.node("Relu", "relu", &[frame], Attrs::default(), &[1, 3, 8, 8]);
    b.output(sum);
    b.output(relu);
    let mut text = "[model.m]\npath = \"model.onnx\"\ncalibration.type = \"skip\"\n[model.m.input.frame]\n\
                    type_train = \"rgb\"\ntype_rt = \"nv12\"\nmean = 127.5\nscale = 0.0078\n"
        .to_owned();
    for march in ["cpu", "bayes"] {
        text += &format!("[[variant]]\nname = {march:?}\nmodel = \"m\"\nmarch = {march:?}\n");
    }
    let p = TestProject::new(&text);
    p.write("model.onnx", &ptq_onnx::export_float(&b.finish(), &ptq_onnx::ExportMeta::default()));
    let session = ptq(p.path(), &["build"]);
    assert_eq!(session.code, 0, "{}", session.stderr);
    p
}

/// What verify says of a copy of a variant's files in which one was changed.
fn verified(p: &TestProject, march: &str, file: &str, change: &dyn Fn(Vec<u8>) -> Vec<u8>) -> (i32, Vec<String>) {
    for name in ONNX.into_iter().chain(["model.bin"]) {
        let bytes = std::fs::read(p.file(&format!("out/{march}/{name}"))).expect("a built file");
        p.write(&format!("copy/{name}"), &if name == file { change(bytes) } else { bytes });
    }
    let session = ptq(p.path(), &["verify", march, "--dir", "copy", "--json"]);
    let report: Value = serde_json::from_str(&session.stdout).unwrap_or_else(|_| panic!("{}", session.stderr));
    let said = report["contract"].as_array().expect("contract").iter().filter_map(Value::as_str).map(str::to_owned);
    (session.code, said.collect())
}

#[test]
fn every_disagreement_is_found_and_its_file_named() {
    let p = built();
    let onnx = |change: fn(&mut ModelProto)| {
        move |bytes: Vec<u8>| {
            let mut model = ModelProto::decode(bytes.as_slice()).expect("a model");
            change(&mut model);
            model.encode_to_vec()
        }
    };
    let bin = |change: fn(&mut artifact::Model)| {
        move |bytes: Vec<u8>| {
            let mut model = artifact::decode(&bytes).expect("a model");
            change(&mut model);
            artifact::encode(&model)
        }
    };
    type Onnx = fn(&mut ModelProto);
    let files: [(&str, Onnx); 5] = [
        ("inputs in another order", |m| m.graph.as_mut().expect("a graph").input.swap(0, 1)),
        ("outputs in another order", |m| m.graph.as_mut().expect("a graph").output.swap(0, 1)),
        ("an input with another name", |m| m.graph.as_mut().expect("a graph").input[2].name = Some("moer".into())),
        ("an input of another type", |m| {
            let input = &mut m.graph.as_mut().expect("a graph").input[0];
            input.r#type.as_mut().and_then(|t| t.tensor_type.as_mut()).expect("a type").elem_type = Some(7);
        }),
        ("an input in another layout", |m| {
            let input = &mut m.graph.as_mut().expect("a graph").input[1];
            let tensor = input.r#type.as_mut().and_then(|t| t.tensor_type.as_mut()).expect("a type");
            tensor.shape.as_mut().expect("a shape").dim.swap(1, 3);
        }),
    ];
    type Bin = fn(&mut artifact::Model);
    let models: [(&str, Bin); 4] = [
        ("inputs in another order", |m| {
            m.inputs.swap(0, 2);
            m.input_specs.swap(0, 2);
        }),
        ("outputs in another order", |m| m.outputs.swap(0, 1)),
        ("an input with another name", |m| {
            let at = m.inputs[0].0 as usize;
            m.tensors[at].source = "rwos".into();
        }),
        ("an input in another layout and from another source", |m| {
            let spec = m.input_specs[1].as_mut().expect("described");
            (spec.layout_rt, spec.source) = (Some(Layout::Nchw), Some(Source::Ddr));
        }),
    ];
    for march in ["cpu", "bayes"] {
        assert_eq!(verified(&p, march, "", &|bytes| bytes), (0, Vec::new()), "{march}: nothing was changed");
        for file in ONNX {
            for (what, change) in files {
                let (code, said) = verified(&p, march, file, &onnx(change));
                assert!(code == 1 && said.iter().any(|s| s.contains(file)), "{march} {file}: {what}: {said:?}");
            }
        }
        for (what, change) in models {
            let (code, said) = verified(&p, march, "model.bin", &bin(change));
            assert!(code == 1 && said.iter().any(|s| s.contains("model.bin")), "{march}: {what}: {said:?}");
        }
    }
}

#[test]
fn what_arrives_and_how_it_is_stored_follow_the_table() {
    let p = built();
    // The description in the file's metadata.
    let bgr = |bytes: Vec<u8>| {
        let mut model = ModelProto::decode(bytes.as_slice()).expect("a model");
        for entry in &mut model.metadata_props {
            entry.value = entry.value.as_ref().map(|v| v.replace("\"nv12\"", "\"bgr\""));
        }
        model.encode_to_vec()
    };
    for file in ONNX {
        let (code, said) = verified(&p, "cpu", file, &bgr);
        let told =
            said.iter().any(|s| s.contains(file) && s.contains("192 bytes of bgr") && s.contains("96 bytes of nv12"));
        assert!(code == 1 && told, "{file}: {said:?}");
    }
    // The type that a march stores.
    let (_, said) = verified(&p, "cpu", "quantized.onnx", &|_| {
        std::fs::read(p.file("out/bayes/quantized.onnx")).expect("a built file")
    });
    let told = said.iter().any(|s| s.contains("quantized.onnx stores frame as int8 at 0, must be uint8 at 128"));
    assert!(told, "{said:?}");
    let (_, said) =
        verified(&p, "bayes", "model.bin", &|_| std::fs::read(p.file("out/cpu/model.bin")).expect("a built file"));
    let told = said.iter().any(|s| s.contains("model.bin stores frame as uint8 at 128, must be int8 at 0"));
    assert!(told, "{said:?}");
}

#[test]
fn info_lists_every_file_in_one_order() {
    let p = built();
    for march in ["cpu", "bayes"] {
        for file in ONNX.into_iter().chain(["model.bin"]) {
            let session = ptq(p.path(), &["info", &format!("out/{march}/{file}"), "--json"]);
            let info: Value = serde_json::from_str(&session.stdout).unwrap_or_else(|_| panic!("{}", session.stderr));
            let ports = info["ports"].as_array().expect("ports");
            let names: Vec<&str> = ports.iter().filter_map(|p| p["name"].as_str()).collect();
            assert_eq!(names, ["rows", "frame", "more", "sum_out", "relu_out"], "{march} {file}");
            let frame = &ports[1];
            let layout = if ["quantized.onnx", "model.bin"].contains(&file) { "NHWC" } else { "NCHW" };
            assert_eq!(frame["layout"], layout, "{march} {file}");
            for key in ["type", "valid_shape", "aligned_shape"] {
                assert!(ports.iter().all(|p| !p[key].is_null()), "{march} {file}: {key} in {ports:?}");
            }
            if ["quantized.onnx", "model.bin"].contains(&file) {
                let zero = if march == "cpu" { 128 } else { 0 };
                assert_eq!(
                    (&frame["scale"], &frame["zero_point"]),
                    (&serde_json::json!([1.0]), &serde_json::json!([zero]))
                );
            }
        }
        // The tool's number of elements and the report's number of bytes, each with a word why.
        let text = ptq(p.path(), &["info", &format!("out/{march}/model.bin")]).stdout;
        for word in ["give 96 bytes of nv12, N·H·W·3/2", "N·H·W·3 = 192", "because the accelerator expands"] {
            assert!(text.contains(word), "{word} in {text}");
        }
    }
}
