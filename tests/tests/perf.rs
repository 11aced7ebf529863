//! `ptq perf` predicts the whole model with its CPU nodes and borders, never below what is possible, and says what it rests on;
//! for march `cpu` it measures. Keys of `compile` change programs as their names say, and never a result.

use ptq_tests::project::TestProject;
use ptq_tests::ptq::ptq;
use serde_json::Value;
use std::collections::BTreeMap;

const INPUT: &str = "[model.net.input.image]\nshape = [1, 3, 64, 64]\ntype_train = \"rgb\"\n\
                     mean = [127.5, 127.5, 127.5]\nscale = [0.007843137, 0.007843137, 0.007843137]\n";

/// The segmenter, cut by a pooling on the CPU, with these variants.
fn project(input: &str, variants: &[(&str, &str)]) -> TestProject {
    let mut text = format!(
        "[model.net]\npath = \"model.onnx\"\nrun_on_cpu = [\"/0/pool_1/MaxPool\"]\n{input}[model.net.calibration]\ntype = \"skip\"\n"
    );
    for (name, settings) in variants {
        text += &format!("[[variant]]\nname = \"{name}\"\nmodel = \"net\"\n{settings}\n");
    }
    let p = TestProject::new(&text);
    p.copy("examples/shape-segmenter/model.onnx", "model.onnx");
    p.copy("examples/shape-segmenter/data/calib/000.png", "image.png");
    p
}

fn run(p: &TestProject, args: &[&str]) -> String {
    let session = ptq(p.path(), args);
    assert_eq!(session.code, 0, "{args:?}: {}", session.stderr);
    session.stdout
}

fn perf(p: &TestProject, args: &[&str]) -> Value {
    serde_json::from_str(&run(p, &[&["perf"][..], args, &["--json"]].concat())).expect("JSON")
}

fn number(v: &Value) -> f64 {
    v.as_f64().unwrap_or_else(|| panic!("{v} is no number"))
}

fn outputs(p: &TestProject, variant: &str) -> Vec<u8> {
    let dir = format!("results-{variant}");
    run(p, &["run", &format!("out/{variant}/model.bin"), "--input", "image=image.png", "--output", &dir]);
    let mut files: Vec<_> =
        std::fs::read_dir(p.file(&dir)).expect("results").map(|e| e.expect("file").path()).collect();
    files.sort();
    files.iter().flat_map(|f| std::fs::read(f).expect("a result")).collect()
}

/// Keys of the vendor's summary, as its documents and published examples have them.
const HB_PERF: [&str; 36] = [
    "BPU OPs per frame (effective)",
    "BPU OPs per run (effective)",
    "BPU PE number",
    "BPU core number",
    "BPU march",
    "DDR bytes per frame",
    "DDR bytes per run",
    "DDR bytes per second",
    "DDR megabytes per frame",
    "DDR megabytes per run",
    "DDR megabytes per second",
    "FPS",
    "HBDK version",
    "compiling options",
    "frame per run",
    "frame per second",
    "input features",
    "interval number",
    "interval time (ms)",
    "interval computing unit(s) utilization",
    "interval loading bandwidth (megabytes/s)",
    "interval storing bandwidth (megabytes/s)",
    "latency (ms)",
    "latency (us)",
    "latency (ms) by segments",
    "layer details",
    "loaded bytes per frame",
    "loaded bytes per run",
    "stored bytes per frame",
    "stored bytes per run",
    "model name",
    "model json CRC",
    "model param CRC",
    "multicore sync time (ms)",
    "run per second",
    "worst FPS",
];

