//! `ptq run --profile-out` times what really ran: every CPU node, border, layout conversion and segment, over frames on
//! threads of their own; and `ptq check` names the same cuts.

use ptq_runtime::Model;
use ptq_sim::artifact::Body;
use ptq_tests::project::TestProject;
use ptq_tests::ptq::ptq;
use serde_json::Value;
use std::collections::BTreeSet;

/// The segmenter, cut by a pooling on the CPU.
fn built() -> TestProject {
    let p = TestProject::new(
        "[model.net]\npath = \"model.onnx\"\nrun_on_cpu = [\"/0/pool_1/MaxPool\"]\n\
         [model.net.input.image]\nshape = [1, 3, 64, 64]\ntype_train = \"rgb\"\n\
         mean = [127.5, 127.5, 127.5]\nscale = [0.007843137, 0.007843137, 0.007843137]\n\
         [model.net.calibration]\ntype = \"skip\"\n\
         [[variant]]\nname = \"cpu\"\nmodel = \"net\"\nmarch = \"cpu\"\n\
         [[variant]]\nname = \"bayes\"\nmodel = \"net\"\nmarch = \"bayes\"\n",
    );
    p.copy("examples/shape-segmenter/model.onnx", "model.onnx");
    p.copy("examples/shape-segmenter/data/calib/000.png", "image.png");
    let session = ptq(p.path(), &["build"]);
    assert_eq!(session.code, 0, "{}", session.stderr);
    p
}

fn profiled(p: &TestProject, march: &str, more: &[&str]) -> (Value, String) {
    let bin = format!("out/{march}/model.bin");
    let args = [&["run", &bin, "--input", "image=image.png", "--profile-out", "profile.json"][..], more].concat();
    let session = ptq(p.path(), &args);
    assert_eq!(session.code, 0, "{}", session.stderr);
    let text = std::fs::read_to_string(p.file("profile.json")).expect("a profile");
    (serde_json::from_str(&text).expect("JSON"), session.stdout)
}

fn number(v: &Value) -> f64 {
    v.as_f64().unwrap_or_else(|| panic!("{v} is no number"))
}