#[test]
fn a_prediction_is_whole_consistent_and_never_below_the_bound() {
    let p = project(INPUT, &[("O0", "march = \"bayes\""), ("O2", "march = \"bayes\"\noptimize_level = \"O2\"")]);
    let mut latencies = Vec::new();
    for variant in ["O0", "O2"] {
        let found = perf(&p, &[variant, "--html", "perf.html", "--trace", "trace.json"]);
        assert_eq!(found, perf(&p, &[variant]), "equal inputs, equal prediction");
        let s = &found["summary"];
        let field = |name: &str| number(&s[name]);
        assert_eq!(
            (&s["march"], &s["optimize_level"], &s["kind"]),
            (&"bayes".into(), &variant.into(), &"predicted".into())
        );
        assert!(field("roofline_us") > 0.0 && field("roofline_us") <= field("latency_us"), "{s}");
        assert!((field("fps") - 1e6 / field("latency_us")).abs() < 1e-6 * field("fps"));
        assert!(field("fps_all_cores") >= field("fps") && field("fps_all_cores") <= 2.0 * field("fps") + 1e-6);
        assert_eq!(field("ddr_bytes"), field("loaded_bytes") + field("stored_bytes"));
        assert!(field("mac_efficiency") > 0.0 && field("mac_efficiency") < 1.0);
        let layers = found["layers"].as_array().expect("layers");
        let sum = |name: &str, on: &str| layers.iter().filter(|l| l["on"] == on).map(|l| number(&l[name])).sum::<f64>();
        assert!((sum("time_us", "BPU") - field("latency_us")).abs() < 1e-6 * field("latency_us"));
        assert!((sum("time_us", "CPU") - field("cpu_us")).abs() < 1e-6 * field("cpu_us"));
        assert_eq!(sum("ddr_bytes", "BPU"), field("ddr_bytes"));
        for l in layers.iter().filter(|l| l["on"] == "BPU") {
            let own = number(&l["compute_us"]).max(number(&l["load_us"]) + number(&l["store_us"]));
            assert!(number(&l["roofline_us"]) <= own + 1e-9, "{l}");
            assert!((0.0..=1.0).contains(&number(&l["efficiency"])), "{l}");
        }
        // The original leaves these out.
        let kinds: Vec<&str> = layers.iter().filter_map(|l| l["kind"].as_str()).collect();
        for kind in ["layer", "node", "quantize", "dequantize"] {
            assert!(kinds.contains(&kind), "no {kind} in {kinds:?}");
        }
        let pooling = layers.iter().find(|l| l["name"] == "/0/pool_1/MaxPool").expect("the node on the CPU");
        assert_eq!((&pooling["on"], &pooling["limited_by"]), (&"CPU".into(), &"cpu".into()));
        let advice = layers.iter().flat_map(|l| l["advice"].as_array().expect("advice"));
        let says = |a: &Value| a["text"].as_str().is_some_and(|t| t.ends_with("% of this layer's time"));
        assert!(advice.clone().count() > 0 && advice.clone().all(says), "{:?}", advice.collect::<Vec<_>>());
        let assumed = found["assumed"].as_array().expect("assumed");
        let named = |name: &str| assumed.iter().find(|a| a["name"] == name);
        assert_eq!(named("sram_bytes").expect("assumed")["provenance"], "assumed");
        assert!(named("cores").is_none(), "published");
        assert!(named("host.elements_per_us").is_some());
        let hb = s["hb_perf"].as_object().expect("hb_perf");
        HB_PERF.iter().for_each(|key| assert!(hb.contains_key(*key), "{key} is missing"));
        assert_eq!(number(&hb["DDR bytes per run"]), field("ddr_bytes"));
        assert!(number(&hb["BPU OPs per frame (working)"]) >= number(&hb["BPU OPs per frame (effective)"]));
        assert_eq!(
            hb["layer details"].as_array().expect("details").len(),
            kinds.iter().filter(|k| **k == "layer").count()
        );
        page(&std::fs::read_to_string(p.file("perf.html")).expect("a page"), layers, assumed);
        trace(&serde_json::from_slice(&std::fs::read(p.file("trace.json")).expect("a trace")).expect("JSON"), s);
        latencies.push(field("latency_us"));
    }
    assert!(latencies[1] <= latencies[0]);
    let report = std::fs::read_to_string(p.file("out/O2/report.md")).expect("a report");
    assert!(report.contains("## Predicted performance") && report.contains("Assumed or fitted, not published:"));
}

/// A page needs nothing from elsewhere and shows every row and every assumption.
fn page(html: &str, layers: &[Value], assumed: &[Value]) {
    let without = html.replace("http://www.w3.org/2000/svg", "");
    for foreign in ["http:", "https:", "src=", "@import", "url(", "<link"] {
        assert!(!without.contains(foreign), "the page refers to {foreign}");
    }
    for name in layers.iter().filter_map(|l| l["name"].as_str()) {
        assert!(html.contains(name), "{name} is not on the page");
    }
    for name in assumed.iter().filter_map(|a| a["name"].as_str()) {
        assert!(html.contains(name), "{name} is not on the page");
    }
    for heading in ["Summary", "Advice", "Costs by row", "Timeline", "Model", "All rows", "What this rests on"] {
        assert!(html.contains(&format!("<h2>{heading}</h2>")), "{heading}");
    }
}

/// Work of one lane never overlaps, and ends with the run.
fn trace(trace: &Value, summary: &Value) {
    let mut lanes: BTreeMap<(u64, u64), Vec<(f64, f64)>> = BTreeMap::new();
    for e in trace["traceEvents"].as_array().expect("events").iter().filter(|e| e["ph"] == "X") {
        let lane = (e["pid"].as_u64().expect("pid"), e["tid"].as_u64().expect("tid"));
        lanes.entry(lane).or_default().push((number(&e["ts"]), number(&e["ts"]) + number(&e["dur"])));
    }
    assert!(lanes.len() >= 4, "{:?}", lanes.keys());
    for (lane, mut work) in lanes {
        work.sort_by(|a, b| a.0.total_cmp(&b.0));
        work.windows(2).for_each(|w| assert!(w[0].1 <= w[1].0 + 1e-6, "lane {lane:?}: {w:?}"));
        let end = number(&summary["latency_us"]) + number(&summary["cpu_us"]);
        assert!(work.iter().all(|w| w.1 <= end + 1e-6));
    }
}

#[test]
fn files_and_packed_files_are_told_like_their_variant() {
    let p = project(INPUT, &[("a", "march = \"bayes\""), ("c", "march = \"cpu\"")]);
    run(&p, &["build"]);
    let expect = perf(&p, &["a"]);
    assert_eq!(perf(&p, &["out/a/model.bin"]), expect);
    run(&p, &["pack", "one=out/a/model.bin", "two=out/c/model.bin", "-o", "both.bin"]);
    assert_eq!(perf(&p, &["both.bin", "--model", "one"]), expect);
    assert_eq!(ptq(p.path(), &["perf", "both.bin"]).code, 2, "a packed file needs --model");
    assert_eq!(ptq(p.path(), &["perf", "nothing"]).code, 2);
    // A file for a march that only its author has.
    let march = ptq_march::source("bayes").expect("built in").replace("name = \"bayes\"", "name = \"mine\"");
    p.write("mine.toml", march.replace("ddr_bytes_per_cycle = 16.0", "ddr_bytes_per_cycle = 1.0").as_bytes());
    run(&p, &["build", "a", "-D", "march=mine.toml"]);
    let session = ptq(p.path(), &["perf", "out/a/model.bin"]);
    assert!(session.code == 1 && session.stderr.contains("--march"), "{}", session.stderr);
    let slower = perf(&p, &["out/a/model.bin", "--march", "mine.toml"]);
    assert_eq!(slower, perf(&p, &["a", "-D", "march=mine.toml"]));
    assert!(number(&slower["summary"]["latency_us"]) > number(&expect["summary"]["latency_us"]));
    let session = ptq(p.path(), &["perf", "out/a/model.bin", "--march", "bayes"]);
    assert!(session.code == 1 && session.stderr.contains("another version"), "{}", session.stderr);
}

#[test]
fn march_cpu_is_measured_and_nothing_of_it_is_kept() {
    let p = project(INPUT, &[("c", "march = \"cpu\"")]);
    run(&p, &["build"]);
    let files = || -> BTreeMap<_, _> {
        let all = std::fs::read_dir(p.file("out/c")).expect("files").map(|e| e.expect("file").path());
        all.map(|f| (f.clone(), std::fs::read(f).expect("bytes"))).collect()
    };
    let before = files();
    let found = perf(&p, &["c", "--html", "c.html", "--trace", "c.json"]);
    assert_eq!(before, files());
    let s = &found["summary"];
    assert_eq!((&s["kind"], &s["roofline_us"], &s["ddr_bytes"]), (&"measured".into(), &Value::Null, &Value::Null));
    assert!(number(&s["latency_us"]) > 0.0 && number(&s["fps"]) > 0.0 && number(&s["fps_all_cores"]) > 0.0);
    assert!(found["assumed"].as_array().expect("assumed").is_empty());
    let layers = found["layers"].as_array().expect("layers");
    let sum: f64 = layers.iter().map(|l| number(&l["time_us"])).sum();
    assert!(sum <= number(&s["latency_us"]) * 1.01, "rows {sum} of {s}");
    assert!(layers.iter().any(|l| l["op"] == "Conv" && number(&l["macs"]) > 0.0));
    let html = std::fs::read_to_string(p.file("c.html")).expect("a page");
    assert!(html.contains("measured on the machine"));
}

#[test]
fn nv12_frames_count_as_their_bytes() {
    let nv12 = INPUT.replace("type_train", "type_rt = \"nv12\"\ntype_train");
    let rgb = INPUT.replace("type_train", "type_rt = \"rgb\"\ntype_train");
    let p = project(&nv12, &[("n", "march = \"bayes\"")]);
    let q = project(&rgb, &[("n", "march = \"bayes\"")]);
    let (n, r) = (perf(&p, &["n"]), perf(&q, &["n"]));
    let input =
        |v: &Value| (v["summary"]["inputs"][0]["bytes"].as_u64(), v["summary"]["inputs"][0]["elements"].as_u64());
    assert_eq!(input(&n), (Some(64 * 64 * 3 / 2), Some(64 * 64 * 3)));
    assert_eq!(input(&r), (Some(64 * 64 * 3), Some(64 * 64 * 3)));
    let (s, t) = (&n["summary"], &r["summary"]);
    assert_eq!(number(&s["simulated_ddr_bytes"]) - number(&s["ddr_bytes"]), 64.0 * 64.0 * 1.5);
    assert_eq!(t["simulated_ddr_bytes"], t["ddr_bytes"]);
    let text = run(&p, &["perf", "n"]);
    assert!(text.contains("N·H·W·3/2 = 6144") && text.contains("ptq info"), "{text}");
}