#[test]
fn every_node_border_layout_and_segment_is_timed() {
    let p = built();
    for march in ["cpu", "bayes"] {
        let (found, text) = profiled(&p, march, &["--frames", "7", "--threads", "3"]);
        let condition = &found["running_condition"];
        assert_eq!((&condition["frame_count"], &condition["thread_num"]), (&7.into(), &3.into()));
        let nodes = found["nodes"].as_array().expect("nodes");
        let of_kind = |kind: &str| -> BTreeSet<&str> {
            nodes.iter().filter(|n| n["kind"] == kind).filter_map(|n| n["name"].as_str()).collect()
        };
        // What the file itself says that it runs.
        let model =
            Model::load(&std::fs::read(p.file(&format!("out/{march}/model.bin"))).expect("bin")).expect("loads");
        let segments = &model.artifact().segments;
        let float = segments.iter().filter_map(|s| match &s.body {
            Body::Float(nodes) => Some(nodes),
            _ => None,
        });
        let float: BTreeSet<&str> = float.flatten().map(|n| n.name.as_str()).collect();
        let timed = ["node", "quantize", "dequantize"].into_iter().flat_map(of_kind).collect::<BTreeSet<_>>();
        assert_eq!(timed, float, "{march}");
        let accelerated = segments.iter().filter(|s| !matches!(s.body, Body::Float(_))).count();
        assert_eq!(of_kind("segment").len(), accelerated, "{march}");
        assert_eq!(of_kind("layout").len(), 2 * accelerated, "{march}");
        for node in nodes {
            assert_eq!(node["count"], 7, "{march}: {node}");
            let [min, avg, max] = ["min_time", "avg_time", "max_time"].map(|key| number(&node[key]));
            assert!(min <= avg && avg <= max && max > 0.0, "{march}: {node}");
            assert!(found["model_latency"][node["name"].as_str().unwrap_or("")].is_object(), "{march}: {node}");
        }
        // The parts are the whole.
        let parts = ["bpu_segments", "cpu_nodes", "borders", "layout", "rest"];
        let sum: f64 = parts.iter().map(|part| number(&found["summary"][part]["ms"])).sum();
        let latency = number(&found["perf_result"]["average_latency"]);
        assert!((sum - latency).abs() <= latency * 1e-6, "{march}: {sum} of {latency}");
        let layers = found["layers"].as_array().expect("layers");
        let layers: f64 = layers.iter().map(|l| number(&l["avg_time"])).sum();
        // Layers of a program run in one go on the simulator, so only the processor's own have times.
        let expected = if march == "cpu" { number(&found["summary"]["bpu_segments"]["ms"]) } else { 0.0 };
        assert!((layers - expected).abs() <= latency * 1e-6, "{march}");
        assert!(number(&found["perf_result"]["FPS"]) > 0.0);
        // Simulated time stands apart, and is there where a program is.
        let simulated = &found["simulated"];
        assert_eq!(simulated.is_object(), march == "bayes", "{simulated}");
        if march == "bayes" {
            let each = simulated["segments"].as_array().expect("segments");
            assert_eq!((each.len(), number(&simulated["ms"]) > 0.0), (accelerated, true), "{simulated}");
            for one in each {
                let layers = one["layers"].as_array().expect("layers").iter();
                assert_eq!(layers.map(|l| number(&l["cycles"])).sum::<f64>(), number(&one["cycles"]), "{one}");
            }
            assert!(text.contains("simulated, apart from the above"), "{text}");
        }
        // The cut is the pooling, as `ptq check` says too.
        let cut = &found["summary"]["dearest_cut"];
        assert_eq!(cut["nodes"], serde_json::json!(["/0/pool_1/MaxPool"]), "{march}");
        assert!(text.contains("the dearest: /0/pool_1/MaxPool with 2 borders"), "{text}");
        let check = ptq(p.path(), &["check", "--variant", march, "--json"]);
        let check: Value = serde_json::from_str(&check.stdout).expect("JSON");
        let cuts = check["cuts"].as_array().expect("cuts");
        let stated = cuts.iter().find(|c| c["place"] == "cut").expect("a cut");
        let elements = ["quantize_elements", "dequantize_elements"].map(|key| stated[key].as_u64().unwrap_or(0));
        assert_eq!(
            (&stated["nodes"], elements[0] + elements[1]),
            (&cut["nodes"], cut["elements"].as_u64().unwrap_or(1))
        );
    }
}

#[test]
fn outputs_do_not_depend_on_threads_and_csv_holds_the_same_rows() {
    let p = built();
    let read = |dir: &str| std::fs::read(p.file(&format!("{dir}/mask.npy"))).expect("an output");
    profiled(&p, "cpu", &["--frames", "1", "--output", "one"]);
    let (found, _) =
        profiled(&p, "cpu", &["--frames", "8", "--threads", "8", "--kernel-threads", "2", "--output", "many"]);
    assert_eq!(read("one"), read("many"));
    let args =
        ["run", "out/cpu/model.bin", "--input", "image=image.png", "--profile-out", "p.csv", "--frames", "2", "-q"];
    let session = ptq(p.path(), &args);
    assert_eq!((session.code, session.stdout.as_str()), (0, ""));
    let csv = std::fs::read_to_string(p.file("p.csv")).expect("csv");
    let rows = csv.lines().skip(1).filter(|l| !l.contains(",layer,")).count();
    assert_eq!(rows, found["nodes"].as_array().expect("nodes").len());
    for bad in [["--threads", "9"], ["--threads", "0"], ["--frames", "0"]] {
        let session = ptq(p.path(), &[&args[..5], &bad[..]].concat());
        assert_eq!(session.code, 2, "{bad:?}: {}", session.stderr);
    }
}