#[test]
fn keys_of_compile_do_what_they_say_and_change_no_result() {
    let p = project(
        INPUT,
        &[
            ("plain", "march = \"bayes\"\noptimize_level = \"O2\""),
            ("cores", "march = \"bayes\"\noptimize_level = \"O2\"\ncompile.core_num = 2"),
            ("short", "march = \"bayes\"\noptimize_level = \"O2\"\ncompile.max_time_per_fc = 1000"),
            ("bare", "march = \"bayes\"\noptimize_level = \"O2\"\ncompile.debug = false"),
            ("advised", "march = \"bayes\"\noptimize_level = \"O2\"\ncompile.advice = 0"),
            ("jobs", "march = \"bayes\"\noptimize_level = \"O2\"\ncompile.jobs = 1"),
        ],
    );
    let session = ptq(p.path(), &["build"]);
    assert_eq!(session.code, 0, "{}", session.stderr);
    assert!(
        session.stderr.contains("becomes slow") && session.stderr.contains("% of this layer's time"),
        "{}",
        session.stderr
    );
    let expect = outputs(&p, "plain");
    let bin = |variant: &str| std::fs::read(p.file(&format!("out/{variant}/model.bin"))).expect("a model");
    for variant in ["cores", "short", "bare", "advised", "jobs"] {
        assert!(outputs(&p, variant) == expect, "{variant} computes something else");
    }
    assert!(bin("jobs") == bin("plain") && bin("advised") == bin("plain"));
    assert!(bin("bare").len() < bin("plain").len());
    let summary = |variant: &str| perf(&p, &[variant])["summary"].clone();
    let (plain, cores) = (summary("plain"), summary("cores"));
    assert!(number(&cores["latency_us"]) <= number(&plain["latency_us"]));
    assert_eq!(cores["hb_perf"]["BPU core number"], cores["cores_per_run"]);
    let calls = summary("short")["function_calls_us"].as_array().expect("calls").clone();
    assert!(calls.iter().all(|c| number(c) <= 1000.0), "{calls:?}");
    let bare = perf(&p, &["bare"]);
    assert!(bare["layers"].as_array().expect("layers").is_empty());
    assert_eq!(number(&bare["summary"]["latency_us"]), number(&plain["latency_us"]));
    assert!(run(&p, &["perf", "bare"]).contains("compile.debug"));
    // Changing `jobs` is no reason to build again.
    assert_eq!(ptq(p.path(), &["build", "plain", "-D", "compile.jobs=2", "--dry-run", "--exit-code"]).code, 0);
    for wrong in ["compile.core_num=9", "compile.max_time_per_fc=999", "compile.advice=-1"] {
        assert_eq!(ptq(p.path(), &["build", "plain", "-D", wrong]).code, 2, "{wrong}");
    }
    let session = ptq(p.path(), &["build", "plain", "-D", "march=bayes-e", "-D", "compile.core_num=2"]);
    assert!(session.code == 1 && session.stderr.contains("march bayes-e has 1"), "{}", session.stderr);
}

#[test]
fn a_plan_is_replayed_shown_and_refused() {
    let p = project(INPUT, &[("a", "march = \"bayes\"\noptimize_level = \"O2\"")]);
    run(&p, &["build"]);
    let bin = std::fs::read(p.file("out/a/model.bin")).expect("a model");
    p.write("kept.bin", &bin);
    let text = run(&p, &["dump", "kept.bin"]);
    assert!(text.contains("; plan {\"plan\":{\"groups\":["), "{text}");
    run(&p, &["build", "--replay-plan", "kept.bin"]);
    assert!(std::fs::read(p.file("out/a/model.bin")).expect("a model") == bin);
    // The plan of O2 under the name of O0: not what O0 would find.
    run(&p, &["build", "-D", "optimize_level=O0", "--replay-plan", "kept.bin"]);
    let replayed = perf(&p, &["out/a/model.bin"])["summary"]["cycles"].clone();
    run(&p, &["build"]);
    assert_eq!(perf(&p, &["a"])["summary"]["cycles"], replayed);
    // Another graph: the pooling is on the BPU now.
    let session = ptq(p.path(), &["build", "-D", "run_on_cpu=[]", "--replay-plan", "kept.bin"]);
    assert!(session.code == 1 && session.stderr.contains("plan to replay"), "{}", session.stderr);
    let session = ptq(p.path(), &["build", "--replay-plan", "image.png"]);
    assert!(session.code == 1 && session.stderr.contains("the file to replay"), "{}", session.stderr);
    assert_eq!(ptq(p.path(), &["build", "--replay-plan", "nothing.bin"]).code, 2);
}
